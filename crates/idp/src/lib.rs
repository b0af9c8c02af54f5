//! A development OpenID Connect provider: real in protocol, and able to misbehave on request.
//!
//! It is what `portcullis demo` and `portcullis idp` run, and what tests start in process. Logins, codes, tokens and
//! their endings follow the specifications to the letter, so that what works against it works against a production
//! provider. It is never a production provider itself:
//!
//! - It listens on loopback alone, its issuer must have a loopback host, and it answers to loopback names only.
//! - Every page says what it is, and the metadata says so to programs (`portcullis_development_provider`).
//! - All state is in memory, bounded, and gone when it stops. Keys are made at each start unless one is given.
//!
//! # What it speaks
//!
//! Discovery and RFC 8414 metadata; the authorization code flow with PKCE (S256; a must for public clients), `nonce`,
//! `prompt`, `max_age`, `login_hint`, `id_token_hint` and the `iss` parameter of RFC 9207; refresh with rotation and
//! reuse detection; client credentials; token exchange (RFC 8693); the device grant (RFC 8628) with its page;
//! `client_secret_basic`, `client_secret_post`, `private_key_jwt` (also with a workload's assertion of somebody else's),
//! `tls_client_auth` and `self_signed_tls_client_auth`; resource indicators (RFC 8707); JWT access tokens (RFC 9068);
//! userinfo, revocation (RFC 7009), introspection (RFC 7662), dynamic registration of clients and its management
//! (RFC 7591, RFC 7592), and logout that the client begins.
//!
//! # In a test
//!
//! ```
//! use std::sync::Arc;
//!
//! use portcullis_idp::{Api, Client, Defect, Idp, IdpConfig, Mint, User};
//! use portcullis_jose::{Algorithm, Secret, SystemClock};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), portcullis_idp::IdpError> {
//! let config = IdpConfig {
//!     signing_algorithm: Algorithm::ES256, // quicker to make than an RSA key
//!     users: vec![User {
//!         username: "alice".into(),
//!         password: Some(Secret::new("alice-demo")),
//!         scopes: vec!["orders.read".into()],
//!         ..User::default()
//!     }],
//!     clients: vec![Client {
//!         client_id: "shop".into(),
//!         secret: Some(Secret::new("shop-demo")),
//!         redirect_uris: vec!["http://127.0.0.1:8080/bff/callback".into()],
//!         scopes: vec!["orders.read".into()],
//!         ..Client::default()
//!     }],
//!     apis: vec![Api { audience: "api://orders".into(), scopes: vec!["orders.read".into()] }],
//!     ..IdpConfig::default()
//! };
//! let idp = Idp::start(config, Arc::new(SystemClock)).await?;
//!
//! let good = idp.control().mint(&Mint::default())?;
//! let bad = idp.control().mint(&Mint { defect: Some(Defect::WrongAudience), ..Mint::default() })?;
//! assert_ne!(good, bad);
//! idp.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! [`Control`] also makes the provider misbehave ([`Behaviour`]), tells what was asked of it, rotates keys, and ends
//! sessions and refresh tokens. The same is at `/dev/...` over HTTP for whoever has [`Control::admin_token`].
//!
//! # As a file
//!
//! [`IdpConfig`] reads this TOML, all of which is optional:
//!
//! ```toml
//! listen = "127.0.0.1:9400"
//! issuer = "http://localhost:9400"    # default: http:// and the address that is listened on
//! access_token_lifetime  = "5m"       # or a number of seconds
//! id_token_lifetime      = "5m"
//! refresh_token_lifetime = "8h"
//! session_lifetime       = 28800
//! device_code_lifetime   = "10m"
//! device_code_interval   = 5          # seconds between two questions of a device
//! signing_algorithm = "RS256"
//! consent = false                     # true: every client asks the user
//! initial_access_token = "let-me-in"  # who has it registers clients (RFC 7591); without one, nobody
//! secret_overlap = "10m"              # a secret that was replaced goes on for so long; without it, it ends at once
//! rotate_registration_access_tokens = false
//!
//! [[user]]
//! username = "alice"
//! password = "alice-demo"             # or password_hash = "$argon2id$..."
//! scopes   = ["orders.read", "orders.write"]
//! claims   = { name = "Alice Adams", email = "alice@example.com", roles = ["Orders.Admin"] }
//!
//! [[client]]
//! client_id     = "shop"
//! secret        = "shop-demo"         # without one it is a public client
//! registration_access_token = "shop-registration" # who has it manages this registration (RFC 7592)
//! redirect_uris = ["http://127.0.0.1:8080/bff/callback"]
//! post_logout_redirect_uris = ["http://127.0.0.1:8080/"]
//! scopes        = ["orders.read", "orders.write"]
//! consent       = true
//!
//! [[client]]
//! client_id     = "command-line"
//! redirect_uris = ["http://127.0.0.1/callback"]     # any port
//! grants        = ["authorization_code", "refresh_token", "device_code"]
//! scopes        = ["orders.read"]
//!
//! [[client]]
//! client_id = "nightly"
//! secret    = "nightly-demo"
//! grants    = ["client_credentials"]
//! scopes    = ["orders.read"]
//! audience  = "api://orders"          # where neither scope nor resource names one
//!
//! [[api]]
//! audience = "api://orders"
//! scopes   = ["orders.read", "orders.write"]
//! ```
//!
//! A scope is granted if the client has it and the user has it; `openid`, `profile`, `email` and `offline_access` are
//! anybody's. A token is for one API: the one that its scopes belong to, or that `resource` names.

mod authorize;
mod backchannel;
mod client_auth;
mod config;
mod consent;
mod cookies;
mod dev;
mod device;
mod discovery;
mod error;
mod form;
mod form_guard;
mod host;
mod introspect;
mod keys;
mod login;
mod logout;
mod mtls;
mod oauth_error;
mod pages;
mod passwords;
mod provider;
mod registration;
mod response;
mod revoke;
mod router;
mod server;
mod state;
mod token;
mod userinfo;

pub use config::{AccessTokenFormat, Api, Client, Federated, GrantType, IdpConfig, MutualTls, User};
pub use dev::{Behaviour, Control, Defect, Endpoint, FailNext, Mint, RequestLogEntry, RotateHow, TokenError};
pub use error::IdpError;
pub use server::Idp;
pub use state::TokenCounts;
