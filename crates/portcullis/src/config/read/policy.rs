//! `[policy.NAME]`: one rule, from TOML to the algebra of `portcullis-policy`.

use std::cell::RefCell;
use std::collections::BTreeMap;

use portcullis_policy::{ClaimPath, Kind as TokenKind, Literal, NamedPolicy, Policy};
use toml::de::DeValue;

use crate::config::faults::FaultKind;
use crate::config::kinds::{duration, list, one_or_more, only_true, reference, scope, scopes, text, word};
use crate::config::reader::{Context, Item, Reader};
use crate::config::schema::{AUTHENTICATED, CLAIM, Kind, MEMBER, POLICY};

const RULES: [&str; 14] = [
    "all",
    "any",
    "not",
    "scope",
    "scopes",
    "role",
    "group",
    "claim",
    "client",
    "kind",
    "acr",
    "max_age",
    "email_domain",
    "authenticated",
];

/// The policies of all tables. Each is read once, when it is its turn or when another includes it.
pub(super) fn policies<'a>(readers: &BTreeMap<String, Reader<'a>>) -> BTreeMap<String, NamedPolicy> {
    let library = Library {
        readers,
        read: RefCell::default(),
        open: RefCell::default(),
    };
    let mut policies = BTreeMap::new();
    for (name, reader) in readers {
        if name == AUTHENTICATED {
            let message = format!("{} is a policy that is there already", reader.title());
            let fault = FaultKind::InvalidName
                .says(message)
                .at(reader.place(), "it lets every valid token pass");
            reader.cx.push(fault.expected("a name of your own"));
        }
        let policy = library
            .policy(name)
            .and_then(|policy| NamedPolicy::new(name.as_str(), policy).ok());
        policies.extend(policy.map(|policy| (name.clone(), policy)));
    }
    let built_in = NamedPolicy::new(AUTHENTICATED, Policy::authenticated()).ok();
    policies.extend(built_in.map(|policy| (AUTHENTICATED.to_owned(), policy)));
    policies
}

struct Library<'r, 'a> {
    readers: &'r BTreeMap<String, Reader<'a>>,
    /// What was read; `None` where it has a fault, which was reported.
    read: RefCell<BTreeMap<String, Option<Policy>>>,
    /// What is being read, the outermost first.
    open: RefCell<Vec<String>>,
}

impl Library<'_, '_> {
    fn policy(&self, name: &str) -> Option<Policy> {
        if let Some(read) = self.read.borrow().get(name) {
            return read.clone();
        }
        let reader = self.readers.get(name)?;
        self.open.borrow_mut().push(name.to_owned());
        let policy = self.rule(reader).filter(|policy| match policy.fault() {
            None => true,
            Some(error) => {
                // Depth and size are the policy's own bounds.
                let fault = FaultKind::InvalidValue.says(format!("{}: {error}", reader.title()));
                reader.cx.push(fault.at(reader.place(), ""));
                false
            }
        });
        self.open.borrow_mut().pop();
        self.read.borrow_mut().insert(name.to_owned(), policy.clone());
        policy
    }

    fn rule(&self, reader: &Reader<'_>) -> Option<Policy> {
        let help = "combine them: all = [{ .. }, { .. }] where every one must pass, any = [..] where one is enough";
        // Each is read, so that one run tells what is wrong with any of them.
        let mut read: Vec<_> = RULES
            .iter()
            .filter(|name| reader.has(name))
            .map(|name| self.one(reader, name))
            .collect();
        reader.exactly_one(&RULES, Some(help))?;
        read.pop()?
    }

    fn one(&self, reader: &Reader<'_>, name: &'static str) -> Option<Policy> {
        let policy = match name {
            "all" => reader.get(name, |cx, item| Some(Policy::all(self.rules(cx, item)?))),
            "any" => reader.get(name, |cx, item| Some(Policy::any(self.rules(cx, item)?))),
            "not" => reader.get(name, |cx, item| Some(Policy::not(self.inner(cx, item)?))),
            "scope" => reader.get(name, |cx, item| Some(Policy::scope(&scope(cx, item)?))),
            "scopes" => reader.get(name, |cx, item| Some(Policy::scopes(scopes(cx, item)?))),
            "role" => reader.get(name, |cx, item| member(cx, item, Policy::role, Policy::role_in)),
            "group" => reader.get(name, |cx, item| member(cx, item, Policy::group, Policy::group_in)),
            "claim" => return claim(&reader.table(name, &CLAIM)?),
            "client" => reader.get(name, |cx, item| Some(Policy::clients(one_or_more(cx, item)?))),
            "kind" => reader.get(name, |cx, item| {
                Some(Policy::kind(if word(cx, item)? == "user" {
                    TokenKind::User
                } else {
                    TokenKind::Service
                }))
            }),
            "acr" => reader.get(name, acr),
            "max_age" => reader.get(name, |cx, item| {
                u32::try_from(duration(cx, item)?.as_secs()).ok().map(Policy::max_age)
            }),
            "email_domain" => reader.get(name, email_domain),
            _ => reader.get(name, authenticated),
        };
        policy.map(|policy| policy.value)
    }

    fn rules(&self, cx: &Context<'_>, item: &Item<'_>) -> Option<Vec<Policy>> {
        let kind = &Kind::Table("a table with one rule, such as { scope = \"orders.read\" }, or the NAME of a policy");
        let rules = list(cx, item, kind, |cx, item| self.inner(cx, item))?;
        Some(rules.into_iter().map(|rule| rule.value).collect())
    }

    /// A rule inside another: a table, or the name of a policy.
    fn inner(&self, cx: &Context<'_>, item: &Item<'_>) -> Option<Policy> {
        match item.value {
            DeValue::Table(table) => self.rule(&Reader::new(cx, &POLICY, item.what.clone(), table, item.span.clone())),
            DeValue::String(_) => self.included(cx, item, &reference(cx, &item.of_kind(&Kind::Reference("policy")))?),
            _ => {
                cx.push(item.wrong_type());
                None
            }
        }
    }

    fn included(&self, cx: &Context<'_>, item: &Item<'_>, name: &str) -> Option<Policy> {
        if name == AUTHENTICATED {
            return Some(Policy::authenticated());
        }
        let circle = {
            let open = self.open.borrow();
            let first = open.iter().position(|open| open == name);
            first.and_then(|first| open.get(first..)).map(|open| open.join(" -> "))
        };
        match circle {
            None => self.policy(name),
            Some(circle) => {
                let message = format!("{} includes the policy that it is part of", item.what);
                let fault = FaultKind::Contradiction
                    .says(message)
                    .at(item.span.clone(), format!("{circle} -> {name}"));
                cx.push(fault.expected("policies that do not include each other"));
                None
            }
        }
    }
}

/// A role or a group: its name, looked for where it usually is, or a table that says where.
fn member(
    cx: &Context<'_>,
    item: &Item<'_>,
    usual: fn(&str) -> Policy,
    named: fn(Vec<ClaimPath>, &str) -> Policy,
) -> Option<Policy> {
    match item.value {
        DeValue::Table(table) => {
            let reader = Reader::new(cx, &MEMBER, item.what.clone(), table, item.span.clone());
            let paths = reader.get("in", claim_paths);
            let name = reader.get("name", text);
            Some(named(paths?.value, &name?.value))
        }
        DeValue::String(_) => Some(usual(&text(cx, item)?)),
        _ => {
            cx.push(item.wrong_type());
            None
        }
    }
}

/// One claim, or a list of them.
fn claim_paths(cx: &Context<'_>, item: &Item<'_>) -> Option<Vec<ClaimPath>> {
    match item.value {
        DeValue::Array(_) => {
            let paths = list(cx, item, &CLAIM_PATH, claim_path)?;
            Some(paths.into_iter().map(|path| path.value).collect())
        }
        _ => Some(vec![claim_path(cx, item)?]),
    }
}

static CLAIM_PATH: Kind = Kind::Other("the name of a claim in quotes, or a list of names, one inside the other");

/// A claim's name, or the names that lead to it.
fn claim_path(cx: &Context<'_>, item: &Item<'_>) -> Option<ClaimPath> {
    let path = match item.value {
        DeValue::Array(_) => {
            let names = list(cx, item, &Kind::Text, text)?;
            ClaimPath::nested(names.into_iter().map(|name| name.value))
        }
        _ => ClaimPath::from(text(cx, item)?),
    };
    if path.is_empty() {
        let message = format!("{} leads nowhere", item.what);
        cx.push(item.fault(FaultKind::InvalidValue, message, "there is nothing between two dots"));
        return None;
    }
    Some(path)
}

fn claim(reader: &Reader<'_>) -> Option<Policy> {
    let path = reader.get("path", claim_path);
    let test = reader.exactly_one(&["present", "equals", "one_of", "contains", "matches"], None)?;
    if test == "present" {
        reader.get(test, only_true)?;
        return Some(Policy::claim(path?.value).present());
    }
    if test == "matches" {
        let policy = reader.get(test, |cx, item| {
            let pattern = text(cx, item)?;
            // Another path would have the same fault.
            let policy = Policy::claim("claim").matches(&pattern);
            checked(cx, item, &policy, "is no pattern", "")?;
            Some(pattern)
        });
        return Some(Policy::claim(path?.value).matches(&policy?.value));
    }
    let values = match test {
        "one_of" => reader.get(test, |cx, item| {
            let values = list(cx, item, &Kind::Other("a text, a whole number, true or false"), literal)?;
            Some(values.into_iter().map(|value| value.value).collect())
        }),
        _ => reader.get(test, |cx, item| Some(vec![literal(cx, item)?])),
    };
    let (path, mut values) = (path?.value, values?.value);
    let claim = Policy::claim(path);
    Some(match test {
        "contains" => claim.contains(values.pop()?),
        _ => claim.one_of(values),
    })
}

fn literal(cx: &Context<'_>, item: &Item<'_>) -> Option<Literal> {
    match item.value {
        DeValue::String(given) => {
            if given.is_empty() {
                cx.push(item.fault(FaultKind::Empty, format!("{} is empty", item.what), "nothing in it"));
                return None;
            }
            return Some(Literal::Text(given.as_ref().into()));
        }
        DeValue::Boolean(value) => return Some(Literal::Bool(*value)),
        DeValue::Integer(number) => {
            if let Ok(number) = i64::from_str_radix(number.as_str(), number.radix()) {
                return Some(Literal::Integer(number));
            }
            cx.push(item.fault(
                FaultKind::InvalidValue,
                format!("{} is out of range", item.what),
                "more than 64 bits",
            ));
        }
        _ => cx.push(item.wrong_type()),
    }
    None
}

fn acr(cx: &Context<'_>, item: &Item<'_>) -> Option<Policy> {
    let policy = Policy::acr(one_or_more(cx, item)?);
    // They are sent back in a space-separated attribute (RFC 9470 s3).
    let expected = "visible ASCII characters without space, quote and backslash";
    checked(cx, item, &policy, "has an entry that cannot be asked for", expected)?;
    Some(policy)
}

fn email_domain(cx: &Context<'_>, item: &Item<'_>) -> Option<Policy> {
    let policy = Policy::email_domains(one_or_more(cx, item)?);
    let expected = "ASCII letters, digits and hyphens between dots, such as \"example.com\"";
    checked(cx, item, &policy, "has an entry that is no domain", expected)?;
    Some(policy)
}

/// Reports a rule that makes no sense, where it stands.
fn checked(cx: &Context<'_>, item: &Item<'_>, policy: &Policy, what: &str, expected: &str) -> Option<()> {
    let Some(error) = policy.fault() else { return Some(()) };
    let fault = FaultKind::InvalidValue.says(format!("{} {what}", item.what));
    cx.push(if expected.is_empty() {
        fault.at(item.span.clone(), error.to_string())
    } else {
        fault.at(item.span.clone(), "").expected(expected)
    });
    None
}

fn authenticated(cx: &Context<'_>, item: &Item<'_>) -> Option<Policy> {
    match item.value {
        DeValue::Boolean(true) => return Some(Policy::authenticated()),
        DeValue::Boolean(false) => {
            cx.push(item.fault(
                FaultKind::InvalidValue,
                format!("{} can only be true", item.what),
                "nobody could pass",
            ));
        }
        _ => cx.push(item.wrong_type()),
    }
    None
}
