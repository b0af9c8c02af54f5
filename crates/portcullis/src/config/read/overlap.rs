//! One request, one answer: no two APIs may claim it.

use std::collections::BTreeMap;

use crate::config::faults::FaultKind;
use crate::config::reader::{At, Context};
use crate::config::settings::FrontendSettings;
use crate::diagnostic::Diagnostic;

/// The paths of all APIs.
#[derive(Default)]
pub(super) struct Paths(Vec<(String, At<String>)>);

/// Whether `path` is `prefix` or below it, by whole segments.
///
/// Case makes no difference: many upstreams answer `/Report` as they answer `/report`, and the rule for one has to hold
/// for the other.
pub(crate) fn is_within(path: &str, prefix: &str) -> bool {
    let prefix = prefix.trim_end_matches('/');
    match (path.get(..prefix.len()), path.get(prefix.len()..)) {
        (Some(start), Some(rest)) => start.eq_ignore_ascii_case(prefix) && (rest.is_empty() || rest.starts_with('/')),
        _ => false,
    }
}

impl Paths {
    pub(super) fn add(&mut self, api: &str, path: &At<String>) {
        self.0.push((api.to_owned(), path.clone()));
    }

    pub(super) fn check(mut self, cx: &Context<'_>, frontends: &BTreeMap<String, FrontendSettings>) {
        self.0.sort_by_key(|(_, path)| path.span.start);
        for (at, (name, path)) in self.0.iter().enumerate() {
            for (other_name, other) in self.0.iter().take(at) {
                if let Some(fault) = overlap((name, path), (other_name, other)) {
                    cx.push(fault);
                }
            }
            for frontend in frontends.values() {
                let endpoints = format!("{}/bff", frontend.path);
                if !is_within(&path.value, &endpoints) && !is_within(&endpoints, &path.value) {
                    continue;
                }
                let message = format!("`path` of [api.{name}] takes the place of the frontend's `{endpoints}`");
                let fault = FaultKind::OverlappingPaths.says(message);
                let fault = fault.at(path.span.clone(), "nobody could log in");
                cx.push(fault.expected("a path of its own, such as \"/api\""));
            }
        }
    }
}

fn overlap((name, path): (&str, &At<String>), (other_name, other): (&str, &At<String>)) -> Option<Diagnostic> {
    if path.value == other.value {
        let message = format!("[api.{name}] and [api.{other_name}] have the same `path`");
        let fault = FaultKind::OverlappingPaths
            .says(message)
            .at(path.span.clone(), "the same path");
        return Some(
            fault
                .related(other.span.clone(), "it is here already")
                .expected("a path of its own for each API"),
        );
    }
    let (inner, outer) = if is_within(&path.value, &other.value) {
        ((name, path), (other_name, other))
    } else if is_within(&other.value, &path.value) {
        ((other_name, other), (name, path))
    } else {
        return None;
    };
    let fault = FaultKind::OverlappingPaths
        .says(format!(
            "the `path` of [api.{}] lies inside that of [api.{}]",
            inner.0, outer.0
        ))
        .at(inner.1.span.clone(), "inside the other")
        .related(outer.1.span.clone(), "everything below is included")
        .expected("paths that do not overlap");
    Some(fault.help(format!(
        "for a stricter policy on a part of an API, use `routes` in [api.{}]",
        outer.0
    )))
}

#[cfg(test)]
mod tests {
    use super::is_within;

    #[test]
    fn paths_are_compared_by_segments() {
        for (path, prefix) in [
            ("/api", "/api"),
            ("/api/x", "/api"),
            ("/api/x", "/"),
            ("/", "/"),
            ("/API/X", "/api"),
        ] {
            assert!(is_within(path, prefix), "{path} in {prefix}");
        }
        for (path, prefix) in [("/apis", "/api"), ("/api", "/api/x"), ("/", "/api")] {
            assert!(!is_within(path, prefix), "{path} in {prefix}");
        }
    }
}
