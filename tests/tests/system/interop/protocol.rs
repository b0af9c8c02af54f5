//! The protocol's client by itself, where the gateway does not show what came back.

use portcullis_jose::Secret;
use portcullis_oidc::login::{CallbackParameters, LoginRequest, validate_callback};
use portcullis_oidc::{Client, ClientAuth, Provider, ProviderError, TokenResponse};

use super::browser::Browser;
use super::provider::{OtherProvider, TOKEN_SECONDS};

/// Nobody listens there: the browser stops before it.
const APP: &str = "http://127.0.0.1:9";

#[tokio::test(flavor = "multi_thread")]
async fn userinfo_must_be_about_the_subject_of_the_id_token() {
    let other = OtherProvider::start(APP, &[]);
    let client = web(&other, other.web_secret.clone());
    let tokens = sign_in(&client).await;
    assert_eq!(tokens.expires_in, Some(TOKEN_SECONDS));

    let about = client.userinfo(&tokens.access_token, "alice").await.unwrap().unwrap();
    assert_eq!(
        (&about["sub"], &about["name"]),
        (&"alice".into(), &"Alice Archer".into())
    );
    let foreign = client.userinfo(&tokens.access_token, "bob").await;
    assert_eq!(foreign, Err(ProviderError::SubjectMismatch));
}

#[tokio::test(flavor = "multi_thread")]
async fn refresh_tokens_rotate_and_a_revoked_one_is_worth_nothing() {
    let other = OtherProvider::start(APP, &[]);
    let client = web(&other, other.web_secret.clone());
    let first = sign_in(&client).await.refresh_token.expect("a refresh token");

    let refreshed = client.refresh(&first, None).await.unwrap();
    let second = refreshed.refresh_token.expect("a rotated refresh token");
    assert_ne!(second, first);
    client.revoke(&second, "refresh_token").await.unwrap();
    let dead = client.refresh(&second, None).await.unwrap_err();
    assert!(dead.is_invalid_grant() && !dead.is_temporary(), "{dead}");
    client
        .revoke(&second, "refresh_token")
        .await
        .expect("RFC 7009 s2.2: once more is no error");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_secret_is_the_clients_fault_and_is_not_repeated() {
    let other = OtherProvider::start(APP, &[]);
    let client = web(&other, Secret::new("a-wrong-secret"));
    let refused = client.refresh(&Secret::new("x"), None).await.unwrap_err();
    let ProviderError::OAuth(error) = &refused else {
        panic!("{refused:?}");
    };
    assert_eq!((error.error.as_str(), error.status), ("invalid_client", 401));
    assert!(!refused.to_string().contains("a-wrong-secret"), "{refused}");
}

fn web(other: &OtherProvider, secret: Secret) -> Client {
    let provider = Provider::discover(&other.issuer).unwrap();
    Client::new(provider, "web", ClientAuth::Basic(secret))
}

/// A login of alice, from its beginning to verified tokens.
async fn sign_in(client: &Client) -> TokenResponse {
    let (redirect_uri, scopes) = (format!("{APP}/bff/callback"), ["openid".into(), "profile".into()]);
    let (url, attempt) = client
        .begin_login(&LoginRequest::new(&redirect_uri, &scopes))
        .await
        .unwrap();
    let mut browser = Browser::new();
    let form = browser.go(url.as_str(), APP).await;
    let resume = browser.submit(&form, &[("login", "alice")]).await;
    let end = browser.go(resume.location.unwrap().as_str(), APP).await;
    let callback = end.location.expect("the callback");
    assert!(callback.as_str().starts_with(&redirect_uri), "{callback}");

    let metadata = client.provider().metadata().await.unwrap();
    assert!(
        metadata.iss_parameter_supported,
        "RFC 9207: so that a missing `iss` is refused"
    );
    let parameters = CallbackParameters::parse(callback.query().unwrap()).unwrap();
    let callback = validate_callback(client.provider().issuer_rule(), &metadata, &attempt, parameters).unwrap();
    let tokens = client.exchange_code(callback, &attempt).await.unwrap();
    let id_token = tokens.id_token.as_ref().expect("an ID token");
    let verified = client
        .verify_id_token(id_token, Some(attempt.nonce()), Some(&tokens.access_token))
        .await
        .unwrap();
    assert_eq!(verified.str("sub"), Some("alice"));
    let replayed = client
        .verify_id_token(id_token, Some(&Secret::new("another login's nonce")), None)
        .await;
    assert!(replayed.is_err(), "the ID token of another login");
    tokens
}
