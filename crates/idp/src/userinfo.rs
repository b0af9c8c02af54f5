use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use portcullis_oidc::dpop::{Proof, ProofRules, TargetUri};
use serde_json::json;

use crate::provider::Provider;
use crate::response::no_store;
use crate::state::AccessToken;
use crate::token::{person_claims, scopes_of};

/// Claims about the user whom an access token is for (OpenID Connect Core s5.3).
///
/// The token is taken from the header alone: a form or a query would put it where it does not belong.
pub(crate) async fn userinfo(State(provider): State<Arc<Provider>>, headers: HeaderMap) -> Response {
    let mut credentials = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (credentials.next(), credentials.next()) else {
        // RFC 6750 s3.1: without credentials there is no error code.
        return challenge(StatusCode::UNAUTHORIZED, "Bearer realm=\"userinfo\"");
    };
    let token = value.to_str().ok().and_then(|text| text.split_once(' '));
    let known = |scheme: &str| {
        ["Bearer", "DPoP"]
            .iter()
            .any(|known| scheme.eq_ignore_ascii_case(known))
    };
    let Some((scheme, token)) = token.filter(|(scheme, _)| known(scheme)) else {
        return challenge(StatusCode::UNAUTHORIZED, "Bearer realm=\"userinfo\"");
    };
    let found = provider
        .state()
        .live_access_token(token.trim(), provider.now())
        .cloned();
    let found = found.filter(|found| is_proven(&provider, &headers, scheme, token.trim(), found));
    let person = found
        .as_ref()
        .and_then(|found| provider.registry.person(found.username.as_deref()?));
    let (Some(found), Some(person)) = (&found, person) else {
        return challenge(
            StatusCode::UNAUTHORIZED,
            "Bearer realm=\"userinfo\", error=\"invalid_token\", error_description=\"unknown, expired, revoked or no user's\"",
        );
    };
    let scopes = scopes_of(&found.claims);
    if !scopes.contains("openid") {
        return challenge(
            StatusCode::FORBIDDEN,
            "Bearer realm=\"userinfo\", error=\"insufficient_scope\", scope=\"openid\"",
        );
    }
    let mut claims = person_claims(person, &scopes);
    let wrong_sub = provider.dev.behaviour().userinfo_wrong_sub;
    claims.insert(
        "sub".into(),
        if wrong_sub {
            json!("somebody-else")
        } else {
            json!(person.sub)
        },
    );
    no_store(Json(claims).into_response())
}

/// RFC 9449 s7: a bound token comes with a proof of its key, and no other with one.
fn is_proven(provider: &Provider, headers: &HeaderMap, scheme: &str, token: &str, found: &AccessToken) -> bool {
    let jkt = found.claims.pointer("/cnf/jkt").and_then(serde_json::Value::as_str);
    match (jkt, scheme.eq_ignore_ascii_case("DPoP")) {
        (None, bound) => !bound,
        (Some(_), false) => false,
        (Some(jkt), true) => {
            let proofs = headers.get_all("dpop").iter().map(HeaderValue::as_bytes);
            let target = TargetUri::parse(&provider.url("/userinfo"));
            target.is_some_and(|target| {
                let rules = ProofRules::new("GET", &target, provider.now()).with_token(token, jkt);
                Proof::check(proofs, &rules).is_ok()
            })
        }
    }
}

fn challenge(status: StatusCode, value: &'static str) -> Response {
    let mut response = no_store(status.into_response());
    response
        .headers_mut()
        .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(value));
    response
}
