use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use http::header::WWW_AUTHENTICATE;
use http::{HeaderMap, StatusCode};
use portcullis_jose::{Secret, SignError, SigningKey, UnixTime, base64url_encode, random_token, sha256};
use serde_json::{Map, Value, json};

use super::{PROOF_TYPE, nonce_of};

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

    /// Whether a server refused a request for want of a nonce that it has now said, so that another proof than this one
    /// may pass (RFC 9449 s9). The nonce is remembered, whatever the answer.
    #[must_use]
    pub fn wants_another<B>(&self, url: &str, proof: &str, response: &http::Response<B>) -> bool {
        self.note_nonce(url, response.headers());
        let said = response.headers().get(NONCE).and_then(|value| value.to_str().ok());
        // Another call may have brought the same nonce in the meantime: what counts is what this proof had.
        response.status() == StatusCode::UNAUTHORIZED
            && asks_for_nonce(response.headers())
            && said.is_some_and(|said| nonce_of(proof).as_deref() != Some(said))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, String>> {
        self.0.nonces.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a challenge says that the proof lacked a nonce, and nothing about the token (RFC 9449 s9).
#[must_use]
pub fn asks_for_nonce(headers: &HeaderMap) -> bool {
    let mut challenges = headers.get_all(WWW_AUTHENTICATE).iter();
    challenges.any(|challenge| {
        let text = challenge.to_str().unwrap_or_default();
        let mut values = text.split([',', ' ', '\t']).filter_map(|part| part.split_once('='));
        values.any(|(name, value)| name.eq_ignore_ascii_case("error") && value.trim_matches('"') == "use_dpop_nonce")
    })
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

    /// Several calls may be under way when a server changes its nonce: each is told, and each may try again.
    #[test]
    fn a_nonce_that_another_call_has_brought_is_another_one_for_this() {
        let key = DpopKey::new(SigningKey::generate(Algorithm::ES256).unwrap());
        let now = UnixTime::from_secs(1_800_000_000);
        let url = "https://api.test/orders";
        let told = |challenge: &'static str| {
            let response = http::Response::builder().status(401).header("dpop-nonce", "n");
            response.header("www-authenticate", challenge).body(()).unwrap()
        };
        let first = key.proof("GET", url, None, now).unwrap();
        for challenge in [
            "DPoP error=\"use_dpop_nonce\"",
            "DPoP algs=\"ES256\", error=use_dpop_nonce",
        ] {
            assert!(key.wants_another(url, &first, &told(challenge)), "{challenge}");
        }
        assert!(!key.wants_another(url, &first, &told("DPoP error=\"invalid_token\"")));
        let second = key.proof("GET", url, None, now).unwrap();
        assert!(!key.wants_another(url, &second, &told("DPoP error=\"use_dpop_nonce\"")));
    }

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
