//! What a frontend's `login` makes every login ask for.

use std::collections::BTreeMap;

use super::{Gate, PASSWORD, link};
use crate::demo::{Answer, Browser};

async fn gate(login: &str) -> Gate {
    let login = format!("[frontend.shop.login]\n{login}\n[api.orders]\n");
    Gate::start_with(None, |text, _| {
        assert_eq!(text.matches("        [api.orders]\n").count(), 1);
        text.replace("        [api.orders]\n", &login)
    })
    .await
}

/// What the provider is asked.
fn asked(begun: &Answer) -> BTreeMap<String, String> {
    let location = begun.location().unwrap_or_else(|| panic!("{}", begun.body));
    assert!(location.path().ends_with("/authorize"), "{location}");
    let all = ["prompt", "max_age", "acr_values", "ui_locales"];
    let query = location.query_pairs().into_owned();
    query.filter(|(name, _)| all.contains(&name.as_str())).collect()
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

const ALL: &str = r#"
    acr_values = ["urn:example:key", "urn:example:mfa"]
    max_age = "1m"
    prompt = "login"
    ui_locales = "de"
"#;

#[tokio::test]
async fn every_login_asks_for_what_is_configured_and_ends_well() {
    let gate = gate(ALL).await;
    let mut browser = Browser::new();
    let all = [
        ("acr_values", "urn:example:key urn:example:mfa"),
        ("max_age", "60"),
        ("prompt", "login"),
        ("ui_locales", "de"),
    ];
    // A page that needs a session, and the second time a login that is asked for by somebody who has one.
    for start in ["/app/x", "/bff/login?return_to=/app/x"] {
        let mut begun = gate.visit(&mut browser, &format!("{}{start}", gate.origin)).await;
        while let Some(next) = begun.location().filter(|next| !next.path().ends_with("/authorize")) {
            begun = gate.visit(&mut browser, next.as_str()).await;
            if begun.status == 200 {
                // The page that asks for the part after `#`.
                let on = link(&begun, "id=\"on\" href=\"");
                begun = gate.visit(&mut browser, &format!("{}{on}", gate.origin)).await;
            }
        }
        assert_eq!(asked(&begun), map(&all), "{start}");
        let form = gate.visit(&mut browser, begun.location().unwrap().as_str()).await;
        // The provider has understood `prompt=login`: it asks although it knows the browser.
        let form = match form.location() {
            Some(next) => gate.visit(&mut browser, next.as_str()).await,
            None => form,
        };
        assert!(form.body.contains("name=\"password\""), "{start}: {}", form.body);
        let fields = [("username", "alice"), ("password", PASSWORD)];
        let answer = browser.submit(&form, &fields).await;
        let shown = gate.go_on(&mut browser, answer).await;
        assert_eq!(
            (shown.status.as_u16(), shown.url.path()),
            (200, "/app/x"),
            "{}",
            shown.body
        );
        assert!(gate.session(&browser).is_some());
    }
}

#[tokio::test]
async fn what_a_login_is_asked_goes_before_what_is_configured() {
    let gate = gate(ALL).await;
    let mut browser = Browser::new();
    for (query, changed) in [
        ("acr_values=urn:other", ("acr_values", "urn:other")),
        ("ui_locales=fr", ("ui_locales", "fr")),
        ("prompt=consent", ("prompt", "consent")),
        ("max_age=59", ("max_age", "59")),
        ("max_age=0", ("max_age", "0")),
        ("max_age=61", ("max_age", "60")),
        ("login_hint=alice", ("max_age", "60")),
    ] {
        let begun = gate
            .visit(&mut browser, &format!("{}/bff/login?{query}", gate.origin))
            .await;
        let mut expected = map(&[
            ("acr_values", "urn:example:key urn:example:mfa"),
            ("max_age", "60"),
            ("prompt", "login"),
            ("ui_locales", "de"),
        ]);
        expected.insert(changed.0.to_owned(), changed.1.to_owned());
        assert_eq!(asked(&begun), expected, "{query}");
    }
}

#[tokio::test]
async fn a_silent_login_stays_silent() {
    let gate = gate(ALL).await;
    let mut browser = gate.sign_in().await;
    for path in [
        "/bff/silent-login?return_to=/app/x",
        "/bff/login?prompt=none&return_to=/app/x",
    ] {
        browser
            .cookies
            .retain(|(name, _), _| !name.starts_with("portcullis-shop"));
        let begun = gate.visit(&mut browser, &format!("{}{path}", gate.origin)).await;
        let query = asked(&begun);
        assert_eq!((query["prompt"].as_str(), query["max_age"].as_str()), ("none", "60"));
        let told = gate.go_on(&mut browser, begun).await;
        assert_eq!(told.status, 200, "{path}: {}", told.body);
        assert!(gate.session(&browser).is_some(), "{path}");
    }
}

#[tokio::test]
async fn the_configured_age_is_demanded_of_the_id_token() {
    let gate = gate("max_age = \"10s\"").await;
    // The leeway is 30 s. A larger age in the query does not help.
    for (query, seconds, status) in [("", 5, 303), ("", 50, 403), ("?max_age=3600", 50, 403)] {
        let mut browser = Browser::new();
        let mut answer = gate
            .visit(&mut browser, &format!("{}/bff/login{query}", gate.origin))
            .await;
        while answer.location().is_none_or(|next| next.path() != "/bff/callback") {
            answer = match answer.location() {
                Some(next) => gate.visit(&mut browser, next.as_str()).await,
                None => {
                    let fields = [("username", "alice"), ("password", PASSWORD)];
                    browser.submit(&answer, &fields).await
                }
            };
        }
        let callback = answer.location().unwrap();
        gate.clock.advance(seconds);
        let answer = gate.visit(&mut browser, callback.as_str()).await;
        assert_eq!(answer.status, status, "{query} {seconds}: {}", answer.body);
        assert_eq!(gate.session(&browser).is_some(), status == 303);
    }
    assert_eq!(gate.last_code(), "login.authentication_too_old");
}

/// The demand is remembered as the API made it; with what is configured in it, it would look like a new one.
#[tokio::test]
async fn an_apis_demand_is_still_known_after_the_login() {
    let gate = gate("acr_values = \"urn:of-all\"\nmax_age = \"30s\"").await;
    let mut browser = gate.sign_in().await;
    gate.clock.advance(120);
    for (path, status) in [("/app/fresh", 200), ("/app/strong", 401)] {
        let sent = gate.visit(&mut browser, &format!("{}{path}", gate.origin)).await;
        assert_eq!(sent.status, 303, "{path}");
        let shown = gate.go_on(&mut browser, sent).await;
        assert_eq!(
            (shown.status.as_u16(), shown.url.path()),
            (status, path),
            "{}",
            shown.body
        );
        assert_eq!(shown.body.contains("login.step_up_failed"), status == 401);
    }
}
