//! Policies by method and path, for a whole program at once.

use std::fmt;
use std::sync::Arc;

use portcullis_policy::{Decision, NamedPolicy, PathPattern, PatternFault, RouteConflict, RouteTable};

use crate::error::GuardError;
use crate::guard::{Guard, UnknownPolicy};
use crate::layer::Require;

/// Which policy decides about which calls; made by [`Guard::routes`]. What has no policy is refused.
#[derive(Clone, Debug)]
#[must_use = "the routes become a layer by `layer`"]
pub struct GuardRoutes {
    guard: Guard,
    table: RouteTable<Arc<NamedPolicy>>,
}

/// A route that cannot be added.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RouteError {
    /// No policy of this name was declared.
    #[error(transparent)]
    Policy(#[from] UnknownPolicy),
    /// The path makes no sense.
    #[error("the path {path:?} of a route {fault}")]
    Path {
        /// The path.
        path: String,
        /// What is wrong with it.
        fault: PatternFault,
    },
    /// Another route claims the same calls.
    #[error(transparent)]
    Conflict(#[from] RouteConflict),
}

/// How a layer finds the policy of a call.
#[derive(Clone)]
pub(crate) enum Deciding {
    One(Arc<NamedPolicy>),
    ByCall(RouteTable<Arc<NamedPolicy>>),
}

// === impl GuardRoutes ===

impl GuardRoutes {
    pub(crate) fn new(guard: Guard) -> GuardRoutes {
        GuardRoutes {
            guard,
            table: RouteTable::new(),
        }
    }

    /// The policy of this path and these methods; no methods are all that no other route of the path names.
    /// [`PathPattern`] says what a path covers, [`RouteTable`] which route goes before which.
    ///
    /// # Errors
    ///
    /// The policy was not declared, the path makes no sense, or another route claims the same calls.
    pub fn route(mut self, methods: &[&str], path: &str, policy: &str) -> Result<GuardRoutes, RouteError> {
        let policy = self.guard.policy(policy)?;
        let pattern = PathPattern::parse(path).map_err(|fault| RouteError::Path {
            path: path.to_owned(),
            fault,
        })?;
        self.table.add(methods, pattern, policy)?;
        Ok(self)
    }

    /// The layer. It goes around the whole program, where it sees paths as clients send them.
    #[must_use]
    pub fn layer(self) -> Require {
        Require::deciding(self.guard, Deciding::ByCall(self.table))
    }
}

// === impl Deciding ===

impl Deciding {
    pub(crate) fn policy(&self, method: &str, path: &str) -> Result<&NamedPolicy, GuardError> {
        let found = match self {
            Deciding::One(policy) => Some(policy),
            // Whoever routes the request might read such a path in another way than we do.
            Deciding::ByCall(_) if !has_one_reading(path) => None,
            Deciding::ByCall(table) => match table.decide(method, path) {
                Decision::Policy(policy) => Some(policy),
                _ => None,
            },
        };
        found.map(|policy| &**policy).ok_or_else(|| GuardError::NoPolicy {
            call: format!("{method} {path}").into(),
        })
    }
}

impl fmt::Debug for Deciding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Deciding::One(policy) => write!(f, "{}", policy.name()),
            Deciding::ByCall(table) => f
                .debug_list()
                .entries(table.policies().map(|policy| policy.name()))
                .finish(),
        }
    }
}

/// Whether nobody could take the path for another: no empty and no dot segments, no backslash or semicolon, and nothing
/// of ASCII that is escaped without need (RFC 3986 s6.2.2.2), least of all a slash.
fn has_one_reading(path: &str) -> bool {
    let Some(rest) = path.strip_prefix('/') else {
        return false;
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let segments = rest.is_empty() || rest.split('/').all(|segment| !matches!(segment, "" | "." | ".."));
    let escaped = |escape: &str| {
        let digits = escape
            .get(..2)
            .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        byte.is_some_and(|byte| !byte.is_ascii() || b" \"<>[]^`{|}".contains(&byte))
    };
    segments && !path.contains(['\\', ';']) && path.split('%').skip(1).all(escaped)
}

#[cfg(test)]
mod tests {
    use super::has_one_reading;

    #[test]
    fn a_path_that_could_be_read_in_two_ways_is_none() {
        for path in [
            "/",
            "/orders",
            "/orders/",
            "/orders/a%20b",
            "/orders/%C3%A9",
            "/a.b/..c",
        ] {
            assert!(has_one_reading(path), "{path}");
        }
        for path in [
            "",
            "*",
            "orders",
            "//orders",
            "/orders//",
            "/a//b",
            "/./orders",
            "/a/..",
            "/%2e%2e/a",
            "/%6Frders",
            "/orders%2F7",
            "/orders%5c7",
            "/a\\b",
            "/a;v=1",
            "/a%3Bv",
            "/a%",
            "/a%2",
            "/a%zz",
            "/a%00",
            "/a%2525",
            "/a%+1",
        ] {
            assert!(!has_one_reading(path), "{path}");
        }
    }
}
