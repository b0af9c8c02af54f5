use serde_json::json;

use super::*;
use crate::ClientAuth;
use crate::provider::tests::{FakeProvider, answer, clock};

fn exchanging(fake: &Arc<FakeProvider>) {
    fake.on("/token", |request| {
        let form: HashMap<String, String> = form_urlencoded::parse(request.body()).into_owned().collect();
        answer(
            200,
            &json!({
                "access_token": format!("for {}", form["subject_token"]), "token_type": "Bearer", "expires_in": 100,
                "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
            }),
        )
    });
}

#[tokio::test]
async fn one_exchange_for_each_token_as_long_as_its_result_lives() {
    let (fake, clock) = (FakeProvider::new(), clock());
    exchanging(&fake);
    let client = Client::new(fake.provider(clock.clone()), "web", ClientAuth::None);
    let target = TokenTarget {
        scopes: vec!["read".into()],
        resource: None,
        audience: Some("api://billing".into()),
    };
    let exchange = TokenExchange::new(client, target);
    let asks = (0..100).map(|at| {
        let exchange = exchange.clone();
        tokio::spawn(async move { exchange.token_for(&Secret::new(["a", "b"][at % 2])).await.unwrap() })
    });
    for (at, ask) in asks.collect::<Vec<_>>().into_iter().enumerate() {
        assert_eq!(ask.await.unwrap().expose(), ["for a", "for b"][at % 2]);
    }
    assert_eq!(fake.count("/token"), 2);
    let body = fake.last("/token").into_body();
    let body = std::str::from_utf8(&body).unwrap();
    for part in [
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange",
        "subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token",
        "scope=read&audience=api%3A%2F%2Fbilling",
    ] {
        assert!(body.contains(part), "{body}");
    }
    clock.advance(79);
    exchange.token_for(&Secret::new("a")).await.unwrap();
    assert_eq!(fake.count("/token"), 2);
    clock.advance(1);
    exchange.token_for(&Secret::new("a")).await.unwrap();
    assert_eq!(fake.count("/token"), 3);
    fake.on("/token", |_| answer(400, &json!({ "error": "invalid_target" })));
    clock.advance(80);
    assert!(exchange.token_for(&Secret::new("a")).await.is_err());
    exchanging(&fake);
    assert!(
        exchange.token_for(&Secret::new("a")).await.is_ok(),
        "a refusal is not kept"
    );
}

#[test]
fn what_ends_first_makes_room() {
    let now = UnixTime::from_secs(1000);
    let mut kept: HashMap<[u8; 32], Kept> = (0..=KEPT)
        .map(|at| {
            let until = now.plus(i64::try_from(at).unwrap() - 10);
            let kept = Kept {
                token: Some((Secret::new("t"), until)),
                ..Kept::default()
            };
            (sha256(at.to_string().as_bytes()), kept)
        })
        .collect();
    make_room(&mut kept, now);
    assert_eq!(kept.len(), KEPT - 10, "what is over is enough");
    for at in 0..20 {
        let kept_one = Kept {
            token: Some((Secret::new("t"), now.plus(50_000))),
            ..Kept::default()
        };
        kept.insert(sha256(format!("more {at}").as_bytes()), kept_one);
    }
    make_room(&mut kept, now);
    assert!(kept.len() <= KEPT / 2 + 20, "{}", kept.len());
    assert!(kept.contains_key(&sha256(b"more 0")));
}
