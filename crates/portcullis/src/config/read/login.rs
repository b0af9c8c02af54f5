//! `login` of `[frontend.NAME]`: what every login asks for.

use crate::config::faults::FaultKind;
use crate::config::kinds::{duration, one_or_more, word};
use crate::config::reader::{Context, Item, Reader, shown};
use crate::config::schema::LOGIN;
use crate::config::settings::LoginSettings;

/// As much as `/bff/login` takes of one value, in bytes.
const MAX_TEXT: usize = 512;

pub(super) fn login(frontend: &Reader<'_>) -> Option<LoginSettings> {
    if !frontend.has("login") {
        return Some(LoginSettings::default());
    }
    let reader = frontend.table("login", &LOGIN)?;
    let acr_values = reader.get("acr_values", names);
    let max_age = reader.get("max_age", duration);
    let prompt = reader.get("prompt", prompt);
    let ui_locales = reader.get("ui_locales", names);
    Some(LoginSettings {
        acr_values: acr_values.map(|names| names.value).unwrap_or_default(),
        max_age: max_age.map(|age| age.value),
        prompt: prompt.map(|prompt| prompt.value),
        ui_locales: ui_locales.map(|names| names.value).unwrap_or_default(),
    })
}

fn prompt(cx: &Context<'_>, item: &Item<'_>) -> Option<&'static str> {
    // OpenID Connect Core 1.0 s3.1.2.1: it shows nothing, so whoever is not signed in at the provider stays outside.
    if item.value.as_str() == Some("none") {
        let fault = FaultKind::Contradiction
            .says(format!("{} is \"none\"", item.what))
            .at(item.span.clone(), "nobody could ever sign in")
            .expected(item.kind.expected());
        cx.push(fault.help("a page asks for a login without questions itself: /bff/login?prompt=none"));
        return None;
    }
    word(cx, item)
}

/// What stands in one parameter with spaces in between.
fn names(cx: &Context<'_>, item: &Item<'_>) -> Option<Vec<String>> {
    let names = one_or_more(cx, item)?;
    if let Some(name) = names.iter().find(|name| name.contains(char::is_whitespace)) {
        let fault = FaultKind::InvalidValue
            .says(format!("{} has a space in one of its values", item.what))
            .at(item.span.clone(), "the provider would read several");
        let several: Vec<String> = name
            .split_whitespace()
            .map(|name| format!("\"{}\"", shown(name)))
            .collect();
        cx.push(fault.help(format!("several are a list: [{}]", several.join(", "))));
        return None;
    }
    let length = names.iter().map(|name| name.len() + 1).sum::<usize>();
    if length > MAX_TEXT + 1 {
        let fault = FaultKind::InvalidValue
            .says(format!("{} is too long", item.what))
            .at(item.span.clone(), format!("{} bytes", length - 1));
        cx.push(fault.expected(format!("at most {MAX_TEXT} bytes, as it stands in a URL")));
        return None;
    }
    Some(names)
}
