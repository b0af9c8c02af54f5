//! Which token an upstream gets.

use super::super::UpstreamToken;
use super::{GOOD, passes, read};

fn with(token: &str) -> String {
    GOOD.replace("policy = \"Read\"", &format!("policy = \"Read\"\ntoken = {token}"))
}

/// The same on a public route.
fn public(token: &str) -> String {
    let from = "provider = \"local\"\naudience = \"api://orders\"\npolicy = \"Read\"";
    GOOD.replace(from, &format!("accept = [\"anyone\"]\ntoken = {token}"))
}

#[test]
fn each_way_is_read() {
    let token = |text: &str| passes(text).apis["orders"].token.clone();
    assert_eq!(token(GOOD), UpstreamToken::Caller);
    assert_eq!(token(&with("{ from = \"caller\" }")), UpstreamToken::Caller);
    assert_eq!(token(&with("{ from = \"none\" }")), UpstreamToken::None);
    assert_eq!(
        token(&public("{ from = \"caller_or_none\" }")),
        UpstreamToken::CallerOrNone
    );
    let asked = "from = \"exchange\", audience = \"api://b\", resource = \"https://b.example\", scopes = [\"b.read\"]";
    let UpstreamToken::Exchanged(asked) = token(&with(&format!("{{ {asked} }}"))) else {
        panic!("another way")
    };
    assert_eq!(asked.client, "web", "the frontend's");
    assert_eq!(asked.target.audience.as_deref(), Some("api://b"));
    // Byte for byte, where `Url` would add a slash.
    assert_eq!(asked.target.resource.as_deref(), Some("https://b.example"));
    assert_eq!(asked.target.scopes, ["b.read"]);
    for text in [
        with("{ from = \"client\" }"),
        public("{ from = \"client\", client = \"web\" }"),
    ] {
        assert!(matches!(token(&text), UpstreamToken::Client(asked) if asked.client == "web"));
    }
    let either = public("{ from = \"caller_or_client\" }");
    assert!(matches!(token(&either), UpstreamToken::CallerOrClient(_)));
}

#[test]
fn what_cannot_work_is_a_fault() {
    let no_frontend = |text: &str| super::without(text, &["frontend.shop"]);
    for (text, message) in [
        (
            with("{ from = \"caller_or_client\" }"),
            "`token` in [api.orders] cannot be \"caller_or_client\"",
        ),
        (
            with("{ from = \"caller_or_none\" }"),
            "`token` in [api.orders] cannot be \"caller_or_none\"",
        ),
        (
            public("{ from = \"exchange\" }"),
            "`token` in [api.orders] cannot be \"exchange\"",
        ),
        (
            no_frontend(&public("{ from = \"caller_or_none\" }")),
            "`token` in [api.orders] cannot be \"caller_or_none\"",
        ),
        (
            no_frontend(&with("{ from = \"client\" }")),
            "missing key `client` in `token` in [api.orders]",
        ),
        (
            with("{ from = \"none\", scopes = [\"a\"] }"),
            "`token` in [api.orders] asks for no token, but has `scopes`",
        ),
        (
            with("{ scopes = [\"a\"] }"),
            "missing key `from` in `token` in [api.orders]",
        ),
        (
            with("{ from = \"client\", client = \"wbe\" }"),
            "`token.client` in [api.orders] refers to client `wbe`, which does not exist",
        ),
    ] {
        let json = read(&text).expect_err(&text).to_json();
        let faults = json["faults"].as_array().unwrap();
        assert_eq!(faults[0]["message"], message, "{json:#}");
    }
}
