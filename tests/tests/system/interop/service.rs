//! A service at the gateway: client credentials and the bearer route.

use bytes::Bytes;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{Request, Response};
use portcullis_jose::Secret;
use portcullis_oidc::{Client, ClientAuth, HttpClient, HyperClient, Provider, ProviderError, TokenSource};

use super::app::{App, Setup, claims};
use super::provider::API;

#[tokio::test(flavor = "multi_thread")]
async fn a_service_calls_with_a_token_of_its_own() {
    let app = App::start(&Setup::default()).await;
    let tokens = service(&app).scope("orders.read").resource(API);
    let token = tokens.token().await.unwrap();
    assert_eq!(tokens.token().await.unwrap(), token, "asked for once");

    for path in ["/api/orders", "/api/orders/nightly"] {
        let answer = call(&app, path, &token).await;
        assert_eq!(answer.status(), 200, "{path}: {:?}", answer.body());
        assert_eq!(app.last_token(), token.expose(), "the API gets the caller's token");
    }
    let said = claims(token.expose());
    assert_eq!((&said["sub"], &said["aud"]), (&"service".into(), &API.into()));

    let reached = app.tokens().len();
    let person = call(&app, "/api/orders/mine", &token).await;
    assert_eq!(person.status(), 403, "a policy tells a service from a person");
    let report = call(&app, "/api/orders/report", &token).await;
    assert_eq!(report.status(), 403);
    let challenge = report.headers()[WWW_AUTHENTICATE].to_str().unwrap();
    for part in ["Bearer ", "error=\"insufficient_scope\"", "scope=\"orders.admin\""] {
        assert!(challenge.contains(part), "{part}: {challenge}");
    }
    assert_eq!(app.tokens().len(), reached, "what is refused does not reach the API");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_for_nothing_in_particular_is_no_token_for_the_api() {
    let app = App::start(&Setup::default()).await;
    let opaque = service(&app).token().await.unwrap();
    let answer = call(&app, "/api/orders", &opaque).await;
    assert_eq!(answer.status(), 401);
    let challenge = answer.headers()[WWW_AUTHENTICATE].to_str().unwrap();
    assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
    assert_eq!(app.tokens().len(), 0);

    let unknown = service(&app).resource("https://other.example.test").token().await;
    let Err(ProviderError::OAuth(error)) = &unknown else {
        panic!("{unknown:?}");
    };
    assert_eq!(error.error, "invalid_target", "RFC 8707 s2");
}

fn service(app: &App) -> TokenSource {
    let provider = Provider::discover(&app.provider.issuer).unwrap();
    let secret = app.provider.service_secret.clone();
    TokenSource::client_credentials(Client::new(provider, "service", ClientAuth::Basic(secret)))
}

async fn call(app: &App, path: &str, token: &Secret) -> Response<Bytes> {
    let request = Request::get(app.url(path)).header(AUTHORIZATION, format!("Bearer {}", token.expose()));
    let request = request.body(Bytes::new()).unwrap();
    HyperClient::new().unwrap().send(request, 64 * 1024).await.unwrap()
}
