//! The issuer of the token and the one that is configured.

use portcullis_guard::Check;

use super::case::parts;
use super::{Case, Entry, Judged, Sign};

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        name: "cause.issuer_missing",
        title: "The token has no issuer",
        cause: "Without `iss` nobody can say whose keys to check it with (RFC 9068 s2.2).",
        fix: "Get the token from the provider, not from a program that makes its own; a provider writes `iss` into each.",
        on_its_face: true,
        recognise: issuer_missing,
    },
    Entry {
        name: "cause.entra_v1_at_v2",
        title: "A v1 token of Entra ID, where v2 is configured",
        cause: "The API's registration asks for v1 tokens (`accessTokenAcceptedVersion` is null or 1), whose issuer is `https://sts.windows.net/<tenant>/`.",
        fix: "In the API's registration set `api.requestedAccessTokenVersion` (in the old manifest `accessTokenAcceptedVersion`) to 2. The audience is then the API's client id, without `api://`.",
        on_its_face: false,
        recognise: |case| entra_version(case, true),
    },
    Entry {
        name: "cause.entra_v2_at_v1",
        title: "A v2 token of Entra ID, where v1 is configured",
        cause: "The configured issuer is that of v1 tokens (`sts.windows.net`), and the API's registration asks for v2.",
        fix: "Configure the v2 issuer, `https://login.microsoftonline.com/<tenant>/v2.0`, and the API's client id as `audience`.",
        on_its_face: false,
        recognise: |case| entra_version(case, false),
    },
    Entry {
        name: "cause.tenant_mismatch",
        title: "The token is from another tenant",
        cause: "Issuer and configuration differ in the tenant alone: the caller signed in at another directory, as a guest does at home, or the client used `common` or `organizations`.",
        fix: "Sign in at the tenant of the configuration (`https://login.microsoftonline.com/<tenant>` as the client's authority). If the other tenant is to be let in, use the template `{tenantid}` as `issuer` and list it in `tenants`.",
        on_its_face: false,
        recognise: tenant_mismatch,
    },
    Entry {
        name: "cause.issuer_trailing_slash",
        title: "The issuers differ by the slash at the end",
        cause: "Issuers are compared byte for byte (OpenID Connect Core 1.0 s3.1.3.7). Auth0 and Entra v1 have the slash, most others have not.",
        fix: "Write `issuer` exactly as the token's `iss` and the provider's discovery document have it.",
        on_its_face: false,
        recognise: trailing_slash,
    },
    Entry {
        name: "cause.issuer_scheme",
        title: "The issuers differ by http and https",
        cause: "The provider sits behind a proxy that ends TLS, and believes that it is asked over http; or the configuration has an old address.",
        fix: "Tell the provider its public address (Keycloak: `hostname` and `proxy-headers`; others: the public or external URL), and let the proxy send `X-Forwarded-Proto`.",
        on_its_face: false,
        recognise: scheme,
    },
    Entry {
        name: "cause.issuer_letter_case",
        title: "The issuers differ by upper and lower case",
        cause: "Issuers are compared byte for byte; the path of a URL is case-sensitive (RFC 3986 s6.2.2.1).",
        fix: "Write `issuer` exactly as the token's `iss` has it.",
        on_its_face: false,
        recognise: letter_case,
    },
    Entry {
        name: "cause.keycloak_realm",
        title: "The token is from another realm of the same Keycloak",
        cause: "Issuer and configuration differ in the realm. Each realm has users, clients and keys of its own; `master` is for administrators.",
        fix: "Let the client use the realm of the configuration, or correct `issuer`.",
        on_its_face: false,
        recognise: realm,
    },
    Entry {
        name: "cause.okta_authorization_server",
        title: "The token is from another authorization server of the same Okta organisation",
        cause: "The organisation's own server (`https://<org>.okta.com`) issues tokens for Okta's API alone; custom ones are below `/oauth2/`, the first of them `/oauth2/default`.",
        fix: "Let the client use the custom authorization server, and configure it as `issuer`: `https://<org>.okta.com/oauth2/default`.",
        on_its_face: false,
        recognise: okta,
    },
    Entry {
        name: "cause.issuer_of_another_provider",
        title: "The token is from another provider of this configuration",
        cause: "Its issuer is configured, but this API does not take tokens of that provider.",
        fix: "Add the provider to `provider` of the API, or call the API that takes its tokens.",
        on_its_face: false,
        recognise: another_provider,
    },
    Entry {
        name: "cause.issuer_other_environment",
        title: "The token is from another environment",
        cause: "The issuers' hosts differ in a part that names an environment (dev, test, staging, prod, ...).",
        fix: "Get the token from the environment that the API belongs to. A client's settings that were copied from another environment are the usual reason.",
        on_its_face: false,
        recognise: environment,
    },
    Entry {
        name: "cause.issuer_other_address",
        title: "The provider is known here by another address",
        cause: "Path and rest are the same, the host or port differs: inside a container network or on a laptop the provider was asked by an internal name, and it writes the address that it was asked by into the token.",
        fix: "Give the provider one fixed public address (Keycloak: `hostname`), use that as `issuer`, and where the gateway reaches it only by an internal one name that in `discovery`.",
        on_its_face: false,
        recognise: address,
    },
    Entry {
        name: "cause.issuer_not_trusted",
        title: "The token is from an issuer that this API does not know",
        cause: "Nothing in the configuration resembles its issuer.",
        fix: "If the token is to be taken, configure its issuer as a provider and name that in `provider` of the API. If not, the refusal is right: find out which client sends it.",
        on_its_face: false,
        recognise: not_trusted,
    },
];

/// How the issuers of token and configuration compare; `None` where the issuer is not what is wrong.
struct Pair<'c> {
    judged: &'c Judged<'c>,
    token: &'c str,
}

fn pair<'c>(case: &'c Case<'_>) -> Option<Pair<'c>> {
    let judged = case
        .failed(Check::Issuer)
        .or_else(|| case.refused("token.issuer_mismatch"))?;
    let token = case.token.issuer();
    (!token.is_empty()).then_some(Pair { judged, token })
}

impl Pair<'_> {
    /// The sign, for the first provider that it holds for.
    fn when(&self, holds: impl Fn(&str, &str) -> bool) -> Option<Sign> {
        let mut providers = self.judged.providers();
        let (name, provider) = providers.find(|(_, provider)| holds(self.token, &provider.issuer))?;
        Sign::at(
            format!("iss is {}, configured is {}", self.token, provider.issuer),
            ["provider", name, "issuer"],
        )
    }
}

fn issuer_missing(case: &Case<'_>) -> Option<Sign> {
    let token = case.token;
    let readable = !token.claims.is_empty();
    (readable && !token.has("iss")).then(|| Sign::found("there is no claim iss"))?
}

fn entra_version(case: &Case<'_>, token_is_v1: bool) -> Option<Sign> {
    const V1: &str = "https://sts.windows.net/";
    let is_v2 = |issuer: &str| issuer.starts_with("https://login.microsoftonline.com/") && issuer.ends_with("/v2.0");
    pair(case)?.when(|token, configured| match token_is_v1 {
        true => token.starts_with(V1) && is_v2(configured),
        false => is_v2(token) && configured.starts_with(V1),
    })
}

fn tenant_mismatch(case: &Case<'_>) -> Option<Sign> {
    let pair = pair(case)?;
    let sign = pair.when(|token, configured| {
        let without = |issuer: &str| {
            let (_, host, path) = parts(issuer)?;
            let entra = host == "login.microsoftonline.com" || host == "sts.windows.net";
            let rest = path
                .trim_start_matches('/')
                .split_once('/')
                .map(|(_, rest)| rest.to_owned());
            entra.then_some((host, rest))
        };
        without(token).is_some() && without(token) == without(configured)
    })?;
    let tenant = case.token.str("tid").unwrap_or("(none)");
    Some(Sign {
        found: format!("{}; tid is {tenant}", sign.found),
        ..sign
    })
}

fn trailing_slash(case: &Case<'_>) -> Option<Sign> {
    pair(case)?.when(|token, configured| {
        token != configured && token.trim_end_matches('/') == configured.trim_end_matches('/')
    })
}

fn scheme(case: &Case<'_>) -> Option<Sign> {
    let rest = |issuer: &str| {
        issuer
            .split_once("://")
            .map(|(_, rest)| rest.trim_end_matches('/').to_owned())
    };
    pair(case)?
        .when(|token, configured| token != configured && rest(token).is_some() && rest(token) == rest(configured))
}

fn letter_case(case: &Case<'_>) -> Option<Sign> {
    pair(case)?.when(|token, configured| token != configured && token.eq_ignore_ascii_case(configured))
}

fn realm(case: &Case<'_>) -> Option<Sign> {
    let host = |issuer: &str| {
        let (_, host, path) = parts(issuer)?;
        path.contains("/realms/").then_some(host)
    };
    pair(case)?.when(|token, configured| {
        let same_path = parts(token).map(|parts| parts.2) == parts(configured).map(|parts| parts.2);
        host(token).is_some() && host(token) == host(configured) && !same_path
    })
}

fn okta(case: &Case<'_>) -> Option<Sign> {
    let host = |issuer: &str| {
        let (_, host, _) = parts(issuer)?;
        (host.ends_with(".okta.com") || host.ends_with(".oktapreview.com")).then_some(host)
    };
    pair(case)?.when(|token, configured| host(token).is_some() && host(token) == host(configured))
}

fn another_provider(case: &Case<'_>) -> Option<Sign> {
    let pair = pair(case)?;
    let mut all = pair.judged.settings.providers.iter();
    let (name, _) = all.find(|(_, provider)| provider.issuer == pair.token)?;
    Sign::at(
        format!("iss is {}, that of provider {name}", pair.token),
        ["api", pair.judged.api, "provider"],
    )
}

fn environment(case: &Case<'_>) -> Option<Sign> {
    const WORDS: [&str; 16] = [
        "dev",
        "develop",
        "development",
        "test",
        "testing",
        "qa",
        "uat",
        "int",
        "integration",
        "stage",
        "staging",
        "sandbox",
        "preprod",
        "prod",
        "production",
        "local",
    ];
    let without = |host: &str| -> (Vec<String>, bool) {
        let labels = host.split(['.', '-', ':']);
        let (words, rest): (Vec<_>, Vec<_>) = labels
            .map(str::to_owned)
            .partition(|label| WORDS.contains(&label.as_str()));
        (rest, !words.is_empty())
    };
    pair(case)?.when(|token, configured| {
        let (Some((_, token, _)), Some((_, configured, _))) = (parts(token), parts(configured)) else {
            return false;
        };
        let ((rest, named), (other_rest, other_named)) = (without(&token), without(&configured));
        token != configured && rest == other_rest && (named || other_named)
    })
}

fn address(case: &Case<'_>) -> Option<Sign> {
    pair(case)?.when(|token, configured| {
        let (Some((_, token, path)), Some((_, configured, other_path))) = (parts(token), parts(configured)) else {
            return false;
        };
        let inner = |host: &str| {
            let name = host.split(':').next().unwrap_or(host);
            // One label, a private address, or the names that container networks use.
            !name.contains('.')
                || name.parse::<std::net::IpAddr>().is_ok()
                || name.ends_with(".internal")
                || name.ends_with(".local")
                || name.ends_with(".svc")
        };
        token != configured && path == other_path && (inner(&token) || inner(&configured))
    })
}

fn not_trusted(case: &Case<'_>) -> Option<Sign> {
    let pair = pair(case)?;
    let configured: Vec<&str> = pair
        .judged
        .providers()
        .map(|(_, provider)| provider.issuer.as_str())
        .collect();
    Sign::at(
        format!("iss is {}, configured is {}", pair.token, configured.join(" or ")),
        ["api", pair.judged.api, "provider"],
    )
}
