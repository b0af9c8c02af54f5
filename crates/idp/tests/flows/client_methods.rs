//! Clients that prove themselves without a secret: by a key, by a certificate, by a workload's identity. Each method is
//! used by the client library itself; what it would never send is made by hand.

use std::sync::Arc;

use portcullis_idp::{Client, Federated, GrantType, IdpConfig, MutualTls};
use portcullis_jose::{Algorithm, Clock, Secret, SigningKey, base64url_encode, certificate_from_pem, sha256};
use portcullis_oidc::client_auth::{AssertionFile, AuthMethod};
use portcullis_oidc::{Client as Relying, ClientAuth, HyperClient, Provider, ProviderError, ProviderSettings};
use serde_json::{Value, json};

use crate::support::{START, Stage, config, peek};

const SERVER: &str = include_str!("../../../proxy/tests/data/localhost.pem");
const SERVER_KEY: &str = include_str!("../../../proxy/tests/data/localhost.key.pem");
const SERVER_CA: &str = include_str!("../../../proxy/tests/data/ca.pem");
const SELF_SIGNED: (&str, &str) = (
    include_str!("../../../../tests/data/tls/self-signed.pem"),
    include_str!("../../../../tests/data/tls/self-signed.key.pem"),
);
const ISSUED: (&str, &str) = (
    include_str!("../../../../tests/data/tls/issued.pem"),
    include_str!("../../../../tests/data/tls/issued.key.pem"),
);
const CLIENT_CA: &str = include_str!("../../../../tests/data/tls/client-ca.pem");

fn job(id: &str) -> Client {
    Client {
        client_id: id.into(),
        grants: vec![GrantType::ClientCredentials],
        scopes: vec!["orders.read".into()],
        ..Client::default()
    }
}

fn with(clients: impl IntoIterator<Item = Client>) -> IdpConfig {
    let mut config = config();
    config.clients.extend(clients);
    config
}

fn jwks(key: &SigningKey) -> Value {
    json!({ "keys": [key.public_jwk()] })
}

/// The client library at the provider of this stage.
fn relying(stage: &Stage, id: &str, auth: ClientAuth) -> Relying {
    let settings = ProviderSettings::new("dev", stage.idp.issuer());
    let http = Arc::new(HyperClient::with_ca(SERVER_CA.as_bytes()).unwrap());
    let provider = Provider::new(settings, http, stage.clock.clone(), Arc::new(|_, _| {}));
    Relying::new(provider, id, auth)
}

async fn grant(stage: &Stage, id: &str, auth: ClientAuth) -> Result<Secret, ProviderError> {
    let client = relying(stage, id, auth);
    client
        .client_credentials(&[], None)
        .await
        .map(|answer| answer.access_token)
}

/// Posts an assertion of these claims; the error, if there is one.
async fn posted(stage: &Stage, client_id: Option<&str>, assertion: &str) -> Option<String> {
    let mut form = vec![
        ("grant_type", "client_credentials"),
        (
            "client_assertion_type",
            "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        ),
        ("client_assertion", assertion),
    ];
    form.extend(client_id.map(|id| ("client_id", id)));
    let answer = stage.post_with("/token", &form, None).await;
    answer
        .json()
        .get("error")
        .map(|error| error.as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_client_proves_itself_by_its_key() {
    let key = SigningKey::generate(Algorithm::ES256).unwrap();
    let stage = Stage::with(with([
        Client {
            jwks: Some(jwks(&key)),
            ..job("keyed")
        },
        Client {
            jwks: Some(jwks(&key)),
            secret: Some(Secret::new("s")),
            ..job("both")
        },
    ]))
    .await;
    let token = grant(&stage, "keyed", ClientAuth::PrivateKeyJwt(key.clone()))
        .await
        .unwrap();
    assert_eq!(peek(token.expose()).1["client_id"], "keyed");
    // The same at the other endpoints.
    let client = relying(&stage, "keyed", ClientAuth::PrivateKeyJwt(key.clone()));
    assert!(stage.is_active(token.expose()).await);
    client.revoke(&token, "access_token").await.unwrap();
    assert!(!stage.is_active(token.expose()).await);
    let other = SigningKey::generate(Algorithm::ES256)
        .unwrap()
        .with_kid(key.kid().to_owned());
    for (id, auth) in [
        ("keyed", ClientAuth::PrivateKeyJwt(other)),
        ("keyed", ClientAuth::Basic(Secret::new("s"))),
        ("keyed", ClientAuth::None),
        ("job", ClientAuth::PrivateKeyJwt(key.clone())),
        ("nobody", ClientAuth::PrivateKeyJwt(key.clone())),
    ] {
        let error = grant(&stage, id, auth).await.unwrap_err();
        assert_eq!(error.code(), "provider.client_rejected", "{id}");
    }
    for auth in [ClientAuth::PrivateKeyJwt(key), ClientAuth::Post(Secret::new("s"))] {
        grant(&stage, "both", auth).await.unwrap();
    }
}

#[tokio::test]
async fn an_assertion_says_who_for_whom_and_until_when() {
    let key = SigningKey::generate(Algorithm::ES256).unwrap();
    let stage = Stage::with(with([Client {
        jwks: Some(jwks(&key)),
        ..job("keyed")
    }]))
    .await;
    let issuer = stage.idp.issuer().to_owned();
    let good = |jti: &str| {
        json!({
            "iss": "keyed", "sub": "keyed", "aud": issuer, "jti": jti, "iat": START, "exp": START + 60,
        })
    };
    let sign = |claims: &Value| key.sign_jwt("JWT", claims).unwrap();
    assert_eq!(posted(&stage, Some("keyed"), &sign(&good("1"))).await, None);
    assert_eq!(posted(&stage, None, &sign(&good("2"))).await, None);
    // Used before.
    assert_eq!(
        posted(&stage, None, &sign(&good("2"))).await.as_deref(),
        Some("invalid_client")
    );
    for (at, (name, value)) in [
        ("iss", json!("job")),
        ("iss", Value::Null),
        ("sub", json!("job")),
        ("sub", Value::Null),
        ("aud", json!("https://another.example")),
        ("aud", json!([issuer, "https://another.example"])),
        ("aud", Value::Null),
        ("exp", Value::Null),
        ("exp", json!(START - 30)),
        ("exp", json!(START + 3600)),
        ("iat", json!(START + 31)),
        ("nbf", json!(START + 31)),
        ("jti", Value::Null),
        ("jti", json!("")),
    ]
    .into_iter()
    .enumerate()
    {
        let mut claims = good(&format!("bad {at}"));
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
            ref value => claims[name] = value.clone(),
        }
        let error = posted(&stage, Some("keyed"), &sign(&claims)).await;
        assert_eq!(error.as_deref(), Some("invalid_client"), "{name} {value}");
    }
    let mut to_the_endpoint = good("3");
    to_the_endpoint["aud"] = json!([format!("{issuer}/token")]);
    assert_eq!(posted(&stage, None, &sign(&to_the_endpoint)).await, None);
    assert_eq!(
        posted(&stage, Some("job"), &sign(&good("4"))).await.as_deref(),
        Some("invalid_client")
    );
    let none = format!(
        "{}.{}.",
        base64url_encode(br#"{"alg":"none"}"#),
        base64url_encode(good("5").to_string().as_bytes())
    );
    assert_eq!(posted(&stage, None, &none).await.as_deref(), Some("invalid_client"));
}

#[tokio::test]
async fn one_method_can_be_demanded() {
    let key = SigningKey::generate(Algorithm::ES256).unwrap();
    let only = |id: &str, method| Client {
        jwks: Some(jwks(&key)),
        secret: Some(Secret::new("s")),
        token_endpoint_auth_method: Some(method),
        ..job(id)
    };
    let methods = [AuthMethod::Basic, AuthMethod::Post, AuthMethod::PrivateKeyJwt];
    let stage = Stage::with(with(methods.map(|method| only(method.name(), method)))).await;
    let secret = || Secret::new("s");
    for auth in [
        ClientAuth::Basic(secret()),
        ClientAuth::Post(secret()),
        ClientAuth::PrivateKeyJwt(key.clone()),
    ] {
        for method in methods {
            let granted = grant(&stage, method.name(), auth.clone()).await.is_ok();
            assert_eq!(
                granted,
                method == auth.method(),
                "{} at {}",
                auth.method().name(),
                method.name()
            );
        }
    }
}

#[tokio::test]
async fn a_workload_shows_what_its_platform_gave_it() {
    let platform = SigningKey::generate(Algorithm::RS256).unwrap();
    let federated = Federated {
        issuer: "https://cluster.example".into(),
        subject: "system:serviceaccount:shop:nightly".into(),
        audience: "api://exchange".into(),
        jwks: jwks(&platform),
    };
    let stage = Stage::with(with([Client {
        federated: Some(federated),
        ..job("pod")
    }]))
    .await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    let write = |claims: &Value| std::fs::write(&path, platform.sign_jwt("JWT", claims).unwrap()).unwrap();
    let good = |issued: i64| {
        json!({
            "iss": "https://cluster.example", "sub": "system:serviceaccount:shop:nightly",
            "aud": ["api://exchange"], "iat": issued, "exp": issued + 3600,
        })
    };
    let auth = || ClientAuth::Assertion(AssertionFile::new(&path));
    write(&good(START));
    grant(&stage, "pod", auth()).await.unwrap();
    grant(&stage, "pod", auth()).await.unwrap();
    for (name, value) in [
        ("sub", "system:serviceaccount:shop:other"),
        ("aud", "api://other"),
        ("iss", "https://other"),
    ] {
        let mut claims = good(START);
        claims[name] = json!(value);
        write(&claims);
        let error = grant(&stage, "pod", auth()).await.unwrap_err();
        assert_eq!(error.code(), "provider.client_rejected", "{name}");
    }
    // The platform writes a new one into the file before the old one is over; nothing is started anew.
    write(&good(START));
    let client = relying(&stage, "pod", auth());
    client.client_credentials(&[], None).await.unwrap();
    stage.clock.advance(7200);
    assert!(client.client_credentials(&[], None).await.is_err());
    write(&good(stage.clock.now().as_secs()));
    client.client_credentials(&[], None).await.unwrap();
}

fn mtls() -> IdpConfig {
    let mut config = with([
        Client {
            tls_client_certificates: vec![SELF_SIGNED.0.into()],
            tls_client_certificate_bound_access_tokens: true,
            ..job("registered")
        },
        Client {
            tls_client_auth_san_dns: Some("client.test".into()),
            ..job("issued")
        },
        Client {
            tls_client_auth_san_dns: Some("another.test".into()),
            ..job("misnamed")
        },
    ]);
    config.mtls = Some(MutualTls {
        listen: "127.0.0.1:0".parse().unwrap(),
        certificate: SERVER.into(),
        key: Secret::new(SERVER_KEY),
        client_ca: Some(CLIENT_CA.into()),
    });
    config
}

fn shown((certificate, key): (&str, &str)) -> ClientAuth {
    let http = HyperClient::with_certificate(Some(SERVER_CA.as_bytes()), certificate.as_bytes(), &Secret::new(key));
    ClientAuth::Tls(Arc::new(http.unwrap()))
}

#[tokio::test]
async fn a_client_proves_itself_by_its_certificate() {
    let stage = Stage::with(mtls()).await;
    let metadata = stage.get("/.well-known/openid-configuration").await.json();
    let methods = metadata["token_endpoint_auth_methods_supported"].as_array().unwrap();
    for method in AuthMethod::ALL {
        assert!(methods.contains(&json!(method.name())), "{}", method.name());
    }
    for (id, certificate, works) in [
        ("registered", SELF_SIGNED, true),
        ("registered", ISSUED, false),
        ("issued", ISSUED, true),
        // The right name, and nobody who vouches for it.
        ("issued", SELF_SIGNED, false),
        ("misnamed", ISSUED, false),
        ("job", ISSUED, false),
    ] {
        let granted = grant(&stage, id, shown(certificate)).await;
        match granted {
            Ok(_) => assert!(works, "{id}"),
            Err(error) => {
                assert!(!works, "{id}: {error}");
                assert_eq!(error.code(), "provider.client_rejected", "{id}");
            }
        }
    }
    for id in ["registered", "issued"] {
        assert!(grant(&stage, id, ClientAuth::None).await.is_err(), "{id}");
    }
    let bound = grant(&stage, "registered", shown(SELF_SIGNED)).await.unwrap();
    let thumbprint = base64url_encode(&sha256(&certificate_from_pem(SELF_SIGNED.0).unwrap()));
    assert_eq!(peek(bound.expose()).1["cnf"], json!({ "x5t#S256": thumbprint }));
    let plain = grant(&stage, "issued", shown(ISSUED)).await.unwrap();
    assert_eq!(peek(plain.expose()).1.get("cnf"), None);
}

#[tokio::test]
async fn a_provider_without_that_listener_offers_no_certificates() {
    let stage = Stage::new().await;
    let metadata = stage.get("/.well-known/openid-configuration").await.json();
    assert_eq!(metadata.get("mtls_endpoint_aliases"), None);
    assert_eq!(
        metadata["token_endpoint_auth_methods_supported"],
        json!(["client_secret_basic", "client_secret_post", "private_key_jwt", "none"])
    );
}

#[tokio::test]
async fn secrets_are_replaced_while_it_runs() {
    let stage = Stage::with(with([Client {
        secret: Some(Secret::new("old")),
        ..job("rotated")
    }]))
    .await;
    let works = async |secret: &str| {
        grant(&stage, "rotated", ClientAuth::Basic(Secret::new(secret)))
            .await
            .is_ok()
    };
    assert!(works("old").await && !works("new").await);
    assert!(
        stage
            .control()
            .set_client_secrets("rotated", vec![Secret::new("new"), Secret::new("old")])
    );
    assert!(works("old").await && works("new").await);
    assert!(stage.control().set_client_secrets("rotated", vec![Secret::new("new")]));
    assert!(!works("old").await && works("new").await);
    assert!(!stage.control().set_client_secrets("nobody", vec![]));
}
