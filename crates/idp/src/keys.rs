use std::sync::{Mutex, PoisonError, RwLock};

use portcullis_jose::{
    Algorithm, AlgorithmSet, Claims, JwkSet, Limits, SignError, SigningKey, UnverifiedJws, Verified, base64url_encode,
    random_token,
};
use serde_json::{Value, json};

use crate::dev::RotateHow;

/// How many former keys stay published at most.
const FORMER_KEYS: usize = 4;

/// The provider's keys: the one that signs, and those that are published beside it.
#[derive(Debug)]
pub(crate) struct Keys {
    algorithm: Algorithm,
    ring: RwLock<Ring>,
    /// Never published. Signs what must not be accepted; made when it is first needed.
    foreign: Mutex<Option<SigningKey>>,
}

#[derive(Debug)]
struct Ring {
    current: SigningKey,
    former: Vec<SigningKey>,
}

/// How a token is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signing {
    Sound,
    /// By a key that is not published, under the `kid` of the one that is.
    ForeignKey,
    /// By our key, under a `kid` that is not published.
    UnknownKid,
    /// By our key, but over claims with another `jti`.
    Altered,
    /// `alg: none`
    None,
}

impl Keys {
    pub(crate) fn new(current: SigningKey) -> Keys {
        let algorithm = current.algorithm();
        Keys {
            algorithm,
            ring: RwLock::new(Ring {
                current,
                former: Vec::new(),
            }),
            foreign: Mutex::new(None),
        }
    }

    pub(crate) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The JWK set (RFC 7517 s5).
    pub(crate) fn published(&self) -> Value {
        let ring = self.ring.read().unwrap_or_else(PoisonError::into_inner);
        let keys: Vec<Value> = std::iter::once(&ring.current)
            .chain(&ring.former)
            .map(SigningKey::public_jwk)
            .collect();
        json!({ "keys": keys })
    }

    /// Signs from now on with a new key. Slow for RSA.
    pub(crate) fn rotate(&self, how: RotateHow) -> Result<(), SignError> {
        let next = SigningKey::generate(self.algorithm)?;
        let mut ring = self.ring.write().unwrap_or_else(PoisonError::into_inner);
        let next = match how {
            RotateHow::SameName => next.with_kid(ring.current.kid().to_owned()),
            RotateHow::Overlap | RotateHow::DropOld => next,
        };
        let former = std::mem::replace(&mut ring.current, next);
        match how {
            RotateHow::Overlap => {
                ring.former.insert(0, former);
                ring.former.truncate(FORMER_KEYS);
            }
            RotateHow::DropOld | RotateHow::SameName => ring.former.clear(),
        }
        Ok(())
    }

    pub(crate) fn sign(&self, typ: &str, claims: &Value, how: Signing) -> Result<String, SignError> {
        let current = self.ring.read().unwrap_or_else(PoisonError::into_inner).current.clone();
        match how {
            Signing::Sound => current.sign_jwt(typ, claims),
            Signing::ForeignKey => self.foreign()?.with_kid(current.kid().to_owned()).sign_jwt(typ, claims),
            Signing::UnknownKid => current.with_kid(random_token(16)).sign_jwt(typ, claims),
            Signing::Altered => {
                let sound = current.sign_jwt(typ, claims)?;
                let mut altered = claims.clone();
                if let Some(members) = altered.as_object_mut() {
                    members.insert("jti".into(), random_token(16).into());
                }
                let altered = base64url_encode(altered.to_string().as_bytes());
                let mut parts = sound.splitn(3, '.');
                let (header, _, signature) = (parts.next(), parts.next(), parts.next());
                Ok(format!(
                    "{}.{altered}.{}",
                    header.unwrap_or_default(),
                    signature.unwrap_or_default()
                ))
            }
            Signing::None => {
                let header = json!({ "alg": "none", "typ": typ }).to_string();
                let payload = claims.to_string();
                Ok(format!(
                    "{}.{}.",
                    base64url_encode(header.as_bytes()),
                    base64url_encode(payload.as_bytes())
                ))
            }
        }
    }

    /// The claims of a token that this provider signed and whose key is still published.
    pub(crate) fn verify(&self, token: &str) -> Option<Verified<Claims>> {
        let (keys, _) = JwkSet::parse(self.published().to_string().as_bytes()).ok()?;
        UnverifiedJws::parse(token, &Limits::default())
            .ok()?
            .verify(&keys, AlgorithmSet::of(&[self.algorithm]))
            .ok()
    }

    fn foreign(&self) -> Result<SigningKey, SignError> {
        let mut foreign = self.foreign.lock().unwrap_or_else(PoisonError::into_inner);
        match &*foreign {
            Some(key) => Ok(key.clone()),
            None => Ok(foreign.insert(SigningKey::generate(self.algorithm)?).clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> Keys {
        Keys::new(SigningKey::generate(Algorithm::ES256).unwrap())
    }

    #[test]
    fn only_sound_signatures_verify() {
        let keys = keys();
        let sign = |how| keys.sign("JWT", &json!({ "sub": "a" }), how).unwrap();
        assert_eq!(keys.verify(&sign(Signing::Sound)).unwrap().str("sub"), Some("a"));
        for how in [
            Signing::ForeignKey,
            Signing::UnknownKid,
            Signing::Altered,
            Signing::None,
        ] {
            assert!(keys.verify(&sign(how)).is_none(), "{how:?}");
        }
    }

    #[test]
    fn a_foreign_signature_names_the_published_key() {
        let keys = keys();
        let token = keys.sign("JWT", &json!({}), Signing::ForeignKey).unwrap();
        let jws = UnverifiedJws::parse(&token, &Limits::default()).unwrap();
        assert_eq!(jws.header().kid().unwrap(), keys.published()["keys"][0]["kid"].as_str());
    }

    #[test]
    fn rotation_keeps_or_drops_the_former_key() {
        let keys = keys();
        let token = keys.sign("JWT", &json!({}), Signing::Sound).unwrap();
        keys.rotate(RotateHow::Overlap).unwrap();
        assert_eq!(keys.published()["keys"].as_array().unwrap().len(), 2);
        assert!(keys.verify(&token).is_some());
        keys.rotate(RotateHow::DropOld).unwrap();
        assert_eq!(keys.published()["keys"].as_array().unwrap().len(), 1);
        assert!(keys.verify(&token).is_none());
        let (published, token) = (keys.published(), keys.sign("JWT", &json!({}), Signing::Sound).unwrap());
        keys.rotate(RotateHow::SameName).unwrap();
        assert_eq!(keys.published()["keys"][0]["kid"], published["keys"][0]["kid"]);
        assert!(keys.verify(&token).is_none());
    }
}
