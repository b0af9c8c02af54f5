use std::borrow::Cow;

use aws_lc_rs::digest::{SHA256, digest};
use base64_simd::URL_SAFE_NO_PAD;

use crate::json::{Object, Value};
use crate::jwk::Signed;
use crate::{Algorithm, AlgorithmSet, Claims, JwkSet, Refusal, Verified};

/// How large a token may be. Checked before anything is parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The whole token in bytes: 16 KiB.
    pub token: usize,
    /// The header's part in bytes: 4 KiB.
    pub header: usize,
    /// The key identifier in bytes: 256.
    pub kid: usize,
    /// Levels of JSON, in header and claims each: 16.
    pub depth: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            token: 16 * 1024,
            header: 4 * 1024,
            kid: 256,
            depth: 16,
        }
    }
}

/// The JOSE header (RFC 7515 s4), as far as anything here acts on it. `jwk`, `jku`, `x5u` and `x5c` are not read:
/// a token never names its own key.
#[derive(Debug, Clone)]
pub struct Header {
    algorithm: Algorithm,
    members: Object,
    /// How long a `kid` may be.
    max_kid: usize,
}

impl Header {
    /// `alg`
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// `kid`, if there is one.
    ///
    /// # Errors
    /// [`Refusal::KidInvalid`] when it is no string or too long.
    pub fn kid(&self) -> Result<Option<&str>, Refusal> {
        match self.members.get("kid") {
            None => Ok(None),
            Some(Value::String(kid)) if kid.len() <= self.max_kid => Ok(Some(kid)),
            Some(_) => Err(Refusal::KidInvalid),
        }
    }

    /// `typ`, if it is there and a string.
    #[must_use]
    pub fn typ(&self) -> Option<&str> {
        self.members.get("typ").and_then(Value::as_str)
    }

    /// Whether there is a `typ`, of whatever kind.
    #[must_use]
    pub fn has_typ(&self) -> bool {
        self.members.get("typ").is_some()
    }

    /// The whole header, for who has to see more of it.
    pub(crate) fn members(&self) -> &Object {
        &self.members
    }

    /// Checks that `typ` is one of `accepted` (media types without `application/`).
    ///
    /// RFC 7515 s4.1.9: compared without regard to case, and `application/` may be left out.
    ///
    /// # Errors
    /// [`Refusal::TypeMismatch`]
    pub fn require_type(&self, accepted: &[&str]) -> Result<(), Refusal> {
        let typ = self.members.get("typ");
        let found = match typ {
            Some(Value::String(typ)) => typ,
            Some(_) => "(not a string)",
            None => "(none)",
        };
        let short = match found.get(..12) {
            Some(prefix) if prefix.eq_ignore_ascii_case("application/") => found.get(12..).unwrap_or_default(),
            _ => found,
        };
        if matches!(typ, Some(Value::String(_))) && accepted.iter().any(|typ| typ.eq_ignore_ascii_case(short)) {
            return Ok(());
        }
        Err(Refusal::TypeMismatch {
            expected: accepted.join(" or "),
            found: found.to_owned(),
        })
    }
}

/// A text that has the shape of a JWS in compact form, whose header was read strictly. Nothing of it is proven:
/// it has no claims to read.
#[derive(Debug)]
pub struct UnverifiedJws<'a> {
    header: Header,
    signed_part: &'a str,
    signature: Vec<u8>,
    claims: Object,
    claims_fault: Option<Refusal>,
}

impl<'a> UnverifiedJws<'a> {
    /// Reads `token`: size, shape, base64url, header, `crit`, and that the algorithm is one that exists here.
    ///
    /// # Errors
    /// The first rule that is broken, in that order.
    pub fn parse(token: &'a str, limits: &Limits) -> Result<UnverifiedJws<'a>, Refusal> {
        if token.len() > limits.token {
            return Err(Refusal::TooLarge {
                part: "token",
                limit: limits.token,
            });
        }
        let (header_part, payload_part, signature_part) = split(token)?;
        if header_part.len() > limits.header {
            return Err(oversized(header_part, limits));
        }
        let header_bytes = decode(header_part, "header")?;
        let payload = decode(payload_part, "claims")?;
        let signature = decode(signature_part, "signature")?;
        let header = read_header(Object::of(header_bytes, "header", limits)?, limits)?;
        // The claims are parsed once, and a fault in them is told when it is their turn.
        let (claims, claims_fault) = match Object::of(payload, "claims", limits) {
            Ok(claims) => (claims, None),
            Err(fault) => (Object::default(), Some(fault)),
        };
        let signed_part = token
            .get(..header_part.len() + 1 + payload_part.len())
            .unwrap_or_default();
        Ok(UnverifiedJws {
            header,
            signed_part,
            signature,
            claims,
            claims_fault,
        })
    }

    /// The header.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Checks that the algorithm is accepted.
    ///
    /// # Errors
    /// [`Refusal::AlgorithmNotAllowed`]
    pub fn require_algorithm(&self, accepted: AlgorithmSet) -> Result<(), Refusal> {
        let algorithm = self.header.algorithm;
        if accepted.contains(algorithm) {
            return Ok(());
        }
        Err(Refusal::AlgorithmNotAllowed {
            found: algorithm.name().into(),
            accepted: accepted.to_string(),
        })
    }

    /// What the token says of its issuer, to choose the keys that must prove it. `None` if it says nothing.
    ///
    /// # Errors
    /// [`Refusal::IssuerType`] when the claim is no string; the fault of the claims' JSON when there are no claims.
    pub fn unverified_issuer(&self) -> Result<Option<&str>, Refusal> {
        if let Some(fault) = &self.claims_fault {
            return Err(fault.clone());
        }
        match self.claims.get("iss") {
            None => Ok(None),
            Some(Value::String(issuer)) => Ok(Some(issuer)),
            Some(other) => Err(Refusal::IssuerType { found: other.kind() }),
        }
    }

    /// Checks the signature with the key that the header's `kid` names, or without a `kid` with each key that
    /// fits the algorithm, and hands the claims out.
    ///
    /// # Errors
    /// The first rule that is broken: algorithm, `kid`, key, signature, claims.
    pub fn verify(self, keys: &JwkSet, accepted: AlgorithmSet) -> Result<Verified<Claims>, Refusal> {
        // RFC 8725 s3.1: public keys are never used with a symmetric algorithm, nor secrets with another.
        self.require_algorithm(accepted)?;
        self.require_algorithm(accepted.and(keys.algorithms_of_kind()))?;
        self.verify_with(|header, signed| keys.check(header.kid()?, header.algorithm, signed))
    }

    /// `check` is what decides about the signature.
    pub(crate) fn verify_with(
        self,
        check: impl FnOnce(&Header, &Signed<'_>) -> Result<(), Refusal>,
    ) -> Result<Verified<Claims>, Refusal> {
        let digest = digest(&SHA256, self.signed_part.as_bytes());
        let signed = Signed {
            part: self.signed_part.as_bytes(),
            sha256: &digest,
            signature: &self.signature,
        };
        check(&self.header, &signed)?;
        if let Some(fault) = self.claims_fault {
            return Err(fault);
        }
        let mut hash = [0; 32];
        hash.copy_from_slice(digest.as_ref());
        Ok(Verified::assertion(Claims::new(self.claims, hash)))
    }
}

pub(crate) fn split(token: &str) -> Result<(&str, &str, &str), Refusal> {
    if token.is_empty() {
        return Err(Refusal::Malformed { why: "empty" });
    }
    if token.starts_with('{') {
        return Err(Refusal::Malformed {
            why: "JSON serialization",
        });
    }
    let mut parts = token.split('.');
    match (
        parts.next(),
        parts.next(),
        parts.next(),
        parts.next(),
        parts.next(),
        parts.next(),
    ) {
        (Some(header), Some(payload), Some(signature), None, ..) if !header.is_empty() => {
            Ok((header, payload, signature))
        }
        // RFC 7516 s3.1: five parts are a JWE.
        (.., Some(_), None) => Err(Refusal::Encrypted),
        _ => Err(Refusal::Malformed { why: "not three parts" }),
    }
}

/// What is said of a header that is too large: the `kid`, where that is what makes it so.
fn oversized(header: &str, limits: &Limits) -> Refusal {
    let header = decode(header, "header").ok();
    let header = header.and_then(|bytes| Object::of(bytes, "header", limits).ok());
    let kid = header.as_ref().and_then(|header| header.get("kid")?.as_str());
    match kid {
        Some(kid) if kid.len() > limits.kid => Refusal::KidInvalid,
        _ => Refusal::TooLarge {
            part: "header",
            limit: limits.header,
        },
    }
}

pub(crate) fn decode(part: &str, name: &'static str) -> Result<Vec<u8>, Refusal> {
    URL_SAFE_NO_PAD
        .decode_to_vec(part)
        .map_err(|_| Refusal::BadBase64 { part: name })
}

fn read_header(header: Object, limits: &Limits) -> Result<Header, Refusal> {
    // RFC 7515 s4.1.11: a `crit` that is not understood is refused, and nothing is understood here. RFC 7797 s3 and
    // RFC 7516 s4.1.3: `b64` and `zip` change what was signed, so they are refused without `crit` too.
    for member in ["crit", "b64", "zip"] {
        if header.get(member).is_some() {
            return Err(Refusal::CritUnsupported { member: member.into() });
        }
    }
    let algorithm = match header.get("alg") {
        Some(Value::String(name)) => Algorithm::from_name(name).ok_or_else(|| Cow::Owned(name.to_owned())),
        Some(other) => Err(Cow::Owned(format!("({})", other.kind()))),
        None => Err(Cow::Borrowed("(none)")),
    };
    let algorithm = algorithm.map_err(|found| Refusal::AlgorithmNotAllowed {
        found: found.into_owned(),
        accepted: AlgorithmSet::asymmetric().to_string(),
    })?;
    Ok(Header {
        algorithm,
        members: header,
        max_kid: limits.kid,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::{SigningKey, base64url_encode};

    fn key() -> (SigningKey, JwkSet) {
        let key = SigningKey::generate(Algorithm::ES256).unwrap();
        let set = JwkSet::parse(json!({ "keys": [key.public_jwk()] }).to_string().as_bytes())
            .unwrap()
            .0;
        (key, set)
    }

    fn verify(token: &str, keys: &JwkSet) -> Result<Verified<Claims>, Refusal> {
        UnverifiedJws::parse(token, &Limits::default())?.verify(keys, AlgorithmSet::asymmetric())
    }

    fn signed(key: &SigningKey, header: &serde_json::Value, payload: &[u8]) -> String {
        key.sign_with_header(header, payload).unwrap()
    }

    #[test]
    fn what_was_signed_is_verified_with_every_algorithm() {
        for algorithm in AlgorithmSet::asymmetric().iter() {
            let key = SigningKey::generate(algorithm).unwrap();
            let set = JwkSet::parse(json!({ "keys": [key.public_jwk()] }).to_string().as_bytes())
                .unwrap()
                .0;
            let token = key.sign_jwt("at+jwt", &json!({ "sub": "alice" })).unwrap();
            assert_eq!(verify(&token, &set).unwrap().str("sub"), Some("alice"), "{algorithm}");
            let other = SigningKey::generate(algorithm).unwrap().with_kid(key.kid().to_owned());
            let forged = other.sign_jwt("at+jwt", &json!({ "sub": "alice" })).unwrap();
            assert_eq!(verify(&forged, &set), Err(Refusal::SignatureInvalid), "{algorithm}");
        }
    }

    #[test]
    fn shapes_that_are_no_jws_are_refused() {
        let (key, set) = key();
        let good = key.sign_jwt("at+jwt", &json!({})).unwrap();
        assert!(verify(&good, &set).is_ok());
        let code = |token: &str| verify(token, &set).unwrap_err().code();
        assert_eq!(code(""), "token.malformed");
        assert_eq!(code("abc"), "token.malformed");
        assert_eq!(code("a.b"), "token.malformed");
        assert_eq!(code(&format!("{good}.x")), "token.malformed");
        assert_eq!(code(&format!("{good}.x.y")), "token.encrypted");
        assert_eq!(code(r#"{"payload":"a.b.c"}"#), "token.malformed");
        assert_eq!(code(&".".repeat(100_000)), "token.too_large");
        assert_eq!(code(&format!("{good}\n")), "token.bad_base64");
        assert_eq!(code(&format!("{good}=")), "token.bad_base64");
        assert_eq!(
            code(
                good.rsplit_once('.')
                    .map(|(front, _)| format!("{front}."))
                    .unwrap()
                    .as_str()
            ),
            "token.signature_invalid"
        );
        let header = "A".repeat(5000);
        assert_eq!(code(&format!("{header}.e30.AA")), "token.too_large");
    }

    #[test]
    fn headers_are_read_strictly() {
        let (key, set) = key();
        let alg = json!({ "alg": "ES256", "kid": key.kid() });
        let with = |name: &str, value: serde_json::Value| {
            let mut header = alg.clone();
            header[name] = value;
            verify(&signed(&key, &header, b"{}"), &set)
                .map(|_| "ok")
                .unwrap_or_else(|refusal| refusal.code())
        };
        assert_eq!(with("x-unknown", json!({ "a": [1] })), "ok");
        for (name, value, expected) in [
            ("crit", json!(["exp"]), "token.crit_unsupported"),
            ("crit", json!([]), "token.crit_unsupported"),
            ("b64", json!(false), "token.crit_unsupported"),
            ("zip", json!("DEF"), "token.crit_unsupported"),
            ("kid", json!(1), "token.kid_invalid"),
            ("kid", json!({ "$ne": "" }), "token.kid_invalid"),
            ("kid", json!("a".repeat(257)), "token.kid_invalid"),
            ("kid", json!("a".repeat(5000)), "token.kid_invalid"),
            ("x", json!("a".repeat(5000)), "token.too_large"),
            ("kid", json!(""), "keys.unknown_kid"),
            ("alg", json!("none"), "token.algorithm_not_allowed"),
            ("alg", json!("HS256"), "token.algorithm_not_allowed"),
            ("alg", json!(null), "token.algorithm_not_allowed"),
            ("alg", json!("ES384"), "token.algorithm_key_mismatch"),
        ] {
            assert_eq!(with(name, value.clone()), expected, "{name}: {value}");
        }
        let repeated = format!("{{\"alg\":\"ES256\",\"alg\":\"ES256\",\"kid\":\"{}\"}}", key.kid());
        let token = format!("{}.e30.AA", base64url_encode(repeated.as_bytes()));
        assert_eq!(verify(&token, &set).unwrap_err().code(), "token.duplicate_member");
    }

    #[test]
    fn an_algorithm_that_is_not_accepted_is_refused_before_its_key_is_looked_for() {
        let (key, set) = key();
        let token = key.sign_jwt("at+jwt", &json!({})).unwrap();
        let only_rsa = AlgorithmSet::of(&[Algorithm::RS256]);
        let refusal = UnverifiedJws::parse(&token, &Limits::default())
            .unwrap()
            .verify(&set, only_rsa)
            .unwrap_err();
        assert_eq!(
            refusal,
            Refusal::AlgorithmNotAllowed {
                found: "ES256".into(),
                accepted: "RS256".into()
            }
        );
    }

    #[test]
    fn types_compare_as_media_types() {
        let (key, _) = key();
        let check = |typ: serde_json::Value| {
            let token = signed(&key, &json!({ "alg": "ES256", "typ": typ }), b"{}");
            UnverifiedJws::parse(&token, &Limits::default())
                .unwrap()
                .header()
                .require_type(&["at+jwt"])
                .is_ok()
        };
        assert!(check(json!("at+jwt")) && check(json!("AT+JWT")) && check(json!("application/At+Jwt")));
        assert!(!check(json!("JWT")) && !check(json!(null)) && !check(json!("text/at+jwt")) && !check(json!(7)));
    }

    #[test]
    fn broken_claims_are_told_with_a_good_signature() {
        let (key, set) = key();
        let header = json!({ "alg": "ES256", "kid": key.kid() });
        let code = |payload: &[u8]| verify(&signed(&key, &header, payload), &set).unwrap_err().code();
        assert_eq!(code(b""), "token.bad_json");
        assert_eq!(code(b"null"), "token.bad_json");
        assert_eq!(code(br#"{"a":1,"a":2}"#), "token.duplicate_member");
        assert_eq!(
            code(format!("{{\"a\":{}{}}}", "[".repeat(20), "]".repeat(20)).as_bytes()),
            "token.too_deep"
        );
    }

    proptest! {
        /// What one decoder reads, the other reads alike: nothing is taken that is not canonical (RFC 7515 s2).
        #[test]
        fn base64url_is_as_strict_as_another_decoder(text in "[A-Za-z0-9_+/=. \\-]{0,80}") {
            let theirs = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, &text).ok();
            prop_assert_eq!(decode(&text, "claims").ok(), theirs);
        }

        #[test]
        fn base64url_gives_back_what_was_encoded(bytes in proptest::collection::vec(any::<u8>(), 0..200), place in 0usize..300, other: u8) {
            let text = base64url_encode(&bytes);
            prop_assert_eq!(decode(&text, "claims").ok(), Some(bytes));
            // One byte of the text is another, any at all.
            let mut changed = text.into_bytes();
            if let Some(byte) = changed.get_mut(place) {
                *byte = other;
            }
            if let Ok(changed) = String::from_utf8(changed) {
                let theirs = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, &changed).ok();
                prop_assert_eq!(decode(&changed, "claims").ok(), theirs);
            }
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text in "\\PC{0,200}") {
            let _ = UnverifiedJws::parse(&text, &Limits::default());
        }

        #[test]
        fn any_changed_character_is_refused(position in 0usize..1000, replacement in "[A-Za-z0-9_.-]") {
            let (key, set) = key();
            let token = key.sign_jwt("at+jwt", &json!({ "sub": "alice", "scope": "orders.read" })).unwrap();
            let position = position % token.len();
            let mut changed = token.clone();
            changed.replace_range(position..=position, &replacement);
            prop_assume!(changed != token);
            prop_assert!(verify(&changed, &set).is_err());
        }
    }
}
