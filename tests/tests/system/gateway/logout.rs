//! Where a logout sends the browser (RP-Initiated Logout 1.0 s2).

use std::collections::BTreeMap;

use serde_json::Value;

use super::raw;
use super::{Gate, START, WEB_SECRET};
/// What the provider's logout page is sent.
async fn sent(change: impl Fn(&str) -> String) -> BTreeMap<String, String> {
    let gate = Gate::start_with(None, |text, _| change(&text)).await;
    let mut browser = gate.sign_in().await;
    let user = gate.fetch(&mut browser, "/bff/user").await.json();
    let logout = format!("{}{}", gate.origin, user["logout_url"].as_str().unwrap());
    let answer = gate.visit(&mut browser, &logout).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    let location = answer.location().unwrap();
    assert!(location.as_str().starts_with(gate.idp.issuer()), "{location}");
    let parameters: BTreeMap<String, String> = location.query_pairs().into_owned().collect();
    assert_eq!(parameters["client_id"], "web");
    assert_eq!(parameters["post_logout_redirect_uri"], format!("{}/", gate.origin));
    assert!(parameters["state"].len() > 20, "{parameters:?}");
    assert!(!location.as_str().contains(WEB_SECRET));
    // The provider asks nobody, ends its session, and sends back.
    let back = browser.navigate(location.as_str()).await;
    let back = back.location().expect("the provider sends back");
    assert_eq!(back.as_str(), format!("{}/?state={}", gate.origin, parameters["state"]));
    parameters
}

/// RFC 7009: what is left of a session that is over is worth nothing at the provider.
#[tokio::test]
async fn the_refresh_token_is_revoked_however_the_person_ends_a_session() {
    let gate = Gate::start().await;
    let revoked = async |way: &str| {
        let gone = async {
            while gate.idp.control().token_counts().live_refresh_tokens > 0 {
                tokio::task::yield_now().await;
            }
        };
        let gone = tokio::time::timeout(START, gone).await;
        assert!(gone.is_ok(), "{way}");
    };
    for everywhere in ["", "&everywhere=true"] {
        let mut browser = gate.sign_in().await;
        assert_eq!(gate.idp.control().token_counts().live_refresh_tokens, 1);
        let user = gate.fetch(&mut browser, "/bff/user").await.json();
        let logout = format!("{}{}{everywhere}", gate.origin, user["logout_url"].as_str().unwrap());
        assert_eq!(gate.visit(&mut browser, &logout).await.status, 303);
        revoked(everywhere).await;
    }
    let browser = gate.sign_in().await;
    let cookie = gate.cookie(&browser);
    let headers = [("Cookie", cookie.as_str()), ("X-CSRF", "1")];
    let reply = raw::exchange(gate.address, "DELETE", "/bff/sessions/all", gate.host(), &headers, "").await;
    assert_eq!(reply.status, 200, "{reply:?}");
    revoked("all").await;
}

#[tokio::test]
async fn the_id_token_goes_along() {
    let parameters = sent(str::to_owned).await;
    let payload = parameters["id_token_hint"].split('.').nth(1).unwrap();
    let claims: Value = serde_json::from_slice(&portcullis_jose::base64url_decode(payload).unwrap()).unwrap();
    assert_eq!(
        (claims["sub"].as_str(), claims["aud"].as_str()),
        (Some("alice"), Some("web"))
    );
    assert!(!parameters.contains_key("logout_hint"));
}

#[tokio::test]
async fn the_sid_goes_instead_where_that_is_asked_for_or_the_token_is_long() {
    let asked = |text: &str| text.replace("[frontend.shop]\n", "[frontend.shop]\nlogout_hint = \"session\"\n");
    let long = |text: &str| text.replace("scopes = [\"openid\"", "scopes = [\"openid\", \"profile\"");
    for change in [asked as fn(&str) -> String, long] {
        let parameters = sent(|text| {
            let changed = change(text);
            assert_ne!(changed, text);
            changed
        })
        .await;
        assert!(!parameters.contains_key("id_token_hint"), "{parameters:?}");
        assert!(parameters["logout_hint"].len() > 10, "{parameters:?}");
    }
}
