//! A public URL on https: cookies that no other site and no plain page can plant.

use super::Gate;

#[tokio::test]
async fn cookies_are_bound_to_the_host() {
    let gate = Gate::start_on_https().await;
    let mut browser = gate.sign_in().await;
    assert!(browser.set_cookies.len() >= 3, "attempt, its end, and session");
    let ours = |line: &&String| line.contains("portcullis-shop");
    for line in browser.set_cookies.iter().filter(ours) {
        assert!(line.starts_with("__Host-portcullis-shop"), "{line}");
        for attribute in ["; Secure", "; HttpOnly", "; Path=/", "; SameSite=Lax"] {
            assert!(line.contains(attribute), "{attribute}: {line}");
        }
        assert!(!line.contains("Domain"), "{line}");
    }
    let session = gate.session(&browser).unwrap();
    let user = |cookies: String| {
        let gate = &gate;
        async move {
            gate.call("GET", "/bff/user", &[("Cookie", &cookies), ("X-CSRF", "1")])
                .await
        }
    };
    for (cookies, status) in [
        (format!("__Host-portcullis-shop={session}"), 200),
        (format!("a=b;__Host-portcullis-shop={session} ; c=d"), 200),
        // Names that a plain page or a sibling could plant, or that other parsers take for ours.
        (format!("portcullis-shop={session}"), 401),
        (format!("__host-portcullis-shop={session}"), 401),
        (format!("\u{2000}__Host-portcullis-shop={session}"), 401),
        (format!("$Version=1; \"__Host-portcullis-shop\"={session}"), 401),
        (format!("__Host-portcullis-shop=\"{session}\""), 401),
        (
            format!("__Host-portcullis-shop={session}; __Host-portcullis-shop=planted"),
            401,
        ),
        (
            format!("__Host-portcullis-shop=planted; __Host-portcullis-shop={session}"),
            401,
        ),
    ] {
        let reply = user(cookies.clone()).await;
        assert_eq!(reply.status, status, "{cookies:?}");
        if status == 401 {
            let (_, code) = reply.problem();
            assert!(
                ["session.missing", "session.expired"].contains(&code.as_str()),
                "{cookies:?}: {code}"
            );
            assert_eq!(reply.json()["login_url"], "/bff/login");
        }
    }

    // It goes away by the same name and attributes, and is dead at once.
    let answer = gate.fetch(&mut browser, "/bff/user").await;
    let logout = answer.json()["logout_url"].as_str().unwrap().to_owned();
    browser.set_cookies.clear();
    let answer = gate.visit(&mut browser, &format!("{}{logout}", gate.origin)).await;
    assert_eq!(answer.status, 303);
    let gone = browser
        .set_cookies
        .iter()
        .find(|line| line.starts_with("__Host-portcullis-shop=;"))
        .unwrap();
    for attribute in ["; Max-Age=0", "; Secure", "; Path=/", "; HttpOnly"] {
        assert!(gone.contains(attribute), "{gone}");
    }
    assert_eq!(user(format!("__Host-portcullis-shop={session}")).await.status, 401);
}

#[tokio::test]
async fn the_public_url_is_what_counts_whatever_a_request_says() {
    let gate = Gate::start_on_https().await;
    let forged = [
        ("X-Forwarded-Host", "evil.example"),
        ("X-Forwarded-Proto", "http"),
        ("Forwarded", "host=evil.example;proto=http"),
        ("X-Forwarded-Prefix", "//evil.example"),
        ("Sec-Fetch-Mode", "navigate"),
    ];
    let reply = gate
        .call(
            "GET",
            "/bff/login?scope=admin&redirect_uri=https://evil.example",
            &forged,
        )
        .await;
    assert_eq!(reply.status, 303);
    let url = url::Url::parse(reply.header("location")).unwrap();
    let all: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let value = |name: &str| {
        let mut values = all.iter().filter(|(found, _)| found == name);
        let value = values.next().map(|(_, value)| value.clone());
        assert!(values.next().is_none(), "{name} is there once");
        value.unwrap_or_default()
    };
    assert_eq!(value("redirect_uri"), "https://app.example.test/bff/callback");
    assert_eq!(value("scope"), "openid offline_access orders.read orders.write");
    assert_eq!(
        (value("response_type").as_str(), value("code_challenge_method").as_str()),
        ("code", "S256")
    );
    // 256 bits each, in base64url.
    for name in ["state", "nonce", "code_challenge"] {
        assert!(value(name).len() >= 43, "{name}");
    }
    assert!(!url.as_str().contains("evil") && !url.as_str().contains("admin"));

    let browser = gate.sign_in().await;
    let cookie = gate.cookie(&browser);
    for (origin, status) in [
        ("https://app.example.test", 200),
        ("http://app.example.test", 403),
        ("https://app.example.test:8443", 403),
        ("https://app.example.test.evil.example", 403),
        ("https://evil.example", 403),
        ("null", 403),
    ] {
        let headers = [("Cookie", cookie.as_str()), ("X-CSRF", "1"), ("Origin", origin)];
        let hits = gate.upstream.hits();
        let reply = gate.call("GET", "/api/page", &headers).await;
        assert_eq!(reply.status, status, "{origin}");
        if status == 200 {
            assert_eq!(gate.upstream.last().all("x-forwarded-proto"), ["https"]);
        } else {
            assert_eq!(reply.problem().1, "csrf.origin_mismatch", "{origin}");
            assert_eq!(gate.upstream.hits(), hits, "{origin}");
        }
    }
}
