//! The keys of the corpus: those that the issuers publish, and those of whoever attacks.

use std::sync::OnceLock;

use aws_lc_rs::encoding::{AsBigEndian, AsDer, EcPrivateKeyBin, PublicKeyX509Der};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{self as aws, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portcullis_jose::{base64url_encode, sha256};
use serde_json::{Value, json};

use super::number;

/// An RSA key that is too small for any library to make or sign with.
const SMALL_N: &str = "9786ef6e52eb4b98b45769ac3f4fdbbf8a8f10f1c39eed1cdaffd164b1798179ba5af9ee96f5e98966776bacb6f541f221bc5d2d8831423f89762393a13b78ee7b2c2e111fbb0e6df890c2a01b0f86e032e495fbd2b1744f8f32bcaf434ec98cc0954108cee13127c4601e7e874756a27d1621cd84e3af3ae95ccdb6c90007fb";
const SMALL_D: &str = "63960b4636b8edb62ed0446330390bf396dcf005f4cb3e8af863a8fac4a956aeea0b60b7adff70bd1cdadfa963954d0215a9f693362f299b187ccc64fa525be75da5f8248fe4c5e2b47fdf2cfb15e363e015754b0b4e4b420ebd31deea47a706f7b99029cede8f86ac068e8fc530e1330a39d6986a3e2bb4af5828123bbc2c01";

/// The start of a SHA-256 `DigestInfo` (RFC 8017 s9.2, note 1).
const SHA256_INFO: [u8; 19] = [
    0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20,
];

pub(super) struct Key {
    /// By which entries name it.
    pub(super) name: &'static str,
    /// The public half, as it is published.
    pub(super) jwk: Value,
    /// What it signs with where an entry does not say.
    pub(super) algorithm: &'static str,
    private: Private,
}

enum Private {
    Rsa(RsaKeyPair),
    /// Modulus and private exponent.
    SmallRsa(Vec<u8>, Vec<u8>),
    /// A modulus with the public exponent 1: whoever knows the message can sign.
    ExponentOne(Vec<u8>),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
    Secret(Vec<u8>),
}

pub(super) struct Keys {
    /// Of the first issuer.
    pub(super) a: Vec<Key>,
    /// Of the second issuer.
    pub(super) b: Vec<Key>,
    /// The attacker's: an RSA key, and one for each curve.
    pub(super) attacker: Vec<Key>,
    /// What DPoP proofs are signed with.
    pub(super) dpop: Key,
}

/// Made once: RSA keys take their time.
pub(super) fn keys() -> &'static Keys {
    static KEYS: OnceLock<Keys> = OnceLock::new();
    KEYS.get_or_init(Keys::generate)
}

// === impl Keys ===

impl Keys {
    fn generate() -> Keys {
        let alg = |key: Key| {
            let alg = key.algorithm;
            key.with("alg", alg)
        };
        Keys {
            a: vec![
                alg(Key::rsa("rsa-1")),
                alg(Key::ec("ec-1", "P-256")),
                alg(Key::ed("ed-1")),
                Key::rsa("rsa-noalg"),
                Key::ec("ec-384", "P-384"),
                Key::rsa("rsa-enc").with("use", "enc"),
                Key::small_rsa("rsa-1024"),
                Key::exponent_one("rsa-e1"),
                alg(Key::rsa("dup")),
                alg(Key::rsa("dup#2")).with("kid", "dup"),
                Key::secret("oct-1"),
            ],
            b: vec![alg(Key::rsa("b-1"))],
            attacker: vec![
                Key::rsa("attacker"),
                Key::ec("attacker", "P-256"),
                Key::ec("attacker", "P-384"),
                Key::ed("attacker"),
            ],
            dpop: Key::ec("dpop", "P-256"),
        }
    }

    /// The published key of this name.
    pub(super) fn named(&self, name: &str) -> Option<&Key> {
        self.a.iter().chain(&self.b).find(|key| key.name == name)
    }

    /// The attacker's key for an algorithm.
    pub(super) fn attacker(&self, algorithm: &str) -> &Key {
        let fitting = self.attacker.iter().find(|key| key.signs(algorithm));
        fitting.unwrap_or(&self.attacker[0])
    }
}

/// A key set as a provider publishes it.
pub(super) fn key_set(keys: &[Key]) -> String {
    json!({"keys": keys.iter().map(|key| &key.jwk).collect::<Vec<_>>()}).to_string()
}

// === impl Key ===

impl Key {
    fn new(name: &'static str, algorithm: &'static str, mut jwk: Value, private: Private) -> Key {
        jwk["kid"] = name.into();
        Key {
            name,
            jwk,
            algorithm,
            private,
        }
    }

    fn with(mut self, member: &str, value: &str) -> Key {
        self.jwk[member] = value.into();
        self
    }

    fn rsa(name: &'static str) -> Key {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let n = pair.public_key().modulus().big_endian_without_leading_zero().to_vec();
        let jwk = json!({"kty": "RSA", "n": base64url_encode(&n), "e": "AQAB"});
        Key::new(name, "RS256", jwk, Private::Rsa(pair))
    }

    fn small_rsa(name: &'static str) -> Key {
        let (n, d) = (hex(SMALL_N), hex(SMALL_D));
        let jwk = json!({"kty": "RSA", "n": base64url_encode(&n), "e": "AQAB"});
        Key::new(name, "RS256", jwk, Private::SmallRsa(n, d))
    }

    fn exponent_one(name: &'static str) -> Key {
        let n = Key::rsa(name).modulus();
        let jwk = json!({"kty": "RSA", "n": base64url_encode(&n), "e": "AQ"});
        Key::new(name, "RS256", jwk, Private::ExponentOne(n))
    }

    fn ec(name: &'static str, curve: &str) -> Key {
        let (algorithm, signing) = match curve {
            "P-384" => ("ES384", &aws::ECDSA_P384_SHA384_FIXED_SIGNING),
            _ => ("ES256", &aws::ECDSA_P256_SHA256_FIXED_SIGNING),
        };
        let pair = EcdsaKeyPair::generate(signing).unwrap();
        let point = &pair.public_key().as_ref()[1..];
        let (x, y) = point.split_at(point.len() / 2);
        let jwk = json!({"kty": "EC", "crv": curve, "x": base64url_encode(x), "y": base64url_encode(y)});
        Key::new(name, algorithm, jwk, Private::Ec(pair))
    }

    fn ed(name: &'static str) -> Key {
        let pair = Ed25519KeyPair::generate().unwrap();
        let x = base64url_encode(pair.public_key().as_ref());
        let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": x});
        Key::new(name, "EdDSA", jwk, Private::Ed(pair))
    }

    fn secret(name: &'static str) -> Key {
        let secret: [u8; 32] = portcullis_jose::random_array();
        let jwk = json!({"kty": "oct", "k": base64url_encode(&secret)});
        Key::new(name, "HS256", jwk, Private::Secret(secret.to_vec()))
    }

    /// Whether this key can sign with the algorithm.
    fn signs(&self, algorithm: &str) -> bool {
        match &self.private {
            Private::Rsa(_) => rsa_encoding(algorithm).is_some(),
            Private::SmallRsa(..) | Private::ExponentOne(_) => algorithm == "RS256",
            Private::Ec(_) => algorithm == self.algorithm,
            Private::Ed(_) => matches!(algorithm, "EdDSA" | "Ed25519"),
            Private::Secret(_) => algorithm.starts_with("HS"),
        }
    }

    /// A correct signature: with this algorithm where the key can do it, else with the key's own.
    pub(super) fn sign(&self, algorithm: &str, message: &[u8]) -> Vec<u8> {
        let algorithm = if self.signs(algorithm) {
            algorithm
        } else {
            self.algorithm
        };
        let random = SystemRandom::new();
        match &self.private {
            Private::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                let encoding = rsa_encoding(algorithm).unwrap();
                pair.sign(encoding, &random, message, &mut signature).unwrap();
                signature
            }
            Private::SmallRsa(n, d) => number::pow_mod(&encoded_message(message, n.len()), d, n),
            Private::ExponentOne(n) => encoded_message(message, n.len()),
            Private::Ec(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Private::Ed(pair) => pair.sign(message).as_ref().to_vec(),
            Private::Secret(secret) => mac(algorithm, secret, message),
        }
    }

    /// The modulus of an RSA key.
    pub(super) fn modulus(&self) -> Vec<u8> {
        match &self.private {
            Private::Rsa(pair) => pair.public_key().modulus().big_endian_without_leading_zero().to_vec(),
            Private::SmallRsa(n, _) | Private::ExponentOne(n) => n.clone(),
            _ => panic!("{} is no RSA key", self.name),
        }
    }

    /// The public half as `SubjectPublicKeyInfo`.
    pub(super) fn spki(&self) -> Vec<u8> {
        let der = match &self.private {
            Private::Rsa(pair) => AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key()),
            Private::Ec(pair) => AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key()),
            Private::Ed(pair) => AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key()),
            _ => panic!("{} has no SPKI here", self.name),
        };
        der.unwrap().as_ref().to_vec()
    }

    /// The public half of an RSA key as `RSAPublicKey` (RFC 8017 sA.1.1).
    pub(super) fn pkcs1(&self) -> Vec<u8> {
        match &self.private {
            Private::Rsa(pair) => pair.public_key().as_ref().to_vec(),
            _ => panic!("{} is no RSA key", self.name),
        }
    }

    /// The public half without what is only about its use.
    pub(super) fn bare_jwk(&self) -> Value {
        let mut jwk = self.jwk.clone();
        for member in ["kid", "alg", "use"] {
            jwk.as_object_mut().unwrap().remove(member);
        }
        jwk
    }

    /// The whole key, with its private half, of a curve.
    pub(super) fn private_jwk(&self) -> Value {
        let Private::Ec(pair) = &self.private else {
            panic!("{} is not of a curve", self.name);
        };
        let key = pair.private_key();
        let d: EcPrivateKeyBin<'_> = key.as_be_bytes().unwrap();
        let mut jwk = self.bare_jwk();
        jwk["d"] = base64url_encode(d.as_ref()).into();
        jwk
    }

    /// RFC 7638, for a key of a curve.
    pub(super) fn thumbprint(&self) -> String {
        // The members that count are all there are, and serde_json keeps them in lexical order.
        base64url_encode(&sha256(self.bare_jwk().to_string().as_bytes()))
    }
}

pub(super) fn mac(algorithm: &str, secret: &[u8], message: &[u8]) -> Vec<u8> {
    let algorithm = match algorithm {
        "HS384" => hmac::HMAC_SHA384,
        "HS512" => hmac::HMAC_SHA512,
        _ => hmac::HMAC_SHA256,
    };
    hmac::sign(&hmac::Key::new(algorithm, secret), message)
        .as_ref()
        .to_vec()
}

/// RFC 7468: lines of 64 characters.
pub(super) fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

pub(super) fn hex(text: &str) -> Vec<u8> {
    let pairs = text.as_bytes().chunks(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    pairs.map(byte).collect()
}

/// EMSA-PKCS1-v1_5 (RFC 8017 s9.2) with SHA-256.
fn encoded_message(message: &[u8], length: usize) -> Vec<u8> {
    let mut out = vec![0xff; length];
    let info = [&SHA256_INFO[..], &sha256(message)].concat();
    let start = length - info.len();
    out[start..].copy_from_slice(&info);
    (out[0], out[1], out[start - 1]) = (0, 1, 0);
    out
}

fn rsa_encoding(algorithm: &str) -> Option<&'static aws::RsaSignatureEncoding> {
    Some(match algorithm {
        "RS256" => &aws::RSA_PKCS1_SHA256,
        "RS384" => &aws::RSA_PKCS1_SHA384,
        "RS512" => &aws::RSA_PKCS1_SHA512,
        "PS256" => &aws::RSA_PSS_SHA256,
        "PS384" => &aws::RSA_PSS_SHA384,
        "PS512" => &aws::RSA_PSS_SHA512,
        _ => return None,
    })
}
