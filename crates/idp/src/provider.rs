use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use portcullis_jose::{Clock, Secret, SignError, UnixTime, random_array, random_token};
use serde_json::{Map, Value};

use crate::IdpError;
use crate::client_auth::{Authorities, JwksFetcher};
use crate::config::{Client, Registry};
use crate::dev::{Defect, Dev};
use crate::keys::{Keys, Signing};
use crate::passwords::Passwords;
use crate::state::State;

/// The running provider: what every handler shares.
pub(crate) struct Provider {
    pub(crate) issuer: String,
    /// The path of the issuer, without a slash at its end.
    pub(crate) prefix: String,
    pub(crate) settings: Settings,
    pub(crate) registry: Registry,
    pub(crate) registration: Registration,
    pub(crate) passwords: Passwords,
    pub(crate) keys: Keys,
    pub(crate) dev: Dev,
    /// Makes the tokens of the forms.
    pub(crate) form_key: [u8; 32],
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) jwks_fetcher: JwksFetcher,
    /// Who issues the certificates of clients.
    pub(crate) client_authorities: Option<Authorities>,
    pub(crate) state: Mutex<State>,
}

/// How clients register and change.
#[derive(Debug, Default)]
pub(crate) struct Registration {
    pub(crate) initial_access_token: Option<Secret>,
    pub(crate) secret_overlap: i64,
    pub(crate) rotate_access_tokens: bool,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) access_token_lifetime: i64,
    pub(crate) id_token_lifetime: i64,
    pub(crate) refresh_token_lifetime: i64,
    pub(crate) session_lifetime: i64,
    pub(crate) device_code_lifetime: i64,
    pub(crate) device_code_interval: i64,
    pub(crate) consent: bool,
    /// Cookies do not tell ports apart, so their names do: two providers on one machine do not sign each other out.
    pub(crate) port: u16,
    /// Whether browsers come through https.
    pub(crate) https: bool,
    /// The port of the listener that asks for certificates.
    pub(crate) mtls_port: Option<u16>,
}

impl Provider {
    pub(crate) fn new(
        issuer: String,
        settings: Settings,
        registry: Registry,
        passwords: Passwords,
        keys: Keys,
        clock: Arc<dyn Clock>,
    ) -> Provider {
        let prefix = url::Url::parse(&issuer)
            .map(|url| url.path().trim_end_matches('/').to_owned())
            .unwrap_or_default();
        Provider {
            issuer,
            prefix,
            settings,
            registry,
            registration: Registration::default(),
            passwords,
            keys,
            dev: Dev::new(),
            form_key: random_array(),
            clock,
            jwks_fetcher: JwksFetcher::default(),
            client_authorities: None,
            state: Mutex::new(State::new()),
        }
    }

    pub(crate) fn now(&self) -> UnixTime {
        self.clock.now()
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The address of a page or endpoint.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.issuer)
    }

    /// The address of an endpoint for clients that show a certificate.
    pub(crate) fn mtls_url(&self, path: &str) -> Option<String> {
        let port = self.settings.mtls_port?;
        Some(format!("https://localhost:{port}{}{path}", self.prefix))
    }

    /// Whether this client needs to be agreed to.
    pub(crate) fn wants_consent(&self, client: &Client) -> bool {
        self.settings.consent || client.consent
    }

    pub(crate) fn sign_access_token(
        &self,
        claims: Map<String, Value>,
        defect: Option<Defect>,
    ) -> Result<String, IdpError> {
        if defect.is_none() && self.dev.behaviour().opaque_access_tokens {
            return Ok(random_token(32));
        }
        // RFC 9068 s2.1
        Ok(self.sign("at+jwt", claims, defect)?)
    }

    pub(crate) fn sign_id_token(&self, claims: Map<String, Value>, defect: Option<Defect>) -> Result<String, IdpError> {
        Ok(self.sign("JWT", claims, defect)?)
    }

    fn sign(
        &self,
        typ: &'static str,
        mut claims: Map<String, Value>,
        defect: Option<Defect>,
    ) -> Result<String, SignError> {
        let Some(defect) = defect else {
            return self.keys.sign(typ, &claims.into(), Signing::Sound);
        };
        defect.spoil(&mut claims, self.now().as_secs());
        self.keys.sign(defect.typ(typ), &claims.into(), defect.signing())
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider")
            .field("issuer", &self.issuer)
            .finish_non_exhaustive()
    }
}
