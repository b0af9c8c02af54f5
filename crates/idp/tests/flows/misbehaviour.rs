//! Each kind of misbehaviour, and that it ends.

use std::time::{Duration, Instant};

use portcullis_idp::{Behaviour, Defect, Endpoint, FailNext, TokenError};
use serde_json::{Value, json};

use crate::support::{Browser, Stage, WEB_CALLBACK, peek, request};

const SCOPE: &str = "openid offline_access orders.read";

async fn id_claims(stage: &Stage, behaviour: Behaviour) -> Value {
    stage.control().set_behaviour(behaviour);
    let tokens = stage.sign_in("alice", SCOPE).await;
    peek(tokens["id_token"].as_str().unwrap()).1
}

#[tokio::test]
async fn id_tokens_can_be_wrong() {
    let stage = Stage::new().await;
    let usual = Behaviour::default;
    let good = id_claims(&stage, usual()).await;
    assert_eq!((&good["nonce"], &good["aud"]), (&json!("the-nonce"), &json!("web")));
    assert_ne!(
        id_claims(
            &stage,
            Behaviour {
                wrong_nonce: true,
                ..usual()
            }
        )
        .await["nonce"],
        "the-nonce"
    );
    assert_eq!(
        id_claims(
            &stage,
            Behaviour {
                omit_nonce: true,
                ..usual()
            }
        )
        .await
        .get("nonce"),
        None
    );
    assert_ne!(
        id_claims(
            &stage,
            Behaviour {
                id_token_wrong_audience: true,
                ..usual()
            }
        )
        .await["aud"],
        "web"
    );
    let issuer = Behaviour {
        id_token_defect: Some(Defect::WrongIssuer),
        ..usual()
    };
    assert_ne!(id_claims(&stage, issuer).await["iss"], stage.idp.issuer());
    stage.control().set_behaviour(Behaviour {
        wrong_at_hash: true,
        ..usual()
    });
    let tokens = stage.sign_in("alice", SCOPE).await;
    let half = &portcullis_jose::sha256(tokens["access_token"].as_str().unwrap().as_bytes())[..16];
    let claims = peek(tokens["id_token"].as_str().unwrap()).1;
    assert_ne!(claims["at_hash"], portcullis_jose::base64url_encode(half));
    stage.control().set_behaviour(Behaviour {
        omit_id_token: true,
        ..usual()
    });
    assert_eq!(stage.sign_in("alice", SCOPE).await.get("id_token"), None);
    assert_eq!(id_claims(&stage, usual()).await["nonce"], "the-nonce");
}

#[tokio::test]
async fn authorization_responses_can_be_wrong() {
    let stage = Stage::new().await;
    let mut browser = Browser::new(&stage);
    browser.code("alice", "openid").await;
    let mut ask = async |behaviour: Behaviour| {
        stage.control().set_behaviour(behaviour);
        browser
            .authorize(&request("web", WEB_CALLBACK, &[]))
            .await
            .redirected_to(WEB_CALLBACK)
    };
    assert_ne!(
        ask(Behaviour {
            wrong_iss_parameter: true,
            ..Behaviour::default()
        })
        .await["iss"],
        stage.idp.issuer()
    );
    assert!(
        !ask(Behaviour {
            omit_iss_parameter: true,
            ..Behaviour::default()
        })
        .await
        .contains_key("iss")
    );
    assert_ne!(
        ask(Behaviour {
            wrong_state: true,
            ..Behaviour::default()
        })
        .await["state"],
        "the-state"
    );
    let good = ask(Behaviour::default()).await;
    assert_eq!(
        (good["iss"].as_str(), good["state"].as_str()),
        (stage.idp.issuer(), "the-state")
    );
}

#[tokio::test]
async fn endpoints_can_fail_for_a_while() {
    let stage = Stage::new().await;
    let fail_next = vec![
        FailNext {
            endpoint: Endpoint::Jwks,
            status: 500,
            times: 2,
        },
        FailNext {
            endpoint: Endpoint::Token,
            status: 503,
            times: 1,
        },
    ];
    stage.control().set_behaviour(Behaviour {
        fail_next,
        ..Behaviour::default()
    });
    assert_eq!(stage.get("/.well-known/openid-configuration").await.status, 200);
    stage.get("/jwks").await.assert_error(500, "server_error");
    stage.get("/jwks").await.assert_error(500, "server_error");
    assert_eq!(stage.get("/jwks").await.status, 200);
    stage
        .refresh("web", "x")
        .await
        .assert_error(503, "temporarily_unavailable");
    stage.refresh("web", "x").await.assert_error(400, "invalid_grant");

    stage.control().set_behaviour(Behaviour {
        jwks_down: true,
        discovery_down: true,
        ..Behaviour::default()
    });
    assert_eq!(stage.get("/jwks").await.status, 503);
    assert_eq!(stage.get("/.well-known/openid-configuration").await.status, 503);
    stage.control().set_behaviour(Behaviour {
        discovery_wrong_issuer: true,
        ..Behaviour::default()
    });
    assert_ne!(
        stage.get("/.well-known/openid-configuration").await.json()["issuer"],
        stage.idp.issuer()
    );
    stage.control().set_behaviour(Behaviour::default());
    assert_eq!(stage.get("/jwks").await.status, 200);
}

#[tokio::test]
async fn the_token_endpoint_can_refuse_on_request() {
    let stage = Stage::new().await;
    let refresh = stage.sign_in("alice", SCOPE).await["refresh_token"]
        .as_str()
        .unwrap()
        .to_owned();
    let ordered = TokenError {
        status: 401,
        error: "invalid_client".into(),
        description: None,
    };
    stage.control().set_behaviour(Behaviour {
        token_error: Some(ordered),
        ..Behaviour::default()
    });
    stage.refresh("web", &refresh).await.assert_error(401, "invalid_client");
    stage.control().set_behaviour(Behaviour {
        refresh_invalid_grant: true,
        ..Behaviour::default()
    });
    stage.refresh("web", &refresh).await.assert_error(400, "invalid_grant");
    stage.control().set_behaviour(Behaviour::default());
    assert_eq!(
        stage.refresh("web", &refresh).await.status,
        200,
        "neither used the token up"
    );
}

#[tokio::test]
async fn refreshes_can_be_odd() {
    let stage = Stage::new().await;
    let tokens = stage.sign_in("alice", SCOPE).await;
    let refresh = tokens["refresh_token"].as_str().unwrap();
    stage.control().set_behaviour(Behaviour {
        keep_refresh_token: true,
        refresh_wrong_sub: true,
        ..Behaviour::default()
    });
    for _ in 0..2 {
        let again = stage.refresh("web", refresh).await.json();
        assert_eq!(again.get("refresh_token"), None);
        assert_eq!(peek(again["id_token"].as_str().unwrap()).1["sub"], "somebody-else");
    }
}

#[tokio::test]
async fn access_tokens_of_the_token_endpoint_can_have_a_defect() {
    let stage = Stage::new().await;
    stage.control().set_behaviour(Behaviour {
        access_token_defect: Some(Defect::WrongAudience),
        ..Behaviour::default()
    });
    let tokens = stage.sign_in("alice", SCOPE).await;
    assert_ne!(peek(tokens["access_token"].as_str().unwrap()).1["aud"], "api://orders");
}

#[tokio::test]
async fn answers_can_be_slow() {
    let stage = Stage::new().await;
    let slow = Behaviour {
        latency_ms: 80,
        latency_at: vec![Endpoint::Jwks],
        ..Behaviour::default()
    };
    stage.control().set_behaviour(slow);
    let begin = Instant::now();
    assert_eq!(stage.get("/jwks").await.status, 200);
    assert!(begin.elapsed() >= Duration::from_millis(80));
    stage.control().set_behaviour(Behaviour {
        latency_ms: 60_000,
        latency_at: vec![Endpoint::Token],
        ..Behaviour::default()
    });
    assert_eq!(
        stage.get("/jwks").await.status,
        200,
        "only the endpoints that are named are slow"
    );
}
