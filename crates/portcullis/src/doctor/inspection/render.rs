//! An inspection as text.

use std::fmt::Write;

use serde_json::{Map, Value};

use super::{Inspection, TIMES, Verification};
use crate::config::Places;
use crate::diagnostic::SourceText;
use crate::doctor::screen::Screen;
use crate::doctor::words::{bar, duration, tidy, time};

const BAR: usize = 30;
/// Longer names of claims get a line of their own.
const NAME: usize = 18;

/// What the members of header and claims are (RFC 7515 s4.1, RFC 7519 s4.1, RFC 9068 s2.2, OpenID Connect Core 1.0 s2).
const MEANINGS: [(&str, &str); 36] = [
    ("alg", "algorithm of the signature"),
    ("typ", "kind of token"),
    ("kid", "name of the key"),
    ("cty", "kind of content"),
    ("enc", "algorithm of the encryption"),
    ("crit", "what a reader must understand"),
    ("jku", "address of a key set; never used to find a key"),
    ("jwk", "a key; never used to check the token itself"),
    ("x5u", "address of a certificate; never used to find a key"),
    ("x5c", "a certificate; never used to check the token"),
    ("x5t", "digest of the key's certificate"),
    ("iss", "who issued it"),
    ("sub", "whom it is about"),
    ("aud", "for whom it is"),
    ("exp", "it ends"),
    ("nbf", "it begins"),
    ("iat", "it was issued"),
    ("jti", "its identifier"),
    ("client_id", "the client that it was issued to"),
    ("azp", "the client that it was issued to"),
    ("appid", "the client that it was issued to"),
    ("cid", "the client that it was issued to"),
    ("scope", "what the client may do"),
    ("scp", "what the client may do"),
    ("roles", "roles of the user or the application"),
    ("groups", "groups of the user"),
    ("cnf", "the key that it is bound to"),
    ("acr", "class of the sign-in"),
    ("amr", "how the user signed in"),
    ("auth_time", "the user signed in"),
    ("sid", "session at the provider"),
    ("nonce", "ties it to a login"),
    ("at_hash", "ties it to an access token"),
    ("tid", "tenant"),
    ("ver", "version of the token"),
    ("updated_at", "the user's profile changed"),
];

/// The whole report. `source` is where the token came from.
pub(crate) fn render(inspection: &Inspection, source: &str, screen: Screen) -> String {
    let style = screen.style;
    let mut out = format!("{}: {}\n", style.strong(&inspection.kind.words()), inspection.because);
    section(&mut out, "header", &inspection.token.header, inspection, screen);
    section(&mut out, "claims", &inspection.token.claims, inspection, screen);
    if let Some((from, until)) = inspection.lifetime() {
        let left = until - inspection.now.as_secs();
        let told = match left {
            left if left > 0 => format!("{} left of {}", duration(left), duration(until - from)),
            left => format!("over since {}, it lived for {}", duration(left), duration(until - from)),
        };
        let _ = writeln!(
            out,
            "\n{}  {} {told}",
            style.strong("lifetime"),
            bar(from, until, inspection.now, BAR)
        );
    }
    let bytes = inspection.token.signature.len();
    let signature = match &inspection.verification {
        Verification::NotAsked if bytes == 0 => None,
        Verification::NotAsked => Some(format!(
            "{bytes} bytes, not verified: name --provider, --issuer or --jwks for that"
        )),
        Verification::Verified { by, kid } => Some(format!("{} by key {} of {by}", style.good("verified"), tidy(kid))),
        Verification::Failed { by, code, why } => Some(format!(
            "{} with the keys of {by}: {} ({code})",
            style.bad("NOT VERIFIED"),
            tidy(why)
        )),
    };
    if let Some(signature) = signature {
        let _ = writeln!(out, "\n{}  {signature}", style.strong("signature"));
    }
    for fault in &inspection.token.faults {
        let _ = writeln!(
            out,
            "\n{} {} ({})",
            style.bad("unreadable"),
            tidy(&fault.to_string()),
            fault.code()
        );
    }
    out.push('\n');
    out.push_str(&screen.causes(&inspection.wrong, &Places::default(), &SourceText::new(source, "")));
    out
}

fn section(out: &mut String, title: &str, members: &Map<String, Value>, inspection: &Inspection, screen: Screen) {
    if members.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n{}", screen.style.strong(title));
    for (name, value) in members {
        let shown = match value {
            Value::String(text) => tidy(text),
            other => tidy(&other.to_string()),
        };
        let meaning = MEANINGS
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, meaning)| *meaning);
        let when = (TIMES.contains(&name.as_str()))
            .then(|| inspection.token.time(name).and_then(|at| time(at, inspection.now)))
            .flatten();
        let meaning = match (when, meaning) {
            (Some(when), Some(meaning)) => Some(format!("{meaning} {when}")),
            (Some(when), None) => Some(when),
            (None, meaning) => meaning.map(str::to_owned),
        };
        let name = tidy(name);
        let line = match name.chars().count() > NAME {
            true => format!("  {name}\n  {:NAME$}  {shown}", ""),
            false => format!("  {name:NAME$}  {shown}"),
        };
        let last = line.lines().last().map_or(0, |line| line.chars().count());
        match meaning {
            Some(meaning) if last + meaning.len() + 2 > screen.width => {
                let _ = writeln!(out, "{line}\n  {:NAME$}  {}", "", screen.style.faint(&meaning));
            }
            Some(meaning) => {
                let _ = writeln!(out, "{line}  {}", screen.style.faint(&meaning));
            }
            None => {
                let _ = writeln!(out, "{line}");
            }
        }
    }
}
