//! Algorithm, keys and signature.

use portcullis_jose::{Algorithm, AlgorithmSet};

use super::{Case, Entry, Sign};
use crate::doctor::token::Form;

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        name: "cause.algorithm_none",
        title: "The token is not signed",
        cause: "`alg` is `none`: anybody can have written it. Attackers send such tokens to find libraries that take them.",
        fix: "Get a signed token from the provider. If a program of yours made this one, let it ask the provider instead.",
        on_its_face: true,
        recognise: algorithm_none,
    },
    Entry {
        name: "cause.shared_secret_algorithm",
        title: "The token is signed with a shared secret",
        cause: "`alg` is HS256, HS384 or HS512: whoever can check the token can also make one. Auth0 APIs can be set to it, Keycloak signs refresh tokens so, and home-made tokens often are.",
        fix: "Set RS256 or ES256 as the signing algorithm of the API at the provider. If a shared secret is what is wanted, configure the provider with `shared_secret` and that algorithm.",
        on_its_face: false,
        recognise: shared_secret,
    },
    Entry {
        name: "cause.algorithm_not_configured",
        title: "The provider signs with an algorithm that is not accepted here",
        cause: "The algorithm is a good one, and not among `algorithms` of the provider.",
        fix: "Add it to `algorithms` of the provider, if its discovery document or administrator says that it signs so.",
        on_its_face: false,
        recognise: not_configured,
    },
    Entry {
        name: "cause.keys_unreachable",
        title: "The provider's keys cannot be had",
        cause: "Nothing can be said about a signature without them. The answer to callers is 503, not 401.",
        fix: "See what the doctor says of the provider: name, connection, TLS, discovery, key set. A proxy for outgoing calls, or an authority of one's own (`ca_file`), are what is usually missing.",
        on_its_face: false,
        recognise: unreachable,
    },
    Entry {
        name: "cause.signature_der",
        title: "The signature of ES256 is in DER form",
        cause: "JWS wants R and S one after the other (RFC 7518 s3.4); the maker of this token wrote what OpenSSL and most crypto libraries give, which is longer and begins with 0x30.",
        fix: "Let a JWT library make the token, or convert the signature (Java: `SHA256withECDSAinP1363Format`; Node: `dsaEncoding: 'ieee-p1363'`).",
        on_its_face: true,
        recognise: der,
    },
    Entry {
        name: "cause.kid_missing",
        title: "The token does not say which key signed it",
        cause: "There is no `kid`, and none of the provider's keys that could be meant made the signature. Without a name, a few keys of the algorithm are tried, and no fresh ones are looked for.",
        fix: "Let the provider write `kid` into the header: with one, a key that was published a moment ago is found. A token without is often home-made.",
        on_its_face: false,
        recognise: kid_missing,
    },
    Entry {
        name: "cause.key_of_another_provider",
        title: "The key belongs to another provider of this configuration",
        cause: "`iss` names one provider and `kid` a key of another: the token was put together by hand, or two environments share an issuer and not their keys.",
        fix: "Find out who issues these tokens. Two installations of a provider behind one name must share their keys.",
        on_its_face: false,
        recognise: of_another_provider,
    },
    Entry {
        name: "cause.key_rotated",
        title: "The key that signed the token is not published any more, or not yet",
        cause: "The provider does not publish a key with the token's `kid`: the keys were rotated and the old one withdrawn before its last token expired; or the token is from another installation behind the same issuer (a test system with the same name, a provider that makes new keys at each start).",
        fix: "Get a new token. If that happens at each rotation, let the provider publish a retired key for as long as its tokens live. The doctor's list of keys shows what is published now.",
        on_its_face: false,
        recognise: rotated,
    },
    Entry {
        name: "cause.key_unusable",
        title: "The key that signed the token is published, and cannot be used",
        cause: "It is too weak, of another kind, or published in a form that is not understood.",
        fix: "The doctor's list of keys says what is wrong with it. RSA keys have 2048 bits at least; a key for signatures has `use` `sig` or none.",
        on_its_face: false,
        recognise: unusable,
    },
    Entry {
        name: "cause.signature_wrong",
        title: "The token was changed, or signed by somebody else",
        cause: "The key is the right one by its name, and did not make this signature. A byte was changed on the way, the claims were edited, two installations use one key name for two keys, or somebody tries.",
        fix: "Get a new token and send it byte for byte. If a fresh one is refused too, compare the key set that this machine sees (the doctor lists it) with the provider's own.",
        on_its_face: false,
        recognise: wrong,
    },
];

fn algorithm_none(case: &Case<'_>) -> Option<Sign> {
    (case.token.form == Form::Jws && case.token.algorithm().eq_ignore_ascii_case("none"))
        .then(|| Sign::found(format!("alg is {}", case.token.algorithm())))?
}

fn shared_secret(case: &Case<'_>) -> Option<Sign> {
    let judged = case.refused("token.algorithm_not_allowed")?;
    let symmetric = Algorithm::from_name(case.token.algorithm()).is_some_and(Algorithm::is_symmetric);
    let (name, _) = judged.provider(case.token)?;
    symmetric.then(|| {
        Sign::at(
            format!("alg is {}", case.token.algorithm()),
            ["provider", name, "algorithms"],
        )
    })?
}

fn not_configured(case: &Case<'_>) -> Option<Sign> {
    let judged = case.refused("token.algorithm_not_allowed")?;
    let algorithm = Algorithm::from_name(case.token.algorithm())?;
    let (name, provider) = judged.provider(case.token)?;
    AlgorithmSet::asymmetric().contains(algorithm).then(|| {
        let accepted = AlgorithmSet::of(&provider.algorithms);
        Sign::at(
            format!("alg is {algorithm}, accepted is {accepted}"),
            ["provider", name, "algorithms"],
        )
    })?
}

fn unreachable(case: &Case<'_>) -> Option<Sign> {
    let judged = case.refused("keys.unavailable")?;
    let (name, _) = judged.provider(case.token)?;
    Sign::at(
        judged.found(portcullis_guard::Check::Key).to_owned(),
        ["provider", name, "issuer"],
    )
}

/// ECDSA-Sig-Value (RFC 3279 s2.2.3) is a SEQUENCE of two INTEGERs: some bytes more than the two numbers.
fn der(case: &Case<'_>) -> Option<Sign> {
    let whole = match case.token.algorithm() {
        "ES256" => 64,
        "ES384" => 96,
        "ES512" => 132,
        _ => return None,
    };
    let signature = &case.token.signature;
    (signature.first() == Some(&0x30) && signature.len() > whole).then(|| {
        Sign::found(format!(
            "the signature has {} bytes and begins with 0x30; {whole} are right",
            signature.len()
        ))
    })?
}

fn kid_missing(case: &Case<'_>) -> Option<Sign> {
    let judged = case
        .refused("keys.unknown_kid")
        .or_else(|| case.refused("token.signature_invalid"))?;
    let (name, _) = judged.provider(case.token)?;
    (!case.token.header.contains_key("kid")).then(|| {
        Sign::found(format!(
            "there is no kid, and no key of provider {name} made the signature"
        ))
    })?
}

fn of_another_provider(case: &Case<'_>) -> Option<Sign> {
    let judged = case.refused("keys.unknown_kid")?;
    let kid = case.token.header("kid")?;
    let (own, _) = judged.provider(case.token)?;
    let mut others = judged.published.iter().filter(|(name, _)| name.as_str() != own);
    let (other, _) = others.find(|(_, kids)| kids.iter().any(|published| published == kid))?;
    Sign::found(format!(
        "kid {kid} is a key of provider {other}, iss that of provider {own}"
    ))
}

fn rotated(case: &Case<'_>) -> Option<Sign> {
    let judged = case.refused("keys.unknown_kid")?;
    let kid = case.token.header("kid")?;
    let (name, _) = judged.provider(case.token)?;
    let published = judged
        .published
        .get(name)
        .map(|kids| kids.join(", "))
        .unwrap_or_default();
    Sign::found(format!("kid is {kid}, published is {published}"))
}

fn unusable(case: &Case<'_>) -> Option<Sign> {
    let judged = case
        .refused("keys.unusable")
        .or_else(|| case.refused("token.algorithm_key_mismatch"))?;
    Sign::found(judged.found(portcullis_guard::Check::Key).to_owned())
}

fn wrong(case: &Case<'_>) -> Option<Sign> {
    case.refused("token.signature_invalid")?;
    Sign::found(format!("kid is {}", case.token.header("kid").unwrap_or("(none)")))
}
