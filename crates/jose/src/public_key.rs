use aws_lc_rs::digest::Digest;
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::signature::{ParsedPublicKey, RsaPublicKeyComponents, RsaSubjectPublicKey};
use serde_json::json;

use crate::algorithm::KeyKind;
use crate::certificate::key_of_certificate;
use crate::json::{self, Members, Value};
use crate::{Algorithm, AlgorithmSet, KeyError, base64url_decode, base64url_encode, pem, sha256};

/// JWK members that belong to the owner of the key alone.
const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];
/// Levels of JSON in a JWK.
const JWK_DEPTH: usize = 8;

/// A public key: parsed once, found to be fit, bound to the algorithms that it may be used with.
///
/// RSA has 2048 to 8192 bits; the curves are P-256, P-384, P-521 and Ed25519.
///
/// ```
/// use portcullis_jose::{JwkSet, PublicKey};
///
/// let pem = "-----BEGIN PUBLIC KEY-----
/// MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
/// -----END PUBLIC KEY-----";
/// let key = PublicKey::from_pem(pem)?;
/// assert_eq!(key.to_jwk()["crv"], "Ed25519");
/// assert_eq!(key.thumbprint().len(), 43);
/// let keys = JwkSet::from_keys([key.with_kid("main")]);
/// assert_eq!(keys.len(), 1);
/// # Ok::<(), portcullis_jose::KeyError>(())
/// ```
#[derive(Debug, Clone)]
pub struct PublicKey {
    kid: Option<String>,
    /// Whether a token may call it by any `kid`: a key from a PEM text has no name of its own.
    answers_to_any_kid: bool,
    numbers: Numbers,
    thumbprint: String,
    verifiers: Vec<(Algorithm, ParsedPublicKey)>,
}

/// What the key consists of.
#[derive(Debug, Clone)]
enum Numbers {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    Ec { kind: KeyKind, x: Vec<u8>, y: Vec<u8> },
    Ed25519 { x: Vec<u8> },
}

impl PublicKey {
    /// Reads a JWK (RFC 7517 s4).
    ///
    /// # Errors
    /// [`KeyError`] when it is no JWK, holds a private member, or is not fit to check signatures.
    pub fn from_jwk(text: &[u8]) -> Result<PublicKey, KeyError> {
        let object = json::parse_object(text.to_vec(), JWK_DEPTH).map_err(|_| KeyError::Unreadable {
            form: "a JWK (one strict JSON object)",
        })?;
        PublicKey::from_jwk_object(object.members())
    }

    /// Takes the members of a JWK that was read before. `x5c` and its like are not looked at.
    ///
    /// # Errors
    /// The same as of [`PublicKey::from_jwk`].
    pub fn from_jwk_object(jwk: Members<'_>) -> Result<PublicKey, KeyError> {
        PublicKey::from_jwk_for(jwk, AlgorithmSet::asymmetric())
    }

    /// Reads a PEM text of one block: `PUBLIC KEY` (RFC 5280), `RSA PUBLIC KEY` (RFC 8017) or `CERTIFICATE`.
    ///
    /// The key has no `kid`, and a token may call it by any, until [`PublicKey::with_kid`] gives it one.
    ///
    /// # Errors
    /// [`KeyError`] when it is no such text, or the key is not fit.
    pub fn from_pem(text: &str) -> Result<PublicKey, KeyError> {
        match pem::blocks(text)?.as_slice() {
            [block] => PublicKey::from_pem_block(block),
            _ => Err(KeyError::Unreadable {
                form: "a PEM text of one block",
            }),
        }
    }

    /// Reads DER: SubjectPublicKeyInfo (RFC 5280 s4.1.2.7), RSAPublicKey (RFC 8017 A.1.1) or an X.509 certificate.
    /// The `kid` is as with [`PublicKey::from_pem`].
    ///
    /// Of a certificate only the key is used: who configured it trusts the key, not its issuer or its dates.
    ///
    /// # Errors
    /// [`KeyError`] when it is none of them, or the key is not fit.
    pub fn from_der(der: &[u8]) -> Result<PublicKey, KeyError> {
        let key = from_key_der(key_of_certificate(der).unwrap_or(der))?;
        Ok(PublicKey {
            answers_to_any_kid: true,
            ..key
        })
    }

    pub(crate) fn from_pem_block(block: &pem::Block<'_>) -> Result<PublicKey, KeyError> {
        match block.label {
            "PUBLIC KEY" | "RSA PUBLIC KEY" | "CERTIFICATE" => PublicKey::from_der(&block.der),
            label if label.ends_with("PRIVATE KEY") => Err(KeyError::Private { member: label.into() }),
            label => Err(KeyError::Unusable(format!(
                "a PEM block {label:?} is no public key or certificate"
            ))),
        }
    }

    /// As [`PublicKey::from_jwk_object`], for these algorithms alone.
    pub(crate) fn from_jwk_for(jwk: Members<'_>, wanted: AlgorithmSet) -> Result<PublicKey, KeyError> {
        let text = |name: &str| jwk.get(name).and_then(Value::as_str);
        if let Some(member) = PRIVATE_MEMBERS.into_iter().find(|name| jwk.get(name).is_some()) {
            return Err(KeyError::Private { member: member.into() });
        }
        let usage = read_usage(jwk, "verify")?;
        let bytes = |name: &str| {
            text(name)
                .and_then(base64url_decode)
                .ok_or_else(|| unusable(format!("its member {name:?} is missing or not base64url")))
        };
        let numbers = match usage.kind {
            KeyKind::Rsa => Numbers::Rsa {
                n: bytes("n")?,
                e: bytes("e")?,
            },
            KeyKind::Ed25519 => Numbers::Ed25519 { x: bytes("x")? },
            kind => Numbers::Ec {
                kind,
                x: bytes("x")?,
                y: bytes("y")?,
            },
        };
        let key = PublicKey::new(numbers, usage.algorithms.and(wanted))?;
        Ok(PublicKey { kid: usage.kid, ..key })
    }

    pub(crate) fn rsa(n: Vec<u8>, e: Vec<u8>, algorithms: AlgorithmSet) -> Result<PublicKey, KeyError> {
        PublicKey::new(Numbers::Rsa { n, e }, algorithms)
    }

    /// `point` is in the uncompressed form of SEC 1 s2.3.3: 4, x, y.
    pub(crate) fn ec(kind: KeyKind, point: &[u8]) -> Result<PublicKey, KeyError> {
        let coordinates = point.strip_prefix(&[4]).unwrap_or_default();
        let (x, y) = coordinates.split_at(coordinates.len() / 2);
        let (x, y) = (x.to_vec(), y.to_vec());
        PublicKey::new(Numbers::Ec { kind, x, y }, AlgorithmSet::asymmetric())
    }

    pub(crate) fn ed25519(x: Vec<u8>) -> Result<PublicKey, KeyError> {
        PublicKey::new(Numbers::Ed25519 { x }, AlgorithmSet::asymmetric())
    }

    fn new(numbers: Numbers, algorithms: AlgorithmSet) -> Result<PublicKey, KeyError> {
        let algorithms = algorithms.iter().filter(|alg| alg.key_kind() == numbers.kind());
        let verifiers = match &numbers {
            Numbers::Rsa { n, e } => rsa_verifiers(n, e, algorithms)?,
            Numbers::Ec { kind, x, y } => {
                let (name, size) = curve(*kind);
                // RFC 7518 s6.2.1.2: the coordinates have the full size of the field.
                if x.len() != size || y.len() != size {
                    return Err(unusable(format!(
                        "its coordinates are not {size} bytes long, as {name} needs"
                    )));
                }
                point_verifiers(name, &[&[4], x.as_slice(), y].concat(), algorithms)?
            }
            Numbers::Ed25519 { x } if x.len() != 32 => return Err(unusable("an Ed25519 key has 32 bytes")),
            Numbers::Ed25519 { x } if is_small_order(x) => {
                return Err(unusable(
                    "it is a point of small order: whatever is signed with it can be forged",
                ));
            }
            Numbers::Ed25519 { x } => point_verifiers("Ed25519", x, algorithms)?,
        };
        if verifiers.is_empty() {
            return Err(unusable("it is not a key for the algorithm that is asked for"));
        }
        Ok(PublicKey {
            kid: None,
            answers_to_any_kid: false,
            thumbprint: numbers.thumbprint(),
            numbers,
            verifiers,
        })
    }

    /// The same key under this `kid` alone.
    #[must_use]
    pub fn with_kid(self, kid: impl Into<String>) -> PublicKey {
        PublicKey {
            kid: Some(kid.into()),
            answers_to_any_kid: false,
            ..self
        }
    }

    /// The same key for those of its algorithms that are in `algorithms`.
    ///
    /// # Errors
    /// [`KeyError::Unusable`] when none is left.
    pub fn for_algorithms(mut self, algorithms: AlgorithmSet) -> Result<PublicKey, KeyError> {
        self.verifiers.retain(|(alg, _)| algorithms.contains(*alg));
        if self.verifiers.is_empty() {
            return Err(unusable(format!("it fits none of {algorithms}")));
        }
        Ok(self)
    }

    /// The `kid`, if it has one.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The algorithms that it may be used with.
    #[must_use]
    pub fn algorithms(&self) -> AlgorithmSet {
        self.verifiers
            .iter()
            .fold(AlgorithmSet::of(&[]), |set, (alg, _)| set.with(*alg))
    }

    /// The RFC 7638 thumbprint, base64url of SHA-256: what `jkt` of RFC 9449 s6.1 holds.
    #[must_use]
    pub fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    /// The key as a JWK, with `kid` where there is one, `use`, and `alg` where it is bound to one algorithm.
    #[must_use]
    pub fn to_jwk(&self) -> serde_json::Value {
        let mut jwk = match &self.numbers {
            Numbers::Rsa { n, e } => json!({ "kty": "RSA", "n": base64url_encode(n), "e": base64url_encode(e) }),
            Numbers::Ec { kind, x, y } => {
                let (crv, _) = curve(*kind);
                json!({ "kty": "EC", "crv": crv, "x": base64url_encode(x), "y": base64url_encode(y) })
            }
            Numbers::Ed25519 { x } => json!({ "kty": "OKP", "crv": "Ed25519", "x": base64url_encode(x) }),
        };
        let alg = match self.verifiers.as_slice() {
            [(alg, _)] => Some(alg.name()),
            _ => None,
        };
        if let Some(members) = jwk.as_object_mut() {
            members.insert("use".into(), "sig".into());
            members.extend(self.kid.as_ref().map(|kid| ("kid".into(), kid.as_str().into())));
            members.extend(alg.map(|alg| ("alg".into(), alg.into())));
        }
        jwk
    }

    /// The key as SubjectPublicKeyInfo in DER (RFC 5280 s4.1.2.7).
    ///
    /// # Errors
    /// [`KeyError::Unusable`] if the cryptographic library fails.
    pub fn to_der(&self) -> Result<Vec<u8>, KeyError> {
        let verifier = self.verifiers.first().map(|(_, verifier)| verifier);
        let der = verifier.and_then(|verifier| AsDer::<PublicKeyX509Der<'_>>::as_der(verifier).ok());
        der.map(|der| der.as_ref().to_vec())
            .ok_or_else(|| unusable("it cannot be encoded"))
    }

    /// Whether a token with this `kid`, or with none, may mean this key.
    pub(crate) fn answers_to(&self, kid: Option<&str>) -> bool {
        kid.is_none_or(|kid| self.answers_to_any_kid || self.kid.as_deref() == Some(kid))
    }

    pub(crate) fn fits(&self, algorithm: Algorithm) -> bool {
        self.verifiers.iter().any(|(alg, _)| *alg == algorithm)
    }

    /// `sha256` is the digest of `message`, which is needed anyhow, to name the token in revocation lists.
    pub(crate) fn verify(&self, algorithm: Algorithm, message: &[u8], sha256: &Digest, signature: &[u8]) -> bool {
        let Some((_, key)) = self.verifiers.iter().find(|(alg, _)| *alg == algorithm) else {
            return false;
        };
        match algorithm {
            Algorithm::RS256 | Algorithm::PS256 | Algorithm::ES256 => key.verify_digest_sig(sha256, signature).is_ok(),
            _ => key.verify_sig(message, signature).is_ok(),
        }
    }
}

/// RFC 8032 s5.1: the points whose order divides the cofactor, with either sign, and with coordinates that are not
/// reduced. A signature of such a key says nothing about who made it, and the verification does not ask.
fn is_small_order(x: &[u8]) -> bool {
    const ORDER_8: [[u8; 32]; 2] = [
        [
            0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf,
            0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
        ],
        [
            0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20,
            0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
        ],
    ];
    let Some((last, rest)) = x.split_last() else {
        return false;
    };
    let (first, middle) = rest.split_first().unwrap_or((&0, &[]));
    let last = last & 0x7f;
    // 0 and 1; p - 1, p and p + 1 for p = 2^255 - 19.
    let low = last == 0 && *first <= 1 && middle.iter().all(|byte| *byte == 0);
    let high = last == 0x7f && (0xec..=0xee).contains(first) && middle.iter().all(|byte| *byte == 0xff);
    low || high || ORDER_8.iter().any(|point| point.split_last() == Some((&last, rest)))
}

// === impl Numbers ===

impl Numbers {
    fn kind(&self) -> KeyKind {
        match self {
            Numbers::Rsa { .. } => KeyKind::Rsa,
            Numbers::Ec { kind, .. } => *kind,
            Numbers::Ed25519 { .. } => KeyKind::Ed25519,
        }
    }

    /// RFC 7638 s3: the SHA-256 of the required members in lexical order.
    fn thumbprint(&self) -> String {
        let members = match self {
            Numbers::Rsa { n, e } => {
                let (n, e) = (base64url_encode(n), base64url_encode(e));
                format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#)
            }
            Numbers::Ec { kind, x, y } => {
                let (crv, _) = curve(*kind);
                let (x, y) = (base64url_encode(x), base64url_encode(y));
                format!(r#"{{"crv":"{crv}","kty":"EC","x":"{x}","y":"{y}"}}"#)
            }
            Numbers::Ed25519 { x } => {
                let x = base64url_encode(x);
                format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#)
            }
        };
        base64url_encode(&sha256(members.as_bytes()))
    }
}

/// What a JWK says of itself beside its numbers.
pub(crate) struct Usage {
    pub(crate) kid: Option<String>,
    pub(crate) kind: KeyKind,
    pub(crate) algorithms: AlgorithmSet,
}

/// Reads `kid`, `use`, `key_ops`, `kty`, `crv` and `alg`. `operation` is what the key is wanted for.
pub(crate) fn read_usage(jwk: Members<'_>, operation: &str) -> Result<Usage, KeyError> {
    let text = |name: &str| jwk.get(name).and_then(Value::as_str);
    let kid = read_kid(jwk, operation)?;
    let kind = match (text("kty"), text("crv")) {
        (Some("RSA"), _) => KeyKind::Rsa,
        (Some("EC"), Some("P-256")) => KeyKind::P256,
        (Some("EC"), Some("P-384")) => KeyKind::P384,
        (Some("EC"), Some("P-521")) => KeyKind::P521,
        (Some("OKP"), Some("Ed25519")) => KeyKind::Ed25519,
        (kty, crv) => {
            let (kty, crv) = (kty.unwrap_or("none"), crv.unwrap_or(""));
            return Err(unusable(format!("kind {kty:?} {crv:?} is not supported")));
        }
    };
    let algorithms = match jwk.get("alg").map(|alg| alg.as_str().and_then(Algorithm::from_name)) {
        None => AlgorithmSet::asymmetric(),
        // EdDSA and Ed25519 are two names of one algorithm.
        Some(Some(Algorithm::EdDSA | Algorithm::Ed25519)) if kind == KeyKind::Ed25519 => {
            AlgorithmSet::of(&[Algorithm::EdDSA, Algorithm::Ed25519])
        }
        Some(Some(algorithm)) if algorithm.key_kind() == kind => AlgorithmSet::of(&[algorithm]),
        Some(Some(algorithm)) => return Err(unusable(format!("its alg {algorithm} does not fit its kind"))),
        Some(None) => return Err(unusable("its alg is not one that is supported")),
    };
    Ok(Usage { kid, kind, algorithms })
}

/// Reads `kid` of a key that `use` and `key_ops` allow to be used for this.
pub(crate) fn read_kid(jwk: Members<'_>, operation: &str) -> Result<Option<String>, KeyError> {
    let kid = jwk.get("kid");
    if kid.is_some_and(|kid| kid.as_str().is_none_or(|kid| kid.len() > 256)) {
        return Err(unusable("the kid is not a string of at most 256 bytes"));
    }
    // RFC 7517 s4.2, s4.3: a key for encryption, or without the operation, is not for this.
    if jwk.get("use").is_some_and(|usage| usage.as_str() != Some("sig")) {
        return Err(unusable("its use is not \"sig\""));
    }
    if let Some(operations) = jwk.get("key_ops") {
        let listed = operations
            .as_array()
            .is_some_and(|ops| ops.iter().any(|op| op.as_str() == Some(operation)));
        if !listed {
            return Err(unusable(format!("its key_ops lack {operation:?}")));
        }
    }
    Ok(kid.and_then(Value::as_str).map(str::to_owned))
}

pub(crate) fn unusable(why: impl Into<String>) -> KeyError {
    KeyError::Unusable(why.into())
}

type Verifiers = Vec<(Algorithm, ParsedPublicKey)>;

fn rsa_verifiers(n: &[u8], e: &[u8], algorithms: impl Iterator<Item = Algorithm>) -> Result<Verifiers, KeyError> {
    // aws-lc-rs checks the size when it verifies; a key that never can verify has no place in a set.
    let bits = (n.len() * 8).saturating_sub(n.first().map_or(0, |byte| byte.leading_zeros() as usize));
    if n.first() == Some(&0) || !(2048..=8192).contains(&bits) || n.last().is_none_or(|byte| byte % 2 == 0) {
        return Err(unusable(format!(
            "an RSA modulus must be odd, without leading zeros, and of 2048 to 8192 bits; this has {bits}"
        )));
    }
    // RFC 8017 s3.1: e is odd and at least 3. Larger than 32 bits is nobody's key, and slow.
    let odd = e.last().is_some_and(|byte| byte % 2 == 1);
    if e.first() == Some(&0) || !odd || e.len() > 4 || e == [1] {
        return Err(unusable("its RSA exponent is not an odd number from 3 to 2^32"));
    }
    if has_roca_pattern(n) {
        return Err(unusable(
            "its RSA modulus comes from a weak generator (ROCA, CVE-2017-15361)",
        ));
    }
    algorithms
        .map(|algorithm| {
            let parameters = algorithm.rsa_parameters()?;
            let parsed = RsaPublicKeyComponents { n, e }.to_parsed_public_key(parameters).ok()?;
            Some((algorithm, parsed))
        })
        .collect::<Option<Verifiers>>()
        .ok_or_else(|| unusable("it is not a valid RSA key"))
}

fn point_verifiers(
    name: &str,
    point: &[u8],
    algorithms: impl Iterator<Item = Algorithm>,
) -> Result<Verifiers, KeyError> {
    algorithms
        .map(|algorithm| {
            let parsed = ParsedPublicKey::new(algorithm.curve_parameters()?, point).ok()?;
            Some((algorithm, parsed))
        })
        .collect::<Option<Verifiers>>()
        .ok_or_else(|| unusable(format!("it is not a point on {name}")))
}

/// Whether a modulus was made by Infineon's RSALib, whose primes are `k * M + (65537^a mod M)` with M the product of
/// all primes up to 701 at least (Nemec et al., CCS 2017). Such keys can be factored. A sound modulus looks like one
/// with a probability of 2^-167.
fn has_roca_pattern(n: &[u8]) -> bool {
    let mut primes = (3..=701_u32).filter(|number| (2..*number).all(|divisor| number % divisor != 0));
    primes.all(|prime| {
        let rest = n.iter().fold(0, |rest, byte| (rest * 256 + u32::from(*byte)) % prime);
        let mut power = 1;
        loop {
            if power == rest {
                return true;
            }
            power = power * 65537 % prime;
            if power == 1 {
                return false;
            }
        }
    })
}

/// The name of a curve and the size of its coordinates in bytes.
fn curve(kind: KeyKind) -> (&'static str, usize) {
    match kind {
        KeyKind::P256 => ("P-256", 32),
        KeyKind::P384 => ("P-384", 48),
        KeyKind::P521 => ("P-521", 66),
        KeyKind::Rsa | KeyKind::Ed25519 | KeyKind::Secret => ("", 0),
    }
}

/// SubjectPublicKeyInfo or RSAPublicKey, each in the one encoding that DER allows.
fn from_key_der(der: &[u8]) -> Result<PublicKey, KeyError> {
    if let Ok(key) = RsaSubjectPublicKey::from_der(der) {
        let spki = AsDer::<PublicKeyX509Der<'_>>::as_der(&key);
        if key.as_ref() == der || spki.is_ok_and(|spki| spki.as_ref() == der) {
            let components = RsaPublicKeyComponents::from(&key);
            return PublicKey::rsa(components.n, components.e, AlgorithmSet::asymmetric());
        }
    }
    for algorithm in [Algorithm::ES256, Algorithm::ES384, Algorithm::ES512, Algorithm::EdDSA] {
        if algorithm
            .curve_parameters()
            .is_none_or(|parameters| ParsedPublicKey::new(parameters, der).is_err())
        {
            continue;
        }
        // RFC 5480 s2, RFC 8410 s4: the structure ends with the point. That it is the point is seen from the
        // structure that the point gives.
        let (_, size) = curve(algorithm.key_kind());
        let length = if algorithm == Algorithm::EdDSA {
            32
        } else {
            1 + 2 * size
        };
        let point = der.get(der.len().saturating_sub(length)..).unwrap_or_default();
        let key = match algorithm {
            Algorithm::EdDSA => PublicKey::ed25519(point.to_vec()),
            _ => PublicKey::ec(algorithm.key_kind(), point),
        }?;
        if key.to_der()? == der {
            return Ok(key);
        }
    }
    Err(KeyError::Unreadable {
        form: "a public key that is supported: SubjectPublicKeyInfo, RSAPublicKey or a certificate in DER, of RSA, \
               P-256, P-384, P-521 or Ed25519",
    })
}

#[cfg(test)]
#[path = "public_key_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "wycheproof_tests.rs"]
mod wycheproof_tests;
