use std::sync::{Arc, Mutex};

use portcullis_jose::{Algorithm, AlgorithmSet, Clock as _, JwkSet, Limits, ManualClock, UnverifiedJws};
use serde_json::json;

use super::*;
use crate::provider::tests::{FakeProvider, answer, clock, key};
use crate::{BoxFuture, Client};

fn tokens() -> http::Response<bytes::Bytes> {
    answer(
        200,
        &json!({ "access_token": "at", "token_type": "Bearer", "expires_in": 100 }),
    )
}

fn form_of(request: &http::Request<bytes::Bytes>) -> Vec<(String, String)> {
    form_urlencoded::parse(request.body()).into_owned().collect()
}

fn field(request: &http::Request<bytes::Bytes>, name: &str) -> Option<String> {
    form_of(request)
        .into_iter()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value)
}

async fn ask(fake: &Arc<FakeProvider>, clock: &Arc<ManualClock>, auth: &ClientAuth) -> Result<(), ProviderError> {
    let client = Client::new(fake.provider(clock.clone()), "web", auth.clone());
    client.client_credentials(&[], None).await.map(|_| ())
}

#[tokio::test]
async fn an_assertion_is_for_the_issuer_and_never_the_same_twice() {
    let (fake, clock, key) = (FakeProvider::new(), clock(), key());
    fake.on("/token", |_| tokens());
    let auth = ClientAuth::PrivateKeyJwt(key.clone());
    let mut ids = Vec::new();
    for _ in 0..2 {
        ask(&fake, &clock, &auth).await.unwrap();
        let request = fake.last("/token");
        assert!(request.headers().get(http::header::AUTHORIZATION).is_none());
        assert_eq!(field(&request, "client_id").as_deref(), Some("web"));
        assert_eq!(field(&request, "client_assertion_type").as_deref(), Some(JWT_BEARER));
        let assertion = field(&request, "client_assertion").unwrap();
        let (keys, _) = JwkSet::parse(json!({ "keys": [key.public_jwk()] }).to_string().as_bytes()).unwrap();
        let jws = UnverifiedJws::parse(&assertion, &Limits::default()).unwrap();
        let claims = jws
            .verify(&keys, AlgorithmSet::of(&[Algorithm::ES256]))
            .unwrap()
            .to_json();
        let now = clock.now().as_secs();
        for (name, value) in [
            ("iss", json!("web")),
            ("sub", json!("web")),
            ("aud", json!(FakeProvider::ISSUER)),
            ("iat", json!(now)),
            ("exp", json!(now + ASSERTION_LIFETIME)),
        ] {
            assert_eq!(claims[name], value, "{name}");
        }
        ids.push(claims["jti"].as_str().unwrap().to_owned());
    }
    assert_ne!(ids[0], ids[1]);
    let client = Client::new(fake.provider(clock.clone()), "web", auth);
    let client = client.with_assertion_audience(AssertionAudience::TokenEndpoint);
    client.client_credentials(&[], None).await.unwrap();
    let assertion = field(&fake.last("/token"), "client_assertion").unwrap();
    let seen = portcullis_jose::inspect::unverified(&assertion, &Limits::default()).unwrap();
    assert_eq!(
        seen.claims.unwrap().get("aud").unwrap().as_str(),
        Some("https://issuer.test/token")
    );
}

#[tokio::test]
async fn the_file_of_an_assertion_is_read_for_each_request() {
    let (fake, clock) = (FakeProvider::new(), clock());
    fake.on("/token", |_| tokens());
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    let auth = ClientAuth::Assertion(AssertionFile::new(&path));
    let missing = ask(&fake, &clock, &auth).await.unwrap_err();
    assert_eq!((missing.code(), fake.count("/token")), ("client.no_credential", 0));
    for text in ["a.b.c", "d.e.f\n"] {
        std::fs::write(&path, text).unwrap();
        ask(&fake, &clock, &auth).await.unwrap();
        assert_eq!(
            field(&fake.last("/token"), "client_assertion").as_deref(),
            Some(text.trim())
        );
    }
    for text in ["", "no token", "a.b", "a.b.c d"] {
        std::fs::write(&path, text).unwrap();
        assert!(ask(&fake, &clock, &auth).await.is_err(), "{text:?}");
    }
    assert_eq!(fake.count("/token"), 2);
}

#[tokio::test]
async fn a_client_with_a_certificate_goes_to_the_endpoints_that_are_for_it() {
    let (fake, shown, clock) = (FakeProvider::new(), FakeProvider::new(), clock());
    fake.on("/.well-known/openid-configuration", |_| {
        let at = |path: &str| format!("{}{path}", FakeProvider::ISSUER);
        let aliases = json!({ "token_endpoint": at("/mtls/token"), "userinfo_endpoint": at("/mtls/userinfo") });
        let document = json!({
            "issuer": FakeProvider::ISSUER, "jwks_uri": at("/jwks"), "token_endpoint": at("/token"),
            "revocation_endpoint": at("/revoke"), "mtls_endpoint_aliases": aliases,
            "userinfo_endpoint": at("/userinfo"),
        });
        answer(200, &document)
    });
    fake.on("/token", |_| tokens());
    shown.on("/mtls/token", |_| tokens());
    shown.on("/revoke", |_| answer(200, &json!({})));
    let client = Client::new(fake.provider(clock.clone()), "web", ClientAuth::Tls(shown.clone()));
    client.client_credentials(&[], None).await.unwrap();
    client.revoke(&Secret::new("r"), "refresh_token").await.unwrap();
    shown.on("/mtls/userinfo", |_| answer(200, &json!({ "sub": "alice" })));
    assert!(client.userinfo(&Secret::new("at"), "alice").await.unwrap().is_some());
    assert_eq!(fake.count("/userinfo"), 0);
    assert_eq!(
        (fake.count("/token"), shown.count("/mtls/token"), shown.count("/revoke")),
        (0, 1, 1)
    );
    assert_eq!(
        form_of(&shown.last("/mtls/token")),
        [("grant_type", "client_credentials"), ("client_id", "web")].map(|(a, b)| (a.to_owned(), b.to_owned()))
    );
    ask(&fake, &clock, &ClientAuth::None).await.unwrap();
    assert_eq!(fake.count("/token"), 1);
}

/// Secrets that a test changes.
#[derive(Debug, Clone, Default)]
struct Held(Arc<Mutex<Vec<Credential>>>);

impl CredentialSource for Held {
    fn load(&self, _: bool) -> BoxFuture<'_, Result<Vec<Credential>, ProviderError>> {
        let all = self.0.lock().unwrap().clone();
        Box::pin(async move { Ok(all) })
    }
}

fn secret(text: &str) -> Credential {
    Credential::new(text, Proof::Secret(Secret::new(text)))
}

/// A provider that knows these secrets, and what happened to the client's.
fn rotating(fake: &Arc<FakeProvider>, known: &'static [&'static str]) -> (Held, ClientAuth, Arc<Mutex<Vec<String>>>) {
    fake.on("/token", move |request| match field(request, "client_secret") {
        Some(secret) if known.contains(&secret.as_str()) => tokens(),
        _ => answer(401, &json!({ "error": "invalid_client" })),
    });
    let (held, told) = (Held::default(), Arc::<Mutex<Vec<String>>>::default());
    let observer: CredentialObserver = Arc::new({
        let told = told.clone();
        move |event| {
            let CredentialEvent::Refused { credential, next } = event;
            told.lock()
                .unwrap()
                .push(format!("{credential} {}", next.as_deref().unwrap_or("-")));
        }
    });
    let auth = ClientAuth::Rotating(Credentials::new(AuthMethod::Post, held.clone(), observer));
    (held, auth, told)
}

#[tokio::test]
async fn the_newest_that_works_is_used() {
    let (fake, clock) = (FakeProvider::new(), clock());
    let (held, auth, told) = rotating(&fake, &["old"]);
    let now = clock.now();
    *held.0.lock().unwrap() = vec![
        secret("old").valid(Some(now.plus(-1000)), None),
        secret("new").valid(Some(now.plus(-10)), None),
        secret("later").valid(Some(now.plus(10)), None),
        secret("over").valid(None, Some(now)),
    ];
    // The new one is tried first, then the old one, once each.
    ask(&fake, &clock, &auth).await.unwrap();
    assert_eq!(fake.count("/token"), 2);
    assert_eq!(*told.lock().unwrap(), ["new old"]);
    // That is remembered.
    ask(&fake, &clock, &auth).await.unwrap();
    assert_eq!(fake.count("/token"), 3);
    assert_eq!(field(&fake.last("/token"), "client_secret").as_deref(), Some("old"));
    // After a while the newest gets another try: by now it is `later`. If that fails, the one that is known to work.
    clock.advance(300);
    ask(&fake, &clock, &auth).await.unwrap();
    assert_eq!(told.lock().unwrap().last().unwrap(), "later old");
}

#[tokio::test]
async fn what_is_refused_is_tried_again_only_with_another() {
    let (fake, clock) = (FakeProvider::new(), clock());
    let (held, auth, told) = rotating(&fake, &["good"]);
    *held.0.lock().unwrap() = vec![secret("bad")];
    let error = ask(&fake, &clock, &auth).await.unwrap_err();
    assert_eq!((error.code(), fake.count("/token")), ("provider.client_rejected", 1));
    assert_eq!(*told.lock().unwrap(), ["bad -"]);
    *held.0.lock().unwrap() = vec![secret("bad"), secret("worse"), secret("worst")];
    assert!(ask(&fake, &clock, &auth).await.is_err());
    assert_eq!(fake.count("/token"), 3, "two tries, not three");
    assert_eq!(told.lock().unwrap()[1..], ["worse worst", "worst bad"]);
    *held.0.lock().unwrap() = vec![];
    assert_eq!(
        ask(&fake, &clock, &auth).await.unwrap_err().code(),
        "client.no_credential"
    );
    *held.0.lock().unwrap() = vec![secret("bad"), secret("good")];
    ask(&fake, &clock, &auth).await.unwrap();
    assert_eq!(fake.count("/token"), 4, "the refused one is the last choice");
    assert!(!format!("{auth:?}").contains("[redacted]good"));
}
