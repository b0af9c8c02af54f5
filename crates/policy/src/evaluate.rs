//! Judging a token, and saying why it fails.

use std::fmt;

use portcullis_jose::{Claims, Value, Verified};

use crate::denied::{Authorized, Denied};
use crate::facts::{Kind, client, each, scopes, text};
use crate::policy::{ClaimTest, Policy, Rule};

/// How much of a claim is quoted in an explanation.
const MAX_FOUND: usize = 256;

impl Policy {
    /// Asks the policy about a token. Passing costs no allocation.
    ///
    /// # Errors
    ///
    /// The token does not satisfy the policy; [`Denied`] says which rule of it.
    pub fn evaluate(&self, claims: &Verified<Claims>) -> Result<Authorized, Denied> {
        match self.unmet(claims) {
            None => Ok(Authorized::by(None)),
            Some(unmet) => Err(self.explain(unmet, claims)),
        }
    }

    /// The part of the policy that the token does not satisfy. No rule is asked twice, so that the explanation fits the
    /// decision.
    pub(crate) fn unmet(&self, claims: &Verified<Claims>) -> Option<&Policy> {
        let met = match &self.rule {
            Rule::All(policies) => return policies.iter().find_map(|policy| policy.unmet(claims)),
            Rule::Any(policies) => policies.iter().any(|policy| policy.unmet(claims).is_none()),
            Rule::Not(policy) => policy.unmet(claims).is_some(),
            Rule::Authenticated => true,
            Rule::Scopes(wanted) => wanted
                .iter()
                .all(|wanted| scopes(claims).any(|scope| *scope == **wanted)),
            Rule::Member { paths, value, .. } => paths.iter().any(|path| {
                path.find(claims)
                    .is_some_and(|found| each(found).iter().any(|item| text(item) == Some(&**value)))
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
            Rule::Custom { test, .. } => test(claims),
            Rule::Unusable(_) => false,
        };
        (!met).then_some(self)
    }

    /// Says why; `unmet` is a part of `self`.
    pub(crate) fn explain(&self, unmet: &Policy, claims: &Verified<Claims>) -> Denied {
        let code = unmet.code();
        let mut wanted = Vec::new();
        if unmet.about_scope() {
            // The whole policy's, so that the client asks once for all that it needs.
            self.scopes_to_ask(&mut wanted);
        }
        Denied {
            code,
            policy: None,
            expected: unmet.to_string().into(),
            found: unmet.found(claims).map(|text| cap(text).into()),
            scope: (!wanted.is_empty()).then(|| wanted.join(" ").into()),
            acr_values: match &unmet.rule {
                Rule::Acr(classes) => Some(classes.join(" ").into()),
                _ => None,
            },
        }
    }

    fn code(&self) -> &'static str {
        match &self.rule {
            Rule::Scopes(_) => "policy.scope_insufficient",
            Rule::Member { .. } => "policy.role_missing",
            Rule::Claim { .. } => "policy.claim_mismatch",
            Rule::Clients(_) => "policy.client_not_allowed",
            Rule::Kind(_) => "policy.kind_mismatch",
            Rule::Acr(_) => "policy.acr_insufficient",
            // Alternatives that fail for one and the same reason fail for that reason.
            Rule::Any(policies) => {
                let mut codes = policies.iter().map(Policy::code);
                let first = codes.next().unwrap_or("policy.denied");
                // Step-up needs the classes to ask for, which only a lone rule gives.
                let same = first != "policy.acr_insufficient" && codes.all(|code| code == first);
                if same { first } else { "policy.denied" }
            }
            _ => "policy.denied",
        }
    }

    fn about_scope(&self) -> bool {
        match &self.rule {
            Rule::Scopes(_) => true,
            Rule::All(policies) | Rule::Any(policies) => policies.iter().any(Policy::about_scope),
            _ => false,
        }
    }

    /// RFC 6750 s3: "the scope necessary to access the protected resource". Of alternatives, the first that has to do
    /// with scopes.
    fn scopes_to_ask<'p>(&'p self, wanted: &mut Vec<&'p str>) {
        match &self.rule {
            Rule::Scopes(scopes) => {
                for scope in scopes {
                    if !wanted.contains(&&**scope) {
                        wanted.push(scope);
                    }
                }
            }
            Rule::All(policies) => policies.iter().for_each(|policy| policy.scopes_to_ask(wanted)),
            Rule::Any(policies) => {
                if let Some(policy) = policies.iter().find(|policy| policy.about_scope()) {
                    policy.scopes_to_ask(wanted);
                }
            }
            _ => {}
        }
    }

    /// What the token has where the rule looked.
    fn found(&self, claims: &Claims) -> Option<String> {
        match &self.rule {
            Rule::Scopes(_) => Some(scopes(claims).collect::<Vec<_>>().join(" ")).filter(|scopes| !scopes.is_empty()),
            Rule::Member { paths, .. } => paths.iter().find_map(|path| path.find(claims)).map(shown),
            Rule::Claim { path, .. } => path.find(claims).map(shown),
            Rule::Clients(_) => client(claims).map(str::to_owned),
            Rule::Kind(_) => Some(Kind::of(claims).to_string()),
            Rule::Acr(_) => claims.get("acr").map(shown),
            Rule::Any(policies) => {
                let mut parts: Vec<String> = policies.iter().filter_map(|policy| policy.found(claims)).collect();
                parts.dedup();
                (!parts.is_empty()).then(|| parts.join("; "))
            }
            _ => None,
        }
    }
}

impl ClaimTest {
    fn passes(&self, found: &Value) -> bool {
        match self {
            ClaimTest::OneOf(values) => values.iter().any(|value| value.equals(found)),
            ClaimTest::Contains(value) => each(found).iter().any(|item| value.equals(item)),
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
            Rule::Clients(clients) => write!(f, "client {}", clients.join(" or ")),
            Rule::Kind(kind) => write!(f, "kind {kind}"),
            Rule::Acr(classes) => write!(f, "acr {}", classes.join(" or ")),
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
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
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
