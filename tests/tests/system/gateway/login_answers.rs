//! Answers of the provider to a login, right and wrong, and what the page says of them.

use portcullis_idp::{Behaviour, Defect, Endpoint, FailNext};
use url::Url;

use super::Gate;
use crate::demo::Browser;

/// Begins a login; returns its `state`.
async fn begin(gate: &Gate, browser: &mut Browser) -> String {
    let answer = gate.visit(browser, &format!("{}/bff/login", gate.origin)).await;
    let url = answer.location().unwrap();
    let state = url.query_pairs().find(|(name, _)| name == "state");
    state.unwrap().1.into_owned()
}

/// Visits a callback of this query, which must begin no session and must not start a login by itself.
async fn refused(gate: &Gate, browser: &mut Browser, query: &str) -> (u16, String) {
    let url = format!("{}/bff/callback?{query}", gate.origin);
    let before = gate.audit.metrics().events("login_failed");
    let answer = gate.visit(browser, &url).await;
    assert!(gate.session(browser).is_none(), "{query}");
    assert!(answer.location().is_none(), "{query}");
    assert_eq!(gate.audit.metrics().events("login_failed"), before + 1, "{query}");
    assert_eq!(answer.header("cache-control"), "no-store");
    let policy = answer.header("content-security-policy");
    assert!(
        policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
        "{policy}"
    );
    assert!(
        answer.body.contains(answer.header("x-request-id")),
        "a person can name the request"
    );
    for sign in ["<script", "onerror", "evil", "a-code"] {
        assert!(!answer.body.contains(sign), "{query}: {}", answer.body);
    }
    (answer.status.as_u16(), gate.last_code())
}

#[tokio::test]
async fn an_answer_has_one_of_each_parameter_and_shows_none() {
    let gate = Gate::start().await;
    let iss: String = url::form_urlencoded::byte_serialize(gate.idp.issuer().as_bytes()).collect();
    let script = "%3Cscript%3Eevil()%3C%2Fscript%3E%3Cimg%20src%3Dx%20onerror%3Devil()%3E";
    let mut browser = Browser::new();
    let state = begin(&gate, &mut browser).await;
    let tokens = gate
        .idp
        .control()
        .request_log()
        .iter()
        .filter(|entry| entry.path == "/token")
        .count();
    for (query, code) in [
        (String::new(), "login.state_missing"),
        ("code=a-code".to_owned(), "login.state_missing"),
        (format!("code=a-code&state={script}&iss={iss}"), "login.attempt_expired"),
        (
            format!("code=a-code&state={state}&state={state}&iss={iss}"),
            "login.duplicate_parameter",
        ),
        (
            format!("code=a-code&code=a-code&state={state}&iss={iss}"),
            "login.duplicate_parameter",
        ),
        (
            format!("code=a-code&state={state}&iss={iss}&iss={iss}"),
            "login.duplicate_parameter",
        ),
    ] {
        assert_eq!(
            refused(&gate, &mut browser, &query).await,
            (400, code.to_owned()),
            "{query}"
        );
    }
    // Each of these uses its login up, whatever is wrong with it.
    for (query, code) in [
        ("code=a-code".to_owned(), "login.issuer_missing"),
        (format!("code=a-code&iss={script}"), "login.issuer_mismatch"),
        (format!("code=a-code&iss={iss}%2F"), "login.issuer_mismatch"),
        (format!("iss={iss}"), "login.code_rejected"),
        (
            format!("error=access_denied&error_description={script}&iss={iss}"),
            "login.access_denied",
        ),
        (
            format!("error={script}&error_description={script}&error_uri={script}&iss={iss}"),
            "login.provider_error",
        ),
    ] {
        let state = begin(&gate, &mut browser).await;
        let (status, found) = refused(&gate, &mut browser, &format!("{query}&state={state}")).await;
        assert!(status >= 400, "{query}");
        assert_eq!(found, code, "{query}");
        let again = refused(&gate, &mut browser, &format!("code=a-code&iss={iss}&state={state}")).await;
        assert_eq!(again, (400, "login.attempt_expired".into()), "{query}");
    }
    let asked = gate
        .idp
        .control()
        .request_log()
        .iter()
        .filter(|entry| entry.path == "/token")
        .count();
    assert_eq!(asked, tokens, "no code was sent on");

    // A code that nobody issued is the provider's to refuse.
    let state = begin(&gate, &mut browser).await;
    let made_up = refused(&gate, &mut browser, &format!("code=a-code&state={state}&iss={iss}")).await;
    assert_eq!(made_up.1, "login.code_rejected");
    gate.sign_in().await;
}

#[tokio::test]
async fn a_code_is_worth_nothing_in_another_login() {
    let gate = Gate::start().await;
    let parameter = |url: &Url, wanted: &str| {
        let found = url.query_pairs().find(|(name, _)| name == wanted);
        found.unwrap().1.into_owned()
    };
    let (mut alice, mut mallory) = (Browser::new(), Browser::new());
    let stolen = gate.until_callback(&mut alice).await;
    let own = gate.until_callback(&mut mallory).await;
    // RFC 9700 s4.5: the stolen code in a login of one's own; PKCE and nonce are those of another.
    let mut injected = own.clone();
    injected
        .query_pairs_mut()
        .clear()
        .append_pair("code", &parameter(&stolen, "code"))
        .append_pair("state", &parameter(&own, "state"))
        .append_pair("iss", &parameter(&own, "iss"));
    let (status, code) = refused(&gate, &mut mallory, injected.query().unwrap()).await;
    assert_eq!((status, code.as_str()), (400, "login.code_rejected"));
}

#[tokio::test]
async fn an_identity_token_that_is_not_sound_is_no_login() {
    let gate = Gate::start().await;
    let control = gate.idp.control().clone();
    for defect in [
        Defect::WrongIssuer,
        Defect::Expired,
        Defect::BadSignature,
        Defect::AlteredClaims,
        Defect::UnknownKid,
        Defect::AlgNone,
        Defect::MissingExpiry,
        Defect::MissingAudience,
        Defect::MissingSubject,
        Defect::IssuedInFuture,
    ] {
        control.set_behaviour(Behaviour {
            id_token_defect: Some(defect),
            ..Behaviour::default()
        });
        let mut browser = Browser::new();
        let callback = gate.until_callback(&mut browser).await;
        let (status, code) = refused(&gate, &mut browser, callback.query().unwrap()).await;
        assert_eq!((status, code.as_str()), (502, "login.id_token_invalid"), "{defect:?}");
    }
    for (endpoint, status, code) in [
        (Endpoint::Token, 500, "provider.bad_answer"),
        (Endpoint::Token, 429, "provider.rate_limited"),
        (Endpoint::Userinfo, 500, "provider.bad_answer"),
    ] {
        let fail = FailNext {
            endpoint,
            status,
            times: 1,
        };
        control.set_behaviour(Behaviour {
            fail_next: vec![fail],
            ..Behaviour::default()
        });
        let mut browser = Browser::new();
        let callback = gate.until_callback(&mut browser).await;
        let (found, reason) = refused(&gate, &mut browser, callback.query().unwrap()).await;
        assert!(
            found >= 500,
            "{endpoint:?} {status}: it is not the person's fault: {found}"
        );
        assert_eq!(reason, code, "{endpoint:?} {status}");
    }
    gate.sign_in().await;
}

#[tokio::test]
async fn a_login_under_way_is_sealed_into_its_cookie() {
    let gate = Gate::start().await;
    let mut browser = Browser::new();
    let begun = gate
        .visit(
            &mut browser,
            &format!("{}/bff/login?return_to=/some/where", gate.origin),
        )
        .await;
    let asked = begun.location().unwrap();
    let callback = gate.until_callback(&mut browser).await;
    let attempts: Vec<_> = browser
        .cookies
        .iter()
        .filter(|((name, _), _)| name.starts_with("portcullis-shop-login-"))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    assert_eq!(attempts.len(), 2);
    for (_, value) in &attempts {
        let bytes = portcullis_jose::base64url_decode(value).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains("/some/where") && !text.contains("S256"), "{text}");
        for (name, secret) in asked
            .query_pairs()
            .filter(|(name, _)| name == "state" || name == "nonce")
        {
            assert!(!text.contains(&*secret) && !value.contains(&*secret), "{name}");
        }
    }
    let (first, second) = (&attempts[0], &attempts[1]);
    let mut changed: Vec<(String, String)> = vec![
        // One login's value under the other's name.
        (second.1.clone(), first.1.clone()),
        ("A".repeat(first.1.len()), "A".repeat(second.1.len())),
    ];
    let mut bytes = [&first.1, &second.1].map(|value| portcullis_jose::base64url_decode(value).unwrap());
    for bytes in &mut bytes {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
    }
    changed.push((
        portcullis_jose::base64url_encode(&bytes[0]),
        portcullis_jose::base64url_encode(&bytes[1]),
    ));
    for (one, other) in changed {
        browser.cookies.insert(first.0.clone(), one);
        browser.cookies.insert(second.0.clone(), other);
        let found = refused(&gate, &mut browser, callback.query().unwrap()).await;
        assert_eq!(found, (400, "login.attempt_expired".into()));
    }
    browser.cookies.extend(attempts.clone());
    assert_eq!(gate.visit(&mut browser, callback.as_str()).await.status, 303);
    assert!(gate.session(&browser).is_some());
}
