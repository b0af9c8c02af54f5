use http::header;
use portcullis_idp::IdpConfig;
use portcullis_jose::Algorithm;

use crate::support::{Stage, config};

#[tokio::test]
async fn the_metadata_names_endpoints_that_are_there() {
    let stage = Stage::new().await;
    let answer = stage.get("/.well-known/openid-configuration").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header(header::CACHE_CONTROL), "public, max-age=300");
    let metadata = answer.json();
    assert_eq!(metadata["issuer"], stage.idp.issuer());
    assert_eq!(
        metadata["code_challenge_methods_supported"],
        serde_json::json!(["S256"])
    );
    assert_eq!(metadata["authorization_response_iss_parameter_supported"], true);
    assert_eq!(
        metadata["id_token_signing_alg_values_supported"],
        serde_json::json!(["ES256"])
    );
    assert_eq!(metadata["portcullis_development_provider"], true);
    assert!(
        metadata["scopes_supported"]
            .as_array()
            .unwrap()
            .contains(&"orders.read".into())
    );
    let endpoints: Vec<_> = metadata
        .as_object()
        .unwrap()
        .iter()
        .filter(|(name, _)| name.ends_with("_endpoint"))
        .collect();
    assert_eq!(endpoints.len(), 8);
    for (name, url) in endpoints {
        let path = url.as_str().unwrap().strip_prefix(stage.idp.issuer()).unwrap();
        assert_ne!(stage.get(path).await.status, 404, "{name}");
    }
    // RFC 8414 s3: the same document under the name of OAuth.
    assert_eq!(
        stage.get("/.well-known/oauth-authorization-server").await.json(),
        metadata
    );
}

#[tokio::test]
async fn rs256_unless_told_otherwise() {
    let stage = Stage::with(IdpConfig {
        signing_algorithm: Algorithm::RS256,
        ..config()
    })
    .await;
    assert_eq!(IdpConfig::default().signing_algorithm, Algorithm::RS256);
    let keys = stage.get("/jwks").await.json();
    assert_eq!(
        (&keys["keys"][0]["alg"], &keys["keys"][0]["kty"]),
        (&"RS256".into(), &"RSA".into())
    );
    assert!(keys["keys"][0].get("d").is_none(), "the private half stays here");
    let token = stage.control().mint(&portcullis_idp::Mint::default()).unwrap();
    assert_eq!(stage.verified(&token).await["iss"], stage.idp.issuer());
}

#[tokio::test]
async fn the_issuer_may_have_a_path() {
    let stage = Stage::with(IdpConfig {
        issuer: Some("http://localhost:9/tenant/one".into()),
        ..config()
    })
    .await;
    let at = |path: &str| format!("http://{}{path}", stage.idp.local_addr());
    let get = async |path: &str| {
        stage
            .send(http::Request::get(at(path)).body(Default::default()).unwrap())
            .await
    };
    let metadata = get("/tenant/one/.well-known/openid-configuration").await.json();
    assert_eq!(metadata["issuer"], "http://localhost:9/tenant/one");
    assert_eq!(metadata["jwks_uri"], "http://localhost:9/tenant/one/jwks");
    assert_eq!(get("/tenant/one/jwks").await.status, 200);
    assert_eq!(get("/jwks").await.status, 404);
}

#[tokio::test]
async fn every_page_says_what_this_is() {
    let stage = Stage::new().await;
    for (path, status) in [
        ("/", 200),
        ("/nothing", 404),
        ("/authorize", 400),
        ("/login", 400),
        ("/end-session", 200),
    ] {
        let answer = stage.get(path).await;
        assert_eq!(answer.status, status, "{path}");
        assert!(answer.text().contains("Development provider"), "{path}");
        assert!(answer.text().contains("width=device-width"), "{path}");
        assert!(!answer.text().contains("<script"), "{path}");
    }
}
