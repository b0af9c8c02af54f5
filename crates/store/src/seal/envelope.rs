//! The envelope: version byte, key identifier, nonce, ciphertext with tag.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use zeroize::Zeroizing;

use super::{KeyId, KeyRing, SealingKey};
use crate::key::push_prefixed;

const VERSION: u8 = 1;
const TAG_LEN: usize = 16;

/// Seals and opens for one purpose.
///
/// AES-256-GCM-SIV (RFC 8452) under a key that HKDF-SHA256 (RFC 5869) derives from the ring's key for this
/// purpose, with a random nonce. Purpose, key identifier and the caller's associated data are
/// authenticated: what was sealed for one place opens at no other.
pub struct Sealer {
    purpose: String,
    keys: RwLock<Arc<PurposeKeys>>,
}

/// The ring's keys, made for one purpose.
struct PurposeKeys {
    first: PurposeKey,
    others: Vec<PurposeKey>,
}

/// What was in the envelope.
pub struct Opened {
    /// The content; zeroed when dropped.
    pub plaintext: Zeroizing<Vec<u8>>,
    /// An old key sealed it: seal it anew at the next chance.
    pub needs_reseal: bool,
}

/// Why an envelope does not open. Treat it as if there were none, and tell the audit trail.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Too short to be an envelope.
    #[error("the sealed value is cut off: {bytes} bytes")]
    Truncated {
        /// How many bytes there are.
        bytes: usize,
    },

    /// Another version of the format, or no envelope at all.
    #[error("the sealed value has format version {version}, this program knows version 1")]
    UnknownVersion {
        /// The first byte.
        version: u8,
    },

    /// Sealed with a key that is not in the ring.
    #[error("the sealed value needs key {id}, which is not in the key ring; add the key that it was sealed with")]
    UnknownKey {
        /// The key's identifier.
        id: KeyId,
    },

    /// Changed, moved to another place, or sealed for another purpose.
    #[error("the sealed value was changed, or it was sealed for another place or purpose")]
    NotAuthentic,

    /// The cryptographic library failed, such as for want of random numbers.
    #[error("the cryptographic library failed")]
    Crypto,
}

/// A key of the ring, made for one purpose.
struct PurposeKey {
    id: KeyId,
    key: RandomizedNonceKey,
}

// === impl Sealer ===

impl Sealer {
    /// A sealer for `purpose`, such as `"session"`. The keys are derived here, once.
    ///
    /// # Errors
    /// [`SealError::Crypto`].
    pub fn new(ring: &KeyRing, purpose: &str) -> Result<Self, SealError> {
        Ok(Self {
            purpose: purpose.to_owned(),
            keys: RwLock::new(Arc::new(PurposeKeys::derive(ring, purpose)?)),
        })
    }

    /// Takes over another ring, from the next call on: its first key seals, all of its keys open.
    ///
    /// # Errors
    /// [`SealError::Crypto`]; the keys of before stay then.
    pub fn rekey(&self, ring: &KeyRing) -> Result<(), SealError> {
        let keys = Arc::new(PurposeKeys::derive(ring, &self.purpose)?);
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
        Ok(())
    }

    fn keys(&self) -> Arc<PurposeKeys> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Seals `plaintext` for the place that `aad` names, such as the session's key.
    ///
    /// # Errors
    /// [`SealError::Crypto`].
    pub fn seal(&self, aad: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, SealError> {
        let keys = self.keys();
        let key = &keys.first;
        let mut content = Vec::with_capacity(plaintext.len() + TAG_LEN);
        content.extend_from_slice(plaintext);
        let nonce = key
            .key
            .seal_in_place_append_tag(self.associated_data(key.id, aad), &mut content)
            .map_err(|_| SealError::Crypto)?;

        let mut sealed = Vec::with_capacity(1 + 4 + NONCE_LEN + content.len());
        sealed.push(VERSION);
        sealed.extend_from_slice(key.id.as_bytes());
        sealed.extend_from_slice(nonce.as_ref());
        sealed.append(&mut content);
        Ok(sealed)
    }

    /// Opens what [`seal`](Self::seal) made for the same purpose and the same `aad`.
    ///
    /// # Errors
    /// See [`SealError`]. There is no other format to fall back to.
    pub fn open(&self, aad: &[u8], sealed: &[u8]) -> Result<Opened, SealError> {
        let truncated = || SealError::Truncated { bytes: sealed.len() };
        let (version, rest) = sealed.split_first().ok_or_else(truncated)?;
        if *version != VERSION {
            return Err(SealError::UnknownVersion { version: *version });
        }
        let (id, rest) = rest.split_first_chunk::<4>().ok_or_else(truncated)?;
        let (nonce, content) = rest.split_first_chunk::<NONCE_LEN>().ok_or_else(truncated)?;
        if content.len() < TAG_LEN {
            return Err(truncated());
        }

        let id = KeyId::from_bytes(*id);
        let keys = self.keys();
        let (key, needs_reseal) = keys.find(id).ok_or(SealError::UnknownKey { id })?;
        let mut plaintext = Zeroizing::new(content.to_vec());
        let length = key
            .key
            .open_in_place(Nonce::from(nonce), self.associated_data(id, aad), &mut plaintext)
            .map_err(|_| SealError::NotAuthentic)?
            .len();
        plaintext.truncate(length);
        Ok(Opened {
            plaintext,
            needs_reseal,
        })
    }

    /// The key that sealed this, by its name; nothing is opened. The first five bytes are enough.
    #[must_use]
    pub fn key_of(sealed: &[u8]) -> Option<KeyId> {
        let (version, rest) = sealed.split_first()?;
        let (id, _) = rest.split_first_chunk::<4>()?;
        (*version == VERSION).then(|| KeyId::from_bytes(*id))
    }

    /// Each part with its length in front: no two places have the same associated data.
    fn associated_data(&self, id: KeyId, aad: &[u8]) -> Aad<Vec<u8>> {
        let mut data = Vec::with_capacity(64 + self.purpose.len() + aad.len());
        data.push(VERSION);
        push_prefixed(&mut data, self.purpose.as_bytes());
        push_prefixed(&mut data, id.as_bytes());
        push_prefixed(&mut data, aad);
        Aad::from(data)
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer")
            .field("purpose", &self.purpose)
            .field("seals_with", &self.keys().first.id)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened")
            .field("plaintext", &"[redacted]")
            .field("needs_reseal", &self.needs_reseal)
            .finish()
    }
}

// === impl SealError ===

impl SealError {
    /// A stable name for this kind of failure.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Truncated { .. } => "seal.truncated",
            Self::UnknownVersion { .. } => "seal.unknown_version",
            Self::UnknownKey { .. } => "seal.unknown_key",
            Self::NotAuthentic => "seal.not_authentic",
            Self::Crypto => "seal.crypto",
        }
    }
}

// === impl PurposeKeys ===

impl PurposeKeys {
    fn derive(ring: &KeyRing, purpose: &str) -> Result<Self, SealError> {
        let mut keys = ring.iter().map(|key| PurposeKey::derive(key, purpose));
        Ok(Self {
            first: keys.next().ok_or(SealError::Crypto)??,
            others: keys.collect::<Result<_, _>>()?,
        })
    }

    fn find(&self, id: KeyId) -> Option<(&PurposeKey, bool)> {
        if self.first.id == id {
            return Some((&self.first, false));
        }
        self.others.iter().find(|key| key.id == id).map(|key| (key, true))
    }
}

// === impl PurposeKey ===

impl PurposeKey {
    fn derive(key: &SealingKey, purpose: &str) -> Result<Self, SealError> {
        // RFC 5869 s3.2: `info` binds the derived key to what it is for.
        let mut info = Vec::new();
        push_prefixed(&mut info, b"portcullis sealing purpose");
        push_prefixed(&mut info, purpose.as_bytes());

        let mut bytes = Zeroizing::new([0; 32]);
        Salt::new(HKDF_SHA256, b"portcullis sealing v1")
            .extract(key.expose_bytes())
            .expand(&[&info], Len32)
            .and_then(|okm| okm.fill(bytes.as_mut_slice()))
            .map_err(|_| SealError::Crypto)?;
        let derived = RandomizedNonceKey::new(&AES_256_GCM_SIV, bytes.as_slice()).map_err(|_| SealError::Crypto)?;
        Ok(Self {
            id: key.id(),
            key: derived,
        })
    }
}

struct Len32;

impl KeyType for Len32 {
    fn len(&self) -> usize {
        32
    }
}
