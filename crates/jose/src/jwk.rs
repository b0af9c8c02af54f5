use aws_lc_rs::digest::Digest;
use aws_lc_rs::signature::{ParsedPublicKey, RsaPublicKeyComponents};
use serde_json::value::RawValue;

use crate::algorithm::KeyKind;
use crate::json::{self, Object, Value};
use crate::{Algorithm, Refusal, base64url_decode, base64url_encode, sha256};

const MAX_SET_BYTES: usize = 512 * 1024;
const MAX_KEYS: usize = 100;
/// Without a `kid`, at most so many keys are tried.
const MAX_TRIES: usize = 8;

/// The public keys of one issuer (RFC 7517 s5), parsed once. Keys that cannot be used are left out, and remembered.
#[derive(Debug, Clone, Default)]
pub struct JwkSet {
    keys: Vec<PublicKey>,
    unusable: Vec<KeyProblem>,
}

/// A key of a set that is not used, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyProblem {
    /// Its `kid`, if it has one.
    pub kid: Option<String>,
    /// What is wrong with it.
    pub why: String,
}

impl std::fmt::Display for KeyProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.kid.as_deref().unwrap_or("(no kid)"), self.why)
    }
}

/// A document that is no JWK set at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JwksError {
    /// The document or its number of keys is over the bound.
    #[error("the key set is larger than {MAX_SET_BYTES} bytes or {MAX_KEYS} keys")]
    TooLarge,
    /// Not a JSON object with an array `keys`.
    #[error("the key set is not a JSON object with an array named \"keys\"")]
    NotASet,
}

impl JwkSet {
    /// Reads a set. Keys that are broken, weak, private, symmetric, of an unknown kind or not meant for signatures
    /// are reported and left out; the rest is used.
    ///
    /// # Errors
    /// [`JwksError`] when the document is no set.
    pub fn parse(document: &[u8]) -> Result<(JwkSet, Vec<KeyProblem>), JwksError> {
        #[derive(serde::Deserialize)]
        struct Document<'a> {
            #[serde(borrow)]
            keys: Vec<&'a RawValue>,
        }
        if document.len() > MAX_SET_BYTES {
            return Err(JwksError::TooLarge);
        }
        let document: Document<'_> = serde_json::from_slice(document).map_err(|_| JwksError::NotASet)?;
        if document.keys.len() > MAX_KEYS {
            return Err(JwksError::TooLarge);
        }
        let mut set = JwkSet::default();
        for raw in document.keys {
            match json::parse_object(raw.get().as_bytes(), 8) {
                Ok(jwk) => match PublicKey::from_jwk(&jwk) {
                    Ok(key) => set.keys.push(key),
                    Err(why) => set.unusable.push(KeyProblem { kid: kid_of(&jwk), why }),
                },
                Err(_) => set.unusable.push(KeyProblem {
                    kid: None,
                    why: "not one strict JSON object".into(),
                }),
            }
        }
        set.drop_collisions();
        let problems = set.unusable.clone();
        Ok((set, problems))
    }

    /// How many keys can be used.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether no key can be used.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The `kid`s of the keys that can be used.
    pub fn kids(&self) -> impl Iterator<Item = Option<&str>> {
        self.keys.iter().map(|key| key.kid.as_deref())
    }

    /// RFC 7638 thumbprints of the keys that can be used.
    pub fn thumbprints(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|key| key.thumbprint.as_str())
    }

    /// The keys that may have signed a token with this `kid` and algorithm.
    pub(crate) fn select(&self, kid: Option<&str>, algorithm: Algorithm) -> Result<Vec<&PublicKey>, Refusal> {
        let Some(kid) = kid else {
            let fitting: Vec<&PublicKey> = self
                .keys
                .iter()
                .filter(|key| key.fits(algorithm))
                .take(MAX_TRIES)
                .collect();
            return if fitting.is_empty() {
                Err(Refusal::UnknownKid { kid: "(none)".into() })
            } else {
                Ok(fitting)
            };
        };
        let mut other = None;
        let mut fitting = Vec::with_capacity(1);
        for key in self.keys.iter().filter(|key| key.kid.as_deref() == Some(kid)) {
            if key.fits(algorithm) {
                fitting.push(key);
            } else {
                other = Some(key);
            }
        }
        if !fitting.is_empty() {
            return Ok(fitting);
        }
        if let Some(key) = other {
            let expected = key
                .verifiers
                .iter()
                .map(|(alg, _)| alg.name())
                .collect::<Vec<_>>()
                .join(", ");
            return Err(Refusal::AlgorithmKeyMismatch {
                kid: kid.into(),
                expected,
                found: algorithm.name().into(),
            });
        }
        match self.unusable.iter().find(|problem| problem.kid.as_deref() == Some(kid)) {
            Some(problem) => Err(Refusal::KeyUnusable {
                kid: kid.into(),
                why: problem.why.clone(),
            }),
            None => Err(Refusal::UnknownKid { kid: kid.into() }),
        }
    }

    /// Two different keys under one name for one algorithm: neither can be told to be the one meant.
    fn drop_collisions(&mut self) {
        let mut colliding: Vec<bool> = vec![false; self.keys.len()];
        let mut repeated: Vec<bool> = vec![false; self.keys.len()];
        for (i, a) in self.keys.iter().enumerate() {
            for (j, b) in self.keys.iter().enumerate().skip(i + 1) {
                if a.kid.is_none() || a.kid != b.kid || !a.verifiers.iter().any(|(alg, _)| b.fits(*alg)) {
                    continue;
                }
                let flags = if a.thumbprint == b.thumbprint {
                    &mut repeated
                } else {
                    &mut colliding
                };
                if a.thumbprint != b.thumbprint {
                    flags.get_mut(i).into_iter().for_each(|flag| *flag = true);
                }
                flags.get_mut(j).into_iter().for_each(|flag| *flag = true);
            }
        }
        let keys = std::mem::take(&mut self.keys);
        for ((key, colliding), repeated) in keys.into_iter().zip(colliding).zip(repeated) {
            if colliding {
                self.unusable.push(KeyProblem {
                    kid: key.kid,
                    why: "another key of the set has the same kid".into(),
                });
            } else if !repeated {
                self.keys.push(key);
            }
        }
    }
}

/// A public key, parsed, bound to the algorithms that it may be used with.
#[derive(Debug, Clone)]
pub(crate) struct PublicKey {
    kid: Option<String>,
    thumbprint: String,
    verifiers: Vec<(Algorithm, ParsedPublicKey)>,
}

impl PublicKey {
    fn fits(&self, algorithm: Algorithm) -> bool {
        self.verifiers.iter().any(|(alg, _)| *alg == algorithm)
    }

    pub(crate) fn verify(&self, algorithm: Algorithm, message: &[u8], sha256: &Digest, signature: &[u8]) -> bool {
        let Some((_, key)) = self.verifiers.iter().find(|(alg, _)| *alg == algorithm) else {
            return false;
        };
        match algorithm {
            // The digest is needed anyhow, to name the token in revocation lists.
            Algorithm::RS256 | Algorithm::PS256 | Algorithm::ES256 => key.verify_digest_sig(sha256, signature).is_ok(),
            _ => key.verify_sig(message, signature).is_ok(),
        }
    }

    fn from_jwk(jwk: &Object) -> Result<PublicKey, String> {
        let text = |name: &str| jwk.get(name).and_then(Value::as_str);
        for private in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
            if jwk.get(private).is_some() {
                return Err(format!("holds the private or secret member {private:?}"));
            }
        }
        if jwk
            .get("kid")
            .is_some_and(|kid| kid.as_str().is_none_or(|kid| kid.len() > 256))
        {
            return Err("the kid is not a string of at most 256 bytes".into());
        }
        // RFC 7517 s4.2, s4.3: a key for encryption, or without the operation "verify", checks no signature.
        if jwk.get("use").is_some_and(|usage| usage.as_str() != Some("sig")) {
            return Err("its use is not \"sig\"".into());
        }
        if let Some(operations) = jwk.get("key_ops") {
            let verify = operations
                .as_array()
                .is_some_and(|ops| ops.iter().any(|op| op.as_str() == Some("verify")));
            if !verify {
                return Err("its key_ops lack \"verify\"".into());
            }
        }
        let kind = match (text("kty"), text("crv")) {
            (Some("RSA"), _) => KeyKind::Rsa,
            (Some("EC"), Some("P-256")) => KeyKind::P256,
            (Some("EC"), Some("P-384")) => KeyKind::P384,
            (Some("EC"), Some("P-521")) => KeyKind::P521,
            (Some("OKP"), Some("Ed25519")) => KeyKind::Ed25519,
            (kty, crv) => {
                return Err(format!(
                    "kind {:?} {:?} is not supported",
                    kty.unwrap_or("none"),
                    crv.unwrap_or("")
                ));
            }
        };
        let declared = match jwk.get("alg") {
            None => None,
            Some(alg) => Some(
                alg.as_str()
                    .and_then(Algorithm::from_name)
                    .ok_or_else(|| "its alg is not one that is supported".to_owned())?,
            ),
        };
        let algorithms: Vec<Algorithm> = match declared {
            // EdDSA and Ed25519 are two names of one algorithm.
            Some(Algorithm::EdDSA | Algorithm::Ed25519) if kind == KeyKind::Ed25519 => {
                vec![Algorithm::EdDSA, Algorithm::Ed25519]
            }
            Some(algorithm) if algorithm.key_kind() == kind => vec![algorithm],
            Some(algorithm) => return Err(format!("its alg {algorithm} does not fit its kind")),
            None => Algorithm::ALL
                .into_iter()
                .filter(|algorithm| algorithm.key_kind() == kind)
                .collect(),
        };
        let bytes = |name: &str| {
            text(name)
                .and_then(base64url_decode)
                .ok_or_else(|| format!("its member {name:?} is missing or not base64url"))
        };
        let (verifiers, thumbprint) = match kind {
            KeyKind::Rsa => rsa(&bytes("n")?, &bytes("e")?, &algorithms)?,
            KeyKind::Ed25519 => curve(kind, &bytes("x")?, &[], &algorithms)?,
            KeyKind::P256 | KeyKind::P384 | KeyKind::P521 => curve(kind, &bytes("x")?, &bytes("y")?, &algorithms)?,
        };
        Ok(PublicKey {
            kid: text("kid").map(str::to_owned),
            thumbprint,
            verifiers,
        })
    }
}

type Verifiers = Vec<(Algorithm, ParsedPublicKey)>;

fn rsa(n: &[u8], e: &[u8], algorithms: &[Algorithm]) -> Result<(Verifiers, String), String> {
    // aws-lc-rs checks the size when it verifies; a key that never can verify has no place in the set.
    let leading = n.first().map_or(8, |byte| byte.leading_zeros() as usize);
    let bits = n.len() * 8 - leading.min(n.len() * 8);
    if n.first() == Some(&0) || !(2048..=8192).contains(&bits) || n.last().is_none_or(|byte| byte % 2 == 0) {
        return Err(format!(
            "an RSA modulus must be odd and of 2048 to 8192 bits, this has {bits}"
        ));
    }
    // RFC 8017 s3.1: e is odd and at least 3. Larger than 32 bits is nobody's key, and slow.
    let odd = e.last().is_some_and(|byte| byte % 2 == 1);
    if e.first() == Some(&0) || !odd || e.len() > 4 || e == [1] {
        return Err("its RSA exponent is not an odd number from 3 to 2^32".into());
    }
    let mut verifiers = Verifiers::new();
    for algorithm in algorithms {
        let parameters = algorithm.rsa_parameters().ok_or("not an RSA algorithm")?;
        let parsed = RsaPublicKeyComponents { n, e }
            .to_parsed_public_key(parameters)
            .map_err(|_| "it is not a valid RSA key".to_owned())?;
        verifiers.push((*algorithm, parsed));
    }
    let thumbprint = format!(
        r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#,
        base64url_encode(e),
        base64url_encode(n)
    );
    Ok((verifiers, hash(&thumbprint)))
}

fn curve(kind: KeyKind, x: &[u8], y: &[u8], algorithms: &[Algorithm]) -> Result<(Verifiers, String), String> {
    let (name, size) = match kind {
        KeyKind::P256 => ("P-256", 32),
        KeyKind::P384 => ("P-384", 48),
        KeyKind::P521 => ("P-521", 66),
        KeyKind::Rsa | KeyKind::Ed25519 => ("Ed25519", 32),
    };
    let okp = kind == KeyKind::Ed25519;
    // RFC 7518 s6.2.1.2: the coordinates have the full size of the field.
    if x.len() != size || (!okp && y.len() != size) {
        return Err(format!("its coordinates are not {size} bytes long, as {name} needs"));
    }
    let mut point = Vec::with_capacity(1 + 2 * size);
    if !okp {
        point.push(4);
    }
    point.extend_from_slice(x);
    point.extend_from_slice(y);
    let mut verifiers = Verifiers::new();
    for algorithm in algorithms {
        let parameters = algorithm.curve_parameters().ok_or("not an algorithm of this curve")?;
        let parsed = ParsedPublicKey::new(parameters, &point).map_err(|_| format!("it is not a point on {name}"))?;
        verifiers.push((*algorithm, parsed));
    }
    let x = base64url_encode(x);
    let thumbprint = if okp {
        format!(r#"{{"crv":"{name}","kty":"OKP","x":"{x}"}}"#)
    } else {
        format!(
            r#"{{"crv":"{name}","kty":"EC","x":"{x}","y":"{}"}}"#,
            base64url_encode(y)
        )
    };
    Ok((verifiers, hash(&thumbprint)))
}

/// RFC 7638 s3: the SHA-256 of the required members in lexical order.
fn hash(members: &str) -> String {
    base64url_encode(&sha256(members.as_bytes()))
}

fn kid_of(jwk: &Object) -> Option<String> {
    jwk.get("kid").and_then(Value::as_str).map(str::to_owned)
}

/// The thumbprint of a JWK that this crate made.
pub(crate) fn thumbprint_of(jwk: &serde_json::Value) -> Option<String> {
    let object = json::parse_object(jwk.to_string().as_bytes(), 4).ok()?;
    PublicKey::from_jwk(&object).ok().map(|key| key.thumbprint)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::SigningKey;

    fn parse(keys: &serde_json::Value) -> (JwkSet, Vec<KeyProblem>) {
        JwkSet::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
    }

    #[test]
    fn thumbprint_is_that_of_rfc_7638_s3_1() {
        let jwk = json!({"kty": "RSA", "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw", "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"});
        let (set, ignored) = parse(&json!([jwk]));
        assert_eq!(ignored, []);
        assert_eq!(
            set.thumbprints().collect::<Vec<_>>(),
            ["NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"]
        );
    }

    #[test]
    fn thumbprint_of_ed25519_is_that_of_rfc_8037_a3() {
        let (set, _) =
            parse(&json!([{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]));
        assert_eq!(
            set.thumbprints().collect::<Vec<_>>(),
            ["kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"]
        );
    }

    #[test]
    fn single_bad_keys_do_not_spoil_the_set() {
        let good = SigningKey::generate(Algorithm::ES256).unwrap();
        let with = |name: &str, value: serde_json::Value| {
            let mut jwk = SigningKey::generate(Algorithm::ES256)
                .unwrap()
                .with_kid(format!("bad-{name}"))
                .public_jwk();
            jwk[name] = value;
            jwk
        };
        let bad = json!([
            good.public_jwk(),
            with("use", json!("enc")),
            with("key_ops", json!(["encrypt"])),
            with("d", json!("AAAA")),
            with("alg", json!("ES384")),
            with("crv", json!("secp256k1")),
            with("x", json!("AAAA")),
            with("y", json!("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")),
            {"kty": "oct", "k": "AAAA", "kid": "secret"},
            {"kty": "RSA", "n": base64url_encode(&[0xff; 128]), "e": "AQAB", "kid": "weak"},
            {"kty": "RSA", "n": base64url_encode(&[0xff; 256]), "e": "AQ", "kid": "e1"},
            {"kty": "XYZ"},
            7,
        ]);
        let (set, problems) = parse(&bad);
        assert_eq!(set.kids().collect::<Vec<_>>(), [Some(good.kid())]);
        assert_eq!(problems.len(), 12, "{problems:#?}");
        assert!(matches!(
            set.select(Some("weak"), Algorithm::RS256),
            Err(Refusal::KeyUnusable { .. })
        ));
        assert!(matches!(
            set.select(Some("other"), Algorithm::RS256),
            Err(Refusal::UnknownKid { .. })
        ));
    }

    #[test]
    fn different_keys_of_one_name_are_dropped_and_the_same_key_twice_is_one() {
        let key = |kid: &str| {
            SigningKey::generate(Algorithm::ES256)
                .unwrap()
                .with_kid(kid.to_owned())
                .public_jwk()
        };
        let twice = key("twice");
        let decoy = SigningKey::generate(Algorithm::Ed25519)
            .unwrap()
            .with_kid("twice".to_owned())
            .public_jwk();
        let (set, problems) = parse(&json!([key("dup"), key("dup"), twice.clone(), twice, decoy]));
        assert_eq!(set.len(), 2);
        assert_eq!(problems.len(), 2);
        assert_eq!(set.select(Some("twice"), Algorithm::ES256).unwrap().len(), 1);
    }

    #[test]
    fn without_a_kid_at_most_eight_are_tried() {
        let keys: Vec<_> = (0..10)
            .map(|_| {
                let mut jwk = SigningKey::generate(Algorithm::ES256).unwrap().public_jwk();
                jwk.as_object_mut().unwrap().remove("kid");
                jwk
            })
            .collect();
        let (set, _) = parse(&json!(keys));
        assert_eq!(set.select(None, Algorithm::ES256).unwrap().len(), 8);
        assert!(matches!(
            set.select(None, Algorithm::RS256),
            Err(Refusal::UnknownKid { .. })
        ));
    }

    #[test]
    fn what_is_no_set_is_an_error() {
        for text in ["", "[]", "{}", r#"{"keys":{}}"#, "<html>"] {
            assert_eq!(
                JwkSet::parse(text.as_bytes()).unwrap_err(),
                JwksError::NotASet,
                "{text}"
            );
        }
        let many = json!({ "keys": vec![json!({}); 101] }).to_string();
        assert_eq!(JwkSet::parse(many.as_bytes()).unwrap_err(), JwksError::TooLarge);
    }
}
