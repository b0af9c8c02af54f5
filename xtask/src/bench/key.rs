//! The key and the token of a benchmark, made by the `openssl` program: nothing of ours signs what ours checks.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::sh::{self, Failure, Outcome};

/// An RSA key pair on file.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) private: PathBuf,
    pub(super) public_pem: PathBuf,
    modulus: Vec<u8>,
}

const KID: &str = "bench-1";

// === impl Key ===

impl Key {
    /// Makes a new pair of 2,048 bits in a directory.
    pub(super) fn make(directory: &Path) -> Outcome<Self> {
        let private = directory.join("key.pem");
        let public_pem = directory.join("key.pub.pem");
        sh::capture(
            Command::new("openssl")
                .args([
                    "genpkey",
                    "-quiet",
                    "-algorithm",
                    "RSA",
                    "-pkeyopt",
                    "rsa_keygen_bits:2048",
                    "-out",
                ])
                .arg(&private),
        )?;
        sh::capture(
            Command::new("openssl")
                .args(["rsa", "-pubout", "-in"])
                .arg(&private)
                .arg("-out")
                .arg(&public_pem),
        )?;
        let said = sh::capture(
            Command::new("openssl")
                .args(["rsa", "-noout", "-modulus", "-in"])
                .arg(&private),
        )?;
        let modulus = said.trim().strip_prefix("Modulus=").and_then(hex);
        let modulus = modulus.ok_or_else(|| Failure::new("openssl did not tell the modulus"))?;
        Ok(Self {
            private,
            public_pem,
            modulus,
        })
    }

    /// The key set that a provider publishes.
    pub(super) fn jwks(&self) -> Value {
        json!({ "keys": [{
            "kty": "RSA", "use": "sig", "alg": "RS256", "kid": KID, "n": base64url(&self.modulus), "e": "AQAB",
        }] })
    }

    /// An RS256 access token.
    pub(super) fn sign(&self, claims: &Value) -> Outcome<String> {
        let header = json!({ "alg": "RS256", "typ": "at+jwt", "kid": KID });
        let mut token = format!(
            "{}.{}",
            base64url(header.to_string().as_bytes()),
            base64url(claims.to_string().as_bytes())
        );
        let mut child = Command::new("openssl")
            .args(["dgst", "-sha256", "-sign"])
            .arg(&self.private)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        if let Some(mut input) = child.stdin.take() {
            input.write_all(token.as_bytes())?;
        }
        let out = child.wait_with_output()?;
        if !out.status.success() || out.stdout.is_empty() {
            return Err(Failure::new("openssl did not sign"));
        }
        token.push('.');
        token.push_str(&base64url(&out.stdout));
        Ok(token)
    }
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

fn base64url(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for at in 0..=chunk.len() {
            let six = word >> (18 - 6 * at) & 63;
            out.extend(LETTERS.get(six as usize).map(|letter| char::from(*letter)));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64url_as_in_rfc_4648() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg"),
            ("fo", "Zm8"),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg"),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64url(bytes.as_bytes()), text);
        }
        assert_eq!(base64url(&[0xfb, 0xff]), "-_8");
    }

    #[test]
    fn hex_is_read_in_pairs() {
        assert_eq!(hex("00FF1a"), Some(vec![0, 255, 26]));
        assert_eq!(hex("zz"), None);
    }
}
