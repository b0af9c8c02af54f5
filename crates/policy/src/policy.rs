//! The algebra: what a policy is made of, and its bounds.

use std::fmt;
use std::sync::Arc;

use portcullis_jose::{Claims, Value, Verified};

use crate::context::CallContext;
use crate::facts::{ClaimPath, Kind};
use crate::matching::{self, Pattern};

/// How deep `all`, `any` and `not` may be nested.
pub const MAX_DEPTH: usize = 16;

/// How many rules a policy may have, with all that is inside it.
pub const MAX_RULES: usize = 256;

/// Who may pass. Made by the functions below, judged by [`Policy::evaluate`].
///
/// A policy that makes no sense is not a panic and not a hole: it refuses everybody, and [`Policy::fault`] says why.
#[derive(Clone)]
pub struct Policy {
    pub(crate) rule: Rule,
    depth: usize,
    rules: usize,
}

/// A claim about which something is to be said: `Policy::claim("tenant").equals("acme")`.
#[derive(Clone, Debug)]
#[must_use = "a claim becomes a policy by `present`, `equals`, `one_of`, `contains` or `matches`"]
pub struct ClaimRule(ClaimPath);

/// A value that a claim is compared with; the kind counts: `"1"` is not `1`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Literal {
    /// Text, compared byte for byte.
    Text(Box<str>),
    /// A whole number.
    Integer(i64),
    /// True or false.
    Bool(bool),
}

/// Why a policy makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// A list without members: `all` of nothing would let everybody in.
    #[error(
        "a policy's `{0}` is empty: name at least one value, or use `authenticated` to let in every verified token"
    )]
    Empty(&'static str),
    /// A scope that no token can carry.
    #[error(
        "{0:?} is not a scope: printable ASCII without spaces, quotes and backslashes (RFC 6749 s3.3); list several"
    )]
    Scope(Box<str>),
    /// A regular expression that cannot be used.
    #[error("the pattern {pattern:?} cannot be used: {why}")]
    Pattern {
        /// The pattern, or its beginning.
        pattern: Box<str>,
        /// Why not.
        why: Box<str>,
    },
    /// A domain that no address can have.
    #[error("{0:?} is not a domain: ASCII letters, digits and hyphens between dots, such as \"example.com\"")]
    Domain(Box<str>),
    /// Nested more than [`MAX_DEPTH`] deep.
    #[error("the policy is nested more than {MAX_DEPTH} deep: split it into several policies")]
    TooDeep,
    /// More than [`MAX_RULES`] rules.
    #[error("the policy has more than {MAX_RULES} rules: use a group, a role or `custom`")]
    TooLarge,
    /// A name that cannot be shown in a log or an answer.
    #[error("a policy's name must be 1 to 128 visible ASCII characters without quotes and backslashes")]
    Name,
}

type Test = dyn Fn(&Verified<Claims>, &CallContext<'_>) -> bool + Send + Sync;

#[derive(Clone)]
pub(crate) enum Rule {
    Authenticated,
    /// All of them.
    Scopes(Box<[Box<str>]>),
    /// A value in any of the claims; `what` is "role" or "group".
    Member {
        what: &'static str,
        paths: Box<[ClaimPath]>,
        value: Box<str>,
    },
    Claim {
        path: ClaimPath,
        test: ClaimTest,
    },
    Clients(Box<[Box<str>]>),
    Kind(Kind),
    Acr(Box<[Box<str>]>),
    /// In seconds.
    MaxAge(u32),
    EmailDomains(Box<[Box<str>]>),
    All(Box<[Policy]>),
    Any(Box<[Policy]>),
    Not(Box<Policy>),
    Custom {
        name: Box<str>,
        test: Arc<Test>,
    },
    /// Refuses everybody; never inside another rule.
    Unusable(PolicyError),
}

#[derive(Clone)]
pub(crate) enum ClaimTest {
    Present,
    OneOf(Box<[Literal]>),
    Contains(Literal),
    Matches(Pattern),
}

// === impl Policy ===

impl Policy {
    /// Every verified token passes.
    #[must_use]
    pub fn authenticated() -> Policy {
        Policy::leaf(Rule::Authenticated)
    }

    /// The token carries this scope.
    #[must_use]
    pub fn scope(scope: &str) -> Policy {
        Policy::scopes([scope])
    }

    /// The token carries all of these scopes.
    #[must_use]
    pub fn scopes<S: Into<Box<str>>>(scopes: impl IntoIterator<Item = S>) -> Policy {
        let scopes: Box<[Box<str>]> = scopes.into_iter().map(Into::into).collect();
        if let Some(bad) = scopes.iter().find(|scope| !is_scope(scope)) {
            return Policy::unusable(PolicyError::Scope(bad.clone()));
        }
        Policy::of_words("scopes", scopes, Rule::Scopes)
    }

    /// The role is in the claim `roles` (Entra ID, RFC 9068 s2.2.3.1) or `realm_access.roles` (Keycloak).
    #[must_use]
    pub fn role(role: &str) -> Policy {
        Policy::role_in(["roles", "realm_access.roles"], role)
    }

    /// The role is in one of these claims, each of them text or a list of text.
    #[must_use]
    pub fn role_in<P: Into<ClaimPath>>(paths: impl IntoIterator<Item = P>, role: &str) -> Policy {
        Policy::member("role", paths, role)
    }

    /// The group is in the claim `groups`.
    #[must_use]
    pub fn group(group: &str) -> Policy {
        Policy::group_in(["groups"], group)
    }

    /// The group is in one of these claims, each of them text or a list of text.
    #[must_use]
    pub fn group_in<P: Into<ClaimPath>>(paths: impl IntoIterator<Item = P>, group: &str) -> Policy {
        Policy::member("group", paths, group)
    }

    /// Something about a claim; [`ClaimRule`] continues.
    pub fn claim(path: impl Into<ClaimPath>) -> ClaimRule {
        ClaimRule(path.into())
    }

    /// The token was issued to this client.
    #[must_use]
    pub fn client(client: &str) -> Policy {
        Policy::clients([client])
    }

    /// The token was issued to one of these clients.
    #[must_use]
    pub fn clients<S: Into<Box<str>>>(clients: impl IntoIterator<Item = S>) -> Policy {
        Policy::of_words("clients", clients.into_iter().map(Into::into).collect(), Rule::Clients)
    }

    /// The token is of this kind; [`Kind::of`] has the rule.
    #[must_use]
    pub fn kind(kind: Kind) -> Policy {
        Policy::leaf(Rule::Kind(kind))
    }

    /// The user was authenticated in one of these ways (`acr`, RFC 9068 s2.2.1). A refusal asks for step-up
    /// authentication (RFC 9470).
    #[must_use]
    pub fn acr<S: Into<Box<str>>>(classes: impl IntoIterator<Item = S>) -> Policy {
        let classes: Box<[Box<str>]> = classes.into_iter().map(Into::into).collect();
        // They are sent back in a space-separated attribute (RFC 9470 s3), so they have a scope's alphabet.
        if let Some(bad) = classes.iter().find(|class| !is_scope(class)) {
            return Policy::unusable(PolicyError::Scope(bad.clone()));
        }
        Policy::of_words("acr", classes, Rule::Acr)
    }

    /// The user authenticated at most so many seconds ago (`auth_time`, RFC 9068 s2.2.1). A token without `auth_time`
    /// does not pass. A refusal asks for a new authentication (RFC 9470).
    #[must_use]
    pub fn max_age(seconds: u32) -> Policy {
        Policy::leaf(Rule::MaxAge(seconds))
    }

    /// The user's verified e-mail address is in this domain.
    #[must_use]
    pub fn email_domain(domain: &str) -> Policy {
        Policy::email_domains([domain])
    }

    /// The user's e-mail address is in one of these domains, not below them, and `email_verified` is `true`.
    ///
    /// An address counts with exactly one `@`; the domain is compared without regard to case. Who may have an address
    /// in the domain is the domain's business: to tell one user from another, use `iss` and `sub`.
    #[must_use]
    pub fn email_domains<S: AsRef<str>>(domains: impl IntoIterator<Item = S>) -> Policy {
        let mut all = Vec::new();
        for given in domains {
            match matching::domain(given.as_ref()) {
                Some(domain) => all.push(domain),
                None => return Policy::unusable(PolicyError::Domain(given.as_ref().into())),
            }
        }
        Policy::of_words("email_domain", all.into(), Rule::EmailDomains)
    }

    /// Every one of them passes.
    #[must_use]
    pub fn all(policies: impl IntoIterator<Item = Policy>) -> Policy {
        Policy::combine("all", policies.into_iter().collect(), Rule::All)
    }

    /// At least one of them passes.
    #[must_use]
    pub fn any(policies: impl IntoIterator<Item = Policy>) -> Policy {
        Policy::combine("any", policies.into_iter().collect(), Rule::Any)
    }

    /// The other one does not pass.
    #[must_use]
    #[expect(
        clippy::should_implement_trait,
        reason = "`Policy::not(p)` reads beside `all` and `any`; `!p` would hide a refusal"
    )]
    pub fn not(policy: Policy) -> Policy {
        Policy::combine("not", Box::new([policy]), |inner| match inner.into_iter().next() {
            Some(policy) => Rule::Not(Box::new(policy)),
            None => Rule::Unusable(PolicyError::Empty("not")),
        })
    }

    /// A function decides, from the token and the call. `name` is what a refusal says instead of the function's text.
    ///
    /// ```
    /// # use portcullis_policy::Policy;
    /// let office_hours = Policy::custom("between 8 and 18 o'clock UTC", |_token, call| {
    ///     (8..18).contains(&(call.now.as_secs() / 3_600 % 24))
    /// });
    /// # assert!(office_hours.fault().is_none());
    /// ```
    #[must_use]
    pub fn custom(
        name: &str,
        test: impl Fn(&Verified<Claims>, &CallContext<'_>) -> bool + Send + Sync + 'static,
    ) -> Policy {
        if name.is_empty() {
            return Policy::unusable(PolicyError::Empty("custom"));
        }
        Policy::leaf(Rule::Custom {
            name: name.into(),
            test: Arc::new(test),
        })
    }

    /// Why this policy refuses everybody, where it does so because it makes no sense.
    #[must_use]
    pub fn fault(&self) -> Option<&PolicyError> {
        match &self.rule {
            Rule::Unusable(error) => Some(error),
            _ => None,
        }
    }

    fn member<P: Into<ClaimPath>>(what: &'static str, paths: impl IntoIterator<Item = P>, value: &str) -> Policy {
        let paths: Box<[ClaimPath]> = paths.into_iter().map(Into::into).collect();
        if value.is_empty() || paths.is_empty() || paths.iter().any(ClaimPath::is_empty) {
            return Policy::unusable(PolicyError::Empty(what));
        }
        Policy::leaf(Rule::Member {
            what,
            paths,
            value: value.into(),
        })
    }

    fn of_words(what: &'static str, words: Box<[Box<str>]>, rule: fn(Box<[Box<str>]>) -> Rule) -> Policy {
        if words.is_empty() || words.iter().any(|word| word.is_empty()) {
            return Policy::unusable(PolicyError::Empty(what));
        }
        if words.len() > MAX_RULES {
            return Policy::unusable(PolicyError::TooLarge);
        }
        Policy::leaf(rule(words))
    }

    /// The bounds hold by construction: what would break them becomes a rule that refuses everybody, and spreads
    /// outwards, so that a `not` cannot turn it into one that admits everybody.
    fn combine(what: &'static str, inner: Box<[Policy]>, rule: impl FnOnce(Box<[Policy]>) -> Rule) -> Policy {
        let depth = 1 + inner.iter().map(|policy| policy.depth).max().unwrap_or(0);
        let rules = 1 + inner.iter().map(|policy| policy.rules).sum::<usize>();
        let fault = if let Some(error) = inner.iter().find_map(Policy::fault) {
            error.clone()
        } else if inner.is_empty() {
            PolicyError::Empty(what)
        } else if depth > MAX_DEPTH {
            PolicyError::TooDeep
        } else if rules > MAX_RULES {
            PolicyError::TooLarge
        } else {
            return Policy {
                rule: rule(inner),
                depth,
                rules,
            };
        };
        Policy::unusable(fault)
    }

    fn leaf(rule: Rule) -> Policy {
        Policy {
            rule,
            depth: 1,
            rules: 1,
        }
    }

    fn unusable(error: PolicyError) -> Policy {
        Policy::leaf(Rule::Unusable(error))
    }
}

// === impl ClaimRule ===

impl ClaimRule {
    /// The claim is there, and is not `null`, an empty text, an empty list or an empty object.
    #[must_use]
    pub fn present(self) -> Policy {
        if self.0.is_empty() {
            return Policy::unusable(PolicyError::Empty("claim"));
        }
        Policy::leaf(Rule::Claim {
            path: self.0,
            test: ClaimTest::Present,
        })
    }

    /// The claim is this value.
    #[must_use]
    pub fn equals(self, value: impl Into<Literal>) -> Policy {
        self.one_of([value])
    }

    /// The claim is one of these values.
    #[must_use]
    pub fn one_of<L: Into<Literal>>(self, values: impl IntoIterator<Item = L>) -> Policy {
        let values: Box<[Literal]> = values.into_iter().map(Into::into).collect();
        if values.is_empty() || values.iter().any(Literal::is_empty) || self.0.is_empty() {
            return Policy::unusable(PolicyError::Empty("claim"));
        }
        if values.len() > MAX_RULES {
            return Policy::unusable(PolicyError::TooLarge);
        }
        Policy::leaf(Rule::Claim {
            path: self.0,
            test: ClaimTest::OneOf(values),
        })
    }

    /// The claim is a list that has this value; a single value counts as a list of one. Never a part of a text.
    #[must_use]
    pub fn contains(self, value: impl Into<Literal>) -> Policy {
        let value = value.into();
        if value.is_empty() || self.0.is_empty() {
            return Policy::unusable(PolicyError::Empty("claim"));
        }
        Policy::leaf(Rule::Claim {
            path: self.0,
            test: ClaimTest::Contains(value),
        })
    }

    /// The claim is a text that this regular expression matches from its first to its last character: `acme` does not
    /// match `acme-guests`. Lists do not match.
    ///
    /// The syntax is that of the crate `regex-lite`: `\d`, `\w` and `(?i)` know ASCII only. Matching takes linear time.
    #[must_use]
    pub fn matches(self, pattern: &str) -> Policy {
        if self.0.is_empty() {
            return Policy::unusable(PolicyError::Empty("claim"));
        }
        match Pattern::new(pattern) {
            Ok(pattern) => Policy::leaf(Rule::Claim {
                path: self.0,
                test: ClaimTest::Matches(pattern),
            }),
            Err(error) => Policy::unusable(error),
        }
    }
}

// === impl Literal ===

impl Literal {
    fn is_empty(&self) -> bool {
        matches!(self, Literal::Text(text) if text.is_empty())
    }

    pub(crate) fn equals(&self, value: Value<'_>) -> bool {
        match (self, value) {
            (Literal::Text(ours), Value::String(theirs)) => **ours == *theirs,
            (Literal::Integer(ours), Value::Number(theirs)) => theirs.as_i64() == Some(*ours),
            (Literal::Bool(ours), Value::Bool(theirs)) => *ours == theirs,
            _ => false,
        }
    }
}

impl From<&str> for Literal {
    fn from(text: &str) -> Literal {
        Literal::Text(text.into())
    }
}

impl From<String> for Literal {
    fn from(text: String) -> Literal {
        Literal::Text(text.into())
    }
}

impl From<i64> for Literal {
    fn from(number: i64) -> Literal {
        Literal::Integer(number)
    }
}

impl From<bool> for Literal {
    fn from(bool: bool) -> Literal {
        Literal::Bool(bool)
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Literal::Text(text) => write!(f, "{text:?}"),
            Literal::Integer(number) => write!(f, "{number}"),
            Literal::Bool(bool) => write!(f, "{bool}"),
        }
    }
}

// === impl PolicyError ===

impl PolicyError {
    /// A stable name for this kind of error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            PolicyError::Empty(_) => "policy.empty",
            PolicyError::Scope(_) => "policy.scope_syntax",
            PolicyError::Pattern { .. } => "policy.pattern_syntax",
            PolicyError::Domain(_) => "policy.domain_syntax",
            PolicyError::TooDeep => "policy.too_deep",
            PolicyError::TooLarge => "policy.too_large",
            PolicyError::Name => "policy.name_syntax",
        }
    }
}

/// RFC 6749 s3.3: `scope-token = 1*( %x21 / %x23-5B / %x5D-7E )`. It is also what a quoted string of a challenge may
/// hold as it is.
pub(crate) fn is_scope(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
}
