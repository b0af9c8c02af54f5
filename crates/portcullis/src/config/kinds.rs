//! What a value may be: each function reads one kind, and reports what is wrong with it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use toml::de::DeValue;

use super::faults::FaultKind;
use super::nearest::nearest;
use super::reader::{At, Context, Item, shown};
use super::schema::{AUTHENTICATED, Kind, quoted, seconds};

/// A text that is not empty and has no control characters.
pub(crate) fn text(cx: &Context<'_>, item: &Item<'_>) -> Option<String> {
    let Some(text) = item.value.as_str() else {
        cx.push(item.wrong_type());
        return None;
    };
    if text.trim().is_empty() {
        cx.push(item.fault(FaultKind::Empty, format!("{} is empty", item.what), "nothing in it"));
        return None;
    }
    if text.chars().any(char::is_control) {
        let message = format!("{} has a control character", item.what);
        cx.push(item.fault(FaultKind::InvalidValue, message, "a line break, a tab or the like"));
        return None;
    }
    Some(text.to_owned())
}

/// One of the words of [`Kind::OneOf`].
pub(crate) fn word(cx: &Context<'_>, item: &Item<'_>) -> Option<&'static str> {
    let given = text(cx, item)?;
    let Kind::OneOf(words) = item.kind else { return None };
    let found = words.iter().copied().find(|word| *word == given);
    if found.is_none() {
        cx.push(not_one_of(item, &given, words));
    }
    found
}

/// `true`, and nothing else: what is off is left out.
pub(crate) fn only_true(cx: &Context<'_>, item: &Item<'_>) -> Option<()> {
    match item.value {
        DeValue::Boolean(true) => Some(()),
        DeValue::Boolean(false) => {
            let message = format!("{} is false", item.what);
            cx.push(item.fault(FaultKind::InvalidValue, message, "leave it out"));
            None
        }
        _ => {
            cx.push(item.wrong_type());
            None
        }
    }
}

/// A whole number within [`Kind::Count`].
pub(crate) fn count(cx: &Context<'_>, item: &Item<'_>) -> Option<usize> {
    let DeValue::Integer(number) = item.value else {
        cx.push(item.wrong_type());
        return None;
    };
    let Kind::Count(from, to) = item.kind else { return None };
    let value = u64::from_str_radix(number.as_str(), number.radix()).ok();
    let value = value
        .filter(|value| (from..=to).contains(&value))
        .and_then(|value| usize::try_from(value).ok());
    if value.is_none() {
        cx.push(item.fault(FaultKind::InvalidValue, format!("{} is out of range", item.what), ""));
    }
    value
}

/// True or false.
pub(crate) fn switch(cx: &Context<'_>, item: &Item<'_>) -> Option<bool> {
    match item.value {
        DeValue::Boolean(on) => Some(*on),
        _ => {
            cx.push(item.wrong_type());
            None
        }
    }
}

/// An IP address and a port.
pub(crate) fn address(cx: &Context<'_>, item: &Item<'_>) -> Option<SocketAddr> {
    let given = text(cx, item)?;
    let address = given.parse().ok();
    if address.is_none() {
        let mut fault = item.fault(
            FaultKind::InvalidValue,
            format!("{} is no address", item.what),
            "no IP address and port",
        );
        if let Some(port) = given.strip_prefix("localhost:") {
            fault = fault.help(format!("write the address of localhost: \"127.0.0.1:{}\"", shown(port)));
        } else if let Ok(port) = given.trim_start_matches(':').parse::<u16>() {
            fault = fault.help(format!(
                "write an address too: \"127.0.0.1:{port}\", or \"0.0.0.0:{port}\" for all networks"
            ));
        }
        cx.push(fault);
    }
    address
}

/// A path, from the configuration's directory on.
pub(crate) fn path(cx: &Context<'_>, item: &Item<'_>) -> Option<PathBuf> {
    text(cx, item).map(|path| cx.base_dir.join(path))
}

/// A duration within [`Kind::Duration`].
pub(crate) fn duration(cx: &Context<'_>, item: &Item<'_>) -> Option<Duration> {
    let given = text(cx, item)?;
    let Kind::Duration(from, to) = *item.kind else {
        return None;
    };
    let Some(duration) = parse_duration(&given) else {
        let fault = item.fault(
            FaultKind::InvalidDuration,
            format!("{} is no duration", item.what),
            "not understood",
        );
        cx.push(fault.help("units are ms, s, m, h and d; they combine: \"1h30m\""));
        return None;
    };
    if (Duration::from_secs(from)..=Duration::from_secs(to)).contains(&duration) {
        return Some(duration);
    }
    let label = if duration < Duration::from_secs(from) {
        format!("shorter than {}", seconds(from))
    } else {
        format!("longer than {}", seconds(to))
    };
    cx.push(item.fault(
        FaultKind::InvalidDuration,
        format!("{} is out of range", item.what),
        label,
    ));
    None
}

/// The NAME of a table that exists.
pub(crate) fn reference(cx: &Context<'_>, item: &Item<'_>) -> Option<String> {
    let Kind::Reference(section) = item.kind else {
        return None;
    };
    let given = text(cx, item)?;
    let names = cx.names(section);
    let built_in: &[&str] = if *section == "policy" { &[AUTHENTICATED] } else { &[] };
    if names.contains(&given.as_str()) || built_in.contains(&given.as_str()) {
        return Some(given);
    }
    let meant = nearest(&given, names.iter().chain(built_in).copied());
    let label = match meant {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("there is no [{section}.{}]", shown(&given)),
    };
    let message = format!(
        "{} refers to {section} `{}`, which does not exist",
        item.what,
        shown(&given)
    );
    let fault = FaultKind::DanglingReference
        .says(message)
        .at(item.span.clone(), label)
        .nearest(meant);
    cx.push(match names {
        [] => fault
            .expected(item.kind.expected())
            .help(format!("there is no [{section}.NAME] table at all: add one")),
        names => fault.expected(quoted(names)),
    });
    None
}

/// A list with at least one entry. None where any entry is wrong.
pub(crate) fn list<T>(
    cx: &Context<'_>,
    item: &Item<'_>,
    of: &'static Kind,
    read: impl Fn(&Context<'_>, &Item<'_>) -> Option<T>,
) -> Option<Vec<At<T>>> {
    let DeValue::Array(array) = item.value else {
        cx.push(item.wrong_type());
        return None;
    };
    if array.is_empty() {
        cx.push(item.fault(
            FaultKind::Empty,
            format!("{} is an empty list", item.what),
            "nothing in it",
        ));
        return None;
    }
    let mut values = Vec::new();
    for (at, entry) in array.iter().enumerate() {
        let what = format!("entry {} of {}", at + 1, item.what);
        let entry = Item {
            value: entry.get_ref(),
            span: entry.span(),
            what,
            kind: of,
        };
        if let Some(value) = read(cx, &entry) {
            values.push(At {
                value,
                span: entry.span,
            });
        }
    }
    // Half a list would be another setting than the one that was written.
    (values.len() == array.len()).then_some(values)
}

/// A list of texts, none of them twice.
pub(crate) fn texts(cx: &Context<'_>, item: &Item<'_>) -> Option<Vec<String>> {
    distinct(cx, item, list(cx, item, &Kind::Text, text)?)
}

/// One text, or a list of them.
pub(crate) fn one_or_more(cx: &Context<'_>, item: &Item<'_>) -> Option<Vec<String>> {
    match item.value {
        DeValue::Array(_) => texts(cx, item),
        _ => Some(vec![text(cx, item)?]),
    }
}

/// Scopes as RFC 6749 s3.3 spells them.
pub(crate) fn scopes(cx: &Context<'_>, item: &Item<'_>) -> Option<Vec<String>> {
    distinct(cx, item, list(cx, item, &Kind::Text, scope)?)
}

/// One scope.
pub(crate) fn scope(cx: &Context<'_>, item: &Item<'_>) -> Option<String> {
    let given = text(cx, item)?;
    // RFC 6749 s3.3: scope-token = 1*( %x21 / %x23-5B / %x5D-7E )
    if given
        .bytes()
        .all(|byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
    {
        return Some(given);
    }
    let fault = FaultKind::InvalidValue
        .says(format!("{} is no scope", item.what))
        .at(item.span.clone(), "");
    let fault = fault.expected("visible ASCII characters without space, quote and backslash (RFC 6749 s3.3)");
    cx.push(if given.contains(' ') {
        fault.help("several scopes are a list: put each in quotes of its own")
    } else {
        fault
    });
    None
}

/// Every entry once.
pub(crate) fn distinct(cx: &Context<'_>, item: &Item<'_>, entries: Vec<At<String>>) -> Option<Vec<String>> {
    let mut values: Vec<String> = Vec::new();
    let mut good = true;
    for At { value, span } in entries {
        if values.contains(&value) {
            let message = format!("{} names `{}` twice", item.what, shown(&value));
            cx.push(FaultKind::Contradiction.says(message).at(span, "leave it out"));
            good = false;
        }
        values.push(value);
    }
    good.then_some(values)
}

/// One of these words, where they are no [`Kind::OneOf`].
pub(crate) fn not_one_of(item: &Item<'_>, given: &str, words: &[&'static str]) -> crate::diagnostic::Diagnostic {
    let meant = nearest(given, words.iter().copied());
    let label = meant.map_or_else(
        || "not known here".to_owned(),
        |meant| format!("did you mean {meant:?}?"),
    );
    FaultKind::InvalidValue
        .says(format!("{} cannot be `{}`", item.what, shown(given)))
        .at(item.span.clone(), label)
        .expected(quoted(words))
        .nearest(meant)
}

/// `30s`, `250ms`, `1h30m`: numbers with units, from the largest down.
fn parse_duration(text: &str) -> Option<Duration> {
    let mut total = Duration::ZERO;
    let mut last_unit = u64::MAX;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, after) = rest.split_at(digits);
        let unit_len = after.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_len);
        let millis: u64 = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        if millis >= last_unit {
            return None;
        }
        let part = number.parse::<u64>().ok()?.checked_mul(millis)?;
        total = total.checked_add(Duration::from_millis(part))?;
        last_unit = millis;
        rest = after;
    }
    (last_unit != u64::MAX).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units_and_go_downwards() {
        for (text, millis) in [
            ("30s", 30_000),
            ("250ms", 250),
            ("5m", 300_000),
            ("12h", 43_200_000),
            ("2d", 172_800_000),
            ("1h30m", 5_400_000),
            ("0s", 0),
        ] {
            assert_eq!(parse_duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in [
            "",
            "30",
            "s",
            "30 s",
            "30S",
            "1m1h",
            "1h1h",
            "-5s",
            "1.5h",
            "30sec",
            "99999999999999999999d",
            "18446744073709551615d",
        ] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }
}
