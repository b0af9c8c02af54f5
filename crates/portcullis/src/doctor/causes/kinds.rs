//! Another kind of token than the one that an API takes.

use super::{Case, Entry, Sign};
use crate::config::AccessTokenType;
use crate::doctor::token::Kind;

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        name: "cause.id_token_sent",
        title: "An ID token was sent in the place of an access token",
        cause: "The ID token tells the client who signed in (OpenID Connect Core 1.0 s2). An API must not take it: its audience is the client, and every client has one.",
        fix: "Send `access_token` of the same answer, not `id_token`. Where there is none for the API, ask for it: with a scope of the API, or with `resource` or `audience`.",
        on_its_face: false,
        recognise: |case| refused(case, Kind::Id),
    },
    Entry {
        name: "cause.refresh_token_sent",
        title: "A refresh token was sent in the place of an access token",
        cause: "A refresh token is for the provider's token endpoint alone, and worth more than an access token: it was shown to an API that should never see it.",
        fix: "Send `access_token` of the token endpoint's answer. Revoke this refresh token if the API is not yours.",
        on_its_face: true,
        recognise: |case| kind(case, Kind::Refresh),
    },
    Entry {
        name: "cause.logout_token_sent",
        title: "A logout token was sent in the place of an access token",
        cause: "A logout token is the provider's message that a session is over (OpenID Connect Back-Channel Logout 1.0).",
        fix: "Send `access_token` of the token endpoint's answer. Logout tokens are posted by the provider to `/bff/backchannel-logout`.",
        on_its_face: false,
        recognise: |case| refused(case, Kind::Logout),
    },
    Entry {
        name: "cause.dpop_proof_sent",
        title: "A DPoP proof was sent in the place of the token",
        cause: "The proof belongs into the header `DPoP`, and the token into `Authorization: DPoP ...` (RFC 9449 s7.1). They were swapped.",
        fix: "Send `Authorization: DPoP <access token>` and `DPoP: <proof>`.",
        on_its_face: false,
        recognise: |case| refused(case, Kind::DpopProof),
    },
    Entry {
        name: "cause.client_assertion_sent",
        title: "A client assertion was sent in the place of an access token",
        cause: "The assertion is how a client proves itself to the token endpoint (RFC 7523 s2.2); its subject is the client itself.",
        fix: "Send it as `client_assertion` to the token endpoint, and the `access_token` of the answer to the API.",
        on_its_face: false,
        recognise: |case| refused(case, Kind::ClientAssertion),
    },
    Entry {
        name: "cause.saml_sent",
        title: "A SAML answer was sent in the place of an access token",
        cause: "It is XML in base64. An API behind OAuth takes access tokens.",
        fix: "Sign in with OpenID Connect at the same provider, or exchange the assertion for an access token there (RFC 7522).",
        on_its_face: true,
        recognise: |case| kind(case, Kind::Saml),
    },
    Entry {
        name: "cause.foreign_key_sent",
        title: "A key of another service was sent",
        cause: "Its prefix says who issued it, and that is not a provider of this API.",
        fix: "Send an access token of the provider that the API trusts. The key was shown to a service that it is not for: replace it.",
        on_its_face: true,
        recognise: foreign_key,
    },
    Entry {
        name: "cause.graph_token",
        title: "The token is for Microsoft Graph, not for this API",
        cause: "The client asked for scopes of Graph (`User.Read`, or none of the API's own). Graph's tokens carry a `nonce` in the header and only Graph can check their signature.",
        fix: "Ask for a scope of the API: `api://<application id>/<scope>`, or `api://<application id>/.default`. A request for scopes of two resources gets a token for the first alone.",
        on_its_face: false,
        recognise: |case| refused(case, Kind::Graph),
    },
    Entry {
        name: "cause.auth0_without_audience",
        title: "Auth0 was not told which API the token is for",
        cause: "Without `audience` in the request Auth0 issues an opaque or encrypted token that only its own userinfo endpoint takes.",
        fix: "Send `audience=<identifier of the API>` with the login or token request (`resource` of the frontend does not reach Auth0 unless its resource parameter profile is on), or set a default audience in the tenant's settings.",
        on_its_face: true,
        recognise: auth0_without_audience,
    },
    Entry {
        name: "cause.encrypted",
        title: "The token is encrypted",
        cause: "It has five parts (JWE). Only the holder of the key that it was encrypted to can read it, and an API behind this gateway takes signed tokens.",
        fix: "Turn the encryption of access tokens off for this API at the provider; or, if the token came without being asked for an API, ask for one.",
        on_its_face: true,
        recognise: |case| kind(case, Kind::Encrypted),
    },
    Entry {
        name: "cause.opaque_without_introspection",
        title: "The token is opaque, and no provider of this API is asked about opaque tokens",
        cause: "It says nothing by itself; only the provider that issued it knows what it is.",
        fix: "Let the provider issue JWTs for this API, or configure `introspection` of the provider (RFC 7662).",
        on_its_face: false,
        recognise: opaque_without_introspection,
    },
    Entry {
        name: "cause.opaque_inactive",
        title: "The provider does not know the opaque token, or knows that it is over",
        cause: "The provider was asked (RFC 7662) and answered that the token is not active: it expired, was revoked, or was issued by another provider or environment. The client that asks may also not be allowed to see it.",
        fix: "Get a new token from this provider. If a fresh one is refused too, let the provider show this API's tokens to the client that `introspection` names.",
        on_its_face: false,
        recognise: opaque_inactive,
    },
    Entry {
        name: "cause.type_not_marked",
        title: "The provider does not mark its access tokens as `at+jwt`",
        cause: "The token is an access token by its claims, and its `typ` is `JWT` or absent. Entra ID, Auth0 (by default), Keycloak and Cognito issue such tokens; RFC 9068 asks for `at+jwt`.",
        fix: "Let the provider issue RFC 9068 tokens (Auth0: the API's token profile), or set `access_token_type = \"any\"` of the provider: other kinds of token are then told apart by their claims.",
        on_its_face: false,
        recognise: type_not_marked,
    },
];

fn kind(case: &Case<'_>, kind: Kind) -> Option<Sign> {
    (case.kind == kind).then(|| Sign::found(format!("{}: {}", kind.words(), Kind::of(case.token).1)))?
}

/// A kind that is not wrong in itself, only where it was sent to.
fn refused(case: &Case<'_>, expected: Kind) -> Option<Sign> {
    case.refused_at_all()?;
    kind(case, expected)
}

fn foreign_key(case: &Case<'_>) -> Option<Sign> {
    match case.kind {
        Kind::ForeignKey(whose) => Sign::found(format!("a key of {whose}, by its prefix")),
        _ => None,
    }
}

fn auth0_without_audience(case: &Case<'_>) -> Option<Sign> {
    let is_auth0 = |issuer: &str| issuer.contains(".auth0.com");
    // Auth0's JWE names its issuer in the header.
    let by_header = case.kind == Kind::Encrypted && case.token.header("iss").is_some_and(is_auth0);
    let mut providers = case.judged.iter().flat_map(|judged| judged.providers());
    let by_provider = matches!(case.kind, Kind::Opaque | Kind::Encrypted)
        && providers.any(|(_, provider)| is_auth0(&provider.issuer));
    (by_header || by_provider).then(|| Sign::found(format!("{}, of Auth0", case.kind.words())))?
}

fn opaque_without_introspection(case: &Case<'_>) -> Option<Sign> {
    let judged = case
        .refused_at_all()
        .filter(|_| case.kind == Kind::Opaque && case.slips.is_empty())?;
    let (name, _) = judged.provider(case.token)?;
    let asked = judged.providers().any(|(_, provider)| provider.introspection.is_some());
    (!asked).then(|| {
        Sign::at(
            format!("an opaque text of {} bytes", case.token.length),
            ["provider", name, "introspection"],
        )
    })?
}

fn opaque_inactive(case: &Case<'_>) -> Option<Sign> {
    let judged = case.refused("token.inactive")?;
    let (name, _) = judged
        .providers()
        .find(|(_, provider)| provider.introspection.is_some())?;
    Sign::at(
        format!("provider {name} answered: not active"),
        ["provider", name, "introspection"],
    )
}

fn type_not_marked(case: &Case<'_>) -> Option<Sign> {
    let judged = case.refused("token.type_mismatch")?;
    let plain = case
        .token
        .header("typ")
        .is_none_or(|typ| typ.eq_ignore_ascii_case("JWT"));
    let (name, provider) = judged.provider(case.token)?;
    let asks_for_mark = provider.access_token_type == AccessTokenType::AtJwt;
    (plain && asks_for_mark && matches!(case.kind, Kind::Access | Kind::Jwt)).then(|| {
        let typ = case.token.header("typ").unwrap_or("absent");
        Sign::at(format!("typ is {typ}"), ["provider", name, "access_token_type"])
    })?
}
