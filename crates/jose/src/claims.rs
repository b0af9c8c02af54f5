use std::ops::Deref;

use crate::json::{Object, Value};
use crate::{Refusal, UnixTime};

/// The latest time that a claim may name: 9999-12-31T23:59:59Z.
const LATEST: f64 = 253_402_300_799.0;

/// The claims set of a JWT (RFC 7519 s4): a JSON object without repeated members.
#[derive(Debug, Clone, PartialEq)]
pub struct Claims {
    object: Object,
    /// SHA-256 over `header.payload`, the name of the token in revocation lists and caches.
    signed_part: [u8; 32],
}

impl Claims {
    pub(crate) fn new(object: Object, signed_part: [u8; 32]) -> Claims {
        Claims { object, signed_part }
    }

    /// The claim of exactly this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Value<'_>> {
        self.object.get(name)
    }

    /// The claim at a dotted path, such as `realm_access.roles`. A claim whose own name has the dots is found first.
    #[must_use]
    pub fn get_path(&self, path: &str) -> Option<Value<'_>> {
        if let Some(value) = self.get(path) {
            return Some(value);
        }
        let mut steps = path.split('.');
        let mut value = self.get(steps.next()?)?;
        for step in steps {
            value = value.as_object()?.get(step)?;
        }
        Some(value)
    }

    /// The claim if it is a string.
    #[must_use]
    pub fn str(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Value::as_str)
    }

    /// The claim, which must be a string where it is present.
    ///
    /// # Errors
    /// [`Refusal::ClaimType`] when it is anything else.
    pub fn optional_str(&self, name: &'static str) -> Result<Option<&str>, Refusal> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(Refusal::ClaimType {
                claim: name.into(),
                expected: "string",
                found: other.kind(),
            }),
        }
    }

    /// The claim as a list of strings, where it is present: one string, or an array of strings.
    ///
    /// # Errors
    /// [`Refusal::ClaimType`] when it is anything else.
    pub fn strings(&self, name: &'static str) -> Result<Option<Vec<&str>>, Refusal> {
        let wrong = |found| Refusal::ClaimType {
            claim: name.into(),
            expected: "string or array of strings",
            found,
        };
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(one)) => Ok(Some(vec![one])),
            Some(Value::Array(items)) => {
                let strings: Option<Vec<&str>> = items.iter().map(Value::as_str).collect();
                strings.map(Some).ok_or_else(|| wrong("array with other things"))
            }
            Some(other) => Err(wrong(other.kind())),
        }
    }

    /// The claim as a time, where it is present: a number of seconds, of which a fraction is cut off.
    ///
    /// # Errors
    /// [`Refusal::ClaimType`] when it is no number, [`Refusal::ClaimRange`] when it is negative or after the year 9999.
    pub fn time(&self, name: &'static str) -> Result<Option<UnixTime>, Refusal> {
        let number = match self.get(name) {
            None => return Ok(None),
            Some(Value::Number(number)) => number,
            Some(other) => {
                return Err(Refusal::ClaimType {
                    claim: name.into(),
                    expected: "number",
                    found: other.kind(),
                });
            }
        };
        // RFC 7519 s2: NumericDate may have a fraction. Every whole second up to LATEST is exact in an f64.
        let seconds = number.as_f64();
        if !(0.0..=LATEST).contains(&seconds) {
            return Err(Refusal::ClaimRange {
                claim: name.into(),
                found: number.to_string(),
            });
        }
        #[expect(clippy::cast_possible_truncation, reason = "the range was checked on the line above")]
        Ok(Some(UnixTime::from_secs(seconds as i64)))
    }

    /// All claims, in the order of the token.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Value<'_>)> {
        self.object.iter()
    }

    /// All claims as a JSON object.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        self.object.to_json()
    }

    /// The memory that they have beside their own size, in bytes.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.object.heap_bytes()
    }

    /// SHA-256 over the signed part (`header.payload`) of the token.
    ///
    /// Revocation lists name a token by this and never by its whole text: the same token has more than one text,
    /// since an ECDSA signature can be rewritten by anybody (`s` becomes `n - s`).
    #[must_use]
    pub fn signed_part_hash(&self) -> &[u8; 32] {
        &self.signed_part
    }
}

/// Proof that a signature was checked. Only this crate's verifier makes one.
#[derive(Debug, Clone, PartialEq)]
pub struct Verified<T>(T);

impl<T> Verified<T> {
    /// Each call of this is a claim that the signature was verified.
    pub(crate) fn assertion(value: T) -> Verified<T> {
        Verified(value)
    }

    /// The value without its proof.
    #[must_use]
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> Deref for Verified<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(text: &str) -> Claims {
        Claims::new(crate::json::parse_object(text.into(), 16).unwrap(), [0; 32])
    }

    #[test]
    fn times_are_numbers_in_range() {
        assert_eq!(
            claims(r#"{"exp":12.9}"#).time("exp").unwrap(),
            Some(UnixTime::from_secs(12))
        );
        assert_eq!(claims("{}").time("exp").unwrap(), None);
        for kind in ["\"12\"", "null", "true", "[12]", "{}"] {
            assert!(
                matches!(
                    claims(&format!("{{\"exp\":{kind}}}")).time("exp"),
                    Err(Refusal::ClaimType { .. })
                ),
                "{kind}"
            );
        }
        for value in ["-1", "1e300", "18446744073709551615", "253402300800"] {
            assert!(
                matches!(
                    claims(&format!("{{\"exp\":{value}}}")).time("exp"),
                    Err(Refusal::ClaimRange { .. })
                ),
                "{value}"
            );
        }
    }

    #[test]
    fn a_claim_is_found_wherever_it_stands() {
        for before in [0, 1, 253, 254, 255, 300] {
            let mut text = String::from("{");
            for number in 0..before {
                text.push_str(&format!("\"x{number}\":{number},"));
            }
            text.push_str("\"scope\":\"orders.read\",\"mine\":1}");
            let claims = claims(&text);
            assert_eq!(claims.str("scope"), Some("orders.read"), "{before}");
            assert!(claims.get("mine").is_some(), "{before}");
            assert!(claims.get("scp").is_none() && claims.get("Scope").is_none(), "{before}");
        }
    }

    #[test]
    fn paths_reach_into_objects() {
        let claims = claims(r#"{"realm_access":{"roles":["a"]},"https://x.example/roles":["b"]}"#);
        assert_eq!(
            claims.get_path("realm_access.roles").unwrap().as_array().unwrap().len(),
            1
        );
        assert_eq!(
            claims
                .get_path("https://x.example/roles")
                .unwrap()
                .as_array()
                .unwrap()
                .len(),
            1
        );
        assert!(claims.get_path("realm_access.groups").is_none());
    }
}
