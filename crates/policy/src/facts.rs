//! What a token says: scopes, client, kind, and the value at a path.

use std::fmt;

use portcullis_jose::{Claims, Items, Value};

/// Where a claim is found: a name, or names one inside the other.
///
/// Text is first taken as the name of a claim (`https://example.com/roles` is one name although it has dots), and only
/// where there is no such claim as a path (`realm_access.roles`). Where the names themselves have dots, give them one
/// by one:
///
/// ```
/// use portcullis_policy::ClaimPath;
/// let path = ClaimPath::from(["resource_access", "orders.web", "roles"]);
/// assert_eq!(path.to_string(), "resource_access.orders.web.roles");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimPath {
    text: Box<str>,
    /// The text as it stands may be the name of a claim.
    whole: bool,
    steps: Box<[Box<str>]>,
}

/// The scopes of a token, one by one.
#[derive(Debug)]
pub struct Scopes<'c>(ScopesFrom<'c>);

/// A claim that holds one value or a list of them, one by one.
#[derive(Debug)]
pub(crate) enum Each<'c> {
    One(Option<Value<'c>>),
    List(Items<'c>),
}

#[derive(Debug)]
enum ScopesFrom<'c> {
    Text(std::str::Split<'c, char>),
    List(Items<'c>),
    Nothing,
}

/// Whether a token was issued to a person or to a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// A person signed in, and the client acts for them.
    User,
    /// The client acts for itself (client credentials).
    Service,
}

/// The scopes that the token carries: `scope` where the token has it, else `scp`.
///
/// Text is split at U+0020 and nothing else (RFC 6749 s3.3: `scope = scope-token *( SP scope-token )`); each element of
/// an array is one scope. Only one of the two claims counts, so that a second claim, mapped in by mistake, cannot add
/// rights.
#[must_use]
pub fn scopes(claims: &Claims) -> Scopes<'_> {
    Scopes(match claims.get("scope").or_else(|| claims.get("scp")) {
        Some(Value::String(text)) => ScopesFrom::Text(text.split(' ')),
        Some(Value::Array(list)) => ScopesFrom::List(list.iter()),
        _ => ScopesFrom::Nothing,
    })
}

/// The client that the token was issued to: the first of `client_id` (RFC 9068 s2.2), `azp` (OpenID Connect Core s2),
/// `appid` (Entra ID, tokens of version 1) and `cid` (Okta) that is there.
#[must_use]
pub fn client(claims: &Claims) -> Option<&str> {
    let mut named = ["client_id", "azp", "appid", "cid"].into_iter();
    let found = named.find_map(|claim| claims.get(claim));
    found.and_then(text).filter(|text| !text.is_empty())
}

// === impl Kind ===

impl Kind {
    /// Tells a service's token from a person's. The first of these rules that has an answer decides:
    ///
    /// 1. `idtyp` (Entra ID) is `app`: service; `user`: user.
    /// 2. There is no `sub`: nobody signed in, so service.
    /// 3. `sub` equals `client_id` (RFC 9068 s2.2: without a resource owner the subject identifies the client) or
    ///    `azp`: service.
    /// 4. `sub` equals `cid`, and there is no `uid` (Okta): service.
    /// 5. `sub` equals `oid`, and there is a `tid` (Entra ID, where persons have another `sub` at each API): service.
    /// 6. `gty` is `client-credentials` and `sub` is the client followed by `@clients` (Auth0): service.
    /// 7. Otherwise: user.
    ///
    /// Rule 3 trusts the provider not to give a person a `sub` that is a client's name (RFC 9068 s5 asks this of it).
    /// Where a provider has none of these signs (Keycloak's service accounts have a subject of their own), ask for the
    /// client: [`Policy::client`](crate::Policy::client).
    #[must_use]
    pub fn of(claims: &Claims) -> Kind {
        match claims.get("idtyp").and_then(text) {
            Some("app") => return Kind::Service,
            Some("user") => return Kind::User,
            _ => {}
        }
        let Some(subject) = claims.get("sub").and_then(text) else {
            return Kind::Service;
        };
        let named = |claim: &str| claims.get(claim).and_then(text);
        let is = |claim: &str| named(claim) == Some(subject);
        let there = |claim: &str| claims.get(claim).is_some();
        if is("client_id") || is("azp") || (is("cid") && !there("uid")) || (is("oid") && there("tid")) {
            return Kind::Service;
        }
        let machine = named("gty") == Some("client-credentials")
            && client(claims).is_some_and(|client| subject.strip_suffix("@clients") == Some(client));
        if machine { Kind::Service } else { Kind::User }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::User => "user",
            Kind::Service => "service",
        })
    }
}

// === impl Scopes ===

impl<'c> Iterator for Scopes<'c> {
    type Item = &'c str;

    fn next(&mut self) -> Option<&'c str> {
        match &mut self.0 {
            ScopesFrom::Text(words) => words.find(|word| !word.is_empty()),
            ScopesFrom::Nothing => None,
            ScopesFrom::List(list) => list.find_map(|value| text(value).filter(|word| !word.is_empty())),
        }
    }
}

// === impl Each ===

impl<'c> Iterator for Each<'c> {
    type Item = Value<'c>;

    fn next(&mut self) -> Option<Value<'c>> {
        match self {
            Each::One(value) => value.take(),
            Each::List(list) => list.next(),
        }
    }
}

// === impl ClaimPath ===

impl ClaimPath {
    /// The value at this path.
    #[must_use]
    pub fn find<'c>(&self, claims: &'c Claims) -> Option<Value<'c>> {
        if self.whole {
            let found = claims.get(&self.text);
            if found.is_some() {
                return found;
            }
        }
        let (first, rest) = self.steps.split_first()?;
        rest.iter().try_fold(claims.get(first)?, |value, step| match value {
            Value::Object(object) => object.get(step),
            _ => None,
        })
    }

    /// Names one inside the other, each taken as it is.
    #[must_use]
    pub fn nested<S: Into<Box<str>>>(names: impl IntoIterator<Item = S>) -> ClaimPath {
        let steps: Box<[Box<str>]> = names.into_iter().map(Into::into).collect();
        ClaimPath {
            text: steps.join(".").into(),
            whole: false,
            steps,
        }
    }

    /// Whether it leads nowhere: a name in it is empty. A policy with such a path makes no sense.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty() || self.steps.iter().any(|step| step.is_empty())
    }
}

impl From<&str> for ClaimPath {
    fn from(text: &str) -> ClaimPath {
        ClaimPath {
            text: text.into(),
            whole: true,
            steps: text.split('.').map(Into::into).collect(),
        }
    }
}

impl From<String> for ClaimPath {
    fn from(text: String) -> ClaimPath {
        ClaimPath::from(text.as_str())
    }
}

impl<const N: usize> From<[&str; N]> for ClaimPath {
    fn from(steps: [&str; N]) -> ClaimPath {
        ClaimPath::nested(steps)
    }
}

impl fmt::Display for ClaimPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

pub(crate) fn text(value: Value<'_>) -> Option<&str> {
    value.as_str()
}

pub(crate) fn each(value: Value<'_>) -> Each<'_> {
    match value {
        Value::Array(list) => Each::List(list.iter()),
        single => Each::One(Some(single)),
    }
}
