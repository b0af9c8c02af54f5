//! `[policy.NAME]`: one rule, from TOML to the algebra of `portcullis-policy`.

use portcullis_policy::{Kind as TokenKind, Literal, NamedPolicy, Policy};
use toml::de::DeValue;

use crate::config::faults::FaultKind;
use crate::config::kinds::{list, one_or_more, scope, scopes, text, word};
use crate::config::reader::{Context, Item, Reader};
use crate::config::schema::{CLAIM, Kind, POLICY};

const RULES: [&str; 12] = [
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
    "authenticated",
];

pub(super) fn policy(reader: &Reader<'_>, name: &str) -> Option<NamedPolicy> {
    let policy = rule(reader)?;
    if let Some(error) = policy.fault() {
        // Depth and size are the policy's own bounds.
        let fault = FaultKind::InvalidValue.says(format!("{}: {error}", reader.title()));
        reader.cx.push(fault.at(reader.place(), ""));
    }
    // A name that it does not take is reported already, as for every table.
    NamedPolicy::new(name, policy).ok()
}

fn rule(reader: &Reader<'_>) -> Option<Policy> {
    let help = "combine them: all = [{ .. }, { .. }] where every one must pass, any = [..] where one is enough";
    // Each is read, so that one run tells what is wrong with any of them.
    let mut read: Vec<_> = RULES
        .iter()
        .filter(|name| reader.has(name))
        .map(|name| one(reader, name))
        .collect();
    reader.exactly_one(&RULES, Some(help))?;
    read.pop()?
}

fn one(reader: &Reader<'_>, name: &'static str) -> Option<Policy> {
    let policy = match name {
        "all" => reader.get(name, |cx, item| Some(Policy::all(rules(cx, item)?))),
        "any" => reader.get(name, |cx, item| Some(Policy::any(rules(cx, item)?))),
        "not" => reader.get(name, |cx, item| Some(Policy::not(inner(cx, item)?))),
        "scope" => reader.get(name, |cx, item| Some(Policy::scope(&scope(cx, item)?))),
        "scopes" => reader.get(name, |cx, item| Some(Policy::scopes(scopes(cx, item)?))),
        "role" => reader.get(name, |cx, item| Some(Policy::role(&text(cx, item)?))),
        "group" => reader.get(name, |cx, item| Some(Policy::group(&text(cx, item)?))),
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
        _ => reader.get(name, authenticated),
    };
    policy.map(|policy| policy.value)
}

/// The rules in a list of tables.
fn rules(cx: &Context<'_>, item: &Item<'_>) -> Option<Vec<Policy>> {
    let rules = list(
        cx,
        item,
        &Kind::Table("a table with one rule, such as { scope = \"orders.read\" }"),
        inner,
    )?;
    Some(rules.into_iter().map(|rule| rule.value).collect())
}

fn inner(cx: &Context<'_>, item: &Item<'_>) -> Option<Policy> {
    let DeValue::Table(table) = item.value else {
        cx.push(item.wrong_type());
        return None;
    };
    rule(&Reader::new(cx, &POLICY, item.what.clone(), table, item.span.clone()))
}

fn claim(reader: &Reader<'_>) -> Option<Policy> {
    let path = reader.get("path", text);
    let test = reader.exactly_one(&["equals", "one_of", "contains"], None)?;
    let values = match test {
        "one_of" => reader.get(test, |cx, item| {
            let values = list(cx, item, &Kind::Other("a text, a whole number, true or false"), literal)?;
            Some(values.into_iter().map(|value| value.value).collect())
        }),
        _ => reader.get(test, |cx, item| Some(vec![literal(cx, item)?])),
    };
    let (path, mut values) = (path?.value, values?.value);
    let claim = Policy::claim(path.as_str());
    Some(match test {
        "contains" => claim.contains(values.pop()?),
        _ => claim.one_of(values),
    })
}

fn literal(cx: &Context<'_>, item: &Item<'_>) -> Option<Literal> {
    match item.value {
        DeValue::String(text) => return Some(Literal::Text(text.as_ref().into())),
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
    if policy.fault().is_none() {
        return Some(policy);
    }
    // They are sent back in a space-separated attribute (RFC 9470 s3).
    let fault = FaultKind::InvalidValue.says(format!("{} has an entry that cannot be asked for", item.what));
    cx.push(
        fault
            .at(item.span.clone(), "")
            .expected("visible ASCII characters without space, quote and backslash"),
    );
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
