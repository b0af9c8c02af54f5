//! Which policy decides about which calls of an API: `policy` and `routes` of `[api.NAME]`.

use std::ops::Range;

use portcullis_policy::{PathPattern, RouteTable};
use toml::de::DeValue;

use super::overlap::is_within;
use crate::config::faults::FaultKind;
use crate::config::kinds::{distinct, list, reference, text, word};
use crate::config::reader::{At, Context, Item, Reader};
use crate::config::schema::{API_POLICY, Kind, METHODS, ROUTE};

static POLICY_NAME: Kind = Kind::Reference("policy");

/// The policies of an API's own path: method and NAME, without a method for all others.
pub(super) type ByMethod = Vec<(Option<&'static str>, String)>;

/// One of an API's `routes`, and where its path stands.
pub(super) struct Route {
    path: PathPattern,
    methods: Vec<String>,
    policy: String,
    span: Range<usize>,
}

pub(super) fn by_method(cx: &Context<'_>, item: &Item<'_>) -> Option<ByMethod> {
    let table = match item.value {
        DeValue::String(_) => return Some(vec![(None, reference(cx, &item.of_kind(&POLICY_NAME))?)]),
        DeValue::Table(table) => table,
        _ => {
            cx.push(item.wrong_type());
            return None;
        }
    };
    let reader = Reader::new(cx, &API_POLICY, item.what.clone(), table, item.span.clone());
    if table.is_empty() {
        cx.push(item.fault(FaultKind::Empty, format!("{} is empty", item.what), "nobody could call"));
    }
    let mut by_method = Vec::new();
    let mut good = !table.is_empty();
    for key in METHODS.into_iter().chain(["default"]).filter(|key| reader.has(key)) {
        match reader.get(key, reference) {
            None => good = false,
            Some(policy) => by_method.push((Some(key).filter(|key| *key != "default"), policy.value)),
        }
    }
    good.then_some(by_method)
}

pub(super) fn routes(cx: &Context<'_>, item: &Item<'_>, api: Option<&At<String>>) -> Option<Vec<Route>> {
    let kind = &Kind::Table("a table { path = \"/PATH\", methods = [\"METHOD\"], policy = \"NAME\" }");
    let routes = list(cx, item, kind, |cx, item| route(cx, item, api))?;
    Some(routes.into_iter().map(|route| route.value).collect())
}

fn route(cx: &Context<'_>, item: &Item<'_>, api: Option<&At<String>>) -> Option<Route> {
    let DeValue::Table(table) = item.value else {
        cx.push(item.wrong_type());
        return None;
    };
    let reader = Reader::new(cx, &ROUTE, item.what.clone(), table, item.span.clone());
    let path = reader.get("path", pattern);
    let methods = reader.get("methods", |cx, item| {
        let words = list(cx, item, &Kind::OneOf(&METHODS), word)?;
        let words = words.into_iter().map(|At { value, span }| At {
            value: value.to_owned(),
            span,
        });
        distinct(cx, item, words.collect())
    });
    let policy = reader.get("policy", reference);
    if let (Some(path), Some(api)) = (&path, api)
        && !is_within(path.value.as_str(), &api.value)
    {
        let fault = FaultKind::InvalidValue
            .says(format!("`path` in {} is outside of the API's", item.what))
            .at(path.span.clone(), "never reached")
            .related(api.span.clone(), "the API's path")
            .expected(format!("a path that begins with {}/", api.value.trim_end_matches('/')));
        cx.push(fault);
    }
    if methods.is_none() && reader.has("methods") {
        return None;
    }
    let path = path?;
    Some(Route {
        path: path.value,
        methods: methods.map(|methods| methods.value).unwrap_or_default(),
        policy: policy?.value,
        span: path.span,
    })
}

fn pattern(cx: &Context<'_>, item: &Item<'_>) -> Option<PathPattern> {
    let given = text(cx, item)?;
    match PathPattern::parse(&given) {
        Ok(path) => Some(path),
        Err(fault) => {
            let fault = FaultKind::InvalidValue
                .says(format!("{} is no path of a route", item.what))
                .at(item.span.clone(), fault.to_string());
            let expected = "a path such as \"/api/orders/report\", \"/api/orders/{id}\" or \"/api/orders/{*rest}\"";
            cx.push(fault.expected(expected));
            None
        }
    }
}

/// Routes and the API's own policy in one table. Where two claim the same calls, nobody could say which was meant.
pub(super) fn table(
    reader: &Reader<'_>,
    api: &At<String>,
    routes: Vec<Route>,
    policy: Option<&ByMethod>,
) -> Option<RouteTable<String>> {
    let mut table = RouteTable::new();
    let mut added: Vec<(PathPattern, Range<usize>)> = Vec::new();
    let mut good = true;
    let mut conflict = |path: &PathPattern, span: Range<usize>, other: Range<usize>| {
        let fault = FaultKind::OverlappingPaths
            .says(format!("{} says twice who may call `{path}`", reader.title()))
            .at(span, "with a method in common")
            .related(other, "it is here already");
        reader
            .cx
            .push(fault.expected("every path once, or `methods` that differ"));
        good = false;
    };
    for route in routes {
        let methods: Vec<&str> = route.methods.iter().map(String::as_str).collect();
        if table.add(&methods, route.path.clone(), route.policy).is_err() {
            let other = added.iter().find(|(path, _)| path.is_same(&route.path));
            conflict(
                &route.path,
                route.span.clone(),
                other.map_or(api.span.clone(), |(_, span)| span.clone()),
            );
        }
        added.push((route.path, route.span));
    }
    let own = PathPattern::parse(&api.value).ok()?;
    for (method, name) in policy.into_iter().flatten() {
        let methods: Vec<&str> = method.iter().copied().collect();
        if table.add(&methods, own.clone(), name.clone()).is_err() {
            let other = added.iter().find(|(path, _)| path.is_same(&own));
            let span = other.map_or(api.span.clone(), |(_, span)| span.clone());
            conflict(&own, span, reader.key_span("policy"));
        }
    }
    good.then_some(table)
}
