//! OAuth 2.0 and OpenID Connect, as a client and as a resource server speak it.
//!
//! Discovery and keys ([`Provider`]), logins ([`login`], [`loopback`], [`device`]), grants and client authentication ([`Client`]), tokens of
//! services ([`TokenSource`]), and the rules that tokens have to keep ([`token_rules`], [`id_token`], [`logout_token`]).
//!
//! Building a request and judging an answer are pure functions; the network sits behind [`HttpClient`], the time
//! behind [`portcullis_jose::Clock`].
//!
//! ```no_run
//! use portcullis_jose::Secret;
//! use portcullis_oidc::{Client, ClientAuth, Provider, TokenSource};
//!
//! # async fn example() -> Result<(), portcullis_oidc::ProviderError> {
//! let provider = Provider::discover("https://login.example.com")?;
//! let client = Client::new(provider, "reporting-job", ClientAuth::Basic(Secret::new("from the environment")));
//! let tokens = TokenSource::client_credentials(client).scope("orders.read");
//! let token = tokens.token().await?; // cached, and renewed ahead of its expiry
//! # Ok(())
//! # }
//! ```

mod binding;
mod client;
pub mod client_auth;
pub mod device;
mod doubt;
pub mod dpop;
mod error;
mod flight;
mod http_client;
mod hyper_client;
pub mod id_token;
pub mod introspection;
mod issuer;
mod key_cache;
mod keys;
pub mod login;
pub mod logout_token;
pub mod loopback;
mod metadata;
mod provider;
mod reach;
mod settings;
mod token_exchange;
mod token_layer;
mod token_response;
pub mod token_rules;
mod token_source;
mod token_target;
mod unknown_kid;
mod url;

pub use binding::Binding;
pub use client::{Client, ClientOptions};
pub use client_auth::ClientAuth;
pub use doubt::Doubt;
pub use error::{OAuthError, ProviderError};
pub use http_client::{BoxFuture, HttpClient, HttpError, Patience};
pub use hyper_client::HyperClient;
pub use introspection::Introspection;
pub use issuer::{IssuerError, IssuerRule};
pub use key_cache::KeySnapshot;
pub use keys::RefreshTask;
pub use metadata::{Metadata, MtlsAliases};
pub use provider::{Observer, Provider, ProviderEvent};
pub use settings::ProviderSettings;
pub use token_exchange::TokenExchange;
pub use token_layer::{TokenLayer, WithToken, WithTokenError};
pub use token_response::TokenResponse;
pub use token_source::{RenewalTask, TokenSource};
pub use token_target::TokenTarget;
pub use url::{HttpsUrl, UrlError};
