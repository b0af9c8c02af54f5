//! Private keys as JWKs (RFC 7518 s6, RFC 8037 s2).

use aws_lc_rs::encoding::{AsBigEndian, Curve25519SeedBin, EcPrivateKeyBin};
use aws_lc_rs::rsa::KeyPairComponents;
use aws_lc_rs::signature::{EcdsaKeyPair, Ed25519KeyPair, RsaKeyPair, RsaPublicKeyComponents};
use der::asn1::{AnyRef, OctetStringRef, UintRef};
use der::{Reader as _, SliceReader};
use zeroize::Zeroizing;

use crate::json::{self, Members, Value};
use crate::public_key::{read_usage, unusable};
use crate::sign::{Pair, ec_algorithm, rsa_encoding};
use crate::{Algorithm, KeyError, Secret, SignError, SigningKey, base64url_decode, base64url_encode};

/// The private members of RSA, in the order of RSAPrivateKey (RFC 8017 A.1.2).
const RSA_MEMBERS: [&str; 6] = ["d", "p", "q", "dp", "dq", "qi"];

impl SigningKey {
    /// Reads a private JWK of RSA (with `p`, `q`, `dp`, `dq` and `qi`), P-256, P-384, P-521 or Ed25519, and checks
    /// that its public and its private half belong together. Its `kid` is kept; without one it is the thumbprint.
    ///
    /// `algorithm` is needed for RSA where the JWK has no `alg`, and must not contradict it.
    ///
    /// # Errors
    /// [`SignError`]
    pub fn from_private_jwk(jwk: &Secret, algorithm: Option<Algorithm>) -> Result<SigningKey, SignError> {
        let mut object = json::parse_object(jwk.expose().into(), 8).map_err(|_| {
            SignError::Jwk(KeyError::Unreadable {
                form: "one strict JSON object",
            })
        })?;
        let key = read(object.members(), algorithm);
        object.zeroize();
        key
    }

    /// The private key as a JWK with `kid`, `alg` and `use`.
    ///
    /// # Errors
    /// [`SignError::Crypto`] if the library fails.
    pub fn to_private_jwk(&self) -> Result<Secret, SignError> {
        let public = self.public_jwk().to_string();
        let public = public.strip_suffix('}').ok_or(SignError::Crypto)?;
        let mut jwk = Zeroizing::new(String::with_capacity(public.len() + 2048));
        jwk.push_str(public);
        let mut push = |name: &str, number: &[u8]| {
            let number = Zeroizing::new(base64url_encode(number));
            for piece in [",\"", name, "\":\"", &number, "\""] {
                jwk.push_str(piece);
            }
        };
        let crypto = |_| SignError::Crypto;
        match self.pair() {
            Pair::Rsa(..) => {
                let pkcs8 = self.to_pkcs8()?;
                let numbers = rsa_numbers(&pkcs8).map_err(|_| SignError::Crypto)?;
                for (name, number) in RSA_MEMBERS.into_iter().zip(numbers) {
                    push(name, number.as_bytes());
                }
            }
            Pair::Ec(pair) => {
                let d: EcPrivateKeyBin<'_> = pair.private_key().as_be_bytes().map_err(crypto)?;
                push("d", d.as_ref());
            }
            Pair::Ed(pair) => {
                let seed: Curve25519SeedBin<'_> = pair.seed().and_then(|seed| seed.as_be_bytes()).map_err(crypto)?;
                push("d", seed.as_ref());
            }
        }
        jwk.push('}');
        Ok(Secret::new(&**jwk))
    }
}

fn read(jwk: Members<'_>, algorithm: Option<Algorithm>) -> Result<SigningKey, SignError> {
    let usage = read_usage(jwk, "sign").map_err(SignError::Jwk)?;
    // RFC 7518 s6.3.2.7: more than two primes are not supported here.
    if jwk.get("oth").is_some() {
        return Err(SignError::Jwk(unusable(
            "RSA keys of more than two primes are not supported",
        )));
    }
    let algorithm = match (
        algorithm,
        jwk.get("alg").and_then(Value::as_str).and_then(Algorithm::from_name),
    ) {
        (Some(asked), _) if !usage.algorithms.contains(asked) => return Err(SignError::WrongKind(asked)),
        (Some(asked), _) => asked,
        (None, Some(declared)) => declared,
        (None, None) => {
            let mut fitting = usage.algorithms.iter().filter(|alg| alg.key_kind() == usage.kind);
            match (fitting.next(), fitting.next()) {
                (Some(only), None | Some(Algorithm::Ed25519)) => only,
                _ => return Err(SignError::AlgorithmMissing),
            }
        }
    };
    if algorithm.key_kind() != usage.kind {
        return Err(SignError::WrongKind(algorithm));
    }
    let number = |name: &str| {
        jwk.get(name)
            .and_then(Value::as_str)
            .and_then(base64url_decode)
            .map(Zeroizing::new)
            .ok_or_else(|| SignError::Jwk(unusable(format!("its member {name:?} is missing or not base64url"))))
    };
    let broken = |_| SignError::Jwk(unusable("its private half does not belong to its public half"));
    let pair = if let Some(encoding) = rsa_encoding(algorithm) {
        let components = KeyPairComponents {
            public_key: RsaPublicKeyComponents {
                n: &*number("n")?,
                e: &*number("e")?,
            },
            d: &*number("d")?,
            p: &*number("p")?,
            q: &*number("q")?,
            dP: &*number("dp")?,
            dQ: &*number("dq")?,
            qInv: &*number("qi")?,
        };
        Pair::Rsa(RsaKeyPair::from_components(&components).map_err(broken)?, encoding)
    } else if let Some(curve) = ec_algorithm(algorithm) {
        let (x, y, d) = (number("x")?, number("y")?, number("d")?);
        // RFC 7518 s6.2.2.1: d has the full size of the field, as x and y.
        if d.len() != x.len() {
            return Err(SignError::Jwk(unusable(
                "its member \"d\" has not the size of the field",
            )));
        }
        let point = [&[4], x.as_slice(), &y].concat();
        Pair::Ec(EcdsaKeyPair::from_private_key_and_public_key(curve, &d, &point).map_err(broken)?)
    } else {
        let (x, d) = (number("x")?, number("d")?);
        if d.len() != 32 {
            return Err(SignError::Jwk(unusable("an Ed25519 key has 32 bytes")));
        }
        Pair::Ed(Ed25519KeyPair::from_seed_and_public_key(&d, &x).map_err(broken)?)
    };
    let key = SigningKey::from_pair(pair, algorithm)?;
    Ok(match usage.kid {
        Some(kid) => key.with_kid(kid),
        None => key,
    })
}

/// `d`, `p`, `q`, `dp`, `dq` and `qi` out of PKCS #8 (RFC 5208 s5) with an RSAPrivateKey (RFC 8017 A.1.2).
fn rsa_numbers(pkcs8: &[u8]) -> der::Result<[UintRef<'_>; 6]> {
    let key: &OctetStringRef = SliceReader::new(pkcs8)?.sequence(|info| {
        let _version: u8 = info.decode()?;
        let _algorithm: AnyRef<'_> = info.decode()?;
        info.decode()
    })?;
    SliceReader::new(key.as_bytes())?.sequence(|key| {
        let _version: u8 = key.decode()?;
        let _public: [UintRef<'_>; 2] = [key.decode()?, key.decode()?];
        Ok([
            key.decode()?,
            key.decode()?,
            key.decode()?,
            key.decode()?,
            key.decode()?,
            key.decode()?,
        ])
    })
}

#[cfg(test)]
#[path = "private_jwk_tests.rs"]
mod tests;
