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
    pub(crate) fn new(token: Secret) -> AccessToken {
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
