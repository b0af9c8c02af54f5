//! How the token was sent: slips of copying, and what something in between did to the request.

use portcullis_guard::Check;

use super::{Case, Entry, Sign};
use crate::doctor::token::{Form, Slip};

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        name: "cause.header_stripped",
        title: "The token did not arrive: something in between removed the header",
        cause: "The request had an `Authorization` header, and the answer is that to a request without any credential. A reverse proxy, a CDN or a redirect to another host removed it.",
        fix: "Let the proxy pass it on. nginx: no `proxy_set_header Authorization \"\"`; Apache with CGI or WSGI: `CGIPassAuth On` or `WSGIPassAuthorization On`; AWS CloudFront: `Authorization` in the origin request policy. Clients drop the header where a redirect leads to another host: call the last address.",
        on_its_face: false,
        recognise: header_stripped,
    },
    Entry {
        name: "cause.placeholder_sent",
        title: "What was sent is the name of the place, not the token",
        cause: "A variable was not filled in: `undefined`, `null`, `$TOKEN`, `{{token}}` or the like came in the token's place.",
        fix: "Look at where the token is read: an `await` that is missing, a member that is called otherwise, a variable that is not set in this environment, single quotes around `$TOKEN` in a shell.",
        on_its_face: true,
        recognise: |case| slip(case, Slip::Placeholder, "a placeholder in the token's place"),
    },
    Entry {
        name: "cause.basic_credentials_sent",
        title: "A name and a password were sent, not a token",
        cause: "The scheme is `Basic`. An API takes access tokens; a client's name and secret belong to the provider's token endpoint alone.",
        fix: "Ask the token endpoint with them (`grant_type=client_credentials`), and send `Authorization: Bearer` with the `access_token` of its answer. They were sent to a place where they do not belong: change the secret if that was not your own.",
        on_its_face: true,
        recognise: |case| slip(case, Slip::Basic, "the scheme Basic"),
    },
    Entry {
        name: "cause.bearer_twice",
        title: "The word `Bearer` stands there twice",
        cause: "The program adds the scheme, and the text that it was given has it already.",
        fix: "Store the token without the scheme, and let one place add it.",
        on_its_face: true,
        recognise: |case| slip(case, Slip::BearerTwice, "Bearer Bearer ..."),
    },
    Entry {
        name: "cause.whole_answer_sent",
        title: "The whole answer of the token endpoint was sent",
        cause: "What came is JSON with a member `access_token`; only that member's value is the token.",
        fix: "Take `access_token` out of the answer: `jq -r .access_token`.",
        on_its_face: true,
        recognise: |case| slip(case, Slip::WholeAnswer, "JSON with a member access_token"),
    },
    Entry {
        name: "cause.quoted",
        title: "The token is wrapped in quotes",
        cause: "It was taken out of JSON or a configuration together with its quotes.",
        fix: "Send it without: `jq -r` instead of `jq`, or read the value as JSON instead of cutting it out.",
        on_its_face: true,
        recognise: |case| slip(case, Slip::Quoted, "quotes around the token"),
    },
    Entry {
        name: "cause.invisible_character",
        title: "An invisible character is in the token",
        cause: "A byte order mark or a zero-width character travelled along from a document, a chat or an editor.",
        fix: "Copy the token from where it was made, or write it to a file without a byte order mark.",
        on_its_face: true,
        recognise: |case| slip(case, Slip::Invisible, "a byte order mark or a zero-width character"),
    },
    Entry {
        name: "cause.line_break",
        title: "There is a line break or a space in the token",
        cause: "It was wrapped by a terminal, an e-mail or `base64` without `-w0`.",
        fix: "Send it as one line. In a shell: `TOKEN=$(cat file)` and `\"Authorization: Bearer $TOKEN\"`.",
        on_its_face: true,
        recognise: |case| slip(case, Slip::Broken, "white space inside the token"),
    },
    Entry {
        name: "cause.percent_encoded",
        title: "The token is percent-encoded",
        cause: "It went through a URL or a form, and was not decoded again.",
        fix: "Decode it once where it is read; a token in a header is never percent-encoded.",
        on_its_face: true,
        recognise: |case| slip(case, Slip::PercentEncoded, "%-sequences in the token"),
    },
    Entry {
        name: "cause.standard_base64",
        title: "The parts are in standard base64, not in base64url",
        cause: "A JWT's parts use `-` and `_` and have no `=` at the end (RFC 7515 s2). A library that makes tokens by hand, or one that decodes and encodes them again, did otherwise.",
        fix: "Make tokens with a JWT library, and pass on the text that the provider gave out, byte for byte.",
        on_its_face: true,
        recognise: |case| slip(case, Slip::StandardBase64, "one of the characters + / ="),
    },
    Entry {
        name: "cause.truncated",
        title: "The token is cut off",
        cause: "It has not all of its three parts, or the last one is shorter than its algorithm makes it. A column, a cookie, a header's limit or a copy from a terminal cut it.",
        fix: "Compare its length where it was issued and where it arrives. Cookies end at 4 KiB; database columns at what they were declared with; proxies have limits on headers (nginx: `large_client_header_buffers`).",
        on_its_face: true,
        recognise: truncated,
    },
];

fn slip(case: &Case<'_>, slip: Slip, found: &str) -> Option<Sign> {
    case.has(slip).then(|| Sign::found(found))?
}

/// RFC 6750 s3.1: a challenge without `error` is the answer to a request that lacked a credential.
fn header_stripped(case: &Case<'_>) -> Option<Sign> {
    let answer = case.answer.filter(|answer| answer.status == 401)?;
    let by_code = matches!(answer.code.as_deref(), Some("token.missing" | "session.missing"));
    let invites =
        !answer.challenges.is_empty() && answer.challenges.iter().all(|challenge| !challenge.contains("error="));
    (by_code || answer.code.is_none() && invites).then(|| {
        let who = answer.server.as_deref().unwrap_or("the server");
        Sign::found(format!("the token was sent, and {who} answered as if there were none"))
    })?
}

fn truncated(case: &Case<'_>) -> Option<Sign> {
    let token = case.token;
    if token.form == Form::Fragment {
        return Sign::found("it begins as a JWT and has not three parts");
    }
    if token.form != Form::Jws
        || token
            .faults
            .iter()
            .any(|fault| fault.code() == "token.duplicate_member")
    {
        return None;
    }
    if token.claims.is_empty() && !token.faults.is_empty() {
        return Sign::found("its claims cannot be read to their end");
    }
    let whole = match token.algorithm() {
        "ES256" | "EdDSA" | "Ed25519" => 64,
        "ES384" => 96,
        "ES512" => 132,
        // At least 2048 bits.
        "RS256" | "RS384" | "RS512" | "PS256" | "PS384" | "PS512" => 256,
        _ => return None,
    };
    // Where the guard took the signature, its length is no matter.
    let taken = case.judged.as_ref().is_some_and(|judged| {
        judged.explanation.check(Check::Signature).map(|check| check.outcome) == Some(portcullis_guard::Outcome::Passed)
    });
    let length = token.signature.len();
    (length < whole && !taken).then(|| {
        Sign::found(format!(
            "the signature has {length} bytes; {} makes {whole} at least",
            token.algorithm()
        ))
    })?
}
