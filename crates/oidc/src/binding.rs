//! What a token is bound to: a key that whoever sends the token must prove to have (RFC 7800 s3.1).

use portcullis_jose::{Claims, Members, Refusal, Value, Verified, base64url_decode};

/// The key that a token is bound to. A token of this kind is worth nothing without the proof.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Binding {
    /// None: whoever has the token may use it.
    #[default]
    Bearer,
    /// A key whose RFC 7638 SHA-256 thumbprint this is; it is proven by a DPoP proof (RFC 9449 s6.1, `jkt`).
    Dpop(Box<str>),
    /// The client certificate whose DER form has this SHA-256 (RFC 8705 s3.1, `x5t#S256`).
    Certificate(Box<[u8; 32]>),
    /// Both of them: both have to be proven.
    Both(Box<str>, Box<[u8; 32]>),
}

impl Binding {
    /// The binding of a token.
    ///
    /// # Errors
    /// [`Refusal::BindingRequired`] when `cnf` asks for a proof that is not known here, or cannot be read.
    pub fn of(claims: &Verified<Claims>) -> Result<Binding, Refusal> {
        let Some(confirmation) = claims.get("cnf") else {
            return Ok(Binding::Bearer);
        };
        let Some(confirmation) = confirmation.as_object() else {
            return Err(unknown("cnf"));
        };
        // Each member is a condition of its own: one that is not understood cannot be met.
        let mut jkt = None;
        let mut x5t = None;
        for (name, value) in confirmation.iter() {
            match (name, value) {
                ("jkt", Value::String(thumbprint)) if is_sha256(thumbprint) => jkt = Some(thumbprint),
                ("x5t#S256", Value::String(thumbprint)) => x5t = sha256(thumbprint),
                _ => return Err(unknown(name)),
            }
        }
        match (jkt, x5t) {
            (Some(jkt), Some(x5t)) => Ok(Binding::Both(jkt.into(), Box::new(x5t))),
            (Some(jkt), None) if confirmation.get("x5t#S256").is_none() => Ok(Binding::Dpop(jkt.into())),
            (None, Some(x5t)) => Ok(Binding::Certificate(Box::new(x5t))),
            _ => Err(unknown(first_name(confirmation))),
        }
    }

    /// The thumbprint of the key that a DPoP proof must be made with.
    #[must_use]
    pub fn jkt(&self) -> Option<&str> {
        match self {
            Binding::Dpop(jkt) | Binding::Both(jkt, _) => Some(jkt),
            Binding::Bearer | Binding::Certificate(_) => None,
        }
    }

    /// The SHA-256 of the client certificate that the connection must have.
    #[must_use]
    pub fn certificate(&self) -> Option<&[u8; 32]> {
        match self {
            Binding::Certificate(x5t) | Binding::Both(_, x5t) => Some(x5t),
            Binding::Bearer | Binding::Dpop(_) => None,
        }
    }
}

fn unknown(method: &str) -> Refusal {
    Refusal::BindingRequired {
        method: method.to_owned(),
    }
}

fn first_name(confirmation: Members<'_>) -> &str {
    confirmation.iter().next().map_or("cnf", |(name, _)| name)
}

fn is_sha256(text: &str) -> bool {
    sha256(text).is_some()
}

fn sha256(text: &str) -> Option<[u8; 32]> {
    base64url_decode(text)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use portcullis_jose::{Algorithm, AlgorithmSet, JwkSet, Limits, SigningKey, UnverifiedJws, base64url_encode};
    use serde_json::json;

    use super::*;

    fn binding(cnf: &serde_json::Value) -> Result<Binding, Refusal> {
        let key = SigningKey::generate(Algorithm::ES256).unwrap();
        let token = key.sign_jwt("at+jwt", &json!({ "cnf": cnf })).unwrap();
        let jwks = json!({ "keys": [key.public_jwk()] }).to_string();
        let (keys, _) = JwkSet::parse(jwks.as_bytes()).unwrap();
        let jws = UnverifiedJws::parse(&token, &Limits::default()).unwrap();
        Binding::of(&jws.verify(&keys, AlgorithmSet::asymmetric()).unwrap())
    }

    #[test]
    fn each_member_is_a_condition() {
        let hash = base64url_encode(&[7; 32]);
        assert_eq!(binding(&json!({"jkt": hash})).unwrap().jkt(), Some(hash.as_str()));
        let certificate = binding(&json!({"x5t#S256": hash})).unwrap();
        assert_eq!((certificate.jkt(), certificate.certificate()), (None, Some(&[7; 32])));
        let both = binding(&json!({"x5t#S256": hash, "jkt": hash})).unwrap();
        assert_eq!((both.jkt(), both.certificate()), (Some(hash.as_str()), Some(&[7; 32])));
    }

    #[test]
    fn what_is_not_understood_is_never_no_binding() {
        let hash = base64url_encode(&[7; 32]);
        for cnf in [
            json!({}),
            json!(null),
            json!("jkt"),
            json!({"osc": {}}),
            json!({"jkt": hash, "osc": {}}),
            json!({"jkt": 1}),
            json!({"jkt": "AAAA"}),
            json!({"x5t#S256": ""}),
            json!({"jkt": hash, "x5t#S256": "AAAA"}),
            json!({"jwk": {}}),
        ] {
            assert!(matches!(binding(&cnf), Err(Refusal::BindingRequired { .. })), "{cnf}");
        }
    }
}
