//! Clients that register themselves (RFC 7591), and what they may do with their registration (RFC 7592).

mod metadata;

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use portcullis_jose::{Secret, constant_time_eq, random_token, sha256};
use serde_json::{Value, json};

use crate::config::{Changed, Client};
use crate::dev::LogNote;
use crate::oauth_error::OAuthError;
use crate::provider::Provider;
use crate::response::no_store;

use metadata::Metadata;

/// Registers a client (RFC 7591 s3.1). It takes the initial access token of the configuration.
pub(crate) async fn register(State(provider): State<Arc<Provider>>, headers: HeaderMap, body: Bytes) -> Response {
    if !is_token(&headers, provider.registration.initial_access_token.as_ref()) {
        return unauthorized(&headers);
    }
    match registered(&provider, &headers, &body) {
        Ok(client) => answer(&provider, &client, StatusCode::CREATED),
        Err(error) => error.into_response(),
    }
}

/// The registration as it is (RFC 7592 s2.1).
pub(crate) async fn read(
    State(provider): State<Arc<Provider>>,
    Path(client_id): Path<String>,
    headers: HeaderMap,
) -> Response {
    match managed(&provider, &client_id, &headers) {
        Some(client) => answer(&provider, &client, StatusCode::OK),
        None => unauthorized(&headers),
    }
}

/// Puts another registration in its place (RFC 7592 s2.2).
pub(crate) async fn update(
    State(provider): State<Arc<Provider>>,
    Path(client_id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some(client) = managed(&provider, &client_id, &headers) else {
        return unauthorized(&headers);
    };
    match updated(&provider, &client, &headers, &body) {
        Ok(client) => answer(&provider, &client, StatusCode::OK),
        Err(error) => error.into_response(),
    }
}

/// Deletes the registration, and ends what the client got (RFC 7592 s2.3).
pub(crate) async fn delete(
    State(provider): State<Arc<Provider>>,
    Path(client_id): Path<String>,
    headers: HeaderMap,
) -> Response {
    let Some(client) = managed(&provider, &client_id, &headers) else {
        return unauthorized(&headers);
    };
    provider.registry.remove_client(&client.client_id);
    provider.state().revoke_client(&client.client_id);
    noted(no_store(StatusCode::NO_CONTENT.into_response()), &client)
}

fn registered(provider: &Provider, headers: &HeaderMap, body: &[u8]) -> Result<Client, OAuthError> {
    let asked = Metadata::read(headers, body)?;
    let mut client = Client {
        client_id: random_token(16),
        registration_access_token: Some(Secret::new(random_token(32))),
        ..Client::default()
    };
    asked.apply(provider, &mut client)?;
    if needs_secret(&client) {
        client.secret = Some(Secret::new(random_token(32)));
    }
    metadata::check(&client)?;
    if !provider.registry.add_client(client.clone()) {
        return Err(OAuthError {
            status: StatusCode::SERVICE_UNAVAILABLE,
            ..OAuthError::new("temporarily_unavailable", "there are too many clients; delete one")
        });
    }
    Ok(client)
}

fn updated(provider: &Provider, known: &Arc<Client>, headers: &HeaderMap, body: &[u8]) -> Result<Client, OAuthError> {
    let asked = Metadata::read(headers, body)?;
    if asked.client_id.as_deref() != Some(&*known.client_id) {
        return Err(OAuthError::invalid_request(
            "client_id must be that of the registration",
        ));
    }
    // RFC 7592 s2.2: these four "MUST NOT" be there.
    if asked.has_what_we_set() {
        return Err(OAuthError::invalid_request(
            "registration_access_token, registration_client_uri, client_secret_expires_at and client_id_issued_at are \
             not the client's to set",
        ));
    }
    // s2.2: a secret that is named must be the one that it has; it cannot choose one.
    if let Some(secret) = &asked.client_secret {
        let known = known.all_secrets().any(|known| same(secret, known));
        if !known {
            return Err(OAuthError::invalid_request(
                "client_secret is not the one that was issued; leave it out to get another",
            ));
        }
    }
    let mut client = (**known).clone();
    asked.apply(provider, &mut client)?;
    match (needs_secret(&client), &asked.client_secret) {
        (false, _) => (client.secret, client.secrets) = (None, Vec::new()),
        (true, Some(_)) => {}
        (true, None) => (client.secret, client.secrets) = (Some(Secret::new(random_token(32))), Vec::new()),
    }
    if provider.registration.rotate_access_tokens {
        client.registration_access_token = Some(Secret::new(random_token(32)));
    }
    metadata::check(&client)?;
    let now = provider.now();
    let until = now.plus(provider.registration.secret_overlap);
    match provider.registry.change_client(known, client.clone(), now, until) {
        Changed::Yes => Ok(client),
        Changed::Conflict => Err(OAuthError {
            status: StatusCode::CONFLICT,
            ..OAuthError::invalid_request("the registration was changed at the same time; read it again")
        }),
    }
}

/// Whether its method is one with a secret.
fn needs_secret(client: &Client) -> bool {
    matches!(
        metadata::method_of(client),
        "client_secret_basic" | "client_secret_post"
    )
}

/// The client whose registration this request may touch. A client that is not there looks like a wrong token.
fn managed(provider: &Provider, client_id: &str, headers: &HeaderMap) -> Option<Arc<Client>> {
    let client = provider.registry.client(client_id);
    let token = client
        .as_ref()
        .and_then(|client| client.registration_access_token.as_ref());
    is_token(headers, token).then_some(client)?
}

/// Whether the request has this bearer token (RFC 6750 s2.1). Where there is none, none is right.
fn is_token(headers: &HeaderMap, token: Option<&Secret>) -> bool {
    let given = bearer(headers).unwrap_or_default();
    // What is compared has one length, also where there is nothing to compare with.
    let right = token.is_some_and(|token| same(given, token));
    right && !given.is_empty()
}

fn same(given: &str, known: &Secret) -> bool {
    constant_time_eq(&sha256(given.as_bytes()), &sha256(known.expose().as_bytes()))
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (value, None) = (values.next()?, values.next()) else {
        return None;
    };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then(|| token.trim())
}

/// RFC 7591 s3.2.1 and RFC 7592 s3: the registration, and what is needed to use and to change it.
fn answer(provider: &Provider, client: &Client, status: StatusCode) -> Response {
    let mut document = metadata::describe(client);
    let mut add = |name: &str, value: Value| document.insert(name.to_owned(), value);
    add(
        "registration_client_uri",
        json!(management_uri(provider, &client.client_id)),
    );
    if let Some(token) = &client.registration_access_token {
        provider.dev.note_secret(token.expose());
        add("registration_access_token", json!(token.expose()));
    }
    if let Some(secret) = client.all_secrets().next() {
        provider.dev.note_secret(secret.expose());
        add("client_secret", json!(secret.expose()));
        // It does not expire.
        add("client_secret_expires_at", json!(0));
    }
    let response = no_store((status, Json(Value::Object(document))).into_response());
    noted(response, client)
}

fn management_uri(provider: &Provider, client_id: &str) -> String {
    let whole = provider.url("/register");
    match url::Url::parse(&whole) {
        Ok(mut url) => {
            if let Ok(mut segments) = url.path_segments_mut() {
                segments.push(client_id);
            }
            url.into()
        }
        Err(_) => whole,
    }
}

fn noted(mut response: Response, client: &Client) -> Response {
    response.extensions_mut().insert(LogNote {
        client_id: Some(client.client_id.clone()),
        ..LogNote::default()
    });
    response
}

/// RFC 6750 s3, also for a client that is not there (RFC 7592 s2.1).
fn unauthorized(headers: &HeaderMap) -> Response {
    let (challenge, error) = match headers.contains_key(header::AUTHORIZATION) {
        true => (
            "Bearer realm=\"registration\", error=\"invalid_token\"",
            Some("invalid_token"),
        ),
        false => ("Bearer realm=\"registration\"", None),
    };
    let mut response = no_store((StatusCode::UNAUTHORIZED, Json(json!({ "error": "invalid_token" }))).into_response());
    let challenge = HeaderValue::from_static(challenge);
    response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    response.extensions_mut().insert(LogNote {
        error: error.map(str::to_owned),
        ..LogNote::default()
    });
    response
}
