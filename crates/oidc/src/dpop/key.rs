use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use http::header::WWW_AUTHENTICATE;
use http::{HeaderMap, StatusCode};
use portcullis_jose::{Secret, SignError, SigningKey, UnixTime, base64url_encode, random_token, sha256};
use serde_json::{Map, Value, json};

use super::PROOF_TYPE;

/// The members that say which key it is (RFC 7638 s3.2).
const KEY_MEMBERS: [&str; 6] = ["kty", "crv", "x", "y", "n", "e"];
/// Nonces of so many servers are remembered.
const MAX_NONCES: usize = 256;
const NONCE: &str = "dpop-nonce";

/// A key that proofs are made with (RFC 9449 s4.2), and the nonces that servers asked for. Cheap to clone; the clones
/// share the nonces.
#[derive(Clone)]
pub struct DpopKey(Arc<Inner>);

struct Inner {
    key: SigningKey,
    jwk: Value,
    /// By origin.
    nonces: Mutex<HashMap<String, String>>,
}

impl DpopKey {
    /// Proofs by this key.
    #[must_use]
    pub fn new(key: SigningKey) -> DpopKey {
        let public = key.public_jwk();
        let members: Map<String, Value> = KEY_MEMBERS
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), public.get(*name)?.clone())))
            .collect();
        DpopKey(Arc::new(Inner {
            jwk: members.into(),
            key,
            nonces: Mutex::default(),
        }))
    }

    /// The thumbprint that tokens are bound to (RFC 9449 s6.1).
    #[must_use]
    pub fn thumbprint(&self) -> String {
        self.0.key.public_key().thumbprint().to_owned()
    }

    /// A proof for one request, with a token or, at a token endpoint, without.
    ///
    /// # Errors
    /// [`SignError::Crypto`] if the library fails.
    pub fn proof(&self, method: &str, url: &str, token: Option<&Secret>, now: UnixTime) -> Result<String, SignError> {
        // s4.2: without query and fragment.
        let target = url.split(['?', '#']).next().unwrap_or(url);
        let mut claims = json!({ "jti": random_token(16), "htm": method, "htu": target, "iat": now });
        if let Some(members) = claims.as_object_mut() {
            if let Some(token) = token {
                let hash = base64url_encode(&sha256(token.expose().as_bytes()));
                members.insert("ath".into(), hash.into());
            }
            if let Some(nonce) = self.lock().get(&origin(url)) {
                members.insert("nonce".into(), nonce.as_str().into());
            }
        }
        let header = json!({ "typ": PROOF_TYPE, "alg": self.0.key.algorithm().name(), "jwk": self.0.jwk });
        self.0.key.sign_with_header(&header, claims.to_string().as_bytes())
    }

    /// Remembers the nonce that a server wants from now on (RFC 9449 s8.2). Says whether it is another than before.
    #[expect(clippy::must_use_candidate, reason = "it is called for what it does")]
    pub fn note_nonce(&self, url: &str, headers: &HeaderMap) -> bool {
        let nonce = headers.get(NONCE).and_then(|value| value.to_str().ok());
        let Some(nonce) = nonce.filter(|nonce| !nonce.is_empty() && nonce.len() <= 512) else {
            return false;
        };
        let mut nonces = self.lock();
        if nonces.len() >= MAX_NONCES {
            nonces.clear();
        }
        nonces.insert(origin(url), nonce.to_owned()).as_deref() != Some(nonce)
    }

    /// Whether a server refused a request for want of a nonce that it has now said, so that another proof may pass
    /// (RFC 9449 s9). The nonce is remembered, whatever the answer.
    pub fn wants_another<B>(&self, url: &str, response: &http::Response<B>) -> bool {
        let is_new = self.note_nonce(url, response.headers());
        is_new && response.status() == StatusCode::UNAUTHORIZED && asks_for_nonce(response.headers())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, String>> {
        self.0.nonces.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a challenge says that the proof lacked a nonce, and nothing about the token (RFC 9449 s9).
#[must_use]
pub fn asks_for_nonce(headers: &HeaderMap) -> bool {
    let mut challenges = headers.get_all(WWW_AUTHENTICATE).iter();
    challenges.any(|challenge| challenge.to_str().is_ok_and(|text| text.contains("\"use_dpop_nonce\"")))
}

fn origin(url: &str) -> String {
    url::Url::parse(url).map_or_else(|_| url.to_owned(), |url| url.origin().ascii_serialization())
}

impl fmt::Debug for DpopKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DpopKey")
            .field("key", &self.0.key)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dpop::{Proof, ProofRules, TargetUri};
    use portcullis_jose::Algorithm;

    #[test]
    fn its_proofs_keep_the_rules() {
        let key = DpopKey::new(SigningKey::generate(Algorithm::ES256).unwrap());
        let now = UnixTime::from_secs(1_800_000_000);
        let target = TargetUri::parse("https://as.test/token").unwrap();
        let check = |proof: &str, rules: &ProofRules<'_>| Proof::check([proof.as_bytes()], rules);
        let plain = key.proof("POST", "https://as.test/token?x=1", None, now).unwrap();
        let proof = check(&plain, &ProofRules::new("POST", &target, now)).unwrap();
        assert_eq!(proof.thumbprint, key.thumbprint());
        let token = Secret::new("at");
        let bound = key.proof("POST", "https://as.test/token", Some(&token), now).unwrap();
        let thumbprint = key.thumbprint();
        let rules = ProofRules::new("POST", &target, now).with_token("at", &thumbprint);
        assert!(check(&bound, &rules).is_ok() && check(&plain, &rules).is_err());
        // The nonce of one server is not shown to another.
        let mut headers = HeaderMap::new();
        assert!(!key.note_nonce("https://as.test/token", &headers));
        headers.insert(NONCE, "n-1".parse().unwrap());
        assert!(key.note_nonce("https://as.test/token", &headers));
        assert!(!key.note_nonce("https://as.test/par", &headers), "it is known");
        let nonce = |url: &str| crate::dpop::nonce_of(&key.proof("POST", url, None, now).unwrap());
        assert_eq!(nonce("https://as.test/token").as_deref(), Some("n-1"));
        assert_eq!(nonce("https://api.test/token"), None);
    }
}
