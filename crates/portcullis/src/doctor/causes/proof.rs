//! The token's owner, the proof of its key, and revocation.

use super::{Case, Entry, Sign};

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        name: "cause.subject_missing",
        title: "The token is about nobody",
        cause: "There is no `sub`. RFC 9068 s2.2 demands one, for a service's token too; some providers leave it out for client credentials.",
        fix: "Let the provider write `sub`: Keycloak since 25 needs the client scope `basic` for it.",
        on_its_face: false,
        recognise: subject_missing,
    },
    Entry {
        name: "cause.dpop_token_as_bearer",
        title: "A token that is bound to a key was sent without its proof",
        cause: "`cnf` has `jkt`: the client asked for a DPoP token (RFC 9449), and sends it as a bearer token. Whoever steals it must not be able to do the same.",
        fix: "Send `Authorization: DPoP <token>` and a fresh proof in `DPoP` with each request. A client that cannot must not send a proof to the token endpoint either.",
        on_its_face: false,
        recognise: |case| bound(case, "jkt"),
    },
    Entry {
        name: "cause.certificate_token_without_certificate",
        title: "A token that is bound to a certificate came without it",
        cause: "`cnf` has `x5t#S256` (RFC 8705): only a connection with that client certificate may use the token. The client did not present it, or TLS ends in front of the gateway and the certificate is not passed on.",
        fix: "Let the client use its certificate for the API too. Where the gateway ends TLS set `client_certificates` of `tls`; where a proxy does, `client_certificate_header` of `[server]`.",
        on_its_face: false,
        recognise: |case| bound(case, "x5t#S256"),
    },
    Entry {
        name: "cause.binding_demanded",
        title: "The API takes only tokens that are bound to a key",
        cause: "`sender_constrained` of the API is set, and the token is a plain bearer token.",
        fix: "Let the client send a DPoP proof to the token endpoint, or authenticate there with its certificate; the token is then bound.",
        on_its_face: false,
        recognise: demanded,
    },
    Entry {
        name: "cause.revoked",
        title: "The token was revoked",
        cause: "Itself, its session, its subject, its client or everything from its issuer before a time is on the list of revocations.",
        fix: "Sign in again. `portcullis revocations list` shows which entry it is and why; `remove` takes it back.",
        on_its_face: false,
        recognise: revoked,
    },
    Entry {
        name: "cause.token_id_missing",
        title: "The token has no identifier, and the API demands one",
        cause: "`require_jti` is set under `revocations` of the API, and there is no `jti`.",
        fix: "Let the provider write `jti`, or take `require_jti` back: a token without can be revoked too, by the hash of what was signed.",
        on_its_face: false,
        recognise: token_id_missing,
    },
];

fn subject_missing(case: &Case<'_>) -> Option<Sign> {
    case.refused("token.subject_missing")?;
    Sign::found("there is no claim sub")
}

fn bound(case: &Case<'_>, method: &str) -> Option<Sign> {
    let proof_is_missing = ["token.binding_required", "dpop.proof_missing"]
        .iter()
        .any(|code| case.refused(code).is_some());
    let cnf = case.token.claims.get("cnf")?;
    (proof_is_missing && cnf.get(method).is_some()).then(|| Sign::found(format!("cnf has {method}")))?
}

fn demanded(case: &Case<'_>) -> Option<Sign> {
    let judged = case.refused("token.not_bound")?;
    Sign::at("there is no claim cnf", ["api", judged.api, "sender_constrained"])
}

fn revoked(case: &Case<'_>) -> Option<Sign> {
    let judged = case.refused("token.revoked")?;
    Sign::found(format!(
        "revoked: {}",
        judged.found(portcullis_guard::Check::Revocation)
    ))
}

fn token_id_missing(case: &Case<'_>) -> Option<Sign> {
    let judged = case.refused("token.claim_missing")?;
    let demanded = judged.guarded().is_some_and(|guarded| guarded.revocations.require_jti);
    (demanded && !case.token.has("jti")).then(|| {
        Sign::at(
            "there is no claim jti",
            ["api", judged.api, "revocations", "require_jti"],
        )
    })?
}
