use crate::json::Value;
use crate::{AlgorithmSet, Claims, Header, Limits, PublicKey, Refusal, UnverifiedJws, Verified};

/// A JWS that carries the public key it is signed with in its header, as a DPoP proof does (RFC 9449 s4.2).
///
/// It proves that its sender holds the private half, and nothing else: whether the key is the right one is decided
/// by the caller, who compares [`PublicKey::thumbprint`] with what a *verified* token names. It never stands for an
/// access token; [`UnverifiedJws`] never reads the header's `jwk`.
///
/// ```
/// use portcullis_jose::{Algorithm, AlgorithmSet, EmbeddedKeyJws, Limits, SigningKey};
///
/// let key = SigningKey::generate(Algorithm::ES256)?;
/// let header = serde_json::json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": key.public_key().to_jwk() });
/// let proof = key.sign_with_header(&header, br#"{"htm":"GET","htu":"https://api.example.com/orders"}"#)?;
///
/// let proof = EmbeddedKeyJws::parse(&proof, &Limits::default())?;
/// proof.header().require_type(&["dpop+jwt"])?;
/// assert_eq!(proof.key().thumbprint(), key.kid());
/// let claims = proof.verify(AlgorithmSet::asymmetric())?;
/// assert_eq!(claims.str("htm"), Some("GET"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct EmbeddedKeyJws<'a> {
    jws: UnverifiedJws<'a>,
    key: PublicKey,
}

impl<'a> EmbeddedKeyJws<'a> {
    /// Reads `token` as [`UnverifiedJws::parse`] does, and the key of its header for the algorithm of its header.
    ///
    /// # Errors
    /// The first rule that is broken. [`Refusal::KeyUnusable`] when there is no `jwk`, or it is private, symmetric,
    /// weak, broken, or of another kind than the algorithm; [`Refusal::AlgorithmNotAllowed`] for a symmetric one.
    pub fn parse(token: &'a str, limits: &Limits) -> Result<EmbeddedKeyJws<'a>, Refusal> {
        let jws = UnverifiedJws::parse(token, limits)?;
        jws.require_algorithm(AlgorithmSet::asymmetric())?;
        let refused = |why: String| Refusal::KeyUnusable {
            kid: "(in the header)".into(),
            why,
        };
        let jwk = match jws.header().members().get("jwk") {
            Some(Value::Object(jwk)) => jwk,
            Some(other) => return Err(refused(format!("the header's jwk is a {}", other.kind()))),
            None => return Err(refused("the header has no jwk".into())),
        };
        let wanted = AlgorithmSet::of(&[jws.header().algorithm()]);
        let key = PublicKey::from_jwk_for(jwk, wanted).map_err(|error| refused(error.to_string()))?;
        Ok(EmbeddedKeyJws { jws, key })
    }

    /// The header.
    #[must_use]
    pub fn header(&self) -> &Header {
        self.jws.header()
    }

    /// The key of the header, good for the algorithm of the header alone.
    #[must_use]
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// Checks that the algorithm is among `accepted` and that the key signed it, and hands the claims out. A
    /// symmetric algorithm is never accepted here.
    ///
    /// # Errors
    /// The first rule that is broken: algorithm, signature, claims.
    pub fn verify(self, accepted: AlgorithmSet) -> Result<Verified<Claims>, Refusal> {
        self.jws.require_algorithm(accepted)?;
        let key = self.key;
        self.jws.verify_with(|header, signed| {
            if key.verify(header.algorithm(), signed.part, signed.sha256, signed.signature) {
                Ok(())
            } else {
                Err(Refusal::SignatureInvalid)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{Algorithm, JwkSet, SigningKey, base64url_encode};

    fn proof(key: &SigningKey, jwk: &Value) -> String {
        let header = json!({ "typ": "dpop+jwt", "alg": key.algorithm().name(), "jwk": jwk });
        key.sign_with_header(&header, br#"{"htm":"GET"}"#).unwrap()
    }

    fn judge(token: &str) -> Result<String, &'static str> {
        EmbeddedKeyJws::parse(token, &Limits::default())
            .and_then(|proof| {
                let thumbprint = proof.key().thumbprint().to_owned();
                proof.verify(AlgorithmSet::asymmetric()).map(|_| thumbprint)
            })
            .map_err(|refusal| refusal.code())
    }

    #[test]
    fn a_proof_is_verified_with_the_key_it_carries() {
        for algorithm in AlgorithmSet::asymmetric().iter() {
            let key = SigningKey::generate(algorithm).unwrap();
            assert_eq!(
                judge(&proof(&key, &key.public_jwk())),
                Ok(key.kid().to_owned()),
                "{algorithm}"
            );
            let other = SigningKey::generate(algorithm).unwrap();
            assert_eq!(judge(&proof(&key, &other.public_jwk())), Err("token.signature_invalid"));
        }
    }

    #[test]
    fn the_proof_of_rfc_9449_s4_1_is_verified() {
        let token = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg";
        // RFC 9449 s6.1 shows the thumbprint of this key.
        assert_eq!(
            judge(token).as_deref(),
            Ok("0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I")
        );
    }

    #[test]
    fn keys_that_prove_nothing_are_refused() {
        let key = SigningKey::generate(Algorithm::ES256).unwrap();
        let private: Value = serde_json::from_str(key.to_private_jwk().unwrap().expose()).unwrap();
        let p384 = SigningKey::generate(Algorithm::ES384).unwrap().public_jwk();
        let mut off_curve = key.public_jwk();
        off_curve["y"] = json!(base64url_encode(&[7; 32]));
        let mut encrypts = key.public_jwk();
        encrypts["use"] = json!("enc");
        for jwk in [
            json!(null),
            json!("key"),
            json!({}),
            json!({ "kty": "oct", "k": base64url_encode(&[7; 32]) }),
            json!({ "kty": "RSA", "n": base64url_encode(&[0xff; 128]), "e": "AQAB" }),
            private,
            p384,
            off_curve,
            encrypts,
        ] {
            assert_eq!(judge(&proof(&key, &jwk)), Err("keys.unusable"), "{jwk}");
        }
        let without = key.sign_jwt("dpop+jwt", &json!({})).unwrap();
        assert_eq!(judge(&without), Err("keys.unusable"));
    }

    #[test]
    fn symmetric_and_unaccepted_algorithms_are_refused() {
        let key = SigningKey::generate(Algorithm::ES256).unwrap();
        let secret = crate::SharedSecret::new(&[7; 32], Algorithm::HS256).unwrap();
        let header = json!({ "alg": "HS256", "jwk": { "kty": "oct", "k": base64url_encode(&[7; 32]) } });
        assert_eq!(
            judge(&secret.sign_with_header(&header, b"{}")),
            Err("token.algorithm_not_allowed")
        );
        let token = proof(&key, &key.public_jwk());
        let only_rsa = EmbeddedKeyJws::parse(&token, &Limits::default())
            .unwrap()
            .verify(AlgorithmSet::of(&[Algorithm::RS256]));
        assert_eq!(only_rsa.unwrap_err().code(), "token.algorithm_not_allowed");
    }

    #[test]
    fn a_token_that_carries_its_key_is_no_token_of_an_issuer() {
        let key = SigningKey::generate(Algorithm::ES256).unwrap();
        let issuer = JwkSet::from_keys([SigningKey::generate(Algorithm::ES256).unwrap().public_key()]);
        let token = proof(&key, &key.public_jwk());
        let refusal = UnverifiedJws::parse(&token, &Limits::default())
            .unwrap()
            .verify(&issuer, AlgorithmSet::asymmetric());
        assert_eq!(refusal.unwrap_err(), Refusal::SignatureInvalid);
    }
}
