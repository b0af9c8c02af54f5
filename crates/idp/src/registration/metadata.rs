use http::{HeaderMap, header};
use portcullis_oidc::client_auth::AuthMethod;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::config::{Client, GrantType, IDENTITY_SCOPES, check_one, redirect_fault};
use crate::oauth_error::OAuthError;
use crate::provider::Provider;

/// The grants by their names on the wire.
const GRANTS: [(&str, GrantType); 5] = [
    ("authorization_code", GrantType::AuthorizationCode),
    ("refresh_token", GrantType::RefreshToken),
    ("client_credentials", GrantType::ClientCredentials),
    (
        "urn:ietf:params:oauth:grant-type:token-exchange",
        GrantType::TokenExchange,
    ),
    (crate::device::GRANT_TYPE, GrantType::DeviceCode),
];

/// What a client says of itself (RFC 7591 s2). What is not known here is ignored, as s2 demands; a member that is null
/// is one that is not there (RFC 7592 s2.2).
#[derive(Deserialize)]
pub(super) struct Metadata {
    pub(super) client_id: Option<String>,
    pub(super) client_secret: Option<String>,
    registration_access_token: Option<Value>,
    registration_client_uri: Option<Value>,
    client_secret_expires_at: Option<Value>,
    client_id_issued_at: Option<Value>,
    redirect_uris: Option<Vec<String>>,
    post_logout_redirect_uris: Option<Vec<String>>,
    backchannel_logout_uri: Option<String>,
    token_endpoint_auth_method: Option<String>,
    grant_types: Option<Vec<String>>,
    response_types: Option<Vec<String>>,
    scope: Option<String>,
    jwks: Option<Value>,
    jwks_uri: Option<String>,
    tls_client_auth_san_dns: Option<String>,
    require_pushed_authorization_requests: Option<bool>,
    require_signed_request_object: Option<bool>,
    dpop_bound_access_tokens: Option<bool>,
    tls_client_certificate_bound_access_tokens: Option<bool>,
}

// === impl Metadata ===

impl Metadata {
    pub(super) fn read(headers: &HeaderMap, body: &[u8]) -> Result<Metadata, OAuthError> {
        let kind = headers
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("application/json") {
            return Err(OAuthError::invalid_request("the body must be application/json"));
        }
        // The error would name what was sent.
        serde_json::from_slice(body)
            .map_err(|_| invalid("the body is no JSON object, or a member of it has the wrong type"))
    }

    pub(super) fn has_what_we_set(&self) -> bool {
        let ours = [
            &self.registration_access_token,
            &self.registration_client_uri,
            &self.client_secret_expires_at,
            &self.client_id_issued_at,
        ];
        ours.iter().any(|member| member.is_some())
    }

    /// Puts it into a client; what it does not speak of gets its default.
    pub(super) fn apply(&self, provider: &Provider, client: &mut Client) -> Result<(), OAuthError> {
        client.grants = self.grants()?;
        let expected: &[&str] = match client.may(GrantType::AuthorizationCode) {
            true => &["code"],
            false => &[],
        };
        if self.response_types.as_ref().is_some_and(|given| given != expected) {
            return Err(invalid(
                "response_types must be code alone with the grant authorization_code, and nothing without it",
            ));
        }
        client.redirect_uris = self.redirect_uris.clone().unwrap_or_default();
        client.post_logout_redirect_uris = self.post_logout_redirect_uris.clone().unwrap_or_default();
        client.backchannel_logout_uri.clone_from(&self.backchannel_logout_uri);
        let known: Vec<&str> = provider.registry.all_scopes().collect();
        let scopes: Vec<&str> = self
            .scope
            .as_deref()
            .unwrap_or_default()
            .split_ascii_whitespace()
            .collect();
        if scopes.iter().any(|scope| !known.contains(scope)) {
            return Err(invalid("scope has one that no API here has"));
        }
        let of_apis = scopes.iter().filter(|scope| !IDENTITY_SCOPES.contains(scope));
        client.scopes = of_apis.map(|scope| (*scope).to_owned()).collect();
        client.jwks.clone_from(&self.jwks);
        client.jwks_uri.clone_from(&self.jwks_uri);
        client.tls_client_auth_san_dns.clone_from(&self.tls_client_auth_san_dns);
        client.require_pushed_authorization_requests = self.require_pushed_authorization_requests.unwrap_or_default();
        client.require_signed_request_object = self.require_signed_request_object.unwrap_or_default();
        client.dpop_bound_access_tokens = self.dpop_bound_access_tokens.unwrap_or_default();
        client.tls_client_certificate_bound_access_tokens =
            self.tls_client_certificate_bound_access_tokens.unwrap_or_default();
        // RFC 7591 s2
        let method = self
            .token_endpoint_auth_method
            .as_deref()
            .unwrap_or("client_secret_basic");
        let method = AuthMethod::from_name(method);
        let method = method.ok_or_else(|| invalid("token_endpoint_auth_method is none that the metadata lists"))?;
        // A client of the configuration that may use any of its methods keeps that.
        if method.name() != method_of(client) {
            client.token_endpoint_auth_method = Some(method);
        }
        Ok(())
    }

    fn grants(&self) -> Result<Vec<GrantType>, OAuthError> {
        let Some(names) = &self.grant_types else {
            return Ok(vec![GrantType::AuthorizationCode]);
        };
        let grant = |name: &String| GRANTS.iter().find(|(known, _)| known == name).map(|(_, grant)| *grant);
        let grants: Option<Vec<GrantType>> = names.iter().map(grant).collect();
        grants.ok_or_else(|| invalid("grant_types has one that the metadata does not list"))
    }
}

/// The method by which a client proves itself; where it has several, the one that it most likely uses.
pub(super) fn method_of(client: &Client) -> &'static str {
    let usable = || AuthMethod::ALL.into_iter().find(|method| client.may_use(*method));
    let method = client.token_endpoint_auth_method.or_else(usable);
    method.unwrap_or(AuthMethod::None).name()
}

/// Why a client cannot be registered like this.
pub(super) fn check(client: &Client) -> Result<(), OAuthError> {
    for uri in client.redirect_uris.iter().chain(&client.post_logout_redirect_uris) {
        if let Some(fault) = redirect_fault(uri) {
            let description = format!("a redirect URI {fault}");
            return Err(OAuthError {
                description: description.into(),
                ..OAuthError::new("invalid_redirect_uri", "")
            });
        }
    }
    if client.may(GrantType::AuthorizationCode) && client.redirect_uris.is_empty() {
        return Err(OAuthError::new(
            "invalid_redirect_uri",
            "redirect_uris is needed for the grant authorization_code",
        ));
    }
    let told = client.backchannel_logout_uri.as_deref();
    if told.is_some_and(|uri| !uri.starts_with("http:") || redirect_fault(uri).is_some()) {
        return Err(invalid("backchannel_logout_uri must be plain http on this machine"));
    }
    match check_one(client).first() {
        None => Ok(()),
        // What is left is our own words; the client's name in front is left out.
        Some(fault) => Err(OAuthError {
            description: fault.split_once("\": ").map_or("", |(_, text)| text).to_owned().into(),
            ..invalid("")
        }),
    }
}

/// The registration as JSON, without what is secret.
pub(super) fn describe(client: &Client) -> Map<String, Value> {
    let grants: Vec<&str> = GRANTS
        .iter()
        .filter(|(_, grant)| client.may(*grant))
        .map(|(name, _)| *name)
        .collect();
    let response_types: &[&str] = match client.may(GrantType::AuthorizationCode) {
        true => &["code"],
        false => &[],
    };
    let mut document = Map::new();
    let mut add = |name: &str, value: Value| {
        let is_empty = value.is_null()
            || value == json!(false)
            || value.as_str().is_some_and(str::is_empty)
            || value
                .as_array()
                .is_some_and(|all| all.is_empty() && name.ends_with("uris"));
        if !is_empty {
            document.insert(name.to_owned(), value);
        }
    };
    add("client_id", json!(client.client_id));
    add("token_endpoint_auth_method", json!(method_of(client)));
    add("grant_types", json!(grants));
    add("response_types", json!(response_types));
    add("redirect_uris", json!(client.redirect_uris));
    add("post_logout_redirect_uris", json!(client.post_logout_redirect_uris));
    add("backchannel_logout_uri", json!(client.backchannel_logout_uri));
    add("scope", json!(client.scopes.join(" ")));
    add("jwks", json!(client.jwks));
    add("jwks_uri", json!(client.jwks_uri));
    add("tls_client_auth_san_dns", json!(client.tls_client_auth_san_dns));
    let flags = [
        (
            "require_pushed_authorization_requests",
            client.require_pushed_authorization_requests,
        ),
        ("require_signed_request_object", client.require_signed_request_object),
        ("dpop_bound_access_tokens", client.dpop_bound_access_tokens),
        (
            "tls_client_certificate_bound_access_tokens",
            client.tls_client_certificate_bound_access_tokens,
        ),
    ];
    for (name, set) in flags {
        add(name, json!(set));
    }
    document
}

fn invalid(description: &'static str) -> OAuthError {
    OAuthError::new("invalid_client_metadata", description)
}
