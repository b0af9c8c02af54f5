//! What is broken at a provider, a client or an upstream.

use std::collections::BTreeSet;

use portcullis_idp::{Behaviour, TokenError};
use portcullis_jose::{Algorithm, Clock, SigningKey, SystemClock};
use serde_json::{Value, json};

use super::{REDIRECT, Stage, expected};
use crate::fake::{Fake, Reply};
use crate::process::free_ports;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_broken_at_provider_client_or_upstream_is_named() {
    let stage = Stage::new().await;
    let [closed] = free_ports::<1>();
    let (idp, up) = (stage.idp.issuer().to_owned(), stage.upstream.origin.clone());
    let plain = up.replace("http:", "https:");
    let failing = Fake::start(|_, _| Reply::status(500));
    let cors = Fake::start(|_, asked| {
        let origin = asked.header("origin").unwrap_or_default();
        Reply::status(204)
            .with("Access-Control-Allow-Origin", origin)
            .with("Access-Control-Allow-Credentials", "true")
    });
    let redirecting = Fake::start(|own, _| Reply::status(301).with("Location", &format!("{own}/elsewhere")));
    let page = Fake::start(|_, _| Reply::status(200).with("Content-Type", "text/html").holds("<html>"));
    let replace = |from: &str, to: &str| {
        assert!(stage.config.contains(from), "{from}");
        stage.config.replacen(from, to, 1)
    };
    let soon = calendar_day(SystemClock.now().as_secs() + 5 * 86_400);
    for (code, config) in [
        (
            "doctor.danger",
            replace("[provider.dev]", "development = true\n[provider.dev]"),
        ),
        (
            "doctor.name_unresolved",
            replace(&idp, "https://doctor.invalid")
                .replace("dev_only", "env")
                .replace("shop-demo", "PATH")
                .replace("job-demo", "PATH"),
        ),
        (
            "doctor.not_connected",
            replace(&idp, &format!("http://127.0.0.1:{closed}")),
        ),
        ("doctor.tls_failed", replace(&idp, &plain)),
        ("doctor.discovery_redirected", replace(&idp, &redirecting.origin)),
        ("doctor.discovery_missing", replace(&idp, &up)),
        ("doctor.discovery_missing", replace(&idp, &page.origin)),
        ("doctor.discovery_issuer", replace(&idp, &format!("{idp}/"))),
        (
            "doctor.algorithm_offered",
            replace("algorithms = [\"ES256\"]", "algorithms = [\"RS256\"]"),
        ),
        (
            "doctor.algorithm_offered",
            replace("id_token_algorithm = \"ES256\"", ""),
        ),
        (
            "doctor.keys_unreachable",
            replace(
                "algorithms",
                &format!("jwks_url = \"http://127.0.0.1:{closed}/\"\nalgorithms"),
            ),
        ),
        ("doctor.client_refused", replace("shop-demo", "another-secret")),
        (
            "doctor.secret_ends",
            replace("\"shop-demo\" }", &format!("\"shop-demo\", expires = \"{soon}\" }}")),
        ),
        (
            "doctor.redirect_unregistered",
            replace("127.0.0.1:8080", "localhost:8080"),
        ),
        (
            "doctor.upstream_away",
            replace(&up, &format!("http://127.0.0.1:{closed}")),
        ),
        ("doctor.upstream_fails", replace(&up, &failing.origin)),
        ("doctor.upstream_cors", replace(&up, &cors.origin)),
    ] {
        let (status, codes) = stage.codes(&config, &[]);
        assert!(codes.contains(code), "{code}: {codes:?}");
        assert_eq!(status, expected(code).1, "{code}: {codes:?}");
    }
    let (_, codes) = stage.codes(&stage.config, &[]);
    assert_eq!(codes, BTreeSet::new(), "the good twin of all of them");

    for (code, behaviour) in [
        (
            "doctor.discovery_missing",
            Behaviour {
                discovery_down: true,
                ..Behaviour::default()
            },
        ),
        (
            "doctor.discovery_issuer",
            Behaviour {
                discovery_wrong_issuer: true,
                ..Behaviour::default()
            },
        ),
        (
            "doctor.keys_unreachable",
            Behaviour {
                jwks_down: true,
                ..Behaviour::default()
            },
        ),
        (
            "doctor.client_unanswered",
            Behaviour {
                fail_next: vec![portcullis_idp::FailNext {
                    endpoint: portcullis_idp::Endpoint::Token,
                    status: 503,
                    times: 9,
                }],
                ..Behaviour::default()
            },
        ),
        (
            "doctor.client_refused",
            Behaviour {
                token_error: Some(TokenError {
                    status: 401,
                    error: "invalid_client".into(),
                    description: None,
                }),
                ..Behaviour::default()
            },
        ),
    ] {
        stage.idp.control().set_behaviour(behaviour);
        let (status, codes) = stage.codes(&stage.config, &[]);
        assert!(codes.contains(code), "{code}: {codes:?}");
        assert_eq!(status, expected(code).1, "{code}: {codes:?}");
    }
}

/// A day of the calendar, as a configuration has it.
fn calendar_day(seconds: i64) -> String {
    // 2000-03-01 is the day from which the years of the calendar are counted most simply.
    let mut days = seconds / 86_400 - 11_017;
    let mut year = 2000;
    let length = |year: i64| if (year + 1) % 4 == 0 { 366 } else { 365 };
    while days >= length(year) {
        days -= length(year);
        year += 1;
    }
    let mut month = 3;
    for length in [31, 30, 31, 30, 31, 31, 30, 31, 30, 31, 31, 29] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    if month > 12 {
        (month, year) = (month - 12, year + 1);
    }
    format!("{year}-{month:02}-{:02}", days + 1)
}

/// A provider that says what it is told to say.
fn odd(document: impl Fn(&str) -> Value + Send + 'static, keys: Value, date: Option<&'static str>) -> Fake {
    Fake::start(move |own, asked| {
        let path = asked.target.split('?').next().unwrap_or_default();
        let reply = match path {
            "/.well-known/openid-configuration" => Reply::json(&document(own)),
            "/jwks" => Reply::json(&keys),
            // RFC 6749 s4.1.2.1.
            "/authorize" => Reply::status(302).with("Location", &format!("{REDIRECT}?error=invalid_scope")),
            "/par" => Reply {
                status: 400,
                ..Reply::json(&json!({"error": "invalid_request"}))
            },
            "/token" => Reply {
                status: 400,
                ..Reply::json(&json!({"error": "unauthorized_client"}))
            },
            _ => Reply::status(404),
        };
        match date {
            Some(date) => reply.with("Date", date),
            None => reply,
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_provider_says_of_itself_is_held_against_what_is_needed() {
    let stage = Stage::new().await;
    let key = SigningKey::generate(Algorithm::ES256).unwrap();
    let good = |own: &str| {
        json!({
            "issuer": own, "authorization_endpoint": format!("{own}/authorize"), "token_endpoint": format!("{own}/token"),
            "jwks_uri": format!("{own}/jwks"), "end_session_endpoint": format!("{own}/end"),
            "revocation_endpoint": format!("{own}/revoke"), "code_challenge_methods_supported": ["S256"],
            "id_token_signing_alg_values_supported": ["ES256"],
        })
    };
    let with = |name: &'static str, value: Value| {
        move |own: &str| {
            let mut document = good(own);
            document[name] = value.clone();
            document
        }
    };
    let sound = || json!({"keys": [key.public_jwk()]});
    let private: Value = serde_json::from_str(key.to_private_jwk().unwrap().expose()).unwrap();
    let weak = json!({"kty": "RSA", "kid": "weak", "n": "_".repeat(171), "e": "AQAB"});
    let unnamed = |mut jwk: Value| {
        jwk.as_object_mut().unwrap().remove("kid");
        jwk
    };
    let second = SigningKey::generate(Algorithm::ES256).unwrap();
    let run = |fake: &Fake| stage.codes(&stage.config.replace(stage.idp.issuer(), &fake.origin), &[]);
    // It answers every login with an error, so that is always among what is found.
    let always = "doctor.login_refused";
    let (status, codes) = run(&odd(good, sound(), None));
    assert_eq!((status, codes), (2, BTreeSet::from([always.to_owned()])));
    let long_ago = Some("Sun, 06 Nov 1994 08:49:37 GMT");
    for (code, fake) in [
        (
            "doctor.endpoint_missing",
            odd(with("token_endpoint", Value::Null), sound(), None),
        ),
        (
            "doctor.endpoint_wished",
            odd(with("end_session_endpoint", Value::Null), sound(), None),
        ),
        (
            "doctor.endpoint_insecure",
            odd(with("token_endpoint", json!("http://login.example/t")), sound(), None),
        ),
        (
            "doctor.pkce_not_announced",
            odd(
                with("code_challenge_methods_supported", json!(["plain"])),
                sound(),
                None,
            ),
        ),
        (
            "doctor.auth_method",
            odd(
                with("token_endpoint_auth_methods_supported", json!(["private_key_jwt"])),
                sound(),
                None,
            ),
        ),
        ("doctor.clock_differs", odd(good, sound(), long_ago)),
        ("doctor.keys_none", odd(good, json!({"keys": []}), None)),
        (
            "doctor.key_ignored",
            odd(good, json!({"keys": [key.public_jwk(), weak]}), None),
        ),
        ("doctor.key_exposed", odd(good, json!({"keys": [private]}), None)),
        (
            "doctor.keys_unnamed",
            odd(
                good,
                json!({"keys": [unnamed(key.public_jwk()), unnamed(second.public_jwk())]}),
                None,
            ),
        ),
    ] {
        let (_, codes) = run(&fake);
        assert!(codes.contains(code), "{code}: {codes:?}");
        expected(code);
    }
    // A login that has to be pushed is refused where it is pushed to.
    let pushed = move |own: &str| {
        let mut document = good(own);
        document["require_pushed_authorization_requests"] = json!(true);
        document["pushed_authorization_request_endpoint"] = json!(format!("{own}/par"));
        document
    };
    let fake = odd(pushed, sound(), None);
    let (status, codes) = run(&fake);
    assert_eq!((status, codes), (2, BTreeSet::from([always.to_owned()])));
    assert!(!fake.seen().iter().any(|asked| asked.target.starts_with("/authorize")));
    // A login that works shows what a warning alone is worth.
    let text = stage.config.replace(
        "[frontend.shop]\nclient = \"web\"\nscopes = [\"openid\", \"orders.read\"]\n",
        "",
    );
    let fake = odd(good, json!({"keys": [key.public_jwk(), weak]}), None);
    let (status, codes) = stage.codes(&text.replace(stage.idp.issuer(), &fake.origin), &[]);
    assert_eq!((status, codes), (1, BTreeSet::from(["doctor.key_ignored".to_owned()])));

    let public = stage.config.replace(
        "\"http://127.0.0.1:8080\"",
        "\"https://app.example.com\"\nlisten = \"127.0.0.1:8080\"",
    );
    let public = public
        .replace("dev_only", "env")
        .replace("shop-demo", "PATH")
        .replace("job-demo", "PATH");
    let (status, codes) = stage.codes(&public, &[]);
    assert!(
        status == 2 && codes.contains("doctor.development_provider"),
        "{codes:?}"
    );
}
