//! What is kept of a login. It exists in the clear in memory alone.

use portcullis_jose::{Secret, UnixTime};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};

use super::Party;

/// A login of one person at one provider.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub(crate) party: Party,
    /// Who it is: `iss` and `sub` never change, the rest is for people.
    pub(crate) issuer: String,
    pub(crate) subject: String,
    pub(crate) claims: Map<String, Value>,
    pub(crate) signed_in: UnixTime,
    #[serde(serialize_with = "exposed_option")]
    pub(crate) refresh_token: Option<Secret>,
    #[serde(serialize_with = "exposed")]
    pub(crate) id_token: Secret,
    pub(crate) id_token_expires: UnixTime,
    /// The first is the login's own.
    pub(crate) access: Vec<Access>,
}

/// An access token, and what it was asked for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Access {
    pub(crate) target: Target,
    #[serde(serialize_with = "exposed")]
    pub(crate) token: Secret,
    pub(crate) issued: UnixTime,
    /// `None`: the provider does not say.
    pub(crate) expires: Option<UnixTime>,
    /// What was granted, where it is said.
    pub(crate) scope: Option<String>,
}

/// What an access token is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Target {
    /// RFC 8707
    pub(crate) audience: Option<String>,
    /// Empty: all that was granted.
    pub(crate) scopes: Vec<String>,
}

/// Claims that tell a person who is signed in.
const TOLD: [&str; 5] = ["name", "preferred_username", "email", "acr", "tid"];
/// So many tokens for other audiences are kept; a script asks for a few.
const MOST_TARGETS: usize = 16;

impl Kept {
    /// What of the claims is kept beside `iss` and `sub`.
    pub(crate) fn told(claims: &Value) -> Map<String, Value> {
        let told = TOLD.iter().filter_map(|name| {
            let value = claims.get(*name)?.as_str()?;
            Some(((*name).to_owned(), value.into()))
        });
        told.collect()
    }

    /// The access token for this.
    pub(crate) fn access(&self, target: &Target) -> Option<&Access> {
        self.access.iter().find(|access| access.target == *target)
    }

    /// Keeps an access token in the place of the one for the same.
    pub(crate) fn put(&mut self, access: Access) {
        match self.access.iter_mut().find(|kept| kept.target == access.target) {
            Some(kept) => *kept = access,
            None => {
                if self.access.len() >= MOST_TARGETS {
                    // The login's own stays.
                    self.access.remove(1);
                }
                self.access.push(access);
            }
        }
    }

    /// The person, in the words that are best known.
    pub(crate) fn person(&self) -> &str {
        let text = |name: &str| self.claims.get(name).and_then(Value::as_str);
        text("name")
            .or_else(|| text("preferred_username"))
            .or_else(|| text("email"))
            .unwrap_or(&self.subject)
    }
}

impl Target {
    pub(crate) fn new(audience: Option<String>, mut scopes: Vec<String>) -> Target {
        scopes.sort();
        scopes.dedup();
        Target { audience, scopes }
    }
}

impl Access {
    /// Whether it is good for so long, or for half of its life where that is shorter.
    pub(crate) fn lasts(&self, seconds: i64, now: UnixTime) -> bool {
        lasts(self.issued, self.expires, seconds, now)
    }
}

pub(crate) fn lasts(issued: UnixTime, expires: Option<UnixTime>, seconds: i64, now: UnixTime) -> bool {
    expires.is_none_or(|expires| {
        let needed = seconds.min(expires.since(issued) / 2).max(1);
        now.plus(needed) <= expires
    })
}

/// `Secret` never writes itself; what is sealed at once is the exception.
fn exposed<S: Serializer>(secret: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose())
}

pub(super) fn exposed_option<S: Serializer>(secret: &Option<Secret>, serializer: S) -> Result<S::Ok, S::Error> {
    match secret {
        Some(secret) => serializer.serialize_some(secret.expose()),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_renewed_in_time_and_not_at_every_call() {
        let at = UnixTime::from_secs;
        let lasts = |expires, now| lasts(at(0), expires, 60, at(now));
        assert!(lasts(Some(at(300)), 240) && !lasts(Some(at(300)), 241));
        // One that never lives that long is good for half of its life.
        assert!(lasts(Some(at(20)), 10) && !lasts(Some(at(20)), 11));
        assert!(!lasts(Some(at(1)), 1));
        assert!(lasts(None, 1_000_000));
    }
}
