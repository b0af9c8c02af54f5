//! What the provider is told: who may sign in, which clients there are, which APIs own which scopes.

mod check;
mod lifetime;
mod registry;

use std::net::SocketAddr;

use portcullis_jose::{Algorithm, Secret};
use portcullis_oidc::client_auth::AuthMethod;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

pub(crate) use check::{check, check_one, is_scope_token, redirect_fault};
pub(crate) use registry::{Changed, Person, Registry, grantable};

/// Scopes that are the protocol's own. Every client may ask for them and every user has them.
pub(crate) const IDENTITY_SCOPES: [&str; 4] = ["openid", "profile", "email", "offline_access"];

/// The whole configuration. See the crate's documentation for the TOML form.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IdpConfig {
    /// Where to listen: a loopback address. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// The issuer, where it is not `http://` and the address that is listened on. Its host must be loopback.
    pub issuer: Option<String>,
    /// Seconds that an access token is valid.
    #[serde(deserialize_with = "lifetime::seconds")]
    pub access_token_lifetime: i64,
    /// Seconds that an ID token is valid.
    #[serde(deserialize_with = "lifetime::seconds")]
    pub id_token_lifetime: i64,
    /// Seconds that a refresh token is valid, counted anew from each rotation.
    #[serde(deserialize_with = "lifetime::seconds")]
    pub refresh_token_lifetime: i64,
    /// Seconds that a login at this provider lasts.
    #[serde(deserialize_with = "lifetime::seconds")]
    pub session_lifetime: i64,
    /// Seconds that a device may wait for its person (RFC 8628).
    #[serde(deserialize_with = "lifetime::seconds")]
    pub device_code_lifetime: i64,
    /// Seconds that a device has to wait between two questions.
    #[serde(deserialize_with = "lifetime::seconds")]
    pub device_code_interval: i64,
    /// The algorithm that tokens are signed with.
    #[serde(deserialize_with = "algorithm")]
    pub signing_algorithm: Algorithm,
    /// A private key in PKCS #8 PEM. Without it a key is made at each start.
    pub signing_key_pem: Option<Secret>,
    /// Whether every client needs the user's consent.
    pub consent: bool,
    /// Who has it may register clients (RFC 7591 s3). Without one, nobody does.
    pub initial_access_token: Option<Secret>,
    /// Seconds that a secret stays valid beside the one that a client got in its place (RFC 7592 s2.2).
    #[serde(deserialize_with = "lifetime::seconds")]
    pub secret_overlap: i64,
    /// Whether each change of a registration gives out another registration access token (RFC 7592 s3).
    pub rotate_registration_access_tokens: bool,
    /// The people.
    #[serde(rename = "user")]
    pub users: Vec<User>,
    /// The clients.
    #[serde(rename = "client")]
    pub clients: Vec<Client>,
    /// The APIs.
    #[serde(rename = "api")]
    pub apis: Vec<Api>,
    /// The listener for clients with certificates.
    pub mtls: Option<MutualTls>,
}

/// A person who may sign in.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct User {
    /// What is typed into the login form.
    pub username: String,
    /// The password in the clear, for demonstrations and tests. It is hashed at start.
    pub password: Option<Secret>,
    /// The password as an Argon2 PHC string, in place of `password`.
    pub password_hash: Option<String>,
    /// The `sub` claim. Default: a hash of the username, the same at every start.
    pub sub: Option<String>,
    /// Claims about the user: `name`, `email`, `roles`, ...
    pub claims: Map<String, Value>,
    /// The API scopes that the user may be granted.
    pub scopes: Vec<String>,
}

/// An application.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Client {
    /// Its identifier.
    pub client_id: String,
    /// Its secret. A client that has neither a secret nor anything else to prove itself with is public.
    pub secret: Option<Secret>,
    /// More secrets, each as good as the other, as while one is being replaced.
    pub secrets: Vec<Secret>,
    /// Who has it may read, change and delete the registration (RFC 7592).
    pub registration_access_token: Option<Secret>,
    /// The one way in which it must prove itself, by its name in OpenID Connect: `client_secret_basic`,
    /// `private_key_jwt`, ... Without it any that it has the means for.
    #[serde(deserialize_with = "auth_method")]
    pub token_endpoint_auth_method: Option<AuthMethod>,
    /// Its public keys as a JWK set, for `private_key_jwt` and signed requests.
    pub jwks: Option<Value>,
    /// Where its public keys are, in place of `jwks`: plain http on this machine, or https.
    pub jwks_uri: Option<String>,
    /// Its certificates in PEM, for `self_signed_tls_client_auth` (RFC 8705 s2.2).
    pub tls_client_certificates: Vec<String>,
    /// A name that its certificate must have, for `tls_client_auth` (RFC 8705 s2.1.2).
    pub tls_client_auth_san_dns: Option<String>,
    /// Assertions of somebody else's that count as its own (RFC 7523 s2.2), for workloads.
    pub federated: Option<Federated>,
    /// Whether its authorization requests must be pushed (RFC 9126).
    pub require_pushed_authorization_requests: bool,
    /// Whether its authorization requests must be signed (RFC 9101).
    pub require_signed_request_object: bool,
    /// Whether its access tokens must be bound to a key by DPoP (RFC 9449).
    pub dpop_bound_access_tokens: bool,
    /// Whether its access tokens are bound to its certificate (RFC 8705 s3).
    pub tls_client_certificate_bound_access_tokens: bool,
    /// Where it may be sent after a login. Compared exactly, but for the port of a loopback IP address.
    pub redirect_uris: Vec<String>,
    /// Where it may be sent after a logout. Compared exactly.
    pub post_logout_redirect_uris: Vec<String>,
    /// Where it is told that a session is over (OpenID Connect Back-Channel Logout): plain http on this machine.
    pub backchannel_logout_uri: Option<String>,
    /// What it may use the token endpoint for.
    pub grants: Vec<GrantType>,
    /// The API scopes that it may ask for.
    pub scopes: Vec<String>,
    /// The audience of its access tokens where neither `resource` nor the scopes name one.
    pub audience: Option<String>,
    /// Whether it needs the user's consent.
    pub consent: bool,
    /// The form of its access tokens.
    pub access_token_format: AccessTokenFormat,
}

/// Whose assertions stand for a client's own, and what they must say.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Federated {
    /// Their `iss`.
    pub issuer: String,
    /// Their `sub`.
    pub subject: String,
    /// Their `aud`.
    pub audience: String,
    /// The keys that sign them, as a JWK set.
    pub jwks: Value,
}

/// A second listener, on https, which asks clients for a certificate (RFC 8705). The metadata names it in
/// `mtls_endpoint_aliases`, as `https://localhost` and its port.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MutualTls {
    /// Where to listen: a loopback address. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// The certificate to serve, for `localhost`, in PEM.
    pub certificate: String,
    /// Its private key in PEM.
    pub key: Secret,
    /// The authorities of client certificates in PEM, for `tls_client_auth`.
    pub client_ca: Option<String>,
}

/// An API: the audience of access tokens, and the scopes that belong to it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Api {
    /// The `aud` of its tokens and the `resource` parameter that asks for them.
    #[serde(alias = "identifier")]
    pub audience: String,
    /// The scopes that belong to it and to no other API.
    #[serde(default)]
    pub scopes: Vec<String>,
}

/// A grant that the token endpoint knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum GrantType {
    /// RFC 6749 s4.1
    AuthorizationCode,
    /// RFC 6749 s6
    RefreshToken,
    /// RFC 6749 s4.4
    ClientCredentials,
    /// RFC 8693
    TokenExchange,
    /// RFC 8628
    DeviceCode,
}

/// The form of an access token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AccessTokenFormat {
    /// RFC 9068
    #[default]
    Jwt,
}

// === impl IdpConfig ===

impl Default for IdpConfig {
    fn default() -> IdpConfig {
        IdpConfig {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            issuer: None,
            access_token_lifetime: 300,
            id_token_lifetime: 300,
            refresh_token_lifetime: 8 * 3600,
            session_lifetime: 8 * 3600,
            device_code_lifetime: 600,
            device_code_interval: 5,
            signing_algorithm: Algorithm::RS256,
            signing_key_pem: None,
            consent: false,
            initial_access_token: None,
            secret_overlap: 0,
            rotate_registration_access_tokens: false,
            users: Vec::new(),
            clients: Vec::new(),
            apis: Vec::new(),
            mtls: None,
        }
    }
}

// === impl Client ===

impl Default for Client {
    fn default() -> Client {
        Client {
            client_id: String::new(),
            secret: None,
            secrets: Vec::new(),
            registration_access_token: None,
            token_endpoint_auth_method: None,
            jwks: None,
            jwks_uri: None,
            tls_client_certificates: Vec::new(),
            tls_client_auth_san_dns: None,
            federated: None,
            require_pushed_authorization_requests: false,
            require_signed_request_object: false,
            dpop_bound_access_tokens: false,
            tls_client_certificate_bound_access_tokens: false,
            redirect_uris: Vec::new(),
            post_logout_redirect_uris: Vec::new(),
            backchannel_logout_uri: None,
            grants: vec![GrantType::AuthorizationCode, GrantType::RefreshToken],
            scopes: Vec::new(),
            audience: None,
            consent: false,
            access_token_format: AccessTokenFormat::Jwt,
        }
    }
}

impl Client {
    pub(crate) fn may(&self, grant: GrantType) -> bool {
        self.grants.contains(&grant)
    }

    /// The secrets that count.
    pub(crate) fn all_secrets(&self) -> impl Iterator<Item = &Secret> {
        self.secret.iter().chain(&self.secrets)
    }

    /// Whether it may prove itself in this way, and has the means.
    pub(crate) fn may_use(&self, method: AuthMethod) -> bool {
        let means = match method {
            AuthMethod::Basic | AuthMethod::Post => self.all_secrets().next().is_some(),
            AuthMethod::PrivateKeyJwt => self.has_keys() || self.federated.is_some(),
            AuthMethod::Tls => self.tls_client_auth_san_dns.is_some(),
            AuthMethod::SelfSignedTls => !self.tls_client_certificates.is_empty(),
            _ => !AuthMethod::ALL
                .into_iter()
                .any(|method| method != AuthMethod::None && self.may_use(method)),
        };
        means && self.token_endpoint_auth_method.is_none_or(|only| only == method)
    }

    /// Whether nothing proves it but PKCE.
    pub(crate) fn is_public(&self) -> bool {
        self.may_use(AuthMethod::None)
    }

    pub(crate) fn has_keys(&self) -> bool {
        self.jwks.is_some() || self.jwks_uri.is_some()
    }
}

fn auth_method<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<AuthMethod>, D::Error> {
    let name = String::deserialize(deserializer)?;
    let method = AuthMethod::from_name(&name);
    method.map(Some).ok_or_else(|| {
        let names: Vec<_> = AuthMethod::ALL.into_iter().map(AuthMethod::name).collect();
        serde::de::Error::custom(format!("not a client authentication method: use {}", names.join(", ")))
    })
}

fn algorithm<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Algorithm, D::Error> {
    let name = String::deserialize(deserializer)?;
    Algorithm::from_name(&name)
        .filter(|algorithm| !algorithm.is_symmetric())
        .ok_or_else(|| serde::de::Error::custom("not a signature algorithm: use RS256, PS256, ES256 or EdDSA"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lifetimes_are_seconds_or_text() {
        let config: IdpConfig =
            serde_json::from_value(json!({ "access_token_lifetime": "5m", "session_lifetime": 90 })).unwrap();
        assert_eq!((config.access_token_lifetime, config.session_lifetime), (300, 90));
        for wrong in [json!("5 parsecs"), json!(0), json!(-1), json!("0s"), json!(1.5)] {
            let text = json!({ "access_token_lifetime": wrong });
            assert!(serde_json::from_value::<IdpConfig>(text.clone()).is_err(), "{text}");
        }
    }

    #[test]
    fn unknown_keys_are_errors() {
        for wrong in [
            json!({ "lisen": "127.0.0.1:1" }),
            json!({ "user": [{ "username": "a", "pasword": "x" }] }),
            json!({ "client": [{ "client_id": "a", "redirect_uri": "x" }] }),
            json!({ "signing_algorithm": "HS256" }),
            json!({ "client": [{ "client_id": "a", "grants": ["password"] }] }),
        ] {
            assert!(serde_json::from_value::<IdpConfig>(wrong.clone()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_client_may_sign_people_in_unless_told_otherwise() {
        let client: Client = serde_json::from_value(json!({ "client_id": "web" })).unwrap();
        assert!(client.may(GrantType::AuthorizationCode) && client.may(GrantType::RefreshToken));
        assert!(!client.may(GrantType::ClientCredentials));
    }
}
