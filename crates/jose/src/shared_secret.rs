use aws_lc_rs::hmac;
use zeroize::Zeroizing;

use crate::json::{self, Members, Value};
use crate::public_key::{read_kid, unusable};
use crate::sign::{compact, jwt_header};
use crate::{Algorithm, KeyError, Secret, base64url_decode};

/// A secret that an issuer shares with us (RFC 7518 s3.2), for one of HS256, HS384 and HS512.
///
/// It comes from the configuration alone: no key set, header or certificate makes one. Who can check a token with it
/// can make one.
#[derive(Clone)]
pub struct SharedSecret {
    kid: Option<String>,
    algorithm: Algorithm,
    key: hmac::Key,
}

impl SharedSecret {
    /// Takes the secret's bytes. Until [`SharedSecret::with_kid`] gives it a `kid`, a token may call it by any.
    ///
    /// # Errors
    /// [`KeyError::NotSymmetric`], or [`KeyError::SecretTooShort`] when it is shorter than the algorithm's hash.
    pub fn new(secret: &[u8], algorithm: Algorithm) -> Result<SharedSecret, KeyError> {
        let hmac = algorithm.hmac().ok_or(KeyError::NotSymmetric(algorithm))?;
        let needed = hmac.digest_algorithm().output_len();
        // RFC 7518 s3.2: "A key of the same size as the hash output or larger MUST be used".
        if secret.len() < needed {
            return Err(KeyError::SecretTooShort {
                algorithm,
                needed,
                found: secret.len(),
            });
        }
        Ok(SharedSecret {
            kid: None,
            algorithm,
            key: hmac::Key::new(hmac, secret),
        })
    }

    /// Reads a JWK of the kind `oct` (RFC 7518 s6.4). Its `kid` is kept; without one a token may call it by any.
    ///
    /// `algorithm` is needed where the JWK has no `alg`, and must not contradict it.
    ///
    /// # Errors
    /// [`KeyError`] when it is no such JWK, not for signatures, or too short.
    pub fn from_jwk(jwk: &Secret, algorithm: Option<Algorithm>) -> Result<SharedSecret, KeyError> {
        let mut object = json::parse_object(jwk.expose().into(), 8).map_err(|_| KeyError::Unreadable {
            form: "a JWK (one strict JSON object)",
        })?;
        let secret = read(object.members(), algorithm);
        object.zeroize();
        secret
    }

    /// The same secret under this `kid` alone.
    #[must_use]
    pub fn with_kid(self, kid: impl Into<String>) -> SharedSecret {
        SharedSecret {
            kid: Some(kid.into()),
            ..self
        }
    }

    /// The `kid`, if it has one.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The algorithm it is for.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Signs a JWT with the header `alg`, `typ` and, where there is one, `kid`.
    #[must_use]
    pub fn sign_jwt(&self, typ: &str, claims: &serde_json::Value) -> String {
        let header = jwt_header(self.algorithm, typ, self.kid());
        self.sign_with_header(&header, claims.to_string().as_bytes())
    }

    /// Signs any payload under any header. The header is taken as it is, which is what tests of verifiers need.
    #[must_use]
    pub fn sign_with_header(&self, header: &serde_json::Value, payload: &[u8]) -> String {
        let signed_part = compact(header, payload);
        let tag = hmac::sign(&self.key, signed_part.as_bytes());
        format!("{signed_part}.{}", crate::base64url_encode(tag.as_ref()))
    }

    pub(crate) fn answers_to(&self, kid: Option<&str>) -> bool {
        kid.is_none() || self.kid.is_none() || self.kid.as_deref() == kid
    }

    /// In constant time. RFC 7518 s3.2: the whole of the tag, never a part.
    pub(crate) fn verify(&self, message: &[u8], tag: &[u8]) -> bool {
        hmac::verify(&self.key, message, tag).is_ok()
    }
}

fn read(jwk: Members<'_>, algorithm: Option<Algorithm>) -> Result<SharedSecret, KeyError> {
    if jwk.get("kty").and_then(Value::as_str) != Some("oct") {
        return Err(unusable("it is not of the kind \"oct\""));
    }
    let kid = read_kid(jwk, "verify")?;
    let declared = match jwk.get("alg") {
        None => None,
        Some(alg) => match alg.as_str().and_then(Algorithm::from_name) {
            Some(declared) => Some(declared),
            None => return Err(unusable("its alg is not one that is supported")),
        },
    };
    let algorithm = match (algorithm, declared) {
        (Some(asked), Some(declared)) if asked != declared => {
            return Err(unusable(format!("its alg is {declared} and not {asked}")));
        }
        (Some(algorithm), _) | (None, Some(algorithm)) => algorithm,
        (None, None) => return Err(unusable("it has no alg, and nobody says which it is for")),
    };
    let secret = jwk.get("k").and_then(Value::as_str).and_then(base64url_decode);
    let secret = secret.map(Zeroizing::new);
    let secret = secret.ok_or_else(|| unusable("its member \"k\" is missing or not base64url"))?;
    Ok(SharedSecret {
        kid,
        ..SharedSecret::new(&secret, algorithm)?
    })
}

impl std::fmt::Debug for SharedSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedSecret")
            .field("algorithm", &self.algorithm)
            .field("kid", &self.kid)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{AlgorithmSet, Claims, JwkSet, Limits, Refusal, SigningKey, UnverifiedJws, Verified, base64url_decode};

    fn verify(token: &str, keys: &JwkSet, accepted: AlgorithmSet) -> Result<Verified<Claims>, Refusal> {
        UnverifiedJws::parse(token, &Limits::default())?.verify(keys, accepted)
    }

    fn secret(byte: u8, algorithm: Algorithm) -> SharedSecret {
        SharedSecret::new(&[byte; 64], algorithm).unwrap()
    }

    #[test]
    fn the_token_of_rfc_7515_a1_is_verified() {
        let key = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
        let token = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let secret = SharedSecret::new(&base64url_decode(key).unwrap(), Algorithm::HS256).unwrap();
        let keys = JwkSet::shared_secrets([secret]).unwrap();
        let claims = verify(token, &keys, AlgorithmSet::symmetric()).unwrap();
        assert_eq!(claims.str("iss"), Some("joe"));
    }

    #[test]
    fn a_secret_is_as_long_as_the_hash() {
        for (algorithm, needed) in [(Algorithm::HS256, 32), (Algorithm::HS384, 48), (Algorithm::HS512, 64)] {
            assert!(SharedSecret::new(&vec![7; needed], algorithm).is_ok());
            for found in [0, 1, needed - 1] {
                assert_eq!(
                    SharedSecret::new(&vec![7; found], algorithm).unwrap_err(),
                    KeyError::SecretTooShort {
                        algorithm,
                        needed,
                        found
                    }
                );
            }
        }
        assert_eq!(
            SharedSecret::new(&[7; 64], Algorithm::RS256).unwrap_err(),
            KeyError::NotSymmetric(Algorithm::RS256)
        );
    }

    #[test]
    fn secrets_and_public_keys_never_check_each_others_tokens() {
        let all = AlgorithmSet::of(&Algorithm::ALL);
        let public = SigningKey::generate(Algorithm::ES256).unwrap();
        let public_keys = JwkSet::from_keys([public.public_key()]);
        let shared = secret(1, Algorithm::HS256).with_kid(public.kid());
        let shared_keys = JwkSet::shared_secrets([shared.clone()]).unwrap();
        let by_public = public.sign_jwt("at+jwt", &json!({})).unwrap();
        let by_secret = shared.sign_jwt("at+jwt", &json!({}));
        assert!(verify(&by_public, &public_keys, all).is_ok() && verify(&by_secret, &shared_keys, all).is_ok());
        for (token, keys) in [(&by_secret, &public_keys), (&by_public, &shared_keys)] {
            assert_eq!(
                verify(token, keys, all).unwrap_err().code(),
                "token.algorithm_not_allowed"
            );
        }
        assert_eq!(
            verify(&by_secret, &public_keys, AlgorithmSet::asymmetric()).unwrap_err(),
            Refusal::AlgorithmNotAllowed {
                found: "HS256".into(),
                accepted: AlgorithmSet::asymmetric().to_string()
            }
        );
        assert!(verify(&by_secret, &shared_keys, AlgorithmSet::asymmetric()).is_err());
    }

    #[test]
    fn a_public_key_in_any_spelling_is_no_secret_of_the_set_that_holds_it() {
        let key = SigningKey::generate(Algorithm::RS256).unwrap();
        let keys = JwkSet::from_keys([key.public_key()]);
        let spki = crate::pem::write("PUBLIC KEY", &key.public_key().to_der().unwrap());
        for text in [
            spki.to_string(),
            spki.trim_end().to_owned(),
            key.public_jwk().to_string(),
        ] {
            let forged = SharedSecret::new(text.as_bytes(), Algorithm::HS256)
                .unwrap()
                .with_kid(key.kid());
            let refusal = verify(
                &forged.sign_jwt("at+jwt", &json!({})),
                &keys,
                AlgorithmSet::asymmetric(),
            );
            assert_eq!(refusal.unwrap_err().code(), "token.algorithm_not_allowed");
        }
    }

    #[test]
    fn secrets_are_chosen_by_kid_and_algorithm() {
        let old = secret(1, Algorithm::HS256).with_kid("old");
        let new = secret(2, Algorithm::HS512).with_kid("new");
        let keys = JwkSet::shared_secrets([old.clone(), new.clone()]).unwrap();
        let code = |token: String| {
            verify(&token, &keys, AlgorithmSet::symmetric())
                .map(|_| "ok")
                .unwrap_or_else(|refusal| refusal.code())
        };
        let claims = json!({ "sub": "alice" });
        let sign = |by: &SharedSecret, kid: serde_json::Value| {
            let mut header = json!({ "alg": by.algorithm().name() });
            if !kid.is_null() {
                header["kid"] = kid;
            }
            by.sign_with_header(&header, claims.to_string().as_bytes())
        };
        assert_eq!(code(old.sign_jwt("JWT", &claims)), "ok");
        assert_eq!(code(new.sign_jwt("JWT", &claims)), "ok");
        assert_eq!(code(sign(&old, json!(null))), "ok");
        assert_eq!(code(sign(&old, json!("new"))), "token.algorithm_key_mismatch");
        assert_eq!(code(sign(&old, json!("other"))), "keys.unknown_kid");
        assert_eq!(
            code(secret(3, Algorithm::HS256).with_kid("old").sign_jwt("JWT", &claims)),
            "token.signature_invalid"
        );
        assert_eq!(
            code(sign(&secret(1, Algorithm::HS384), json!(null))),
            "keys.unknown_kid"
        );

        let nameless = JwkSet::shared_secrets([secret(1, Algorithm::HS256)]).unwrap();
        assert!(verify(&old.sign_jwt("JWT", &claims), &nameless, AlgorithmSet::symmetric()).is_ok());
    }

    #[test]
    fn a_set_of_secrets_has_one_to_eight_that_can_be_told_apart() {
        assert!(matches!(
            JwkSet::shared_secrets([]),
            Err(KeyError::Count { found: 0, .. })
        ));
        let nine = (0..9).map(|byte| secret(byte, Algorithm::HS256));
        assert!(matches!(
            JwkSet::shared_secrets(nine),
            Err(KeyError::Count { found: 9, .. })
        ));
        let twice = [1, 2].map(|byte| secret(byte, Algorithm::HS256).with_kid("a"));
        assert_eq!(
            JwkSet::shared_secrets(twice).unwrap_err(),
            KeyError::SameKid("a".into())
        );
    }

    #[test]
    fn no_document_gives_a_secret() {
        let secret = json!({ "kty": "oct", "k": crate::base64url_encode(&[7; 64]), "kid": "s", "alg": "HS256" });
        let (set, problems) = JwkSet::parse(json!({ "keys": [secret] }).to_string().as_bytes()).unwrap();
        assert!(set.is_empty());
        assert_eq!(problems.len(), 1);
        assert!(JwkSet::from_local(secret.to_string().as_bytes()).is_err());
    }

    #[test]
    fn a_secret_is_read_from_a_jwk_that_the_owner_has() {
        // RFC 7515 A.1.1
        let k = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
        let read = |jwk: serde_json::Value, algorithm| SharedSecret::from_jwk(&Secret::new(jwk.to_string()), algorithm);
        let named = json!({ "kty": "oct", "k": k, "kid": "main", "alg": "HS256", "use": "sig", "key_ops": ["verify"] });
        let secret = read(named, None).unwrap();
        assert_eq!((secret.kid(), secret.algorithm()), (Some("main"), Algorithm::HS256));
        let bytes = SharedSecret::new(&base64url_decode(k).unwrap(), Algorithm::HS256).unwrap();
        let token = bytes.sign_jwt("JWT", &json!({}));
        let bare = read(json!({ "kty": "oct", "k": k }), Some(Algorithm::HS256)).unwrap();
        assert_eq!(bare.kid(), None);
        let keys = JwkSet::shared_secrets([bare]).unwrap();
        assert!(verify(&token, &keys, AlgorithmSet::symmetric()).is_ok());

        let hs256 = Some(Algorithm::HS256);
        for (jwk, algorithm, why) in [
            (json!({ "kty": "oct", "k": k }), None, "no alg"),
            (
                json!({ "kty": "oct", "k": k, "alg": "HS512" }),
                hs256,
                "HS512 and not HS256",
            ),
            (
                json!({ "kty": "oct", "k": k, "alg": "A256GCM" }),
                None,
                "not one that is supported",
            ),
            (json!({ "kty": "oct", "k": k, "alg": "RS256" }), None, "shared secret"),
            (json!({ "kty": "oct", "k": k, "use": "enc" }), hs256, "use"),
            (
                json!({ "kty": "oct", "k": k, "key_ops": ["encrypt"] }),
                hs256,
                "key_ops",
            ),
            (
                json!({ "kty": "oct", "k": "c2hvcnQ" }),
                hs256,
                "at least 32 bytes, this has 5",
            ),
            (json!({ "kty": "oct", "k": "a+b" }), hs256, "\"k\""),
            (json!({ "kty": "oct" }), hs256, "\"k\""),
            (json!({ "kty": "RSA", "n": k, "e": "AQAB" }), hs256, "\"oct\""),
            (json!([]), hs256, "JSON object"),
        ] {
            let error = read(jwk.clone(), algorithm).unwrap_err().to_string();
            assert!(error.contains(why), "{jwk}: {error}");
            assert!(!error.contains(k), "{error}");
        }
    }

    #[test]
    fn a_part_of_the_tag_is_no_tag() {
        let secret = secret(1, Algorithm::HS256);
        let keys = JwkSet::shared_secrets([secret.clone()]).unwrap();
        let token = secret.sign_jwt("JWT", &json!({}));
        let (signed, tag) = token.rsplit_once('.').unwrap();
        let tag = base64url_decode(tag).unwrap();
        for length in 0..32 {
            let short = format!("{signed}.{}", crate::base64url_encode(&tag[..length]));
            assert_eq!(
                verify(&short, &keys, AlgorithmSet::symmetric()),
                Err(Refusal::SignatureInvalid)
            );
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let secret = SharedSecret::new(&[b'x'; 64], Algorithm::HS256).unwrap();
        assert_eq!(
            format!("{secret:?}"),
            "SharedSecret { algorithm: HS256, kid: None, .. }"
        );
    }
}
