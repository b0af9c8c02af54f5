use aws_lc_rs::digest::Digest;
use serde_json::value::RawValue;

use crate::json::{self, Object, Value};
use crate::public_key::unusable;
use crate::{Algorithm, AlgorithmSet, KeyError, PublicKey, Refusal, SharedSecret, pem};

const MAX_SET_BYTES: usize = 512 * 1024;
const MAX_KEYS: usize = 100;
/// At most so many keys are tried for one token.
const MAX_TRIES: usize = 8;

/// The keys of one issuer, parsed once: public ones (RFC 7517 s5) or shared secrets, never both.
#[derive(Debug, Clone, Default)]
pub struct JwkSet {
    keys: Keys,
    unusable: Vec<KeyProblem>,
}

#[derive(Debug, Clone)]
enum Keys {
    Public(Vec<PublicKey>),
    Shared(Vec<SharedSecret>),
}

/// A key of a set that is not used, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyProblem {
    /// Its `kid`, if it has one.
    pub kid: Option<String>,
    /// What is wrong with it.
    pub why: String,
    /// Whether the set gave a private or secret key away, which its owner must replace.
    pub exposed: bool,
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
        let read = document.keys.into_iter().map(|raw| {
            let jwk = json::parse_object(raw.get().into(), 8).map_err(|_| KeyProblem {
                kid: None,
                why: "not one strict JSON object".into(),
                exposed: false,
            })?;
            PublicKey::from_jwk_object(jwk.members()).map_err(|error| KeyProblem::new(kid_of(&jwk), &error))
        });
        let set = JwkSet::public(read);
        let problems = set.unusable.clone();
        Ok((set, problems))
    }

    /// Reads what an operator put into a file: a JWK set, one JWK, or a PEM text of any number of blocks
    /// (`PUBLIC KEY`, `RSA PUBLIC KEY`, `CERTIFICATE`). Every key of it is trusted, that of a CA in a chain too.
    ///
    /// Keys of a PEM text have no `kid`: a token may call them by any. What cannot be used is reported, as by
    /// [`JwkSet::parse`].
    ///
    /// # Errors
    /// [`KeyError`] when it is none of these, or when no key of it can be used.
    pub fn from_local(file: &[u8]) -> Result<(JwkSet, Vec<KeyProblem>), KeyError> {
        const FORM: KeyError = KeyError::Unreadable {
            form: "a JWK set, a JWK or a PEM text with public keys",
        };
        if file.len() > MAX_SET_BYTES {
            return Err(FORM);
        }
        let text = std::str::from_utf8(file).map_err(|_| FORM)?;
        let set = if !text.trim_start().starts_with('{') {
            let blocks = pem::blocks(text)?;
            if blocks.len() > MAX_KEYS {
                return Err(KeyError::Count {
                    limit: MAX_KEYS,
                    found: blocks.len(),
                });
            }
            JwkSet::public(
                blocks
                    .iter()
                    .map(|block| PublicKey::from_pem_block(block).map_err(|error| KeyProblem::new(None, &error))),
            )
        } else if let Ok((set, _)) = JwkSet::parse(file) {
            set
        } else {
            JwkSet::from_keys([PublicKey::from_jwk(file)?])
        };
        if set.is_empty() {
            let problems: Vec<String> = set.unusable.iter().map(KeyProblem::to_string).collect();
            return Err(unusable(format!("no key of it can be used: [{}]", problems.join("; "))));
        }
        let problems = set.unusable.clone();
        Ok((set, problems))
    }

    /// A set of these keys. Keys that cannot be told apart are left out, as by [`JwkSet::parse`].
    #[must_use]
    pub fn from_keys(keys: impl IntoIterator<Item = PublicKey>) -> JwkSet {
        JwkSet::public(keys.into_iter().map(Ok))
    }

    /// A set of secrets that the configuration names, for an issuer that signs with HS256, HS384 or HS512. It holds
    /// no public key: one issuer has one kind.
    ///
    /// # Errors
    /// [`KeyError::Count`] unless there are one to eight, [`KeyError::SameKid`] when two have one `kid`.
    pub fn shared_secrets(secrets: impl IntoIterator<Item = SharedSecret>) -> Result<JwkSet, KeyError> {
        let secrets: Vec<SharedSecret> = secrets.into_iter().collect();
        if secrets.is_empty() || secrets.len() > MAX_TRIES {
            return Err(KeyError::Count {
                limit: MAX_TRIES,
                found: secrets.len(),
            });
        }
        for (i, secret) in secrets.iter().enumerate() {
            if let Some(kid) = secret.kid()
                && secrets.iter().skip(i + 1).any(|other| other.kid() == Some(kid))
            {
                return Err(KeyError::SameKid(kid.to_owned()));
            }
        }
        Ok(JwkSet {
            keys: Keys::Shared(secrets),
            unusable: Vec::new(),
        })
    }

    fn public(read: impl Iterator<Item = Result<PublicKey, KeyProblem>>) -> JwkSet {
        let (mut keys, mut unusable) = (Vec::new(), Vec::new());
        for key in read {
            match key {
                Ok(key) => keys.push(key),
                Err(problem) => unusable.push(problem),
            }
        }
        let keys = without_collisions(keys, &mut unusable);
        JwkSet {
            keys: Keys::Public(keys),
            unusable,
        }
    }

    /// How many keys can be used.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.keys {
            Keys::Public(keys) => keys.len(),
            Keys::Shared(secrets) => secrets.len(),
        }
    }

    /// Whether no key can be used.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The public keys that can be used; none for a set of secrets.
    #[must_use]
    pub fn public_keys(&self) -> &[PublicKey] {
        match &self.keys {
            Keys::Public(keys) => keys,
            Keys::Shared(_) => &[],
        }
    }

    /// The `kid`s of the public keys that can be used.
    pub fn kids(&self) -> impl Iterator<Item = Option<&str>> {
        self.public_keys().iter().map(PublicKey::kid)
    }

    /// RFC 7638 thumbprints of the public keys that can be used.
    pub fn thumbprints(&self) -> impl Iterator<Item = &str> {
        self.public_keys().iter().map(PublicKey::thumbprint)
    }

    /// The algorithms that keys of this kind can ever be used with: asymmetric ones or symmetric ones, never both.
    #[must_use]
    pub fn algorithms_of_kind(&self) -> AlgorithmSet {
        match &self.keys {
            Keys::Public(_) => AlgorithmSet::asymmetric(),
            Keys::Shared(_) => AlgorithmSet::symmetric(),
        }
    }

    /// Checks the signature with the key that `kid` names, or without a `kid` with each key that fits the algorithm.
    pub(crate) fn check(&self, kid: Option<&str>, algorithm: Algorithm, signed: &Signed<'_>) -> Result<(), Refusal> {
        let verified = match &self.keys {
            Keys::Public(keys) => first_of(
                keys.iter().filter(|key| key.answers_to(kid) && key.fits(algorithm)),
                |key| key.verify(algorithm, signed.part, signed.sha256, signed.signature),
            ),
            Keys::Shared(secrets) => first_of(
                secrets
                    .iter()
                    .filter(|secret| secret.answers_to(kid) && secret.algorithm() == algorithm),
                |secret| secret.verify(signed.part, signed.signature),
            ),
        };
        match verified {
            Some(true) => Ok(()),
            Some(false) => Err(Refusal::SignatureInvalid),
            None => Err(self.no_key(kid, algorithm)),
        }
    }

    /// Why no key was tried.
    fn no_key(&self, kid: Option<&str>, algorithm: Algorithm) -> Refusal {
        let Some(kid) = kid else {
            return Refusal::UnknownKid { kid: "(none)".into() };
        };
        let other = match &self.keys {
            Keys::Public(keys) => keys
                .iter()
                .find(|key| key.answers_to(Some(kid)))
                .map(PublicKey::algorithms),
            Keys::Shared(secrets) => secrets
                .iter()
                .find(|secret| secret.answers_to(Some(kid)))
                .map(|secret| AlgorithmSet::of(&[secret.algorithm()])),
        };
        if let Some(expected) = other {
            return Refusal::AlgorithmKeyMismatch {
                kid: kid.into(),
                expected: expected.to_string(),
                found: algorithm.name().into(),
            };
        }
        match self.unusable.iter().find(|problem| problem.kid.as_deref() == Some(kid)) {
            Some(problem) => Refusal::KeyUnusable {
                kid: kid.into(),
                why: problem.why.clone(),
            },
            None => Refusal::UnknownKid { kid: kid.into() },
        }
    }
}

impl Default for Keys {
    fn default() -> Keys {
        Keys::Public(Vec::new())
    }
}

impl KeyProblem {
    fn new(kid: Option<String>, error: &KeyError) -> KeyProblem {
        KeyProblem {
            kid,
            why: error.to_string(),
            exposed: matches!(error, KeyError::Private { .. }),
        }
    }
}

/// What was signed, its digest, and the signature.
pub(crate) struct Signed<'a> {
    pub(crate) part: &'a [u8],
    pub(crate) sha256: &'a Digest,
    pub(crate) signature: &'a [u8],
}

/// `None` when there is no candidate, else whether one of the first eight verifies.
fn first_of<T>(candidates: impl Iterator<Item = T>, mut verifies: impl FnMut(T) -> bool) -> Option<bool> {
    let mut outcome = None;
    for candidate in candidates.take(MAX_TRIES) {
        if verifies(candidate) {
            return Some(true);
        }
        outcome = Some(false);
    }
    outcome
}

/// Of two different keys under one name for one algorithm, neither can be told to be the one meant. The same key
/// twice is one, unless the second is for more algorithms.
fn without_collisions(keys: Vec<PublicKey>, unusable: &mut Vec<KeyProblem>) -> Vec<PublicKey> {
    let mut colliding = vec![false; keys.len()];
    let mut repeated = vec![false; keys.len()];
    for (i, a) in keys.iter().enumerate() {
        for (j, b) in keys.iter().enumerate().skip(i + 1) {
            if a.kid() != b.kid() || a.algorithms().and(b.algorithms()).is_empty() {
                continue;
            }
            if a.thumbprint() == b.thumbprint() {
                let nothing_new = a.algorithms().and(b.algorithms()) == b.algorithms();
                repeated.get_mut(j).into_iter().for_each(|flag| *flag |= nothing_new);
            } else if a.kid().is_some() {
                for index in [i, j] {
                    colliding.get_mut(index).into_iter().for_each(|flag| *flag = true);
                }
            }
        }
    }
    let mut good = Vec::with_capacity(keys.len());
    for ((key, colliding), repeated) in keys.into_iter().zip(colliding).zip(repeated) {
        if colliding {
            unusable.push(KeyProblem {
                kid: key.kid().map(str::to_owned),
                why: "another key of the set has the same kid".into(),
                exposed: false,
            });
        } else if !repeated {
            good.push(key);
        }
    }
    good
}

fn kid_of(jwk: &Object) -> Option<String> {
    jwk.get("kid").and_then(Value::as_str).map(str::to_owned)
}

#[cfg(test)]
#[path = "jwk_tests.rs"]
mod tests;
