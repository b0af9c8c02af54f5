use std::path::PathBuf;

use portcullis_jose::{Algorithm, AlgorithmSet};
use url::Url;

use crate::token_rules::TokenType;
use crate::{HttpsUrl, IssuerRule};

/// What is configured of a provider.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ProviderSettings {
    /// The name in configuration, metrics and events.
    pub name: String,
    /// Whose tokens count.
    pub issuer: IssuerRule,
    /// The address below which the discovery document is, where that is not the issuer. The document must name the
    /// issuer all the same.
    pub discovery: Option<HttpsUrl>,
    /// The algorithm of ID tokens; pinned, since the metadata may list anything.
    pub id_token_algorithm: Algorithm,
    /// The algorithms of access tokens.
    pub algorithms: AlgorithmSet,
    /// The `typ` of access tokens.
    pub token_type: TokenType,
    /// How far the provider's clock and ours may be apart, in seconds.
    pub leeway: i64,
    /// The longest time from an access token's `iat` to its `exp`, in seconds.
    pub max_lifetime: i64,
    /// Where the keys are, instead of where the metadata says. Nothing is asked of the discovery document for them.
    pub jwks_uri: Option<HttpsUrl>,
    /// A file with the keys, which is read again when it changes. Nothing is asked of anybody for them.
    pub jwks_file: Option<PathBuf>,
    /// Further hosts inside the network that the discovery document may name. Whoever makes the HTTP client keeps to it,
    /// with [`HyperClient::beside`](crate::HyperClient::beside) and [`ProviderSettings::hosts`].
    pub internal_hosts: Vec<String>,
    /// Whether keys that are no longer fresh wait until they are used before they are fetched again. Else they are
    /// fetched ahead, also while nobody asks for anything.
    pub keys_on_demand: bool,
}

impl ProviderSettings {
    /// A provider with the defaults: RS256 for ID tokens; RS256, PS256, ES256 and EdDSA for access tokens of the type
    /// `at+jwt` that live for a day at most.
    #[must_use]
    pub fn new(name: impl Into<String>, issuer: impl Into<IssuerRule>) -> ProviderSettings {
        use Algorithm::{ES256, Ed25519, EdDSA, PS256, RS256};
        ProviderSettings {
            name: name.into(),
            issuer: issuer.into(),
            discovery: None,
            id_token_algorithm: RS256,
            algorithms: AlgorithmSet::of(&[RS256, PS256, ES256, EdDSA, Ed25519]),
            token_type: TokenType::AtJwt,
            leeway: 30,
            max_lifetime: 24 * 60 * 60,
            jwks_uri: None,
            jwks_file: None,
            internal_hosts: Vec::new(),
            keys_on_demand: false,
        }
    }

    /// The hosts that the configuration names, which may be anywhere: see [`HyperClient::beside`].
    ///
    /// [`HyperClient::beside`]: crate::HyperClient::beside
    #[must_use]
    pub fn hosts(&self) -> Vec<String> {
        let issuer = Url::parse(self.issuer.as_str()).ok();
        let urls = [
            issuer.as_ref(),
            self.discovery.as_ref().map(HttpsUrl::as_url),
            self.jwks_uri.as_ref().map(HttpsUrl::as_url),
        ];
        let hosts = urls.into_iter().flatten().filter_map(Url::host_str).map(str::to_owned);
        hosts.chain(self.internal_hosts.iter().cloned()).collect()
    }
}
