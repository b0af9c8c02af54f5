use http::Request;
use portcullis_jose::{Algorithm, Clock as _, SigningKey};
use serde_json::json;

use crate::support::{SECRET, Stage, encode, peek};

const GRANT: (&str, &str) = ("grant_type", "client_credentials");

#[tokio::test]
async fn a_service_gets_a_token_for_itself() {
    let stage = Stage::new().await;
    let answer = stage.token("job", &[GRANT, ("scope", "orders.read")]).await;
    assert_eq!(answer.status, 200);
    let tokens = answer.json();
    assert_eq!((tokens.get("refresh_token"), tokens.get("id_token")), (None, None)); // RFC 6749 s4.4.3
    let token = tokens["access_token"].as_str().unwrap();
    assert_eq!(peek(token).0["typ"], "at+jwt");
    let claims = stage.verified(token).await;
    assert_eq!((&claims["sub"], &claims["client_id"]), (&json!("job"), &json!("job")));
    assert_eq!(
        (&claims["aud"], &claims["scope"]),
        (&json!("api://orders"), &json!("orders.read"))
    );
    assert_eq!(claims.get("auth_time"), None);
    assert!(stage.is_active(token).await);
}

#[tokio::test]
async fn a_token_is_bound_to_the_key_that_the_request_proves() {
    let stage = Stage::new().await;
    let key = SigningKey::generate(Algorithm::ES256).unwrap();
    let proof = |htu: &str| {
        let header = json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": key.public_jwk()});
        let now = stage.clock.now().as_secs();
        let claims = json!({"jti": "1", "htm": "POST", "htu": htu, "iat": now});
        key.sign_with_header(&header, claims.to_string().as_bytes()).unwrap()
    };
    let ask = async |proofs: &[String]| {
        let form = encode(&[
            GRANT,
            ("scope", "orders.read"),
            ("client_id", "job"),
            ("client_secret", SECRET),
        ]);
        let mut request =
            Request::post(stage.url("/token")).header("content-type", "application/x-www-form-urlencoded");
        for proof in proofs {
            request = request.header("dpop", proof);
        }
        stage.send(request.body(form.into()).unwrap()).await
    };
    let answer = ask(&[proof(&stage.url("/token"))]).await.json();
    assert_eq!(answer["token_type"], "DPoP");
    let claims = stage.verified(answer["access_token"].as_str().unwrap()).await;
    assert_eq!(claims["cnf"], json!({"jkt": key.kid()}));

    let answer = ask(&[]).await.json();
    assert_eq!(answer["token_type"], "Bearer");
    let claims = stage.verified(answer["access_token"].as_str().unwrap()).await;
    assert_eq!(claims.get("cnf"), None);

    let elsewhere = proof(&stage.url("/introspect"));
    ask(&[elsewhere]).await.assert_error(400, "invalid_dpop_proof");
    let twice = proof(&stage.url("/token"));
    ask(&[twice.clone(), twice])
        .await
        .assert_error(400, "invalid_dpop_proof");
}

#[tokio::test]
async fn its_scopes_are_its_own() {
    let stage = Stage::new().await;
    let tokens = stage
        .token(
            "job",
            &[GRANT, ("scope", "orders.read orders.admin openid offline_access")],
        )
        .await
        .json();
    assert_eq!(tokens["scope"], "orders.read");
    stage
        .token("job", &[GRANT, ("scope", "orders.admin")])
        .await
        .assert_error(400, "invalid_scope");
    stage.token("job", &[GRANT]).await.assert_error(400, "invalid_scope"); // scopes of two APIs
    let tokens = stage.token("job", &[GRANT, ("resource", "api://orders")]).await.json();
    assert_eq!(tokens["scope"], "orders.read orders.write");
    stage
        .token("job", &[GRANT, ("resource", "api://x")])
        .await
        .assert_error(400, "invalid_target");
    let two = [GRANT, ("resource", "api://orders"), ("resource", "api://billing")];
    stage.token("job", &two).await.assert_error(400, "invalid_target");
}

#[tokio::test]
async fn it_is_no_users_token() {
    let stage = Stage::new().await;
    let tokens = stage.token("job", &[GRANT, ("scope", "orders.read")]).await.json();
    assert_eq!(
        stage.userinfo(tokens["access_token"].as_str().unwrap()).await.status,
        401
    );
    stage
        .token("app", &[GRANT])
        .await
        .assert_error(400, "unauthorized_client");
}
