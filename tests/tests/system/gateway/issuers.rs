//! Issuers of every kind at one gateway: several, keys in files, shared secrets, and tokens that are asked about.

use portcullis_idp::{Behaviour, Endpoint, FailNext, Idp, Mint};
use portcullis_jose::{Algorithm, Clock as _, SharedSecret, SigningKey};
use serde_json::{Value, json};

use super::{AUDIENCE, Gate, provider_of};

/// A gateway whose configuration has this in `[provider.dev]`, and this at its end.
async fn gate(provider: &str, more: &str) -> Gate {
    let mut gate = Gate::start().await;
    let issuer = format!("issuer = \"{}\"", gate.idp.issuer());
    gate.text = gate.text.replacen(&issuer, &format!("{issuer}\n{provider}"), 1) + more;
    gate.restart().await;
    gate
}

fn api(gate: &Gate, name: &str, providers: &str) -> String {
    let upstream = gate.upstream.address;
    format!(
        "\n[api.{name}]\npath = \"/api/{name}\"\nupstream = \"http://{upstream}\"\naccept = [\"bearer\"]\n\
         provider = {providers}\naudience = \"{AUDIENCE}\"\npolicy = \"Read\"\n"
    )
}

fn opaque() -> Behaviour {
    Behaviour {
        opaque_access_tokens: true,
        ..Behaviour::default()
    }
}

#[tokio::test]
async fn opaque_tokens_are_asked_about_and_held_to_the_same_policies() {
    let gate = gate("introspection = { client = \"web\" }", "").await;
    let jwt = gate.token();
    gate.idp.control().set_behaviour(opaque());
    let token = gate.token();
    assert!(!token.contains('.') && jwt.contains('.'));
    for token in [&jwt, &token, &token] {
        assert_eq!(gate.bearer("GET", "/api/orders", token).await.status, 200);
    }
    assert_eq!(gate.upstream.hits(), 3);
    let asked = || {
        let log = gate.idp.control().request_log();
        log.iter().filter(|entry| entry.path == "/introspect").count()
    };
    assert_eq!(asked(), 1, "one answer counts for a while, and a JWT speaks for itself");

    let reads = Mint {
        user: Some("alice".into()),
        client: Some("web".into()),
        scopes: vec!["orders.read".into()],
        ..Mint::default()
    };
    let reads = gate.idp.control().mint(&reads).unwrap();
    assert_eq!(gate.bearer("GET", "/api/orders", &reads).await.status, 200);
    assert_eq!(gate.bearer("POST", "/api/orders", &reads).await.status, 403);
    assert_eq!(gate.last_code(), "policy.scope_insufficient");
    let made_up = gate.bearer("GET", "/api/orders", "bm90aGluZy1ldmVy").await;
    assert_eq!((made_up.status, gate.last_code()), (401, "token.inactive".to_owned()));
    assert!(!gate.logged().contains(&token));
    // The session's token is opaque as well.
    let browser = gate.sign_in().await;
    let cookie = gate.cookie(&browser);
    let session = [("Cookie", cookie.as_str()), ("X-CSRF", "1")];
    assert_eq!(gate.call("GET", "/api/page", &session).await.status, 200);
}

#[tokio::test]
async fn without_room_for_tokens_none_is_remembered() {
    let mut gate = gate("introspection = { client = \"web\" }", "").await;
    gate.text = gate.text.replacen("[server]\n", "[server]\ntoken_cache = 0\n", 1);
    gate.restart().await;
    gate.idp.control().set_behaviour(opaque());
    let token = gate.token();
    for asked in 1..=3 {
        assert_eq!(gate.bearer("GET", "/api/orders", &token).await.status, 200);
        let log = gate.idp.control().request_log();
        assert_eq!(log.iter().filter(|entry| entry.path == "/introspect").count(), asked);
    }
}

#[tokio::test]
async fn a_provider_that_gives_no_usable_answer_is_503() {
    let gate = gate("introspection = { client = \"web\", cache = \"0s\" }", "").await;
    gate.idp.control().set_behaviour(opaque());
    let token = gate.token();
    let fails = FailNext {
        endpoint: Endpoint::Introspection,
        status: 500,
        times: 1,
    };
    for behaviour in [
        Behaviour {
            fail_next: vec![fails],
            ..opaque()
        },
        Behaviour {
            introspection_active_as_text: true,
            ..opaque()
        },
    ] {
        gate.idp.control().set_behaviour(behaviour);
        let reply = gate.bearer("GET", "/api/orders", &token).await;
        assert_eq!((reply.status, reply.header("retry-after")), (503, "5"));
        assert_eq!(reply.header("www-authenticate"), "");
        assert_eq!(gate.last_code(), "introspection.unavailable");
    }
    assert_eq!(gate.upstream.hits(), 0);
    gate.idp.control().set_behaviour(opaque());
    assert_eq!(gate.bearer("GET", "/api/orders", &token).await.status, 200);
    gate.clock.advance(3600);
    assert_eq!(
        gate.bearer("GET", "/api/orders", &token).await.status,
        401,
        "it ended at the provider"
    );
}

#[tokio::test]
async fn the_issuer_of_a_token_picks_the_provider() {
    let mut gate = Gate::start().await;
    let second = Idp::start(provider_of("http://localhost:1"), gate.clock.clone())
        .await
        .unwrap();
    let more = format!("\n[provider.second]\nissuer = \"{}\"\n", second.issuer());
    let more = more + &api(&gate, "both", "[\"dev\", \"second\"]") + &api(&gate, "only", "\"second\"");
    gate.text += &more;
    gate.restart().await;
    let order = Mint {
        user: Some("alice".into()),
        client: Some("web".into()),
        ..Mint::default()
    };
    let (first, other) = (gate.token(), second.control().mint(&order).unwrap());
    for (path, token, status) in [
        ("/api/both", &first, 200),
        ("/api/both", &other, 200),
        ("/api/only", &other, 200),
        ("/api/only", &first, 401),
        ("/api/orders", &other, 401),
    ] {
        assert_eq!(gate.bearer("GET", path, token).await.status, status, "{path}");
    }
    assert_eq!(gate.last_code(), "token.issuer_mismatch");
    assert_eq!(gate.upstream.hits(), 3);
}

#[tokio::test]
async fn keys_of_a_file_and_shared_secrets_need_no_provider_that_answers() {
    let mut gate = Gate::start().await;
    let dir = gate.dir.path().to_owned();
    let publish = |keys: &[&SigningKey]| {
        let set = json!({ "keys": keys.iter().map(|key| key.public_jwk()).collect::<Vec<_>>() });
        std::fs::write(dir.join("issuer.json"), set.to_string()).unwrap();
    };
    let (one, two) = (
        SigningKey::generate(Algorithm::ES256).unwrap(),
        SigningKey::generate(Algorithm::EdDSA).unwrap(),
    );
    publish(&[&one]);
    let text = "0123456789abcdef0123456789abcdef";
    let mut more = "\n[provider.file]\nissuer = \"https://file.test\"\njwks_file = \"issuer.json\"\n\
        [provider.shared]\nissuer = \"http://127.0.0.1:1\"\nshared_secret = { dev_only = \"SECRET\" }\n\
        algorithms = [\"HS256\"]\n"
        .replace("SECRET", text);
    more += &api(&gate, "local", "[\"file\", \"shared\"]");
    gate.text += &more;
    gate.restart().await;
    let now = gate.clock.now().as_secs();
    let claims = |issuer: &str| {
        json!({
            "iss": issuer, "sub": "alice", "aud": AUDIENCE, "exp": now + 300, "iat": now, "client_id": "web",
            "scope": "orders.read", "jti": portcullis_jose::random_token(9),
        })
    };
    let signed = |key: &SigningKey, claims: Value| key.sign_jwt("at+jwt", &claims).unwrap();
    let secret = SharedSecret::new(text.as_bytes(), Algorithm::HS256).unwrap();
    let by_file = signed(&one, claims("https://file.test"));
    let by_secret = secret.sign_jwt("at+jwt", &claims("http://127.0.0.1:1"));
    for token in [&by_file, &by_secret] {
        assert_eq!(gate.bearer("GET", "/api/local", token).await.status, 200);
    }
    // Each issuer's own way, and no other.
    let wrong = SharedSecret::new(&[7; 32], Algorithm::HS256).unwrap();
    for (token, code) in [
        (
            secret.sign_jwt("at+jwt", &claims("https://file.test")),
            "token.algorithm_not_allowed",
        ),
        (
            signed(&one, claims("http://127.0.0.1:1")),
            "token.algorithm_not_allowed",
        ),
        (
            wrong.sign_jwt("at+jwt", &claims("http://127.0.0.1:1")),
            "token.signature_invalid",
        ),
        (signed(&two, claims("https://file.test")), "keys.unknown_kid"),
    ] {
        assert_eq!(gate.bearer("GET", "/api/local", &token).await.status, 401);
        assert_eq!(gate.last_code(), code);
    }
    // The file is another one: its new key passes, and the old key's token is out of the cache.
    publish(&[&two]);
    gate.clock.advance(30);
    let by_two = signed(&two, claims("https://file.test"));
    assert_eq!(gate.bearer("GET", "/api/local", &by_two).await.status, 200);
    assert_eq!(gate.bearer("GET", "/api/local", &by_file).await.status, 401);
    assert_eq!(gate.bearer("GET", "/api/local", &by_secret).await.status, 200);
}
