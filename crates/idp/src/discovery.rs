use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};
use portcullis_jose::{Algorithm, AlgorithmSet};
use portcullis_oidc::client_auth::AuthMethod;
use serde_json::json;

use crate::dev::OTHER_ISSUER;
use crate::provider::Provider;

/// The metadata (OpenID Connect Discovery s3, RFC 8414 s2).
pub(crate) async fn discovery(State(provider): State<Arc<Provider>>) -> Response {
    let wrong_issuer = provider.dev.behaviour().discovery_wrong_issuer;
    let issuer = if wrong_issuer { OTHER_ISSUER } else { &provider.issuer };
    let scopes: Vec<&str> = provider.registry.all_scopes().collect();
    let mut document = json!({
        "issuer": issuer,
        "authorization_endpoint": provider.url("/authorize"),
        "token_endpoint": provider.url("/token"),
        "device_authorization_endpoint": provider.url("/device_authorization"),
        "userinfo_endpoint": provider.url("/userinfo"),
        "jwks_uri": provider.url("/jwks"),
        "revocation_endpoint": provider.url("/revoke"),
        "introspection_endpoint": provider.url("/introspect"),
        "end_session_endpoint": provider.url("/end-session"),
        "backchannel_logout_supported": true,
        "backchannel_logout_session_supported": true,
        "scopes_supported": scopes,
        "response_types_supported": ["code"],
        "response_modes_supported": ["query", "form_post"],
        "grant_types_supported": [
            "authorization_code",
            "refresh_token",
            "client_credentials",
            "urn:ietf:params:oauth:grant-type:token-exchange",
            crate::device::GRANT_TYPE,
        ],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [provider.keys.algorithm().name()],
        "token_endpoint_auth_methods_supported": methods(&provider, true),
        "revocation_endpoint_auth_methods_supported": methods(&provider, true),
        "introspection_endpoint_auth_methods_supported": methods(&provider, false),
        "token_endpoint_auth_signing_alg_values_supported": algorithms(),
        "tls_client_certificate_bound_access_tokens": provider.settings.mtls_port.is_some(),
        // RFC 9449 s5.1.
        "dpop_signing_alg_values_supported": algorithms(),
        "code_challenge_methods_supported": ["S256"],
        "prompt_values_supported": ["none", "login", "consent", "select_account"],
        "claims_supported": ["sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "at_hash", "sid", "name", "email"],
        "claims_parameter_supported": false,
        "request_parameter_supported": true,
        "request_object_signing_alg_values_supported": algorithms(),
        "pushed_authorization_request_endpoint": provider.url("/par"),
        // Those of pushed requests; no address of a client's is fetched.
        "request_uri_parameter_supported": false,
        "authorization_response_iss_parameter_supported": true,
        // Nobody should trust this provider by accident; whoever wants to can tell it apart.
        "portcullis_development_provider": true,
    });
    if let (Some(aliases), Some(members)) = (mtls_aliases(&provider), document.as_object_mut()) {
        members.insert("mtls_endpoint_aliases".into(), aliases);
    }
    if let (true, Some(members)) = (
        provider.registration.initial_access_token.is_some(),
        document.as_object_mut(),
    ) {
        members.insert("registration_endpoint".into(), provider.url("/register").into());
    }
    cacheable(Json(document))
}

/// How clients may prove themselves.
fn methods(provider: &Provider, public: bool) -> Vec<&'static str> {
    let offered = |method: &AuthMethod| match method {
        AuthMethod::None => public,
        AuthMethod::Tls => provider.client_authorities.is_some(),
        AuthMethod::SelfSignedTls => provider.settings.mtls_port.is_some(),
        _ => true,
    };
    let methods = AuthMethod::ALL.into_iter().filter(offered);
    methods.map(AuthMethod::name).collect()
}

fn algorithms() -> Vec<&'static str> {
    AlgorithmSet::asymmetric().iter().map(Algorithm::name).collect()
}

/// RFC 8705 s5
fn mtls_aliases(provider: &Provider) -> Option<serde_json::Value> {
    let url = |path: &str| provider.mtls_url(path);
    Some(json!({
        "token_endpoint": url("/token")?,
        "device_authorization_endpoint": url("/device_authorization")?,
        "userinfo_endpoint": url("/userinfo")?,
        "revocation_endpoint": url("/revoke")?,
        "introspection_endpoint": url("/introspect")?,
        "pushed_authorization_request_endpoint": url("/par")?,
    }))
}

/// The public keys.
pub(crate) async fn jwks(State(provider): State<Arc<Provider>>) -> Response {
    cacheable(Json(provider.keys.published()))
}

fn cacheable(body: Json<serde_json::Value>) -> Response {
    let mut response = body.into_response();
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
    response
}
