use std::collections::HashSet;

use portcullis_jose::JwkSet;
use portcullis_oidc::HttpsUrl;
use url::{Host, Url};

use super::{Client, GrantType, IDENTITY_SCOPES, IdpConfig, User};
use crate::host::is_loopback_host;

/// Claims that the protocol sets itself; a user's `claims` must not.
const PROTOCOL_CLAIMS: [&str; 15] = [
    "iss",
    "sub",
    "aud",
    "exp",
    "nbf",
    "iat",
    "jti",
    "client_id",
    "scope",
    "auth_time",
    "nonce",
    "at_hash",
    "sid",
    "azp",
    "cnf",
];

/// Every fault of the configuration, each naming its place and what to do. Empty when it is sound.
pub(crate) fn check(config: &IdpConfig) -> Vec<String> {
    let mut faults = Vec::new();
    if let Some(issuer) = &config.issuer {
        check_issuer(issuer, &mut faults);
    }
    let mut usernames = HashSet::new();
    let mut subs = HashSet::new();
    for user in &config.users {
        check_user(user, &mut faults);
        if !usernames.insert(&user.username) {
            faults.push(format!("user {:?}: defined twice", user.username));
        }
        if user.sub.as_ref().is_some_and(|sub| !subs.insert(sub)) {
            faults.push(format!("user {:?}: another user has the same sub", user.username));
        }
    }
    let mut client_ids = HashSet::new();
    for client in &config.clients {
        check_client(client, &mut faults);
        if !client_ids.insert(&client.client_id) {
            faults.push(format!("client {:?}: defined twice", client.client_id));
        }
    }
    if config
        .initial_access_token
        .as_ref()
        .is_some_and(portcullis_jose::Secret::is_empty)
    {
        faults.push("initial_access_token is empty; leave it out, and nobody registers clients".to_owned());
    }
    check_apis(config, &mut faults);
    faults
}

/// The faults of one client.
pub(crate) fn check_one(client: &Client) -> Vec<String> {
    let mut faults = Vec::new();
    check_client(client, &mut faults);
    faults
}

fn check_issuer(issuer: &str, faults: &mut Vec<String>) {
    let fault = match Url::parse(issuer) {
        Err(_) => "is not an absolute URL",
        Ok(url) if !matches!(url.scheme(), "http" | "https") => "must be an http or https URL",
        // OpenID Connect Discovery s3: no query or fragment.
        Ok(url) if url.query().is_some() || url.fragment().is_some() => "must have no query and no fragment",
        Ok(url) if !url.username().is_empty() || url.password().is_some() => "must have no user in it",
        Ok(_) if issuer.ends_with('/') => "must not end with a slash",
        Ok(_) if issuer.contains(['{', '}', '*']) => "must have no wildcard",
        Ok(url) if !url.host_str().is_some_and(is_loopback_host) => {
            "must have a loopback host: a development provider serves this machine alone"
        }
        Ok(_) => return,
    };
    faults.push(format!("issuer {issuer:?}: {fault}"));
}

fn check_user(user: &User, faults: &mut Vec<String>) {
    let mut fault = |text: &str| faults.push(format!("user {:?}: {text}", user.username));
    if user.username.is_empty() {
        fault("username is missing");
    }
    if user.password.is_some() && user.password_hash.is_some() {
        fault("give password or password_hash, not both");
    }
    if user
        .password_hash
        .as_ref()
        .is_some_and(|hash| !crate::passwords::is_argon2(hash))
    {
        fault("password_hash is not an Argon2 hash in PHC form ($argon2id$...)");
    }
    if user
        .sub
        .as_ref()
        .is_some_and(|sub| sub.is_empty() || sub.len() > 255 || !sub.is_ascii())
    {
        fault("sub must have 1 to 255 ASCII characters"); // OpenID Connect Core s2
    }
    for claim in PROTOCOL_CLAIMS.iter().filter(|claim| user.claims.contains_key(**claim)) {
        fault(&format!("claims must not set {claim:?}, which the protocol sets"));
    }
    check_scopes(&user.scopes, &mut fault);
}

fn check_client(client: &Client, faults: &mut Vec<String>) {
    let mut fault = |text: &str| faults.push(format!("client {:?}: {text}", client.client_id));
    if client.client_id.is_empty() {
        fault("client_id is missing");
    }
    if client.all_secrets().any(portcullis_jose::Secret::is_empty) {
        fault("secret is empty; leave it out for a public client");
    }
    let token = client.registration_access_token.as_ref();
    if token.is_some_and(portcullis_jose::Secret::is_empty) {
        fault("registration_access_token is empty; leave it out, and nobody changes the registration");
    }
    if client.may(GrantType::AuthorizationCode) && client.redirect_uris.is_empty() {
        fault("redirect_uris is needed for the grant authorization_code");
    }
    if client.may(GrantType::ClientCredentials) && client.is_public() {
        fault("the grant client_credentials needs a secret, or a key or certificate in its place"); // RFC 6749 s4.4
    }
    if let Some(method) = client
        .token_endpoint_auth_method
        .filter(|method| !client.may_use(*method))
    {
        fault(&format!("there is nothing to check {} with", method.name()));
    }
    if client.jwks.is_some() && client.jwks_uri.is_some() {
        fault("give jwks or jwks_uri, not both"); // RFC 7591 s2
    }
    if client
        .jwks_uri
        .as_ref()
        .is_some_and(|uri| HttpsUrl::parse(uri).is_err())
    {
        fault("jwks_uri must be https, or http on this machine");
    }
    let federated = client.federated.as_ref().map(|federated| &federated.jwks);
    for jwks in client.jwks.iter().chain(federated) {
        if JwkSet::parse(jwks.to_string().as_bytes()).is_err() {
            fault("jwks is no JWK set with a usable key");
        }
    }
    for pem in &client.tls_client_certificates {
        if portcullis_jose::certificate_from_pem(pem).is_err() {
            fault("tls_client_certificates has something that is no certificate in PEM");
        }
    }
    for uri in client.redirect_uris.iter().chain(&client.post_logout_redirect_uris) {
        if let Some(text) = redirect_fault(uri) {
            fault(&format!("redirect URI {uri:?} {text}"));
        }
    }
    if let Some(uri) = &client.backchannel_logout_uri {
        match redirect_fault(uri) {
            Some(text) => fault(&format!("backchannel_logout_uri {uri:?} {text}")),
            None if !uri.starts_with("http:") => {
                fault(&format!(
                    "backchannel_logout_uri {uri:?} must be plain http: it is called on this machine"
                ));
            }
            None => {}
        }
    }
    check_scopes(&client.scopes, &mut fault);
}

/// What is wrong with a URI that a browser is to be sent to.
pub(crate) fn redirect_fault(uri: &str) -> Option<&'static str> {
    let Ok(url) = Url::parse(uri) else {
        return Some("is not an absolute URI");
    };
    if uri.contains('#') {
        return Some("must have no fragment"); // RFC 6749 s3.1.2
    }
    if uri.contains('*') || !uri.bytes().all(|b| b.is_ascii_graphic()) {
        return Some("must be plain ASCII without wildcard");
    }
    let loopback = match url.host() {
        Some(Host::Domain(name)) => is_loopback_host(name),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    match url.scheme() {
        "https" => None,
        "http" if loopback => None,
        "http" => Some("must be https, unless its host is loopback"),
        // RFC 8252 s7.1: a private-use scheme is a reversed domain name, so it has a dot.
        scheme if scheme.contains('.') => None,
        _ => Some("must be https, loopback http, or a private scheme with a dot such as com.example.app:/callback"),
    }
}

fn check_apis(config: &IdpConfig, faults: &mut Vec<String>) {
    let mut audiences = HashSet::new();
    let mut owned = HashSet::new();
    for api in &config.apis {
        let mut fault = |text: &str| faults.push(format!("api {:?}: {text}", api.audience));
        if api.audience.is_empty() {
            fault("audience is missing");
        }
        if !audiences.insert(&api.audience) {
            fault("defined twice");
        }
        check_scopes(&api.scopes, &mut fault);
        for scope in &api.scopes {
            if IDENTITY_SCOPES.contains(&scope.as_str()) {
                fault(&format!("scope {scope:?} belongs to the protocol"));
            }
            if !owned.insert(scope) {
                fault(&format!(
                    "scope {scope:?} belongs to another API already, so it would name no one audience"
                ));
            }
        }
    }
}

fn check_scopes(scopes: &[String], fault: &mut impl FnMut(&str)) {
    for scope in scopes.iter().filter(|scope| !is_scope_token(scope)) {
        fault(&format!(
            "scope {scope:?} must be one word without quotes or backslashes"
        ));
    }
}

/// RFC 6749 s3.3: `scope-token = 1*( %x21 / %x23-5B / %x5D-7E )`
pub(crate) fn is_scope_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn faults(config: serde_json::Value) -> Vec<String> {
        check(&serde_json::from_value(config).unwrap())
    }

    #[test]
    fn a_sound_configuration_has_no_faults() {
        let config = json!({
            "issuer": "http://localhost:9400",
            "user": [{ "username": "alice", "password": "x", "claims": { "name": "Alice" }, "scopes": ["orders.read"] }],
            "client": [
                { "client_id": "web", "secret": "s", "redirect_uris": ["http://127.0.0.1:8080/bff/callback"] },
                { "client_id": "app", "redirect_uris": ["com.example.app:/callback", "https://app.example/cb"] },
                { "client_id": "job", "secret": "s", "grants": ["client_credentials"] },
            ],
            "api": [{ "audience": "api://orders", "scopes": ["orders.read"] }],
        });
        assert_eq!(faults(config), Vec::<String>::new());
    }

    #[test]
    fn all_faults_are_told_at_once() {
        let config = json!({
            "issuer": "https://login.example.com",
            "user": [
                { "username": "a", "password": "x", "password_hash": "y", "claims": { "sub": "b" } },
                { "username": "a", "scopes": ["two words"] },
            ],
            "client": [
                { "client_id": "c", "secret": "", "redirect_uris": [] },
                { "client_id": "d", "grants": ["client_credentials"], "redirect_uris": ["http://evil.example/cb"] },
            ],
            "api": [{ "audience": "x", "scopes": ["s", "openid"] }, { "audience": "y", "scopes": ["s"] }],
        });
        let faults = faults(config);
        for part in [
            "must have a loopback host",
            "not both",
            "not an Argon2 hash",
            "must not set \"sub\"",
            "user \"a\": defined twice",
            "two words",
            "secret is empty",
            "redirect_uris is needed",
            "needs a secret",
            "must be https",
            "belongs to the protocol",
            "belongs to another API",
        ] {
            assert!(faults.iter().any(|fault| fault.contains(part)), "{part} in {faults:#?}");
        }
    }

    #[test]
    fn empty_tokens_open_nothing() {
        let client = |token: &str| json!({ "client_id": "c", "secret": "s", "redirect_uris": ["https://a.example/cb"], "registration_access_token": token });
        assert_eq!(
            faults(json!({ "initial_access_token": "t", "client": [client("t")] })),
            Vec::<String>::new()
        );
        let faults = faults(json!({ "initial_access_token": "", "client": [client("")] }));
        assert_eq!(faults.len(), 2, "{faults:#?}");
        assert!(
            faults.iter().all(|fault| fault.contains("access_token is empty")),
            "{faults:#?}"
        );
    }

    #[test]
    fn redirect_uris_are_narrow() {
        for good in [
            "https://a.example/cb?x=1",
            "http://localhost:3/cb",
            "http://[::1]/cb",
            "com.example.app:/cb",
        ] {
            assert_eq!(redirect_fault(good), None, "{good}");
        }
        for bad in [
            "/cb",
            "https://a.example/cb#f",
            "https://*.a.example/cb",
            "http://a.example/",
            "javascript:alert(1)",
        ] {
            assert!(redirect_fault(bad).is_some(), "{bad}");
        }
    }
}
