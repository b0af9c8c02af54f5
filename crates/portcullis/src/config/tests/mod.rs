//! Whole configurations, and what is said about them.

mod algebra;
mod apis;
mod clients;
mod damage;
mod every_key;
mod frontends;
mod good;
mod issuers;
mod paths;
mod policies;
mod providers;
mod requests;
mod secrets;
mod servers;
mod structure;
mod together;
mod tokens;
mod types;
mod warnings;

use std::collections::BTreeMap;
use std::path::Path;

use super::{Faults, Settings, parse};
use crate::diagnostic::Style;

/// A configuration without a fault: the good twin of every case that changes one thing in it.
const GOOD: &str = r#"[server]
public_url = "http://127.0.0.1:8080"

[provider.local]
issuer = "http://127.0.0.1:9000"

[client.web]
provider = "local"
client_id = "web"
secret = { dev_only = "web-secret" }

[frontend.shop]
client = "web"
scopes = ["openid", "orders.read"]

[api.orders]
path = "/api/orders"
upstream = "http://127.0.0.1:5000"
provider = "local"
audience = "api://orders"
policy = "Read"

[policy.Read]
scope = "orders.read"
"#;

fn read(text: &str) -> Result<Settings, Faults> {
    parse(text, "t.toml", Path::new("/nonexistent"), &BTreeMap::new())
}

/// Asserts all that is said about a configuration, to the letter.
#[track_caller]
fn shows(text: &str, expected: &str) {
    assert_ne!(text, GOOD, "the case changes nothing");
    let faults = read(text).expect_err("the configuration has a fault");
    let shown = faults.render(Style::Plain);
    let (shown, count) = shown.trim_end().rsplit_once("\n\n").expect("faults, then their count");
    let plural = if faults.count() == 1 { "" } else { "s" };
    assert_eq!(count, format!("t.toml: {} fault{plural}", faults.count()));
    assert_eq!(format!("\n{shown}\n"), expected);
}

/// Asserts that there is no fault.
#[track_caller]
fn passes(text: &str) -> Settings {
    match read(text) {
        Ok(settings) => settings,
        Err(faults) => panic!("{faults}"),
    }
}

/// The configuration without these tables.
fn without(text: &str, tables: &[&str]) -> String {
    let mut keep = true;
    let mut out = String::new();
    for line in text.lines() {
        if let Some(table) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            keep = !tables.contains(&table);
        }
        if keep {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}
