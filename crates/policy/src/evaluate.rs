//! Judging a token, and saying why it fails.

use std::fmt;

use portcullis_jose::{Claims, Value, Verified};

use crate::context::CallContext;
use crate::denied::{Authorized, Denied};
use crate::facts::{Kind, client, each, scopes, text};
use crate::matching::{domain_of, email_verified};
use crate::policy::{ClaimTest, Policy, Rule};

/// How much of a claim is quoted in an explanation.
const MAX_FOUND: usize = 256;

/// An authentication later than this many seconds from now is none: a clock may be a little ahead, a time that never
/// grows old is not to be believed.
const MAX_AHEAD: i64 = 60;

/// What a client should ask the provider for, when asking again would help.
#[derive(Default)]
struct Wanted<'p> {
    scopes: Vec<&'p str>,
    acr: Vec<&'p str>,
    max_age: Option<u32>,
}

/// What a rule is about, as far as a client can do something about it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum About {
    Scope,
    StepUp,
}

impl Policy {
    /// Asks the policy about a token. Passing costs no allocation.
    ///
    /// # Errors
    ///
    /// The token does not satisfy the policy; [`Denied`] says which rule of it.
    pub fn evaluate(&self, claims: &Verified<Claims>, call: &CallContext<'_>) -> Result<Authorized, Denied> {
        match self.unmet(claims, call) {
            None => Ok(Authorized::by(None)),
            Some(unmet) => Err(self.explain(unmet, claims, call)),
        }
    }

    /// Every scope that the policy asks for somewhere, each once: what `scopes_supported` tells (RFC 9728 s2).
    #[must_use]
    pub fn scope_names(&self) -> Vec<&str> {
        let mut names = Vec::new();
        self.each_scope(&mut names);
        names
    }

    /// The scopes without which nobody passes, whatever else a token has.
    #[must_use]
    pub fn demanded_scopes(&self) -> Vec<&str> {
        match &self.rule {
            Rule::Scopes(scopes) => scopes.iter().map(|scope| &**scope).collect(),
            Rule::All(policies) => {
                let mut all = Vec::new();
                for scope in policies.iter().flat_map(Policy::demanded_scopes) {
                    if !all.contains(&scope) {
                        all.push(scope);
                    }
                }
                all
            }
            Rule::Any(policies) => {
                let mut each = policies.iter().map(Policy::demanded_scopes);
                let first = each.next().unwrap_or_default();
                each.fold(first, |common, other| {
                    common.into_iter().filter(|scope| other.contains(scope)).collect()
                })
            }
            _ => Vec::new(),
        }
    }

    fn each_scope<'p>(&'p self, names: &mut Vec<&'p str>) {
        match &self.rule {
            Rule::Scopes(scopes) => add_new(names, scopes),
            Rule::All(policies) | Rule::Any(policies) => policies.iter().for_each(|policy| policy.each_scope(names)),
            _ => {}
        }
    }

    /// The part of the policy that the token does not satisfy. No rule is asked twice, so that the explanation fits the
    /// decision.
    pub(crate) fn unmet(&self, claims: &Verified<Claims>, call: &CallContext<'_>) -> Option<&Policy> {
        let met = match &self.rule {
            Rule::All(policies) => return policies.iter().find_map(|policy| policy.unmet(claims, call)),
            Rule::Any(policies) => policies.iter().any(|policy| policy.unmet(claims, call).is_none()),
            Rule::Not(policy) => policy.unmet(claims, call).is_some(),
            Rule::Authenticated => true,
            Rule::Scopes(wanted) => wanted
                .iter()
                .all(|wanted| scopes(claims).any(|scope| *scope == **wanted)),
            Rule::Member { paths, value, .. } => paths.iter().any(|path| {
                path.find(claims)
                    .is_some_and(|found| each(found).any(|item| text(item) == Some(&**value)))
            }),
            Rule::Claim { path, test } => path.find(claims).is_some_and(|found| test.passes(found)),
            Rule::Clients(allowed) => {
                client(claims).is_some_and(|client| allowed.iter().any(|allowed| **allowed == *client))
            }
            Rule::Kind(kind) => Kind::of(claims) == *kind,
            Rule::Acr(classes) => claims
                .get("acr")
                .and_then(text)
                .is_some_and(|acr| classes.iter().any(|class| **class == *acr)),
            Rule::MaxAge(seconds) => {
                age(claims, call).is_some_and(|age| (-MAX_AHEAD..=i64::from(*seconds)).contains(&age))
            }
            Rule::EmailDomains(domains) => {
                email_verified(claims)
                    && claims
                        .get("email")
                        .and_then(text)
                        .and_then(domain_of)
                        .is_some_and(|domain| domains.iter().any(|allowed| allowed.eq_ignore_ascii_case(domain)))
            }
            Rule::Custom { test, .. } => test(claims, call),
            Rule::Unusable(_) => false,
        };
        (!met).then_some(self)
    }

    /// Says why; `unmet` is a part of `self`.
    pub(crate) fn explain(&self, unmet: &Policy, claims: &Verified<Claims>, call: &CallContext<'_>) -> Denied {
        let code = unmet.code();
        let mut wanted = Wanted::default();
        // The whole policy's, so that the client asks once for all that it needs.
        if unmet.is_about(About::Scope) {
            self.ask_for(About::Scope, &mut wanted);
        }
        // Step-up is of use where nothing but an authentication is missing.
        if is_step_up(code) {
            self.ask_for(About::StepUp, &mut wanted);
        }
        let joined = |words: Vec<&str>| (!words.is_empty()).then(|| words.join(" ").into());
        Denied {
            code,
            policy: None,
            expected: unmet.to_string().into(),
            found: unmet.found(claims, call).map(|text| cap(text).into()),
            scope: joined(wanted.scopes),
            acr_values: joined(wanted.acr),
            max_age: wanted.max_age,
        }
    }

    fn code(&self) -> &'static str {
        match &self.rule {
            Rule::Scopes(_) => "policy.scope_insufficient",
            Rule::Member { .. } => "policy.role_missing",
            Rule::Claim { .. } | Rule::EmailDomains(_) => "policy.claim_mismatch",
            Rule::Clients(_) => "policy.client_not_allowed",
            Rule::Kind(_) => "policy.kind_mismatch",
            Rule::Acr(_) => "policy.acr_insufficient",
            Rule::MaxAge(_) => "policy.max_age_exceeded",
            // Alternatives that fail for one and the same reason fail for that reason.
            Rule::Any(policies) => {
                let mut codes = policies.iter().map(Policy::code);
                let first = codes.next().unwrap_or("policy.denied");
                let same = codes.all(|code| code == first || (is_step_up(first) && is_step_up(code)));
                if same { first } else { "policy.denied" }
            }
            _ => "policy.denied",
        }
    }

    fn is_about(&self, what: About) -> bool {
        match &self.rule {
            Rule::Scopes(_) => what == About::Scope,
            Rule::Acr(_) | Rule::MaxAge(_) => what == About::StepUp,
            Rule::All(policies) | Rule::Any(policies) => policies.iter().any(|policy| policy.is_about(what)),
            _ => false,
        }
    }

    /// RFC 6750 s3: "the scope necessary to access the protected resource". Of alternatives, the first that has to do
    /// with it; but classes of authentication are alternatives by themselves (RFC 9470 s3), so all of these.
    fn ask_for<'p>(&'p self, what: About, wanted: &mut Wanted<'p>) {
        match &self.rule {
            Rule::Scopes(scopes) if what == About::Scope => add_new(&mut wanted.scopes, scopes),
            Rule::Acr(classes) if what == About::StepUp => add_new(&mut wanted.acr, classes),
            Rule::MaxAge(seconds) if what == About::StepUp => {
                wanted.max_age = Some(wanted.max_age.map_or(*seconds, |other| other.min(*seconds)));
            }
            Rule::All(policies) => policies.iter().for_each(|policy| policy.ask_for(what, wanted)),
            Rule::Any(policies) if policies.iter().all(|policy| matches!(policy.rule, Rule::Acr(_))) => {
                policies.iter().for_each(|policy| policy.ask_for(what, wanted));
            }
            Rule::Any(policies) => {
                if let Some(policy) = policies.iter().find(|policy| policy.is_about(what)) {
                    policy.ask_for(what, wanted);
                }
            }
            _ => {}
        }
    }

    /// What the token has where the rule looked.
    fn found(&self, claims: &Claims, call: &CallContext<'_>) -> Option<String> {
        match &self.rule {
            Rule::Scopes(_) => Some(scopes(claims).collect::<Vec<_>>().join(" ")).filter(|scopes| !scopes.is_empty()),
            Rule::Member { paths, .. } => paths.iter().find_map(|path| path.find(claims)).map(shown),
            Rule::Claim { path, .. } => path.find(claims).map(shown),
            Rule::Clients(_) => client(claims).map(str::to_owned),
            Rule::Kind(_) => Some(Kind::of(claims).to_string()),
            Rule::Acr(_) => claims.get("acr").map(shown),
            Rule::MaxAge(_) => age(claims, call).map(|seconds| format!("authenticated {seconds} s ago")),
            Rule::EmailDomains(_) => claims.get("email").map(|email| {
                let domain = text(email).and_then(domain_of).unwrap_or("no plain address");
                let verified = if email_verified(claims) { "" } else { ", not verified" };
                format!("{domain}{verified}")
            }),
            Rule::Any(policies) => {
                let mut parts: Vec<String> = policies
                    .iter()
                    .filter_map(|policy| policy.found(claims, call))
                    .collect();
                parts.dedup();
                (!parts.is_empty()).then(|| parts.join("; "))
            }
            _ => None,
        }
    }
}

impl ClaimTest {
    fn passes(&self, found: Value<'_>) -> bool {
        match self {
            ClaimTest::Present => match found {
                Value::String(text) => !text.is_empty(),
                Value::Array(items) => !items.is_empty(),
                Value::Object(members) => !members.is_empty(),
                Value::Number(_) | Value::Bool(_) => true,
                _ => false,
            },
            ClaimTest::OneOf(values) => values.iter().any(|value| value.equals(found)),
            ClaimTest::Contains(value) => each(found).any(|item| value.equals(item)),
            ClaimTest::Matches(pattern) => pattern.matches(found),
        }
    }
}

/// The policy in words; what needs brackets gets them.
impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.rule {
            Rule::Authenticated => f.write_str("a verified token"),
            Rule::Scopes(scopes) => write!(f, "scope {}", scopes.join(" ")),
            Rule::Member { what, value, .. } => write!(f, "{what} {value}"),
            Rule::Claim {
                path,
                test: ClaimTest::Present,
            } => write!(f, "claim {path} present"),
            Rule::Claim {
                path,
                test: ClaimTest::OneOf(values),
            } => match &**values {
                [only] => write!(f, "claim {path} = {only}"),
                _ => {
                    write!(f, "claim {path} one of ")?;
                    separated(f, values, ", ", |f, value| write!(f, "{value}"))
                }
            },
            Rule::Claim {
                path,
                test: ClaimTest::Contains(value),
            } => write!(f, "claim {path} with {value}"),
            Rule::Claim {
                path,
                test: ClaimTest::Matches(pattern),
            } => write!(f, "claim {path} matching {:?}", pattern.as_str()),
            Rule::Clients(clients) => write!(f, "client {}", clients.join(" or ")),
            Rule::Kind(kind) => write!(f, "kind {kind}"),
            Rule::Acr(classes) => write!(f, "acr {}", classes.join(" or ")),
            Rule::MaxAge(seconds) => write!(f, "authenticated within {seconds} s"),
            Rule::EmailDomains(domains) => write!(f, "verified e-mail address at {}", domains.join(" or ")),
            Rule::All(policies) => separated(f, policies, " and ", bracketed),
            Rule::Any(policies) => separated(f, policies, " or ", bracketed),
            Rule::Not(policy) => {
                f.write_str("not ")?;
                bracketed(f, policy)
            }
            Rule::Custom { name, .. } => f.write_str(name),
            Rule::Unusable(error) => write!(f, "nobody ({error})"),
        }
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Policy({self})")
    }
}

fn is_step_up(code: &str) -> bool {
    matches!(code, "policy.acr_insufficient" | "policy.max_age_exceeded")
}

/// Seconds since the user authenticated.
fn age(claims: &Claims, call: &CallContext<'_>) -> Option<i64> {
    let authenticated = claims.time("auth_time").ok().flatten()?;
    Some(call.now.since(authenticated))
}

fn add_new<'p>(words: &mut Vec<&'p str>, more: &'p [Box<str>]) {
    for word in more {
        if !words.contains(&&**word) {
            words.push(word);
        }
    }
}

fn bracketed(f: &mut fmt::Formatter<'_>, policy: &Policy) -> fmt::Result {
    match &policy.rule {
        Rule::All(inner) | Rule::Any(inner) if inner.len() > 1 => write!(f, "({policy})"),
        _ => write!(f, "{policy}"),
    }
}

fn separated<T>(
    f: &mut fmt::Formatter<'_>,
    items: &[T],
    separator: &str,
    write: impl Fn(&mut fmt::Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            f.write_str(separator)?;
        }
        write(f, item)?;
    }
    Ok(())
}

/// A claim in an explanation: names and numbers as they are, of a list the first few, of an object only that it is one.
fn shown(value: Value<'_>) -> String {
    match value {
        Value::String(text) => text.to_owned(),
        Value::Number(number) => number.to_string(),
        Value::Bool(bool) => bool.to_string(),
        Value::Array(list) => {
            let items: Vec<String> = list.iter().take(16).map(shown).collect();
            let more = if list.len() > items.len() { ", ..." } else { "" };
            format!("[{}{more}]", items.join(", "))
        }
        Value::Object(_) => "an object".to_owned(),
        _ => "null".to_owned(),
    }
}

fn cap(mut text: String) -> String {
    if text.len() > MAX_FOUND {
        let end = (0..=MAX_FOUND)
            .rev()
            .find(|&index| text.is_char_boundary(index))
            .unwrap_or(0);
        text.truncate(end);
    }
    text
}
