//! For whom the token is.

use super::{Case, Entry, Judged, Sign};
use crate::config::Access;

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        name: "cause.audience_missing",
        title: "The token is for nobody in particular",
        cause: "There is no `aud`: the provider was not told which API the token is for.",
        fix: "Keycloak: add an 'Audience' mapper to a client scope. Auth0: ask with `audience`. Providers with RFC 8707: ask with `resource`. Cognito writes none into access tokens: it needs a pre-token trigger.",
        on_its_face: false,
        recognise: missing,
    },
    Entry {
        name: "cause.keycloak_account_audience",
        title: "Keycloak's own audience: no audience mapper is set",
        cause: "`aud` is `account`, which Keycloak writes for the roles of its account page. The API was not made part of the token.",
        fix: "Add an 'Audience' mapper with the API's identifier to a client scope, assign the scope to the client, and use the same value as `audience` of the API.",
        on_its_face: false,
        recognise: account,
    },
    Entry {
        name: "cause.audience_scheme_missing",
        title: "`api://` is missing on one side",
        cause: "Entra ID writes the API's client id into `aud` of v2 tokens, and the application ID URI (`api://...`) into those of v1; the configuration has the other form.",
        fix: "Use as `audience` exactly what `aud` has, or list both forms.",
        on_its_face: false,
        recognise: scheme,
    },
    Entry {
        name: "cause.audience_slash_or_case",
        title: "The audiences differ by a slash at the end or by upper and lower case",
        cause: "Audiences are compared byte for byte.",
        fix: "Write `audience` exactly as `aud` of the token has it.",
        on_its_face: false,
        recognise: slash,
    },
    Entry {
        name: "cause.audience_of_another_api",
        title: "The token is for another API of this configuration",
        cause: "Its audience is that of another `[api]`. The client asked for a token for one and called the other.",
        fix: "Ask for a token for each API: a token for several is one that each of them can use at the others.",
        on_its_face: false,
        recognise: another_api,
    },
    Entry {
        name: "cause.audience_is_provider",
        title: "The token is for the provider itself",
        cause: "`aud` is the provider's own address (its userinfo endpoint or issuer): the client did not say which API it wants to call.",
        fix: "Auth0: send `audience`. Others: ask for a scope of the API, or with `resource`. `resource` of the frontend does it for sessions.",
        on_its_face: false,
        recognise: is_provider,
    },
    Entry {
        name: "cause.audience_is_client_id",
        title: "The audience is the client's identifier",
        cause: "`aud` is the client that asked. The client asked for a token for itself; or, in Entra ID, client and API are one registration.",
        fix: "Ask for a scope of the API. If client and API are one registration on purpose, use the client id as `audience` of the API; an ID token would have the same audience, so keep `access_token_type` strict where the provider allows it.",
        on_its_face: false,
        recognise: is_client,
    },
    Entry {
        name: "cause.audience_other",
        title: "The token is for another API",
        cause: "None of its audiences is one of this API.",
        fix: "Ask for a token for this API (`scope`, `audience` or `resource` of the request), or correct `audience` of the API if the token is right.",
        on_its_face: false,
        recognise: other,
    },
];

struct Pair<'c> {
    judged: &'c Judged<'c>,
    found: Vec<&'c str>,
}

fn pair<'c>(case: &'c Case<'_>) -> Option<Pair<'c>> {
    let judged = case.refused("token.audience_mismatch")?;
    Some(Pair {
        judged,
        found: case.token.audiences(),
    })
}

impl Pair<'_> {
    fn sign(&self) -> Option<Sign> {
        Sign::at(
            format!(
                "aud is {}, configured is {}",
                self.found.join(", "),
                self.judged.audiences().join(" or ")
            ),
            ["api", self.judged.api, "audience"],
        )
    }

    /// Whether it holds for one of the token's and one of ours.
    fn any(&self, holds: impl Fn(&str, &str) -> bool) -> bool {
        let ours = self.judged.audiences();
        self.found.iter().any(|found| ours.iter().any(|own| holds(found, own)))
    }
}

fn missing(case: &Case<'_>) -> Option<Sign> {
    let judged = case.refused("token.audience_missing")?;
    Sign::at("there is no audience in aud", ["api", judged.api, "audience"])
}

fn account(case: &Case<'_>) -> Option<Sign> {
    let pair = pair(case)?;
    pair.found.contains(&"account").then(|| pair.sign())?
}

fn scheme(case: &Case<'_>) -> Option<Sign> {
    let pair = pair(case)?;
    let bare = |audience: &str| audience.strip_prefix("api://").map(str::to_owned);
    let differs = |a: &str, b: &str| bare(a).as_deref() == Some(b) || bare(b).as_deref() == Some(a);
    pair.any(differs).then(|| pair.sign())?
}

fn slash(case: &Case<'_>) -> Option<Sign> {
    let pair = pair(case)?;
    let trimmed = |audience: &str| audience.trim_end_matches('/').to_ascii_lowercase();
    pair.any(|a, b| trimmed(a) == trimmed(b)).then(|| pair.sign())?
}

fn another_api(case: &Case<'_>) -> Option<Sign> {
    let pair = pair(case)?;
    let mut apis = pair.judged.settings.apis.iter();
    let (name, _) = apis.find(|(_, api)| match &api.access {
        Access::Guarded(guarded) => guarded
            .audience
            .iter()
            .any(|audience| pair.found.contains(&audience.as_str())),
        Access::Anyone => false,
    })?;
    let sign = pair.sign()?;
    Some(Sign {
        found: format!("{}; it is the audience of api {name}", sign.found),
        ..sign
    })
}

fn is_provider(case: &Case<'_>) -> Option<Sign> {
    let pair = pair(case)?;
    let issuer = case.token.issuer().trim_end_matches('/');
    let own = |audience: &&str| !issuer.is_empty() && audience.starts_with(issuer);
    pair.found.iter().any(own).then(|| pair.sign())?
}

fn is_client(case: &Case<'_>) -> Option<Sign> {
    let pair = pair(case)?;
    let mut clients = pair.judged.settings.clients.values();
    let asked = case.token.client();
    let is_client = asked.is_some_and(|client| pair.found.contains(&client))
        || clients.any(|client| pair.found.contains(&client.client_id.as_str()));
    is_client.then(|| pair.sign())?
}

fn other(case: &Case<'_>) -> Option<Sign> {
    pair(case)?.sign()
}
