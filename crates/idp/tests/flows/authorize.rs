//! What the authorization endpoint refuses, and to whom it says so.

use http::header;

use crate::support::{APP_CALLBACK, Browser, Stage, WEB_CALLBACK, encode, request};

#[tokio::test]
async fn an_unknown_client_or_uri_is_never_redirected_to() {
    let stage = Stage::new().await;
    let cases: [(&str, &str, &str); 9] = [
        ("nobody", WEB_CALLBACK, "unknown_client"),
        ("", WEB_CALLBACK, "unknown_client"),
        ("job", WEB_CALLBACK, "unauthorized_client"),
        ("web", "", "redirect_uri_missing"),
        ("web", "https://evil.example/", "redirect_uri_mismatch"),
        (
            "web",
            "http://127.0.0.1:8080/bff/callback/../evil",
            "redirect_uri_mismatch",
        ),
        ("web", "http://127.0.0.1:8080/bff/callback?x", "redirect_uri_mismatch"),
        (
            "web",
            "http://127.0.0.1:8080@evil.example/bff/callback",
            "redirect_uri_mismatch",
        ),
        ("web", "https://other.example/cb", "redirect_uri_mismatch"),
    ];
    for (client, uri, code) in cases {
        let parameters = request(client, uri, &[]);
        let parameters: Vec<_> = parameters.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        let answer = Browser::new(&stage)
            .open(&format!("/authorize?{}", encode(&parameters)))
            .await;
        assert_eq!(
            (answer.status.as_u16(), answer.header(header::LOCATION)),
            (400, ""),
            "{client} {uri}"
        );
        assert!(
            answer.text().contains(&format!("<code>{code}</code>")),
            "{client} {uri}: {}",
            answer.text()
        );
        assert!(!answer.text().contains("evil"), "nothing of the request is shown");
    }
}

#[tokio::test]
async fn the_port_of_a_loopback_address_is_free() {
    let stage = Stage::new().await;
    let moved = "http://127.0.0.1:45678/bff/callback";
    let mut browser = Browser::new(&stage);
    let page = browser.authorize(&request("web", moved, &[])).await;
    let code = browser.log_in(&page, "alice", "alice-demo").await.redirected_to(moved)["code"].clone();
    stage
        .exchange("web", WEB_CALLBACK, &code)
        .await
        .assert_error(400, "invalid_grant");
    let code = browser
        .authorize(&request("web", moved, &[]))
        .await
        .redirected_to(moved)["code"]
        .clone();
    assert_eq!(stage.exchange("web", moved, &code).await.status, 200);
}

#[tokio::test]
async fn other_faults_go_to_the_client() {
    let stage = Stage::new().await;
    let cases: [(&[(&str, &str)], &str); 16] = [
        (&[("response_type", "")], "invalid_request"),
        (&[("response_type", "token")], "unsupported_response_type"),
        (&[("response_type", "code id_token")], "unsupported_response_type"),
        (&[("response_mode", "fragment")], "invalid_request"),
        (&[("request", "x.y.z")], "invalid_request_object"),
        (&[("request_uri", "https://evil.example/")], "invalid_request_uri"),
        (&[("registration", "{}")], "registration_not_supported"),
        (&[("code_challenge_method", "plain")], "invalid_request"),
        (&[("code_challenge_method", "")], "invalid_request"),
        (&[("code_challenge", "tooshort")], "invalid_request"),
        (&[("scope", "openid \"quoted\"")], "invalid_scope"),
        (&[("resource", "api://nothing")], "invalid_target"),
        (&[("prompt", "none login")], "invalid_request"),
        (&[("prompt", "create")], "invalid_request"),
        (&[("max_age", "-1")], "invalid_request"),
        (&[("id_token_hint", "x.y.z")], "invalid_request"),
    ];
    for (changes, error) in cases {
        let answer = Browser::new(&stage)
            .authorize(&request("web", WEB_CALLBACK, changes))
            .await;
        let parameters = answer.redirected_to(WEB_CALLBACK);
        assert_eq!(parameters["error"], error, "{changes:?}");
        // RFC 6749 s4.1.2.1, RFC 9207 s2
        assert_eq!(
            (parameters["state"].as_str(), parameters["iss"].as_str()),
            ("the-state", stage.idp.issuer())
        );
    }
    assert_eq!(
        Browser::new(&stage)
            .authorize(&request("web", WEB_CALLBACK, &[("response_mode", "query")]))
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn no_parameter_comes_twice() {
    let stage = Stage::new().await;
    let sound = encode(&request("web", WEB_CALLBACK, &[]));
    for (extra, redirected) in [
        ("client_id=web", false),
        ("redirect_uri=x", false),
        ("nonce=other", true),
        ("state=other", true),
        ("scope=openid", true),
    ] {
        let answer = Browser::new(&stage).open(&format!("/authorize?{sound}&{extra}")).await;
        if redirected {
            let parameters = answer.redirected_to(WEB_CALLBACK);
            assert_eq!(parameters["error"], "invalid_request", "{extra}");
            assert_eq!(
                parameters.contains_key("state"),
                extra != "state=other",
                "neither of two states is repeated"
            );
        } else {
            assert_eq!(answer.status, 400, "{extra}");
        }
    }
    // RFC 8707 s2: the one that may.
    let answer = Browser::new(&stage)
        .open(&format!(
            "/authorize?{sound}&resource=api://orders&resource=api://billing"
        ))
        .await;
    assert!(answer.header(header::LOCATION).contains("/login?"));
}

#[tokio::test]
async fn a_public_client_needs_pkce() {
    let stage = Stage::new().await;
    let without = [("code_challenge", ""), ("code_challenge_method", "")];
    let answer = Browser::new(&stage)
        .authorize(&request("app", APP_CALLBACK, &without))
        .await;
    assert_eq!(answer.redirected_to(APP_CALLBACK)["error"], "invalid_request");
    assert_eq!(
        Browser::new(&stage)
            .authorize(&request("app", APP_CALLBACK, &[]))
            .await
            .status,
        200
    );
    assert_eq!(
        Browser::new(&stage)
            .authorize(&request("web", WEB_CALLBACK, &without))
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn a_request_may_be_posted() {
    let stage = Stage::new().await;
    let mut browser = Browser::new(&stage);
    // OpenID Connect Core s3.1.2.1
    let answer = browser
        .submit_with("/authorize", &request("web", WEB_CALLBACK, &[]), &[])
        .await;
    let login = answer.header(header::LOCATION).to_owned();
    let page = browser.open(&login).await;
    assert_eq!(
        browser
            .log_in(&page, "alice", "alice-demo")
            .await
            .redirected_to(WEB_CALLBACK)["state"],
        "the-state"
    );
}
