use std::fmt;
use std::sync::{Arc, OnceLock};

use http::HeaderValue;
use portcullis_jose::Secret;

/// A session's access token, and the header that presents it, which is made once. Cheap to clone.
#[derive(Clone)]
pub struct AccessToken(Arc<Held>);

struct Held {
    token: Secret,
    bearer: OnceLock<HeaderValue>,
}

impl AccessToken {
    /// The header is made when it is asked for.
    #[must_use]
    pub fn new(token: Secret) -> AccessToken {
        AccessToken(Arc::new(Held {
            token,
            bearer: OnceLock::new(),
        }))
    }

    /// The token.
    #[must_use]
    pub fn secret(&self) -> &Secret {
        &self.0.token
    }

    /// `Authorization` with the token as a bearer token (RFC 6750 s2.1). It carries none where the token is not what a
    /// header can have; then no guard lets it pass either.
    #[must_use]
    pub fn bearer(&self) -> HeaderValue {
        let made = self.0.bearer.get_or_init(|| {
            let value = HeaderValue::from_str(&format!("Bearer {}", self.0.token.expose()));
            let mut value = value.unwrap_or_else(|_| HeaderValue::from_static("Bearer"));
            value.set_sensitive(true);
            value
        });
        made.clone()
    }

    /// `Authorization` with the token as one that is bound to a key (RFC 9449 s7.1).
    #[must_use]
    pub fn dpop(&self) -> HeaderValue {
        let value = HeaderValue::from_str(&format!("DPoP {}", self.0.token.expose()));
        let mut value = value.unwrap_or_else(|_| HeaderValue::from_static("DPoP"));
        value.set_sensitive(true);
        value
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.token.fmt(f)
    }
}

impl PartialEq for AccessToken {
    fn eq(&self, other: &AccessToken) -> bool {
        self.0.token == other.0.token
    }
}
