//! A token laid open for a person's eyes. Nothing here is verified, and nothing may be decided by it: what a
//! request may do is decided by [`crate::UnverifiedJws::verify`] alone.

use crate::jws::{decode, split};
use crate::{Limits, Object, Refusal};

/// What the parts of a token say. Anybody can have written it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Inspected {
    /// The members of the header, or why they cannot be read.
    pub header: Result<Object, Refusal>,
    /// The claims, or why they cannot be read.
    pub claims: Result<Object, Refusal>,
    /// How many bytes the signature has, or why it cannot be read.
    pub signature_bytes: Result<usize, Refusal>,
}

/// Decodes `token` without verifying anything. A fault in one part leaves the others readable.
///
/// # Errors
/// [`Refusal`] when it has not the shape of a JWS in compact form: too large, encrypted, or not three parts.
///
/// ```
/// let token = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UifQ.AA";
/// let seen = portcullis_jose::inspect::unverified(token, &Default::default())?;
/// assert_eq!(seen.claims?.get("iss").and_then(|iss| iss.as_str()), Some("joe"));
/// # Ok::<(), portcullis_jose::Refusal>(())
/// ```
pub fn unverified(token: &str, limits: &Limits) -> Result<Inspected, Refusal> {
    if token.len() > limits.token {
        return Err(Refusal::TooLarge {
            part: "token",
            limit: limits.token,
        });
    }
    let (header, claims, signature) = split(token)?;
    let object = |text, part| decode(text, part).and_then(|bytes| Object::of(bytes, part, limits));
    Ok(Inspected {
        header: object(header, "header"),
        claims: object(claims, "claims"),
        signature_bytes: decode(signature, "signature").map(|bytes| bytes.len()),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{Algorithm, SigningKey, base64url_encode};

    #[test]
    fn every_part_is_shown_or_its_fault() {
        let key = SigningKey::generate(Algorithm::ES256).unwrap();
        let token = key.sign_jwt("at+jwt", &json!({ "sub": "alice" })).unwrap();
        let seen = unverified(&token, &Limits::default()).unwrap();
        assert_eq!(
            seen.header.unwrap().to_json(),
            json!({ "alg": "ES256", "typ": "at+jwt", "kid": key.kid() })
        );
        assert_eq!(seen.claims.unwrap().to_json(), json!({ "sub": "alice" }));
        assert_eq!(seen.signature_bytes, Ok(64));

        let twice = base64url_encode(br#"{"a":1,"a":2}"#);
        let seen = unverified(&format!("e30.{twice}.A"), &Limits::default()).unwrap();
        assert_eq!(seen.header.unwrap().to_json(), json!({}));
        assert_eq!(seen.claims.unwrap_err().code(), "token.duplicate_member");
        assert_eq!(seen.signature_bytes.unwrap_err().code(), "token.bad_base64");
    }

    #[test]
    fn what_is_no_jws_is_said_at_once() {
        for (text, code) in [("a.b", "token.malformed"), ("a.b.c.d.e", "token.encrypted")] {
            assert_eq!(unverified(text, &Limits::default()).unwrap_err().code(), code);
        }
    }
}
