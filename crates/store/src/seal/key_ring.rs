//! Sealing keys and the ring that they rotate in.

use std::fmt;
use std::path::{Path, PathBuf};

use portcullis_jose::{base64url_decode, base64url_encode, random_array};
use zeroize::{Zeroize as _, Zeroizing};

use super::key_file;
use crate::key::labelled_hash;

/// A key of 32 random bytes. It prints as its identifier and is zeroed when dropped.
pub struct SealingKey {
    id: KeyId,
    bytes: Zeroizing<[u8; 32]>,
}

/// Names a sealing key without telling anything about it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyId([u8; 4]);

/// The keys in use: the first one seals, all of them open.
///
/// To rotate, put a new key first and leave the old one in the ring until everything that it sealed
/// has expired or was sealed anew ([`Opened::needs_reseal`](super::Opened::needs_reseal)).
#[derive(Debug)]
pub struct KeyRing {
    first: SealingKey,
    others: Vec<SealingKey>,
}

/// Why there is no key ring.
///
/// No message holds a key or a part of one.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyRingError {
    /// A ring needs a key that seals.
    #[error("there is no sealing key; make one with: openssl rand -hex 32")]
    Empty,

    /// A key's text is not a key.
    #[error(
        "a sealing key is 32 random bytes, as 64 hexadecimal digits or 43 characters of base64url; \
         {problem}; make one with: openssl rand -hex 32"
    )]
    MalformedKey {
        /// What is wrong with it.
        problem: &'static str,
    },

    /// The same key twice.
    #[error("the sealing key {id} is in the ring twice; remove one of the two")]
    DuplicateKey {
        /// The key's identifier.
        id: KeyId,
    },

    /// The file cannot be read or written.
    #[error("{path}: {cause}; {fix}", path = .path.display())]
    File {
        /// The key file.
        path: PathBuf,
        /// What went wrong.
        cause: String,
        /// What to do.
        fix: &'static str,
    },

    /// A line of the file is not a key.
    #[error("{path}:{line}: {error}", path = .path.display())]
    Line {
        /// The key file.
        path: PathBuf,
        /// The line's number, from 1.
        line: usize,
        /// What is wrong with it.
        error: Box<KeyRingError>,
    },

    /// Others than the owner may use the file.
    #[error("{path}: the file's mode is {mode:04o}, others than its owner can use the keys; run: chmod 600 '{path}'", path = .path.display())]
    InsecureFile {
        /// The key file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
}

// === impl SealingKey ===

impl SealingKey {
    /// A new random key.
    #[must_use]
    pub fn generate() -> Self {
        Self::from_bytes(random_array())
    }

    /// A key from its text: 64 hexadecimal digits, or base64url without padding.
    ///
    /// # Errors
    /// [`KeyRingError::MalformedKey`] when it is neither, or is no random key.
    pub fn parse(text: &str) -> Result<Self, KeyRingError> {
        let text = text.trim();
        let decoded = match text.len() {
            64 => decode_hex(text),
            43 => base64url_decode(text),
            _ => return Err(malformed("this text has another length")),
        };
        let decoded = Zeroizing::new(decoded.ok_or_else(|| malformed("this text has another character in it"))?);
        let mut bytes =
            <[u8; 32]>::try_from(decoded.as_slice()).map_err(|_| malformed("this text has another length"))?;
        // A placeholder of an example must not become somebody's key.
        if bytes.iter().all(|byte| Some(byte) == bytes.first()) {
            return Err(malformed("this is one byte, repeated"));
        }
        let key = Self::from_bytes(bytes);
        bytes.zeroize();
        Ok(key)
    }

    /// The key's identifier.
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.id
    }

    pub(super) fn expose_bytes(&self) -> &[u8; 32] {
        &self.bytes
    }

    pub(super) fn to_text(&self) -> Zeroizing<String> {
        Zeroizing::new(base64url_encode(self.bytes.as_slice()))
    }

    fn from_bytes(bytes: [u8; 32]) -> Self {
        let [a, b, c, d, ..] = labelled_hash("portcullis sealing key id", &[&bytes]);
        Self {
            id: KeyId([a, b, c, d]),
            bytes: Zeroizing::new(bytes),
        }
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealingKey({})", self.id)
    }
}

// === impl KeyId ===

impl KeyId {
    pub(super) fn from_bytes(bytes: [u8; 4]) -> Self {
        Self(bytes)
    }

    /// The identifier's bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 4] {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d] = self.0;
        write!(f, "{a:02x}{b:02x}{c:02x}{d:02x}")
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

// === impl KeyRing ===

impl KeyRing {
    /// A ring of these keys; the first one seals.
    ///
    /// # Errors
    /// [`KeyRingError::Empty`] and [`KeyRingError::DuplicateKey`].
    pub fn from_keys(keys: Vec<SealingKey>) -> Result<Self, KeyRingError> {
        let mut keys = keys.into_iter();
        let mut ring = Self {
            first: keys.next().ok_or(KeyRingError::Empty)?,
            others: Vec::new(),
        };
        for key in keys {
            if ring.iter().any(|known| known.id == key.id) {
                return Err(KeyRingError::DuplicateKey { id: key.id });
            }
            ring.others.push(key);
        }
        Ok(ring)
    }

    /// The ring in a file; where there is no such file, one is made with a new key.
    ///
    /// One key in a line, the first one seals; empty lines and lines that begin with `#` are skipped.
    /// The file is made for its owner alone, and refused if others may use it.
    ///
    /// # Errors
    /// See [`KeyRingError`].
    pub fn load_or_create(path: impl AsRef<Path>) -> Result<Self, KeyRingError> {
        key_file::load_or_create(path.as_ref())
    }

    /// The identifiers of the keys, that of the sealing one first.
    pub fn key_ids(&self) -> impl Iterator<Item = KeyId> + '_ {
        self.iter().map(SealingKey::id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &SealingKey> {
        std::iter::once(&self.first).chain(&self.others)
    }
}

// === impl KeyRingError ===

impl KeyRingError {
    /// A stable name for this kind of failure.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty => "keyring.empty",
            Self::MalformedKey { .. } => "keyring.malformed_key",
            Self::DuplicateKey { .. } => "keyring.duplicate_key",
            Self::File { .. } => "keyring.file",
            Self::Line { error, .. } => error.code(),
            Self::InsecureFile { .. } => "keyring.insecure_file",
        }
    }
}

fn malformed(problem: &'static str) -> KeyRingError {
    KeyRingError::MalformedKey { problem }
}

fn decode_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    text.as_bytes()
        .chunks_exact(2)
        .map(|pair| match pair {
            [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F";
    const BASE64URL: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

    #[test]
    fn hex_and_base64url_are_the_same_key() {
        let hex = SealingKey::parse(HEX).unwrap();
        let base64url = SealingKey::parse(&format!("{BASE64URL}\n")).unwrap();
        assert_eq!(hex.expose_bytes(), base64url.expose_bytes());
        assert_eq!(hex.id(), base64url.id());
        assert_eq!(hex.to_text().as_str(), BASE64URL);
    }

    #[test]
    fn what_is_no_random_key_is_refused() {
        for text in [
            "",
            "correct horse battery staple",
            &HEX[..62],
            &HEX.replace('0', "g"),
            &BASE64URL.replace('A', "+"),
            &"0".repeat(64),
            &"ab".repeat(32),
            // Not canonical: the last character has bits that no byte takes.
            &BASE64URL.replace("h8", "h9"),
        ] {
            assert_eq!(
                SealingKey::parse(text).unwrap_err().code(),
                "keyring.malformed_key",
                "{text}"
            );
        }
    }

    #[test]
    fn an_error_never_shows_the_key() {
        let text = HEX.replace('0', "g");
        let error = SealingKey::parse(&text).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("1112131415"));
    }

    #[test]
    fn debug_shows_the_identifier_alone() {
        let key = SealingKey::parse(HEX).unwrap();
        assert_eq!(format!("{key:?}"), format!("SealingKey({})", key.id()));
        assert_ne!(key.id().as_bytes(), &[0, 1, 2, 3]);
        let ring = KeyRing::from_keys(vec![key]).unwrap();
        assert!(!format!("{ring:?}").contains("16, 17"));
    }

    #[test]
    fn a_ring_has_a_key_and_none_twice() {
        assert_eq!(KeyRing::from_keys(vec![]).unwrap_err(), KeyRingError::Empty);
        let twice = vec![SealingKey::parse(HEX).unwrap(), SealingKey::parse(BASE64URL).unwrap()];
        assert_eq!(KeyRing::from_keys(twice).unwrap_err().code(), "keyring.duplicate_key");
        let two = vec![SealingKey::parse(HEX).unwrap(), SealingKey::generate()];
        let first = two[0].id();
        let ring = KeyRing::from_keys(two).unwrap();
        assert_eq!(ring.key_ids().next(), Some(first));
        assert_eq!(ring.key_ids().count(), 2);
    }
}
