//! What is sent to the wrong place is not passed on to the log.

use super::Gate;

/// Seven letters that occur nowhere else, and the place that they are sent in.
fn canary(place: &str) -> String {
    format!("qxzjkvw-{place}")
}

#[tokio::test]
async fn a_secret_in_the_wrong_place_is_not_logged() {
    let gate = Gate::start().await;
    let browser = gate.sign_in().await;
    let cookie = gate.cookie(&browser);
    let (bearer, basic) = (
        format!("Bearer {}", canary("bearer")),
        format!("Basic {}", canary("basic")),
    );
    let scheme = format!("{} x", canary("scheme"));
    let planted = format!("portcullis-shop={}", canary("cookie"));
    let attempt = format!("portcullis-shop-login-x={}", canary("attempt"));
    let signature = format!("Bearer {}{}", gate.token(), canary("signature"));
    let kid = format!(
        "Bearer {}.e30.AAAA",
        portcullis_jose::base64url_encode(
            format!(r#"{{"alg":"ES256","typ":"at+jwt","kid":"{}"}}"#, "x".repeat(300)).as_bytes(),
        )
    );
    let mut replies = Vec::new();
    for (target, headers) in [
        ("/api/orders", vec![("Authorization", bearer.as_str())]),
        ("/api/orders", vec![("Authorization", basic.as_str())]),
        ("/api/orders", vec![("Authorization", scheme.as_str())]),
        ("/api/orders", vec![("Authorization", signature.as_str())]),
        ("/api/orders", vec![("Authorization", kid.as_str())]),
        (
            "/api/orders",
            vec![("Authorization", bearer.as_str()), ("Authorization", basic.as_str())],
        ),
        ("/api/page", vec![("Cookie", planted.as_str()), ("X-CSRF", "1")]),
        ("/bff/user", vec![("Cookie", planted.as_str()), ("X-CSRF", "1")]),
        (
            "/bff/user",
            vec![
                ("Cookie", cookie.as_str()),
                ("X-CSRF", "qxzjkvw-header"),
                ("Referer", "http://x/?qxzjkvw"),
            ],
        ),
        ("/api/orders?access_token=qxzjkvw-query", vec![]),
        ("/api/page?token=qxzjkvw-token", vec![]),
        ("/nowhere?code=qxzjkvw-code", vec![("Accept", "text/html")]),
        (
            "/bff/callback?code=qxzjkvw-code&state=qxzjkvw-state",
            vec![("Cookie", attempt.as_str())],
        ),
        ("/bff/callback?code=qxzjkvw-code&code=qxzjkvw-code", vec![]),
        ("/bff/logout?token=qxzjkvw-logout", vec![("Cookie", cookie.as_str())]),
        ("http://127.0.0.1:1/api/orders?access_token=qxzjkvw-other", vec![]),
    ] {
        let reply = gate.call("GET", target, &headers).await;
        assert!(reply.status >= 400, "{target} {headers:?}: {reply:?}");
        replies.push(format!("{reply:?}"));
    }
    assert_eq!(gate.upstream.hits(), 0);
    let mut places = vec![
        ("log", gate.logged()),
        ("metrics", gate.audit.metrics().render()),
        (
            "ring",
            gate.audit
                .recent(0)
                .iter()
                .map(|record| record.json())
                .collect::<Vec<_>>()
                .join("\n"),
        ),
    ];
    // The search finds what is there: a path is logged, as it is no place for a secret.
    let reply = gate.call("GET", "/nowhere/qxzjkvw-path", &[]).await;
    assert_eq!(reply.status, 404);
    assert!(gate.logged().contains("qxzjkvw-path"));

    places.push(("answers", replies.join("\n")));
    for (place, text) in &places {
        assert!(place != &"log" || text.lines().count() > 16, "{text}");
        assert!(!text.contains("qxzjkvw"), "{place}: {text}");
        assert!(!text.contains(gate.session(&browser).unwrap().as_str()), "{place}");
    }
}

#[tokio::test]
async fn one_event_is_one_line_whatever_was_sent() {
    let gate = Gate::start().await;
    let kid = r#"k\r\n{\"event\":\"forged\"}\u001b[31m\u2028"#;
    let header = format!(r#"{{"alg":"ES256","typ":"at+jwt","kid":"{kid}"}}"#);
    let payload = format!(r#"{{"iss":"{}"}}"#, gate.idp.issuer());
    let encode = |text: &str| portcullis_jose::base64url_encode(text.as_bytes());
    let token = format!("{}.{}.{}", encode(&header), encode(&payload), encode(&"x".repeat(64)));
    assert_eq!(gate.bearer("GET", "/api/orders", &token).await.status, 401);
    let origin = [
        ("Origin", "https://evil.example\u{a0}\"}"),
        ("X-CSRF", "1"),
        ("Cookie", "portcullis-shop=x"),
    ];
    assert_eq!(
        gate.call("GET", "/api/page/%7B%22event%22%3A%22forged%22%7D", &origin)
            .await
            .status,
        403
    );
    let long = format!("/nowhere/{}", "x".repeat(5000));
    assert_eq!(gate.call("GET", &long, &[]).await.status, 404);
    let log = gate.logged();
    assert_eq!(log.lines().count(), gate.audit.recent(0).len());
    for line in log.lines() {
        let event: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("no event: {line}"));
        assert_ne!(event["event"], "forged");
        assert!(!line.contains('\u{1b}') && !line.contains('\u{2028}'), "{line}");
        assert!(line.len() < 4096, "{}", line.len());
    }
}
