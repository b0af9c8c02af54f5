//! What the token may do, and what the policy asks for.

use portcullis_guard::Check;
use serde_json::Value;

use super::{Case, Entry, Judged, Sign};

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        name: "cause.scope_prefix",
        title: "The scope's name has a prefix on one side",
        cause: "Clients ask for `api://orders/orders.read`, and the token has `orders.read`: Entra ID drops the application ID URI, other providers do not.",
        fix: "Write the policy's `scope` exactly as the token has it.",
        on_its_face: false,
        recognise: prefix,
    },
    Entry {
        name: "cause.application_permission",
        title: "A service's token has roles, and the policy asks for a scope",
        cause: "With client credentials (`.default` in Entra ID) there is no user who could consent to a scope: what the application may do stands in `roles`.",
        fix: "Let the policy take either: `any = [{ scope = \"...\" }, { role = \"...\" }]`, with an app role that is granted to the application.",
        on_its_face: false,
        recognise: application,
    },
    Entry {
        name: "cause.scope_not_consented",
        title: "The scope is asked for and was not granted",
        cause: "A frontend asks for it, and the token does not have it: the user or an administrator has not consented, the client may not have it at the provider, or the session began before the scope was added.",
        fix: "Grant it at the provider (Entra ID: API permissions and admin consent; Auth0: enable RBAC and assign the permission; Keycloak: assign the client scope). Then sign in again: a session keeps the scopes that it began with.",
        on_its_face: false,
        recognise: not_consented,
    },
    Entry {
        name: "cause.scope_missing",
        title: "The scope was not asked for",
        cause: "The token does not have the scope that the policy wants.",
        fix: "Ask for it where the token is requested: `scopes` of the frontend, or `scope` of the client's request. If the provider grants less than was asked, its answer says so in `scope`.",
        on_its_face: false,
        recognise: scope_missing,
    },
    Entry {
        name: "cause.groups_overage",
        title: "The user is in too many groups: the list was left out",
        cause: "Above some 200 groups Entra ID writes `_claim_names` (or `hasgroups`) in the place of `groups`; who wants them has to ask Microsoft Graph.",
        fix: "Use app roles instead of groups; or let Entra ID emit only the groups that are assigned to the application.",
        on_its_face: false,
        recognise: overage,
    },
    Entry {
        name: "cause.role_in_another_claim",
        title: "The role is in the token, in another claim than the policy looks at",
        cause: "Keycloak writes the roles of a client into `resource_access.<client>.roles`, Auth0 into a claim of one's own with a URL as its name; a policy looks at `roles` and `realm_access.roles` unless it is told otherwise.",
        fix: "Name the claim in the policy: `role = { name = \"...\", in = [[\"resource_access\", \"<client>\", \"roles\"]] }`. See the manual's chapter on policies.",
        on_its_face: false,
        recognise: elsewhere,
    },
    Entry {
        name: "cause.role_missing",
        title: "The role or group is missing",
        cause: "The policy asks for it and the token does not have it: it is not assigned, or the provider does not write it into access tokens.",
        fix: "Assign it at the provider (Entra ID: 'Enterprise applications', 'Users and groups', and for applications an app role with admin consent), then get a new token.",
        on_its_face: false,
        recognise: role_missing,
    },
    Entry {
        name: "cause.step_up_needed",
        title: "The sign-in is too old or too weak for this call",
        cause: "The policy asks for a class of authentication (`acr`) or a sign-in of late (`max_age`), and the token shows another.",
        fix: "Sign in again as the challenge asks (RFC 9470): with `acr_values` or `max_age`. The provider must write `acr` and `auth_time` into access tokens.",
        on_its_face: false,
        recognise: step_up,
    },
    Entry {
        name: "cause.person_or_service",
        title: "The policy is for people and a service called, or the other way round",
        cause: "The policy has `kind`, and the token is of the other: from client credentials instead of a login, or the reverse.",
        fix: "Use the flow that the policy means, or give services a policy of their own.",
        on_its_face: false,
        recognise: person_or_service,
    },
    Entry {
        name: "cause.client_not_listed",
        title: "The client is not on the policy's list",
        cause: "The policy names the clients that may call, and the token was issued to another.",
        fix: "Add its identifier to `client` of the policy, if it may call.",
        on_its_face: false,
        recognise: client,
    },
    Entry {
        name: "cause.claim_differs",
        title: "A claim has not the value that the policy asks for",
        cause: "The policy looks at a claim, and the token has it with another value, or not at all.",
        fix: "Compare what was expected and found. Claims of one's own have to be mapped into access tokens, not only into ID tokens.",
        on_its_face: false,
        recognise: claim,
    },
];

/// Where the policy's rule stands.
fn at_policy(judged: &Judged<'_>, found: String) -> Option<Sign> {
    match judged.policy {
        Some(name) => Sign::at(found, ["policy", name]),
        None => Sign::at(found, ["api", judged.api, "policy"]),
    }
}

fn told(judged: &Judged<'_>) -> String {
    format!(
        "expected {}, found {}",
        judged.expected(Check::Policy),
        judged.found(Check::Policy)
    )
}

/// The scopes that the policy asked for, as the refusal tells them.
fn wanted<'c>(judged: &'c Judged<'_>) -> Vec<&'c str> {
    let words = judged.expected(Check::Policy).split([' ', ',']);
    words
        .filter(|word| !word.is_empty() && !matches!(*word, "scope" | "scopes" | "and" | "or" | "all" | "of"))
        .collect()
}

fn last(scope: &str) -> &str {
    scope.rsplit('/').next().unwrap_or(scope)
}

fn prefix(case: &Case<'_>) -> Option<Sign> {
    let judged = case.refused("policy.scope_insufficient")?;
    let has = case.token.scopes();
    let differs = |wanted: &&str| has.iter().any(|scope| scope != wanted && last(scope) == last(wanted));
    wanted(judged)
        .iter()
        .any(differs)
        .then(|| at_policy(judged, told(judged)))?
}

fn application(case: &Case<'_>) -> Option<Sign> {
    let judged = case.refused("policy.scope_insufficient")?;
    let service = case.token.str("idtyp") == Some("app") || case.token.scopes().is_empty();
    let roles = case.token.strings("roles");
    (service && !roles.is_empty()).then(|| at_policy(judged, format!("no scope; roles are {}", roles.join(", "))))?
}

fn not_consented(case: &Case<'_>) -> Option<Sign> {
    let judged = case.refused("policy.scope_insufficient")?;
    let wanted = wanted(judged);
    let (name, _) = judged.settings.frontends.iter().find(|(_, frontend)| {
        let asked = |wanted: &&str| frontend.scopes.iter().any(|scope| last(scope) == last(wanted));
        let client = judged.settings.clients.get(&frontend.client);
        let same = client.is_some_and(|client| case.token.client() == Some(&client.client_id));
        same && wanted.iter().any(asked)
    })?;
    Sign::at(told(judged), ["frontend", name, "scopes"])
}

fn scope_missing(case: &Case<'_>) -> Option<Sign> {
    let judged = case.refused("policy.scope_insufficient")?;
    at_policy(judged, told(judged))
}

fn overage(case: &Case<'_>) -> Option<Sign> {
    let judged = case
        .refused("policy.role_missing")
        .or_else(|| case.refused("policy.claim_mismatch"))?;
    let named = case
        .token
        .claims
        .get("_claim_names")
        .and_then(|names| names.get("groups"))
        .is_some();
    let left_out = named || case.token.claims.get("hasgroups") == Some(&Value::Bool(true));
    left_out.then(|| at_policy(judged, "the groups were left out (_claim_names)".to_owned()))?
}

fn elsewhere(case: &Case<'_>) -> Option<Sign> {
    let judged = case.refused("policy.role_missing")?;
    let wanted: Vec<&str> = judged.expected(Check::Policy).split(['"', ' ', ',']).collect();
    let mut places = Vec::new();
    for (name, value) in &case.token.claims {
        lists(name, value, &mut places);
    }
    let (place, role) = places
        .iter()
        .find_map(|(place, values)| Some((place, values.iter().find(|value| wanted.contains(&value.as_str()))?)))?;
    at_policy(judged, format!("{role} is in {place}"))
}

/// Every list of texts in a claim, with the way to it.
fn lists(way: &str, value: &Value, into: &mut Vec<(String, Vec<String>)>) {
    match value {
        Value::Array(list) => {
            let texts = list.iter().filter_map(Value::as_str).map(str::to_owned).collect();
            into.push((way.to_owned(), texts));
        }
        Value::Object(members) => {
            for (name, value) in members {
                lists(&format!("{way}.{name}"), value, into);
            }
        }
        _ => {}
    }
}

fn role_missing(case: &Case<'_>) -> Option<Sign> {
    let judged = case.refused("policy.role_missing")?;
    at_policy(judged, told(judged))
}

fn step_up(case: &Case<'_>) -> Option<Sign> {
    let judged = case
        .refused("policy.acr_insufficient")
        .or_else(|| case.refused("policy.max_age_exceeded"))?;
    at_policy(judged, told(judged))
}

fn person_or_service(case: &Case<'_>) -> Option<Sign> {
    let judged = case.refused("policy.kind_mismatch")?;
    at_policy(judged, told(judged))
}

fn client(case: &Case<'_>) -> Option<Sign> {
    let judged = case.refused("policy.client_not_allowed")?;
    at_policy(judged, told(judged))
}

fn claim(case: &Case<'_>) -> Option<Sign> {
    let judged = case.refused("policy.claim_mismatch")?;
    at_policy(judged, told(judged))
}
