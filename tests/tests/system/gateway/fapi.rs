//! Logins that leave nothing to the browser: pushed, signed and answered by a form; tokens that are bound to a key.

use portcullis_idp::{Behaviour, Client, GrantType};
use portcullis_jose::{Algorithm, Clock, SigningKey, base64url_decode};
use portcullis_oidc::dpop::{DpopKey, Proof, ProofRules, TargetUri};
use serde_json::{Value, json};

use super::raw::{self, Reply};
use super::scripted::Scripted;
use super::{AUDIENCE, BILLING, Gate};
use crate::demo::{Answer, Browser};

const INLINE: &str = "secret = { env = \"WEB_SECRET\" }";

/// A gateway whose client has a key of its own, one for DPoP, and these settings.
async fn gate(https: bool, settings: &str, change: impl FnOnce(&mut Client)) -> Gate {
    let mut gate = if https {
        Gate::start_on_https().await
    } else {
        Gate::start().await
    };
    let keys = [("key.pem", key()), ("dpop.pem", key())];
    for (name, key) in &keys {
        let path = gate.dir.path().join(name);
        std::fs::write(&path, key.to_pkcs8_pem().unwrap().expose()).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        }
    }
    let mut client = super::provider_of(&gate.origin).clients.remove(0);
    client.secret = None;
    client.jwks = Some(json!({ "keys": [keys[0].1.public_jwk()] }));
    change(&mut client);
    gate.idp.control().put_client(client).unwrap();
    let with = format!("private_key = {{ file = \"key.pem\" }}\n{settings}");
    gate.text = gate.text.replacen(INLINE, &with, 1);
    gate.restart().await;
    gate
}

fn key() -> SigningKey {
    SigningKey::generate(Algorithm::ES256).unwrap()
}

/// Where `/bff/login` sends the browser, by the names of the parameters.
async fn sent_to(gate: &Gate) -> Vec<String> {
    let mut browser = Browser::new();
    let answer = gate.visit(&mut browser, &format!("{}/bff/login", gate.origin)).await;
    let url = answer.location().unwrap();
    url.query_pairs().map(|(name, _)| name.into_owned()).collect()
}

/// Asserts that somebody signs in and reaches the API.
async fn works(gate: &Gate) -> Browser {
    let mut browser = gate.sign_in().await;
    let answer = gate.fetch(&mut browser, "/api/orders/7").await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    browser
}

#[tokio::test]
async fn requests_are_pushed_where_the_client_or_the_provider_wants_it() {
    let gate1 = gate(false, "pushed_requests = true", |client| {
        client.require_pushed_authorization_requests = true;
    })
    .await;
    assert_eq!(sent_to(&gate1).await, ["client_id", "request_uri"]);
    drop(works(&gate1).await);
    // One who does not push is refused by this provider.
    let gate2 = gate(false, "", |client| client.require_pushed_authorization_requests = true).await;
    assert!(sent_to(&gate2).await.contains(&"code_challenge".to_owned()));
    let mut browser = Browser::new();
    let answer = gate2.visit(&mut browser, &format!("{}/bff/login", gate2.origin)).await;
    let refused = gate2.visit(&mut browser, answer.location().unwrap().as_str()).await;
    assert!(
        refused.location().unwrap().as_str().contains("error=invalid_request"),
        "{}",
        refused.body
    );
}

/// RFC 9126 s5: the metadata alone say it, and nothing is configured.
#[tokio::test]
async fn requests_are_pushed_where_the_providers_metadata_demand_it() {
    for demanded in [true, false] {
        let mut gate = Gate::start().await;
        let metadata = json!({ "require_pushed_authorization_requests": demanded });
        let provider = Scripted::before(&mut gate, metadata).await;
        let names = sent_to(&gate).await;
        assert_eq!(names == ["client_id", "request_uri"], demanded, "{names:?}");
        assert_eq!(provider.pushed(), usize::from(demanded));
        let mut browser = Browser::new();
        let answer = provider
            .sign_in(&gate, &mut browser, "/bff/login?login_hint=alice")
            .await;
        assert_eq!(answer.status, 303, "{}", answer.body);
        assert_eq!(provider.pushed(), 2 * usize::from(demanded));
        assert_eq!(provider.asked()["login_hint"], "alice");
        assert_eq!(gate.fetch(&mut browser, "/api/orders/7").await.status, 200);
    }
}

#[tokio::test]
async fn requests_are_signed() {
    let gate1 = gate(false, "signed_requests = true", |client| {
        client.require_signed_request_object = true
    })
    .await;
    assert_eq!(
        sent_to(&gate1).await,
        ["client_id", "response_type", "scope", "request"]
    );
    drop(works(&gate1).await);
    let both = "signed_requests = true\npushed_requests = true";
    let gate2 = gate(false, both, |client| {
        client.require_signed_request_object = true;
        client.require_pushed_authorization_requests = true;
    })
    .await;
    assert_eq!(sent_to(&gate2).await, ["client_id", "request_uri"]);
    drop(works(&gate2).await);
    // Signed by somebody else, or not at all.
    for (settings, told) in [("signed_requests = true", 400), ("", 303)] {
        let other = key();
        let gate3 = gate(false, settings, |client| {
            client.require_signed_request_object = true;
            client.jwks = Some(json!({ "keys": [other.public_jwk()] }));
        })
        .await;
        let mut browser = Browser::new();
        let answer = gate3.visit(&mut browser, &format!("{}/bff/login", gate3.origin)).await;
        let refused = gate3.visit(&mut browser, answer.location().unwrap().as_str()).await;
        assert_eq!(refused.status.as_u16(), told, "{settings}: {}", refused.body);
    }
}

#[tokio::test]
async fn parameters_of_the_configuration_are_sent() {
    let gate = gate(
        false,
        "authorization_parameters = { domain_hint = \"example.com\", x = \"a b\" }",
        |_| {},
    )
    .await;
    let mut browser = Browser::new();
    let answer = gate.visit(&mut browser, &format!("{}/bff/login", gate.origin)).await;
    let location = answer.location().unwrap();
    assert!(
        location.as_str().contains("&domain_hint=example.com&x=a+b"),
        "{location}"
    );
    drop(works(&gate).await);
}

/// OpenID Connect Core 1.0 s6.1, RFC 9396 s3: what is JSON is JSON in a signed request, too.
#[tokio::test]
async fn structured_parameters_are_signed_as_what_they_are() {
    let claims = r#"{"id_token":{"acr":{"essential":true}}}"#;
    let settings =
        format!("signed_requests = true\nauthorization_parameters = {{ claims = '{claims}', x = '{claims}' }}");
    let gate = gate(false, &settings, |_| {}).await;
    let mut browser = Browser::new();
    let answer = gate.visit(&mut browser, &format!("{}/bff/login", gate.origin)).await;
    let location = answer.location().unwrap();
    let (_, request) = location.query_pairs().find(|(name, _)| name == "request").unwrap();
    let payload = portcullis_jose::base64url_decode(request.split('.').nth(1).unwrap()).unwrap();
    let payload: serde_json::Value = serde_json::from_slice(&payload).unwrap();
    assert_eq!(payload["claims"]["id_token"]["acr"]["essential"], true);
    assert_eq!(payload["x"], claims);
}

/// A login whose answer is a form, up to that form. What the browser has of an earlier one comes with its beginning, and
/// not with the form, which another site posts.
async fn until_form(gate: &Gate, earlier: &Browser) -> (Browser, String) {
    let mut browser = Browser::new();
    browser.cookies = earlier.cookies.clone();
    let begun = gate.visit(&mut browser, &format!("{}/bff/login", gate.origin)).await;
    let cookies: Vec<&str> = begun
        .headers
        .get_all("set-cookie")
        .iter()
        .map(|value| value.to_str().unwrap())
        .collect();
    assert!(
        cookies.iter().all(|cookie| cookie.contains("; Secure; SameSite=None")),
        "{cookies:?}"
    );
    browser.cookies.retain(|(name, _), _| name.contains("-login-"));
    let page: Answer = gate.visit(&mut browser, begun.location().unwrap().as_str()).await;
    let page = gate.visit(&mut browser, page.location().unwrap().as_str()).await;
    let page = browser
        .submit(&page, &[("username", "alice"), ("password", super::PASSWORD)])
        .await;
    assert_eq!(page.status, 200, "{}", page.body);
    let value = |name: &str| {
        let (_, rest) = page.body.split_once(&format!("name=\"{name}\" value=\"")).unwrap();
        rest.split_once('"')
            .unwrap()
            .0
            .replace("&#38;", "&")
            .replace("&amp;", "&")
    };
    let (code, state, iss) = (value("code"), value("state"), value("iss"));
    (
        browser,
        form_urlencoded(&[("code", &code), ("state", &state), ("iss", &iss)]),
    )
}

/// The provider's page has the browser post this.
async fn post(gate: &Gate, browser: &mut Browser, target: &str, kind: Option<&str>, body: &str) -> Answer {
    let callback = format!("{}{target}", gate.origin);
    let mut headers = vec![
        ("host", gate.host()),
        ("origin", gate.idp.issuer()),
        ("sec-fetch-site", "cross-site"),
    ];
    headers.extend(kind.map(|kind| ("content-type", kind)));
    browser
        .send("POST", &gate.reach(&callback), &headers, body.to_owned())
        .await
}

const CALLBACK: &str = "/bff/callback";
const FORM: &str = "application/x-www-form-urlencoded";

async fn sign_in_by_form(gate: &Gate, earlier: &Browser) -> Browser {
    let (mut browser, form) = until_form(gate, earlier).await;
    let answer = post(gate, &mut browser, CALLBACK, Some(FORM), &form).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    browser
}

#[tokio::test]
async fn an_answer_may_come_as_a_form() {
    let gate = gate(true, "response_mode = \"form_post\"", |_| {}).await;
    let mut first = sign_in_by_form(&gate, &Browser::new()).await;
    assert!(gate.session(&first).is_some());
    assert_eq!(gate.fetch(&mut first, "/api/orders/7").await.status, 200);
    // The session that the browser had is over with the next login; another browser's is not.
    let mut other = sign_in_by_form(&gate, &Browser::new()).await;
    let mut second = sign_in_by_form(&gate, &first).await;
    assert_eq!(gate.fetch(&mut second, "/api/orders/7").await.status, 200);
    assert_eq!(gate.fetch(&mut first, "/api/orders/7").await.status, 401);
    assert_eq!(gate.last_code(), "session.expired");
    assert_eq!(gate.fetch(&mut other, "/api/orders/7").await.status, 200);
    // Without that setting nobody may post an answer.
    let plain = Gate::start().await;
    let reply: Reply = plain.call("POST", "/bff/callback", &[]).await;
    assert_eq!(reply.status, 405);
}

#[tokio::test]
async fn an_answer_that_is_no_form_is_none() {
    let gate = gate(true, "response_mode = \"form_post\"", |_| {}).await;
    let (mut browser, form) = until_form(&gate, &Browser::new()).await;
    let json = format!("{{\"{}\"}}", form.replace('=', "\":\"").replace('&', "\",\""));
    let in_the_query = format!("{CALLBACK}?{form}");
    for (target, kind, body) in [
        (CALLBACK, None, form.as_str()),
        (CALLBACK, Some("text/plain"), &form),
        (CALLBACK, Some("application/x-www-form-urlencoded-not"), &form),
        (CALLBACK, Some("multipart/form-data; boundary=x"), &form),
        (CALLBACK, Some("application/json"), &json),
        (&in_the_query, Some(FORM), ""),
    ] {
        let answer = post(&gate, &mut browser, target, kind, body).await;
        assert_eq!(
            (answer.status.as_u16(), gate.last_code().as_str()),
            (400, "login.state_missing"),
            "{kind:?}"
        );
        assert!(!answer.headers.contains_key("set-cookie"), "{kind:?}");
    }
    // The login is under way still, and the answer as good as before.
    let kind = "Application/X-WWW-Form-URLEncoded; charset=UTF-8";
    let answer = post(&gate, &mut browser, CALLBACK, Some(kind), &form).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    assert_eq!(gate.fetch(&mut browser, "/api/orders/7").await.status, 200);
}

fn form_urlencoded(pairs: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish()
}

#[tokio::test]
async fn tokens_are_bound_to_a_key_and_the_upstream_gets_a_proof() {
    let mut gate = gate(false, "dpop_key = { file = \"dpop.pem\" }", |client| {
        client.dpop_bound_access_tokens = true
    })
    .await;
    // The provider wants a nonce; it is given with the second try.
    let behaviour = Behaviour {
        dpop_nonce: Some("nonce-1".into()),
        ..Behaviour::default()
    };
    gate.idp.control().set_behaviour(behaviour);
    let mut browser = works(&gate).await;
    let log = gate.idp.control().request_log();
    let wanted = log
        .iter()
        .filter(|entry| entry.error.as_deref() == Some("use_dpop_nonce"))
        .count();
    assert_eq!(wanted, 1);
    drop(gate.sign_in().await);
    let log = gate.idp.control().request_log();
    assert_eq!(
        log.iter()
            .filter(|entry| entry.error.as_deref() == Some("use_dpop_nonce"))
            .count(),
        1,
        "remembered"
    );
    let answer = gate.fetch(&mut browser, "/api/orders/7?x=1").await;
    assert_eq!(answer.status, 200);
    let seen = gate.upstream.last();
    let authorization = seen.all("authorization");
    let token = authorization[0].strip_prefix("DPoP ").unwrap().to_owned();
    let pem = std::fs::read_to_string(gate.dir.path().join("dpop.pem")).unwrap();
    let thumbprint = DpopKey::new(SigningKey::from_pem(&pem, Algorithm::ES256).unwrap()).thumbprint();
    let target = TargetUri::parse(&format!("http://{}/api/orders/7", gate.upstream.address)).unwrap();
    let rules = ProofRules::new("GET", &target, gate.clock.now()).with_token(&token, &thumbprint);
    let proofs = seen.all("dpop");
    Proof::check(proofs.iter().map(|proof| proof.as_bytes()), &rules).unwrap();
    // Whoever has stolen it cannot use it here.
    assert_eq!(gate.bearer("GET", "/api/orders/7", &token).await.status, 401);
    // An upstream that wants a nonce gets it with a second proof of the same token, and at once from then on.
    let (refreshes, hits) = (gate.idp.control().token_counts().refreshes, gate.upstream.hits());
    for (nonce, expected) in [("nonce-a", 2), ("nonce-a", 3), ("nonce-b", 5)] {
        let answer = gate.fetch(&mut browser, &format!("/api/orders/{nonce}")).await;
        assert_eq!(
            (answer.status.as_u16(), gate.upstream.hits() - hits),
            (200, expected),
            "{nonce}"
        );
        assert_eq!(gate.upstream.last().all("authorization"), authorization);
    }
    let cookie = gate.cookie(&browser);
    let headers = [("Cookie", cookie.as_str()), ("X-CSRF", "1")];
    let write = raw::exchange(
        gate.address,
        "POST",
        "/api/orders/nonce-c",
        gate.host(),
        &headers,
        "a=b",
    )
    .await;
    assert_eq!(
        (write.status, gate.upstream.hits() - hits),
        (401, 6),
        "its body is gone"
    );
    assert_eq!(gate.idp.control().token_counts().refreshes, refreshes);
    // It is renewed with a proof as well.
    gate.clock.advance(290);
    let answer = gate.fetch(&mut browser, "/api/orders/7").await;
    assert_eq!(answer.status, 200);
    assert_ne!(gate.upstream.last().all("authorization"), authorization);
    // An upstream below a path, or at another path: the proof names what it is asked for.
    let address = format!("http://{}", gate.upstream.address);
    let usual = gate.text.clone();
    for (upstream, arrived) in [
        (format!("\"{address}/v1/\""), "/v1/api/orders/7"),
        (format!("\"{address}\"\nupstream_path = \"/v1\""), "/v1/7"),
    ] {
        gate.text = usual.replacen(&format!("\"{address}\""), &upstream, 1);
        gate.restart().await;
        assert_eq!(gate.fetch(&mut browser, "/api/orders/7?x=1").await.status, 200);
        let seen = gate.upstream.last();
        assert_eq!(seen.target, format!("{arrived}?x=1"));
        let target = TargetUri::parse(&format!("{address}{arrived}")).unwrap();
        let token = seen.all("authorization")[0].strip_prefix("DPoP ").unwrap();
        let rules = ProofRules::new("GET", &target, gate.clock.now()).with_token(token, &thumbprint);
        let proofs = seen.all("dpop");
        Proof::check(proofs.iter().map(|proof| proof.as_bytes()), &rules).unwrap();
    }
}

/// The token that reached the upstream, which is bound to our key; its proof is good for the address that was asked.
fn bound_token(gate: &Gate, path: &str, thumbprint: &str) -> Value {
    let seen = gate.upstream.last();
    let target = TargetUri::parse(&format!("http://{}{path}", gate.upstream.address)).unwrap();
    let authorization = seen.all("authorization");
    let token = authorization[0].strip_prefix("DPoP ").expect("it is bound");
    let rules = ProofRules::new("GET", &target, gate.clock.now()).with_token(token, thumbprint);
    let proofs = seen.all("dpop");
    Proof::check(proofs.iter().map(|proof| proof.as_bytes()), &rules).unwrap();
    let payload = token.split('.').nth(1).unwrap();
    let claims: Value = serde_json::from_slice(&base64url_decode(payload).unwrap()).unwrap();
    assert_eq!(claims["cnf"]["jkt"], *thumbprint);
    claims
}

#[tokio::test]
async fn each_kind_of_token_for_an_upstream_is_bound_where_the_client_has_a_key() {
    let mut gate = gate(false, "dpop_key = { file = \"dpop.pem\" }", |client| {
        client.dpop_bound_access_tokens = true;
        client.grants.push(GrantType::ClientCredentials);
    })
    .await;
    let upstream = format!("http://{}", gate.upstream.address);
    let guarded = format!("provider = \"dev\"\naudience = \"{AUDIENCE}\"\npolicy = \"authenticated\"");
    let narrow = format!("{{ from = \"exchange\", audience = \"{BILLING}\", scopes = [\"billing.read\"] }}");
    for (name, access, token) in [
        ("narrow", guarded.as_str(), narrow.as_str()),
        (
            "own",
            "accept = [\"anyone\"]",
            "{ from = \"client\", client = \"web\", scopes = [\"orders.read\"] }",
        ),
        (
            "either",
            "accept = [\"anyone\"]",
            "{ from = \"caller_or_client\", client = \"web\", scopes = [\"orders.read\"] }",
        ),
        ("perhaps", "accept = [\"anyone\"]", "{ from = \"caller_or_none\" }"),
    ] {
        gate.text.push_str(&format!(
            "\n[api.{name}]\npath = \"/api/{name}\"\nupstream = \"{upstream}\"\n{access}\ntoken = {token}\n"
        ));
    }
    let scopes = "\"orders.read\", \"orders.write\"";
    gate.text = gate
        .text
        .replacen(&format!("{scopes}]"), &format!("{scopes}, \"billing.read\"]"), 1);
    gate.restart().await;
    let pem = std::fs::read_to_string(gate.dir.path().join("dpop.pem")).unwrap();
    let thumbprint = DpopKey::new(SigningKey::from_pem(&pem, Algorithm::ES256).unwrap()).thumbprint();

    let mut browser = gate.sign_in().await;
    // (path, whose token, for which audience)
    for (path, subject, audience) in [
        ("/api/narrow/1", "alice", BILLING),
        ("/api/own/1", "web", AUDIENCE),
        ("/api/either/1", "alice", AUDIENCE),
        ("/api/perhaps/1", "alice", AUDIENCE),
    ] {
        let answer = gate.fetch(&mut browser, path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        let claims = bound_token(&gate, path, &thumbprint);
        assert_eq!(
            (&claims["sub"], &claims["aud"]),
            (&json!(subject), &json!(audience)),
            "{path}"
        );
    }
    // An upstream that wants a nonce gets it with a second proof of the same token.
    let hits = gate.upstream.hits();
    assert_eq!(gate.fetch(&mut browser, "/api/narrow/nonce-a").await.status, 200);
    assert_eq!(gate.upstream.hits() - hits, 2);
    bound_token(&gate, "/api/narrow/nonce-a", &thumbprint);

    // Without a session: the client's own, or none.
    let mut stranger = Browser::new();
    assert_eq!(gate.fetch(&mut stranger, "/api/either/1").await.status, 200);
    assert_eq!(bound_token(&gate, "/api/either/1", &thumbprint)["sub"], "web");
    assert_eq!(gate.fetch(&mut stranger, "/api/perhaps/1").await.status, 200);
    let seen = gate.upstream.last();
    assert!(seen.all("authorization").is_empty() && seen.all("dpop").is_empty());
}

#[tokio::test]
async fn the_profile_does_all_of_it() {
    let settings = "profile = \"fapi2\"\ndpop_key = { file = \"dpop.pem\" }";
    let gate = gate(false, settings, |client| {
        client.require_pushed_authorization_requests = true;
        client.dpop_bound_access_tokens = true;
    })
    .await;
    assert_eq!(sent_to(&gate).await, ["client_id", "request_uri"]);
    drop(works(&gate).await);
    // An answer that does not say who it is from is no answer, though the provider may leave it out elsewhere.
    gate.idp.control().set_behaviour(Behaviour {
        omit_iss_parameter: true,
        ..Behaviour::default()
    });
    let mut browser = Browser::new();
    let callback = gate.until_callback(&mut browser).await;
    let answer = gate.visit(&mut browser, callback.as_str()).await;
    assert_eq!(
        (answer.status.as_u16(), gate.last_code().as_str()),
        (400, "login.issuer_missing")
    );
}

#[tokio::test]
async fn keys_of_our_own_are_published_and_used() {
    let mut gate = Gate::start().await;
    let jwks = "/.well-known/portcullis/jwks.json";
    assert_eq!(
        gate.call("GET", jwks, &[]).await.status,
        404,
        "nobody has keys of their own"
    );
    gate.text = gate.text.replacen(INLINE, "own_keys = { file = \"web.keys\" }", 1);
    gate.restart().await;
    let published = gate.call("GET", jwks, &[]).await;
    assert_eq!(
        (published.status, published.all("content-type")),
        (200, vec!["application/jwk-set+json"])
    );
    assert!(!published.body.contains("\"d\""), "no private half");
    let set: serde_json::Value = serde_json::from_str(&published.body).unwrap();
    let kid = set["keys"][0]["kid"].as_str().unwrap();
    let mut client = super::provider_of(&gate.origin).clients.remove(0);
    client.secret = None;
    client.jwks = Some(set.clone());
    gate.idp.control().put_client(client).unwrap();
    drop(works(&gate).await);
    // The same key after a restart, out of a file that shows nothing.
    gate.restart().await;
    let again = gate.call("GET", jwks, &[]).await;
    assert_eq!(again.body, published.body);
    let sealed = std::fs::read(gate.dir.path().join("web.keys")).unwrap();
    assert!(!String::from_utf8_lossy(&sealed).contains(kid));
    assert_eq!(gate.call("POST", jwks, &[]).await.status, 405);
}
