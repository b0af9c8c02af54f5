//! What a page or an API asks of a login, as the provider sees it, and what the session is worth afterwards.

use serde_json::json;

use super::Gate;
use super::scripted::{Form, Scripted};
use crate::demo::{Answer, Browser};

const STRONG: &str = "urn:example:mfa";

/// The address of a login that asks for this.
fn login(asked: &[(&str, &str)]) -> String {
    let mut query = url::form_urlencoded::Serializer::new("/bff/login?".to_owned());
    query.extend_pairs(asked).finish()
}

/// What a challenge names.
fn parameter(answer: &Answer, name: &str) -> String {
    let challenge = answer.header("www-authenticate");
    let found = challenge.split_once(&format!(" {name}=\""));
    let (_, rest) = found.unwrap_or_else(|| panic!("no {name}: {challenge}"));
    rest.split_once('"').unwrap().0.to_owned()
}

#[tokio::test]
async fn what_is_asked_of_a_login_reaches_the_provider() {
    let wishes = [
        ("acr_values", "urn:example:mfa urn:example:key"),
        ("max_age", "60"),
        ("login_hint", "alice@example.test"),
        ("ui_locales", "de-AT en"),
        ("prompt", "select_account"),
    ];
    let names: Vec<&str> = wishes.iter().map(|(name, _)| *name).collect();
    for pushed in [false, true] {
        let mut gate = Gate::start().await;
        if pushed {
            let setting = "pushed_requests = true\n\n        [frontend.shop]";
            gate.text = gate.text.replacen("[frontend.shop]", setting, 1);
        }
        let provider = Scripted::before(&mut gate, json!({})).await;
        let mut browser = Browser::new();
        let answer = provider.sign_in(&gate, &mut browser, &login(&wishes)).await;
        assert_eq!(answer.status, 303, "{}", answer.body);
        let asked = |names: &[&str]| -> Form {
            let asked = provider.asked();
            asked
                .into_iter()
                .filter(|(name, _)| names.contains(&name.as_str()))
                .collect()
        };
        let expected: Form = wishes
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        assert_eq!(asked(&names), expected);
        assert_eq!(provider.pushed(), usize::from(pushed));
        // What nobody asks for is not asked of the provider either.
        assert_eq!(provider.sign_in(&gate, &mut browser, "/bff/login").await.status, 303);
        assert_eq!(asked(&names), Form::new());
    }
}

#[tokio::test]
async fn a_call_that_demands_a_stronger_login_passes_after_one() {
    let mut gate = Gate::start().await;
    let provider = Scripted::before(&mut gate, json!({})).await;
    let mut browser = Browser::new();
    provider.sign_in(&gate, &mut browser, "/bff/login").await;
    assert_eq!(gate.fetch(&mut browser, "/api/shelf/7").await.status, 200);
    let hits = gate.upstream.hits();
    let demand = async |browser: &mut Browser, code: &str| {
        let answer = gate.fetch(browser, "/api/shelf/strong").await;
        assert_eq!(answer.status, 401, "{}", answer.body);
        assert_eq!(answer.json()["code"], "insufficient_user_authentication");
        assert_eq!(parameter(&answer, "error"), "insufficient_user_authentication");
        assert_eq!(gate.last_code(), code);
        assert_eq!(gate.upstream.hits(), hits, "nothing was forwarded");
        let (acr, age) = (parameter(&answer, "acr_values"), parameter(&answer, "max_age"));
        assert_eq!((acr.as_str(), age.as_str()), ("urn:example:mfa urn:example:key", "60"));
        login(&[("acr_values", &acr), ("max_age", &age), ("return_to", "/app/x")])
    };
    let asked = demand(&mut browser, "policy.acr_insufficient").await;
    // A login that is not what was asked for is one all the same, and no help.
    let answer = provider.sign_in(&gate, &mut browser, &asked).await;
    assert_eq!(answer.location().unwrap().path(), "/app/x");
    demand(&mut browser, "policy.acr_insufficient").await;

    provider.can(&[STRONG]);
    let before = browser.cookies.clone();
    let answer = provider.sign_in(&gate, &mut browser, &asked).await;
    assert_eq!(answer.location().unwrap().path(), "/app/x");
    assert_eq!(gate.fetch(&mut browser, "/api/shelf/strong").await.status, 200);
    assert_eq!(gate.upstream.hits(), hits + 1);
    // The weaker session has not become a stronger one: it is over.
    let mut old = Browser::new();
    old.cookies = before;
    let answer = gate.fetch(&mut old, "/api/shelf/strong").await;
    assert_eq!(answer.json()["code"], "session.expired");

    // As strong as before and too long ago.
    gate.clock.advance(61);
    let answer = gate.fetch(&mut browser, "/api/shelf/strong").await;
    assert_eq!(answer.status, 401);
    assert_eq!(parameter(&answer, "max_age"), "60");
    assert_eq!(gate.last_code(), "policy.max_age_exceeded");
    assert_eq!(
        gate.fetch(&mut browser, "/api/shelf/7").await.status,
        200,
        "no less worth"
    );
    provider.sign_in(&gate, &mut browser, &asked).await;
    assert_eq!(gate.fetch(&mut browser, "/api/shelf/strong").await.status, 200);
}
