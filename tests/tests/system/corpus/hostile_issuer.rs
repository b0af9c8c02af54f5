//! An issuer that answers with anything but its keys.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use http::header::LOCATION;
use portcullis_jose::SystemClock;
use portcullis_oidc::{HttpsUrl, HyperClient, Provider, ProviderSettings};
use tokio::net::TcpListener;

use super::keys::{key_set, keys};
use super::servers::{counter, serve};

/// The keys of an issuer that gives this answer when it is asked for them: how many can be used, or why there are none.
async fn fetched(answer: impl Fn() -> Response + Clone + Send + Sync + 'static) -> Result<usize, &'static str> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    serve(listener, move |_: Request| answer());
    let mut settings = ProviderSettings::new("hostile", origin.clone());
    settings.jwks_uri = Some(HttpsUrl::parse(&format!("{origin}/jwks")).unwrap());
    let http = Arc::new(HyperClient::new().unwrap());
    let provider = Provider::new(settings, http, Arc::new(SystemClock), Arc::new(|_, _| {}));
    let keys = provider.refresh_keys().await.map_err(|error| error.code())?;
    Ok(keys.set.len())
}

#[tokio::test]
async fn a_hostile_answer_of_an_issuer_is_given_up() {
    let (elsewhere, knocks) = counter().await;
    let text = |text: String| move || text.clone().into_response();
    let good = key_set(&keys().b);
    assert_eq!(fetched(text(good.clone())).await, Ok(1));
    // A blank for a blank more than is read.
    let within = " ".repeat(512 * 1024 - good.len()) + &good;
    assert_eq!(fetched(text(within.clone())).await, Ok(1));
    assert_eq!(fetched(text(format!(" {within}"))).await, Err("provider.unreachable"));
    let redirect = move || (StatusCode::FOUND, [(LOCATION, format!("http://{elsewhere}/jwks"))]).into_response();
    assert_eq!(fetched(redirect).await, Err("provider.bad_answer"));
    assert_eq!(knocks.load(Ordering::SeqCst), 0, "a redirect was followed");
    for bad in [
        "<html></html>",
        "",
        "{\"keys\":[]}",
        "{\"keys\":{}}",
        "[]",
        "{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\"}]}",
    ] {
        assert_eq!(fetched(text(bad.to_owned())).await, Err("provider.bad_answer"), "{bad}");
    }
}

/// The same, where the discovery document says that the keys are at `place` of the origin that it is given.
async fn led_to(place: impl Fn(&str) -> String) -> Result<usize, &'static str> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let document = serde_json::json!({ "issuer": &origin, "jwks_uri": place(&origin) }).to_string();
    serve(listener, move |request: Request| match request.uri().path() {
        "/jwks" => key_set(&keys().b).into_response(),
        _ => document.clone().into_response(),
    });
    let settings = ProviderSettings::new("hostile", origin);
    let http = Arc::new(HyperClient::new().unwrap().beside(&settings.hosts()));
    let provider = Provider::new(settings, http, Arc::new(SystemClock), Arc::new(|_, _| {}));
    let keys = provider.refresh_keys().await.map_err(|error| error.code())?;
    Ok(keys.set.len())
}

#[tokio::test]
async fn a_document_does_not_lead_into_the_network() {
    for inside in [
        "https://169.254.169.254/latest/meta-data",
        "https://[fe80::1]/jwks",
        "https://10.0.0.1/jwks",
        "https://[::ffff:169.254.169.254]/jwks",
    ] {
        let refused = Err("provider.endpoint_internal");
        assert_eq!(led_to(|_| inside.to_owned()).await, refused, "{inside}");
    }
    assert_eq!(led_to(|origin| format!("{origin}/jwks")).await, Ok(1));
    let by_name = |origin: &str| format!("{}/jwks", origin.replace("127.0.0.1", "localhost"));
    assert_eq!(led_to(by_name).await, Ok(1), "it is on this machine itself");
}
