//! What is valid and probably not meant.

use super::super::place::Places;
use super::super::warnings;
use super::{GOOD, passes};
use crate::diagnostic::{Style, render};

fn told(text: &str) -> String {
    let places = Places::read(text, "t.toml");
    let found = warnings(&passes(text), &places);
    format!(
        "\n{}",
        render(&found, places.source(), Style::Plain)
            .trim_end_matches('\n')
            .to_owned()
            + "\n"
    )
}

#[track_caller]
fn silent(text: &str) {
    assert_eq!(told(text), "\n\n");
}

/// With the API's `accept`, the frontend's scopes, and the policy.
fn with(accept: &str, scopes: &str, policy: &str) -> String {
    GOOD.replace("policy = \"Read\"", &format!("policy = \"Read\"\naccept = {accept}"))
        .replace("[\"openid\", \"orders.read\"]", scopes)
        .replace("scope = \"orders.read\"", policy)
}

const SESSION: &str = "[\"session\"]";
const BOTH: &str = "[\"session\", \"bearer\"]";
const OPENID: &str = "[\"openid\"]";

#[test]
fn a_provider_that_nothing_uses() {
    silent(GOOD);
    assert_eq!(
        told(&GOOD.replace(
            "[client.web]",
            "[provider.other]\nissuer = \"http://127.0.0.1:9001\"\n\n[client.web]"
        )),
        r#"
warning[config.unused]: [provider.other] is used by no client and no API
 --> t.toml:7:11
  |
7 | [provider.other]
  |           ^^^^^ nothing refers to it
  |
  = note: `portcullis login` can use it with --client-id
  = help: name it as `provider` of a [client.NAME] or an [api.NAME], or leave the table out
"#
    );
    // One that an API alone names, and one that a client alone does.
    silent(
        &GOOD
            .replace(
                "[client.web]",
                "[provider.other]\nissuer = \"http://127.0.0.1:9001\"\n\n[client.web]",
            )
            .replace(
                "provider = \"local\"\naudience",
                "accept = [\"bearer\"]\nprovider = \"other\"\naudience",
            ),
    );
}

#[test]
fn a_scope_that_no_login_asks_for() {
    assert_eq!(
        told(&with(SESSION, OPENID, "scope = \"orders.read\"")),
        r#"
warning[config.scope_not_requested]: [policy.Read] demands `orders.read`, which no login asks for
  --> t.toml:24:9
   |
14 | scopes = ["openid"]
   |          ---------- not among these
...
24 | [policy.Read]
   |         ^^^^ each call of [api.orders] with a session would be 403
   |
   = note: a provider may give a scope that nobody asks for: then it is no fault, and asking for it does no harm
   = help: add it to `scopes` of [frontend.shop]
"#
    );
    for (accept, scopes, policy) in [
        (SESSION, OPENID, "scopes = [\"orders.read\", \"openid\"]"),
        (SESSION, OPENID, "all = [{ role = \"x\" }, { scope = \"orders.read\" }]"),
        (
            SESSION,
            OPENID,
            "any = [{ scope = \"a\" }, { scopes = [\"a\", \"b\"] }]",
        ),
        (SESSION, "[\"openid\", \"my-orders.read\"]", "scope = \"orders.read\""),
        // No route of this API is for sessions.
        (BOTH, OPENID, "scope = \"orders.read\""),
    ] {
        let text = with(accept, scopes, policy);
        assert!(told(&text).contains("warning[config.scope_not_requested]"), "{text}");
    }
}

#[test]
fn a_scope_that_a_session_may_have_or_need_not() {
    for (accept, scopes, policy) in [
        (SESSION, "[\"openid\", \"orders.read\"]", "scope = \"orders.read\""),
        // Entra asks with the API in front, or for all.
        (
            SESSION,
            "[\"openid\", \"api://orders/orders.read\"]",
            "scope = \"orders.read\"",
        ),
        (
            SESSION,
            "[\"openid\", \"api://orders/.default\"]",
            "scope = \"orders.read\"",
        ),
        // There is another way to pass.
        (SESSION, OPENID, "any = [{ scope = \"orders.read\" }, { role = \"x\" }]"),
        (SESSION, OPENID, "any = [{ scope = \"a\" }, { scope = \"b\" }]"),
        (SESSION, OPENID, "not = { scope = \"orders.read\" }"),
        (SESSION, OPENID, "role = \"x\""),
        ("[\"bearer\"]", OPENID, "scope = \"orders.read\""),
    ] {
        silent(&with(accept, scopes, policy));
    }
    // A route for callers with tokens of their own, beside one for sessions.
    silent(&with(BOTH, OPENID, "scope = \"orders.read\"").replace(
        "policy = \"Read\"",
        "policy = \"authenticated\"\nroutes = [{ path = \"/api/orders/nightly\", policy = \"Read\" }]",
    ));
    // Another frontend asks for it; if sessions of that one do not count, it does not help.
    let two = with(SESSION, OPENID, "scope = \"orders.read\"").replace(
        "[api.orders]\n",
        "[frontend.desk]\nclient = \"web\"\npath = \"/desk\"\nscopes = [\"openid\", \"orders.read\"]\n\n[api.orders]\nfrontend = \"NAME\"\n",
    );
    silent(&two.replace("NAME", "desk"));
    let shop = told(&two.replace("NAME", "shop"));
    assert!(shop.contains("add it to `scopes` of [frontend.shop]\n"), "{shop}");
}
