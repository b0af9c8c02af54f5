use std::sync::{Arc, Mutex};

use serde_json::json;
use tower::{ServiceBuilder, ServiceExt as _, service_fn};

use super::*;
use crate::provider::tests::{FakeProvider, answer, clock};
use crate::{Client, ClientAuth, HttpError};

/// An API that takes these tokens, and what was sent to it.
type Seen = Arc<Mutex<Vec<String>>>;

async fn call(tokens: &TokenSource, good: &'static str, address: &str) -> (Result<u16, String>, Vec<String>) {
    let seen = Seen::default();
    let api = service_fn({
        let seen = seen.clone();
        move |request: Request<&'static str>| {
            let token = request.headers()[AUTHORIZATION].to_str().unwrap().to_owned();
            assert!(request.headers()[AUTHORIZATION].is_sensitive());
            assert_eq!(*request.body(), "a body");
            let status = if token == good { 200 } else { 401 };
            seen.lock().unwrap().push(token);
            async move { Ok::<_, HttpError>(http::Response::builder().status(status).body(()).unwrap()) }
        }
    });
    let service = ServiceBuilder::new()
        .layer(TokenLayer::new(tokens.clone()))
        .service(api);
    let request = Request::post(address).body("a body").unwrap();
    let answer = service.oneshot(request).await;
    let seen = seen.lock().unwrap().clone();
    (
        answer
            .map(|answer| answer.status().as_u16())
            .map_err(|error| error.to_string()),
        seen,
    )
}

#[tokio::test]
async fn a_request_has_a_token_and_a_401_makes_one_more_try() {
    let (fake, clock) = (FakeProvider::new(), clock());
    let issued = std::sync::atomic::AtomicUsize::new(0);
    fake.on("/token", move |_| {
        let number = issued.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1;
        answer(
            200,
            &json!({ "access_token": format!("t{number}"), "token_type": "Bearer", "expires_in": 1000 }),
        )
    });
    let client = Client::new(fake.provider(clock.clone()), "job", ClientAuth::None);
    let tokens = TokenSource::client_credentials(client);
    let api = "https://api.test/orders?x=1";
    assert_eq!(
        call(&tokens, "Bearer t1", api).await,
        (Ok(200), vec!["Bearer t1".to_owned()])
    );
    clock.advance(60);
    let both = vec!["Bearer t1".to_owned(), "Bearer t2".to_owned()];
    assert_eq!(call(&tokens, "Bearer t2", api).await, (Ok(200), both));
    // Nothing helps: the answer is the API's, and the provider is not asked for each such call.
    assert_eq!(
        call(&tokens, "Bearer none", api).await,
        (Ok(401), vec!["Bearer t2".to_owned()])
    );
    assert_eq!(fake.count("/token"), 2);
    // In the clear a token goes nowhere.
    let (refused, seen) = call(&tokens, "Bearer t2", "http://api.test/orders").await;
    assert!(refused.unwrap_err().starts_with("a token is not sent to this address"));
    assert!(seen.is_empty());
    assert_eq!(call(&tokens, "Bearer t2", "http://127.0.0.1:5000/").await.0, Ok(200));
    fake.on("/token", |_| answer(503, &json!({})));
    clock.advance(2000);
    let (refused, seen) = call(&tokens, "Bearer t2", api).await;
    assert!(refused.unwrap_err().starts_with("no token: ") && seen.is_empty());
}
