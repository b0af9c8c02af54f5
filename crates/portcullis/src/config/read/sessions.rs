//! Whose sessions an API accepts.

use std::collections::BTreeMap;

use super::api::Around;
use super::overlap::is_within;
use crate::config::faults::FaultKind;
use crate::config::reader::{At, Reader, listed};
use crate::config::settings::FrontendSettings;

/// The frontend on one host whose sessions count at an API.
#[derive(Debug, PartialEq, Eq)]
enum OfHost<'a> {
    /// No frontend there.
    None,
    One(&'a str),
    /// None of them is nearer to the API than the others.
    Several(Vec<&'a str>),
}

/// Of the frontends of one host, the one that the API's path lies below, the nearest; else the only one.
fn of_host<'a>(frontends: impl Iterator<Item = (&'a str, &'a str)>, api: &str) -> OfHost<'a> {
    let all: Vec<(&str, &str)> = frontends.collect();
    let below = all.iter().filter(|(_, path)| is_within(api, path));
    if let Some((name, _)) = below.max_by_key(|(_, path)| path.len()) {
        return OfHost::One(name);
    }
    match all.as_slice() {
        [] => OfHost::None,
        [(name, _)] => OfHost::One(name),
        several => OfHost::Several(several.iter().map(|(name, _)| *name).collect()),
    }
}

/// On each host it is clear whose sessions count, and their tokens are those of a provider that the API trusts.
pub(super) fn check(
    reader: &Reader<'_>,
    around: &Around<'_>,
    path: &str,
    named: &[String],
    providers: Option<&At<Vec<String>>>,
) {
    let mut hosts: BTreeMap<String, Vec<(&str, &FrontendSettings)>> = BTreeMap::new();
    for (name, frontend) in around.frontends {
        if named.is_empty() || named.contains(name) {
            let host = frontend.public_url.origin().ascii_serialization();
            hosts.entry(host).or_default().push((name, frontend));
        }
    }
    for (host, frontends) in hosts {
        let places = frontends.iter().map(|(name, frontend)| (*name, frontend.path.as_str()));
        let name = match of_host(places, path) {
            OfHost::None => continue,
            OfHost::One(name) => name,
            OfHost::Several(names) => {
                let fault = FaultKind::Contradiction
                    .says(format!(
                        "{} accepts sessions, and {host} has several frontends",
                        reader.title()
                    ))
                    .at(reader.place(), format!("of {}?", listed(&names)));
                reader
                    .cx
                    .push(fault.help("name one with `frontend`, or give the API a path below its frontend's"));
                continue;
            }
        };
        let client = around
            .frontends
            .get(name)
            .and_then(|frontend| around.clients.get(&frontend.client));
        if let (Some(providers), Some(client)) = (providers, client)
            && !providers.value.contains(&client.provider)
        {
            let message = format!(
                "{} accepts sessions, but their tokens come from another provider",
                reader.title()
            );
            let made_with = match around.frontends.len() {
                1 => format!("sessions are made with `{}`", client.provider),
                _ => format!("sessions of `{name}` are made with `{}`", client.provider),
            };
            let fault = FaultKind::Contradiction
                .says(message)
                .at(providers.span.clone(), made_with);
            reader
                .cx
                .push(fault.help("name that provider, or write accept = [\"bearer\"]"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{OfHost, of_host};

    #[test]
    fn the_nearest_frontend_counts() {
        let both = || [("shop", "/shop"), ("desk", "/shop/desk")].into_iter();
        assert_eq!(of_host(both(), "/shop/desk/api"), OfHost::One("desk"));
        assert_eq!(of_host(both(), "/shop/api"), OfHost::One("shop"));
        assert_eq!(of_host(both(), "/api"), OfHost::Several(vec!["shop", "desk"]));
        assert_eq!(of_host(both().take(1), "/api"), OfHost::One("shop"));
        assert_eq!(
            of_host([("all", ""), ("shop", "/shop")].into_iter(), "/api"),
            OfHost::One("all")
        );
        assert_eq!(of_host(both().take(0), "/api"), OfHost::None);
    }
}
