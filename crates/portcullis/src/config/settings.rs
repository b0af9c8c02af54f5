//! The configuration as types. Who holds a [`Settings`] holds one without a known fault.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use portcullis_guard::SenderConstraint;
use portcullis_jose::{Algorithm, Secret, UnixTime};
use portcullis_oidc::TokenTarget;
use portcullis_oidc::client_auth::AssertionAudience;
use portcullis_policy::{Decision, NamedPolicy, RouteTable};
use portcullis_store::{PostgresSettings, RedisSettings};
use url::Url;

mod frontend;
mod server;

pub use self::frontend::*;
pub use self::server::{CertificateHeader, ClientCertificates, ServerSettings, TlsSettings};
pub use crate::secret_source::SecretSource;

/// The whole configuration. Every name that one part uses for another exists.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// The listeners.
    pub server: ServerSettings,
    /// Where sessions live.
    pub store: StoreSettings,
    /// Who may revoke through the admin address.
    pub admin: Option<AdminSettings>,
    /// Identity providers, by name.
    pub providers: BTreeMap<String, ProviderSettings>,
    /// Registrations at providers, by name.
    pub clients: BTreeMap<String, ClientSettings>,
    /// Frontends, by name.
    pub frontends: BTreeMap<String, FrontendSettings>,
    /// APIs, by name.
    pub apis: BTreeMap<String, ApiSettings>,
    /// Policies, by name; `authenticated` is always among them.
    pub policies: BTreeMap<String, NamedPolicy>,
    /// What `[danger]` weakens.
    pub danger: DangerSettings,
}

/// `[store]`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StoreSettings {
    /// Where state lives.
    pub place: StorePlace,
    /// Texts of 32-byte sealing keys, base64url or hex: the first seals, all open. None: SQLite keeps its own.
    pub keys: Vec<Secret>,
    /// Where those keys came from, to look again while the gateway runs, and what was there: one key in a line.
    pub key_sources: Vec<(SecretSource, Secret)>,
    /// While the store does not answer, a session that was read so recently still counts for reading.
    pub grace: Duration,
}

/// Where state lives.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum StorePlace {
    /// A SQLite file.
    Sqlite(PathBuf),
    /// Redis.
    Redis(RedisSettings),
    /// PostgreSQL.
    Postgres(PostgresSettings),
    /// Nowhere: browsers carry their sessions, and the rest is in memory.
    Cookie,
}

/// `[admin]`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AdminSettings {
    /// What proves that a caller is an administrator.
    pub token: Secret,
}

/// `[provider.NAME]`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ProviderSettings {
    /// The issuer exactly as it was written: tokens must carry the same text. With tenants it is their template.
    pub issuer: String,
    /// The tenants whose tokens count; empty where the issuer is no template.
    pub tenants: Vec<String>,
    /// Where the discovery document is, where that is not the issuer.
    pub discovery: Option<Url>,
    /// Hosts inside the network that the discovery document may name.
    pub internal_hosts: Vec<String>,
    /// Whether keys are fetched when they are used, and not ahead.
    pub keys_on_demand: bool,
    /// Where the keys are.
    pub keys: Keys,
    /// How opaque tokens are asked about, where they are taken.
    pub introspection: Option<IntrospectionSettings>,
    /// The algorithm of ID tokens.
    pub id_token_algorithm: Algorithm,
    /// The `typ` that access tokens must have.
    pub access_token_type: AccessTokenType,
    /// The algorithms of access tokens.
    pub algorithms: Vec<Algorithm>,
    /// How far the clocks may differ.
    pub leeway: Duration,
    /// The longest time from an access token's `iat` to its `exp`.
    pub max_token_lifetime: Duration,
    /// PEM file of the authority to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
}

/// Where a provider's keys are: in one place.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Keys {
    /// Where the discovery document says.
    Discovered,
    /// At this address.
    Url(Url),
    /// In this file.
    File(PathBuf),
    /// There is none but this secret.
    Shared(Secret),
}

/// `introspection` of a provider.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct IntrospectionSettings {
    /// Name of the client that asks.
    pub client: String,
    /// How long an answer counts.
    pub cache: Duration,
    /// Where to ask, where discovery is not to be asked for it.
    pub url: Option<Url>,
}

/// `access_token_type` of a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AccessTokenType {
    /// Only `at+jwt` (RFC 9068).
    AtJwt,
    /// Any but that of an ID token or another purpose: for providers that do not mark access tokens.
    Any,
}

/// `[client.NAME]`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClientSettings {
    /// Name of the provider.
    pub provider: String,
    /// The identifier that the provider gave out.
    pub client_id: String,
    /// How the client proves itself.
    pub auth: ClientAuth,
    /// Where the provider lets its registration be changed.
    pub registration: Option<RegistrationSettings>,
    /// Whom its assertions name as their audience.
    pub assertion_audience: AssertionAudience,
    /// Whether the FAPI 2.0 Security Profile is kept.
    pub fapi2: bool,
    /// The key that people's tokens are bound to, as PEM or JWK.
    pub dpop_key: Option<Secret>,
    /// Authorization requests are pushed.
    pub pushed_requests: bool,
    /// Authorization requests are signed.
    pub signed_requests: bool,
    /// Answers to logins come as forms.
    pub form_post: bool,
    /// More parameters of authorization requests.
    pub authorization_parameters: Vec<(String, String)>,
}

/// `registration` of a client (RFC 7592).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RegistrationSettings {
    /// `registration_client_uri`
    pub uri: Url,
    /// Where the registration access token is. It is read when it is needed, and written when the provider changes it.
    pub token_file: PathBuf,
}

/// `own_keys` of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OwnKeySettings {
    /// Where they are kept, sealed.
    pub file: PathBuf,
    /// A new one is made after so many seconds.
    pub rotate: i64,
    /// The one before stays published for so many seconds after the new one signs.
    pub overlap: i64,
    /// What they sign with.
    pub algorithm: Algorithm,
}

/// A secret or private key of a client, and when it is valid.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClientSecret {
    /// What it was when the configuration was read.
    pub value: Secret,
    /// Where it is read again.
    pub source: SecretSource,
    /// It is not used before.
    pub not_before: Option<UnixTime>,
    /// It is not used from then on, as long as there is another.
    pub expires: Option<UnixTime>,
}

/// How a client proves itself at the token endpoint.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ClientAuth {
    /// `client_secret_basic`.
    Basic(Vec<ClientSecret>),
    /// `client_secret_post`.
    Post(Vec<ClientSecret>),
    /// `private_key_jwt`, with keys of our own.
    PrivateKeyJwt {
        /// The keys, as PEM or JWK.
        keys: Vec<ClientSecret>,
        /// What they sign with; absent: what each is for.
        algorithm: Option<Algorithm>,
    },
    /// `private_key_jwt`, with keys that are made, published and replaced here.
    OwnKeys(OwnKeySettings),
    /// `private_key_jwt`, with an assertion that somebody else signs and keeps fresh in this file.
    AssertionFile(PathBuf),
    /// `tls_client_auth` or `self_signed_tls_client_auth`.
    Tls {
        /// PEM file of the certificate and its chain.
        cert: PathBuf,
        /// PEM file of its private key.
        key: PathBuf,
        /// Whether the certificate itself is registered, and no authority is asked about it.
        self_signed: bool,
    },
    /// `none`: a public client, which has PKCE alone.
    None,
}

/// `[api.NAME]`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ApiSettings {
    /// The path, and everything below it.
    pub path: String,
    /// Where calls are forwarded to.
    pub upstream: Url,
    /// What takes the place of `path` there.
    pub upstream_path: Option<String>,
    /// Who may call.
    pub access: Access,
    /// How long the upstream may take to begin its answer.
    pub timeout: Duration,
    /// The realm of the challenge; the API's name where it is absent.
    pub realm: Option<String>,
    /// Which token the upstream gets.
    pub token: UpstreamToken,
}

/// `token` of an API.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum UpstreamToken {
    /// What the call was made with.
    #[default]
    Caller,
    /// The same, exchanged for a narrower one.
    Exchanged(AskedToken),
    /// The client's own.
    Client(AskedToken),
    /// On a public route: the token of a session, else the client's own.
    CallerOrClient(AskedToken),
    /// On a public route: the token of a session, else none.
    CallerOrNone,
    /// None.
    None,
}

/// A token that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AskedToken {
    /// Name of the client that asks.
    pub client: String,
    /// What it is for.
    pub target: TokenTarget,
}

/// Who may call an API.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Access {
    /// A public route: no credential is looked at.
    Anyone,
    /// Calls with a token, the caller's own or that of the session.
    Guarded(Guarded),
}

/// What a call to a guarded API must show.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Guarded {
    /// A session's cookie is accepted.
    pub session: bool,
    /// A bearer token is accepted.
    pub bearer: bool,
    /// Names of the frontends whose sessions count; empty: all that it is below, or beside on their host.
    pub frontends: Vec<String>,
    /// The upstream serves pages: links and forms with a session need no header of ours.
    pub pages: bool,
    /// Names of the providers that issue the tokens; at least one.
    pub providers: Vec<String>,
    /// Audiences, one of which the token must have.
    pub audience: Vec<String>,
    /// Which policy, by name, decides about which calls.
    pub routes: RouteTable<String>,
    /// What identifies the API in its metadata (RFC 9728 s2).
    pub resource: String,
    /// Which proof of a key every token must need; bound tokens need theirs in any case.
    pub sender_constrained: Option<SenderConstraint>,
    /// What happens while the list of revocations cannot be read.
    pub revocations: RevocationSettings,
}

/// `revocations` of an API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RevocationSettings {
    /// The list is stale when it could not be read for so long.
    pub max_age: Duration,
    /// What happens to calls then.
    pub when_stale: WhenStale,
    /// Whether a token must have a `jti`.
    pub require_jti: bool,
}

/// What happens to calls while the list of revocations is stale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhenStale {
    /// They are refused with 503.
    Refuse,
    /// They are judged by the list as it is.
    Serve,
}

/// `[danger]`: what is weaker than it should be, by explicit wish.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct DangerSettings {
    /// Hosts that tokens may be forwarded to over plain http.
    pub plain_http_upstream_hosts: Vec<String>,
}

// === impl Settings ===

impl Settings {
    /// The keys of `[danger]` that are in use, and `development`, for the start's event and for `doctor`.
    #[must_use]
    pub fn dangers(&self) -> Vec<String> {
        let mut dangers = Vec::new();
        if self.server.development {
            dangers.push("development = true".to_owned());
        }
        let hosts = &self.danger.plain_http_upstream_hosts;
        if !hosts.is_empty() {
            dangers.push(format!(
                "dangerous_allow_plain_http_upstream_hosts = [{}]",
                hosts.join(", ")
            ));
        }
        dangers
    }
}

// === impl StoreSettings ===

impl StoreSettings {
    /// The SQLite file, where it is one.
    #[must_use]
    pub fn sqlite(&self) -> Option<&Path> {
        match &self.place {
            StorePlace::Sqlite(path) => Some(path),
            _ => None,
        }
    }

    /// What does not work with it, for whoever checks the configuration.
    #[must_use]
    pub fn limits(&self) -> &'static [&'static str] {
        match &self.place {
            StorePlace::Cookie => &[
                "sessions live in cookies: back-channel and front-channel logout, /bff/sessions and logout everywhere are refused",
                "a logout takes the cookie away; a stolen copy of it is good until the session's end, unless this process remembers the logout (an hour)",
                "revocations and replay marks are in this process's memory: a restart forgets them, and other replicas do not know them",
                "replicas may refresh one session at the same time: send each browser to the same one, or have the provider allow a used refresh token for a while",
            ],
            _ => &[],
        }
    }

    /// What kind of store it is, in one word.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match &self.place {
            StorePlace::Sqlite(_) => "sqlite",
            StorePlace::Redis(_) => "redis",
            StorePlace::Postgres(_) => "postgres",
            StorePlace::Cookie => "cookie",
        }
    }
}

// === impl Guarded ===

impl Guarded {
    /// Which policy decides about a call. The path is the one in normal form that is forwarded.
    #[must_use]
    pub fn select(&self, method: &str, path: &str) -> Decision<'_, String> {
        self.routes.decide(method, path)
    }
}
