//! What is valid in a configuration and probably not meant: told by `check`, and never a reason to refuse it.

use std::collections::BTreeSet;

use super::faults::FaultKind;
use super::place::{Key, Places};
use super::settings::{Access, Guarded, Settings};
use crate::diagnostic::Diagnostic;

/// All of them, in the order of the file.
pub(crate) fn warnings(settings: &Settings, places: &Places) -> Vec<Diagnostic> {
    let mut found = unused_providers(settings, places);
    for (name, api) in &settings.apis {
        if let Access::Guarded(guarded) = &api.access {
            found.extend(scopes_of_nobody(settings, places, name, guarded));
        }
    }
    found.sort_by_key(Diagnostic::order);
    found
}

fn unused_providers(settings: &Settings, places: &Places) -> Vec<Diagnostic> {
    let of_clients = settings.clients.values().map(|client| &client.provider);
    let of_apis = settings.apis.values().filter_map(|api| match &api.access {
        Access::Guarded(guarded) => Some(&guarded.providers),
        Access::Anyone => None,
    });
    let used: BTreeSet<&String> = of_clients.chain(of_apis.flatten()).collect();
    let unused = settings.providers.keys().filter(|name| !used.contains(name));
    unused
        .map(|name| {
            let warning = FaultKind::Unused.says(format!("[provider.{name}] is used by no client and no API"));
            let warning = at(warning, places, ["provider", name], "nothing refers to it")
                .note("`portcullis login` can use it with --client-id");
            warning.help("name it as `provider` of a [client.NAME] or an [api.NAME], or leave the table out")
        })
        .collect()
}

/// Policies that no session can satisfy, since its token was never asked for with the scope. Where callers bring tokens of
/// their own too, a route may be for them alone: then it is only told if there is no route for sessions at all.
fn scopes_of_nobody(settings: &Settings, places: &Places, api: &str, guarded: &Guarded) -> Vec<Diagnostic> {
    let counts = |name: &&String| guarded.frontends.is_empty() || guarded.frontends.contains(name);
    let frontends: Vec<&String> = settings.frontends.keys().filter(counts).collect();
    let asked: Vec<&str> = frontends
        .iter()
        .filter_map(|name| settings.frontends.get(*name))
        .flat_map(|frontend| frontend.scopes.iter().map(String::as_str))
        .collect();
    // Entra: all scopes of the API that were consented to.
    if !guarded.session || asked.iter().any(|scope| scope.ends_with("/.default")) {
        return Vec::new();
    }
    // Entra again: `api://orders/orders.read` is asked for, and `orders.read` is in the token.
    let is_asked = |scope: &str| {
        let within = |asked: &&str| {
            asked
                .strip_suffix(scope)
                .is_some_and(|before| before.is_empty() || before.ends_with('/'))
        };
        asked.iter().any(within)
    };
    let policies: BTreeSet<&String> = guarded.routes.policies().collect();
    let lacking: Vec<(&String, Vec<&str>)> = policies
        .iter()
        .filter_map(|name| {
            let demanded = settings.policies.get(*name)?.policy().demanded_scopes();
            let lacking: Vec<&str> = demanded.into_iter().filter(|scope| !is_asked(scope)).collect();
            (!lacking.is_empty()).then_some((*name, lacking))
        })
        .collect();
    if guarded.bearer && lacking.len() < policies.len() {
        return Vec::new();
    }
    lacking
        .into_iter()
        .map(|(name, scopes)| {
            let scopes = scopes.iter().map(|scope| format!("`{scope}`")).collect::<Vec<_>>();
            let scopes = scopes.join(" and ");
            let warning =
                FaultKind::ScopeNotRequested.says(format!("[policy.{name}] demands {scopes}, which no login asks for"));
            let label = format!("each call of [api.{api}] with a session would be 403");
            let mut warning = at(warning, places, ["policy", name], &label);
            for frontend in &frontends {
                if let Some(span) = places.find(&Key::of(["frontend", frontend, "scopes"])) {
                    warning = warning.related(span, "not among these");
                }
            }
            let all = frontends.iter().map(|name| format!("[frontend.{name}]")).collect::<Vec<_>>();
            warning
                .note("a provider may give a scope that nobody asks for: then it is no fault, and asking for it does no harm")
                .help(format!("add it to `scopes` of {}", all.join(" or ")))
        })
        .collect()
}

fn at<const N: usize>(warning: Diagnostic, places: &Places, key: [&str; N], label: &str) -> Diagnostic {
    match places.find(&Key::of(key)) {
        Some(span) => warning.at(span, label),
        // A policy that is there without being written.
        None => warning.in_file(),
    }
    .warning()
}
