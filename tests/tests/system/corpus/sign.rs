//! Signatures, right and wrong.

use portcullis_jose::base64url_encode;

use super::keys::{Key, hex, mac, pem};
use super::number::{add, sub};

/// The order of P-256 (FIPS 186-5).
const P256_ORDER: &str = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
/// The order of edwards25519's base point (RFC 8032 s5.1).
const ED25519_ORDER: &str = "1000000000000000000000000000000014def9dea2f79cd65812631a5cf5d3ed";
/// Points of small order, and encodings of them that are not canonical.
const SMALL_ORDER: [&str; 5] = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
];
pub(super) const CLIENT_SECRET: &str = "the-secret-of-the-spa";

/// The signatures of a kind over `message`: mostly one, for edge cases many.
pub(super) fn signatures(kind: &str, key: &Key, algorithm: &str, message: &[u8]) -> Vec<Vec<u8>> {
    let right = || key.sign(algorithm, message);
    let hmac = |secret: &[u8]| vec![mac(algorithm, secret, message)];
    match kind {
        "valid-key"
        | "other-key"
        | "embedded-key"
        | "dpop-key"
        | "stale"
        | "transplanted"
        | "pkcs1-em-as-signature" => vec![right()],
        "none" | "empty" => vec![Vec::new()],
        "truncated" => {
            // Four characters are three bytes.
            let signature = right();
            vec![signature[..signature.len() - 3].to_vec()]
        }
        "flipped-bit" => {
            let mut signature = right();
            signature[0] ^= 1;
            vec![signature]
        }
        "zeros" => vec![vec![0; right().len()]],
        "edge-rs" => {
            let numbers = edges(&hex(P256_ORDER));
            let pair = |r: &Vec<u8>| numbers.iter().map(|s| [r.as_slice(), s].concat()).collect::<Vec<_>>();
            numbers.iter().flat_map(pair).collect()
        }
        "edge-rsa" => {
            let n = key.modulus();
            let right = right();
            let mut signatures = edges(&n);
            signatures.extend([
                vec![0],
                vec![1],
                right[1..].to_vec(),
                right[..right.len() - 1].to_vec(),
                [&[0], right.as_slice()].concat(),
                [right.as_slice(), &[0]].concat(),
                // The same number modulo n, one byte longer.
                add(&[&[0], right.as_slice()].concat(), &n),
            ]);
            signatures
        }
        "der-encoded" => {
            let signature = right();
            let (r, s) = signature.split_at(signature.len() / 2);
            let inside = [der_integer(r), der_integer(s)].concat();
            vec![[&[0x30, length_byte(&inside)], inside.as_slice()].concat()]
        }
        "left-padded" => {
            let signature = right();
            let (r, s) = signature.split_at(signature.len() / 2);
            vec![
                [&[0], r, s].concat(),
                [r, &[0], s].concat(),
                [&[0], r, &[0], s].concat(),
                [r, s, &[0]].concat(),
            ]
        }
        "high-s" => {
            let signature = right();
            let (r, s) = signature.split_at(32);
            vec![[r, &sub(&hex(P256_ORDER), s)].concat()]
        }
        "ed25519-malleable" => {
            let signature = right();
            let (r, s) = signature.split_at(32);
            let big_endian: Vec<u8> = s.iter().rev().copied().collect();
            let mut larger = add(&big_endian, &hex(ED25519_ORDER));
            larger.reverse();
            let mut signatures = vec![[r, &larger].concat()];
            for point in SMALL_ORDER {
                signatures.push([hex(point).as_slice(), s].concat());
                signatures.push([hex(point).as_slice(), &[0; 32]].concat());
            }
            signatures
        }
        "hmac-with-public-pem" => hmac(pem("PUBLIC KEY", &key.spki()).as_bytes()),
        "hmac-with-public-pem-no-newline" => hmac(pem("PUBLIC KEY", &key.spki()).trim_end().as_bytes()),
        "hmac-with-public-pem-leading-space" => hmac(format!(" {}", pem("PUBLIC KEY", &key.spki())).as_bytes()),
        "hmac-with-public-pem-crlf" => hmac(pem("PUBLIC KEY", &key.spki()).replace('\n', "\r\n").as_bytes()),
        "hmac-with-pkcs1-pem" => hmac(pem("RSA PUBLIC KEY", &key.pkcs1()).as_bytes()),
        "hmac-with-public-der" => hmac(&key.spki()),
        "hmac-with-jwk-json" => hmac(key.jwk.to_string().as_bytes()),
        "hmac-with-modulus" => hmac(&key.modulus()),
        "hmac-with-client-secret" => hmac(CLIENT_SECRET.as_bytes()),
        "hmac-empty-key" => hmac(b""),
        other => panic!("no signing {other:?}"),
    }
}

/// 0, 1, n-1 and n in the length of n.
fn edges(n: &[u8]) -> Vec<Vec<u8>> {
    let zero = vec![0; n.len()];
    vec![zero.clone(), add(&zero, &[1]), sub(n, &[1]), n.to_vec()]
}

/// X.690 s8.3.
fn der_integer(number: &[u8]) -> Vec<u8> {
    let start = number.iter().position(|byte| *byte != 0).unwrap_or(number.len() - 1);
    let mut digits = number[start..].to_vec();
    if digits[0] & 0x80 != 0 {
        digits.insert(0, 0);
    }
    [&[2, length_byte(&digits)], digits.as_slice()].concat()
}

fn length_byte(content: &[u8]) -> u8 {
    u8::try_from(content.len())
        .ok()
        .filter(|length| *length < 0x80)
        .unwrap()
}

// === whole serializations ===

/// RFC 7515 s7.2.2.
pub(super) fn json_flattened(header: &str, payload: &str, signature: &[u8]) -> String {
    serde_json::json!({"protected": header, "payload": payload, "signature": base64url_encode(signature)}).to_string()
}

/// RFC 7515 s7.2.1, with the algorithm where nothing protects it.
pub(super) fn json_general_unprotected(algorithm: &str, kid: &str, payload: &str, signature: &[u8]) -> String {
    let signature = base64url_encode(signature);
    let signatures = serde_json::json!([{"header": {"alg": algorithm, "kid": kid}, "signature": signature}]);
    serde_json::json!({"payload": payload, "signatures": signatures}).to_string()
}

/// JSON that is three parts too, if one splits it on dots.
pub(super) fn json_polyglot(header: &str, payload: &str, signature: &[u8]) -> String {
    let signature = base64url_encode(signature);
    format!(
        r#"{{"protected":"{header}","payload":"{payload}","signature":"{signature}","x":".{payload}.{signature}"}}"#
    )
}

/// RFC 7516: RSA-OAEP-256 and A256GCM, to the public half of `key`.
pub(super) fn jwe(key: &Key, kid: &str, content: &str) -> String {
    use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
    use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, PublicEncryptingKey};

    let header =
        serde_json::json!({"alg": "RSA-OAEP-256", "enc": "A256GCM", "cty": "at+jwt", "typ": "at+jwt", "kid": kid});
    let header = base64url_encode(header.to_string().as_bytes());
    let secret: [u8; 32] = portcullis_jose::random_array();
    let nonce: [u8; 12] = portcullis_jose::random_array();
    let public = OaepPublicEncryptingKey::new(PublicEncryptingKey::from_der(&key.spki()).unwrap()).unwrap();
    let mut wrapped = vec![0; public.ciphertext_size()];
    let wrapped = public
        .encrypt(&OAEP_SHA256_MGF1SHA256, &secret, &mut wrapped, None)
        .unwrap();
    let sealing = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &secret).unwrap());
    let mut text = content.as_bytes().to_vec();
    let tag = sealing
        .seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(header.as_bytes()),
            &mut text,
        )
        .unwrap();
    let parts = [&*wrapped, &nonce, &text, tag.as_ref()].map(base64url_encode);
    format!("{header}.{}", parts.join("."))
}
