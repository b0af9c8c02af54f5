//! Targets of `portcullis-jose`. Each takes any bytes, must not panic on its own, and panics when a promise is broken.

use std::sync::OnceLock;

use portcullis_jose::{
    Algorithm, AlgorithmSet, EmbeddedKeyJws, JwkSet, Limits, Object, PublicKey, Secret, SharedSecret, SigningKey,
    UnverifiedJws, base64url_decode, base64url_encode, certificate_from_pem, inspect,
};

/// A target's name, which is that of its corpus, and what it does.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: [Target; 6] = [
    ("jws", jws),
    ("json", json),
    ("jwks", jwks),
    ("pem", pem),
    ("private_jwk", private_jwk),
    ("bit_flip", bit_flip),
];

/// A token is read without a panic, in one spelling, and is never verified by a key that did not sign it.
pub fn jws(data: &[u8]) {
    let Ok(token) = std::str::from_utf8(data) else { return };
    let limits = Limits::default();
    let seen = inspect::unverified(token, &limits);
    if let Ok(proof) = EmbeddedKeyJws::parse(token, &limits) {
        let thumbprint = proof.key().thumbprint().to_owned();
        assert_eq!(thumbprint.len(), 43);
        let _ = proof.verify(AlgorithmSet::asymmetric());
    }
    let Ok(jws) = UnverifiedJws::parse(token, &limits) else {
        return;
    };
    let seen = seen.expect("what can be parsed can be inspected");
    assert!(seen.header.is_ok() && seen.signature_bytes.is_ok());
    for part in token.split('.') {
        let bytes = base64url_decode(part).expect("every part is base64url");
        assert_eq!(base64url_encode(&bytes), part, "a part has one spelling");
    }
    let keys = if jws.header().algorithm().is_symmetric() {
        &signers().secrets
    } else {
        &signers().public
    };
    let refused = jws.verify(keys, AlgorithmSet::of(&Algorithm::ALL));
    assert!(refused.is_err(), "nobody signed this");
}

/// What we read as JSON is what `serde_json` reads, and what we refuse it refuses, or it is deep or repeats a member.
pub fn json(data: &[u8]) {
    let ours = Object::parse(data, "document", &Limits::default());
    let theirs = serde_json::from_slice::<serde_json::Value>(data);
    match (ours, theirs) {
        (Ok(ours), Ok(theirs)) => assert!(same(&ours.to_json(), &theirs), "{ours:?} is not {theirs}"),
        (Ok(_), Err(error)) => panic!("only we read it: {error}"),
        (Err(refusal), Ok(theirs)) => assert!(
            !theirs.is_object() || matches!(refusal.code(), "token.duplicate_member" | "token.too_deep"),
            "only we refuse it: {refusal}"
        ),
        (Err(_), Err(_)) => {}
    }
}

/// Equal, but for the last digit of a fraction: `serde_json` rounds less exactly than the standard library.
fn same(a: &serde_json::Value, b: &serde_json::Value) -> bool {
    use serde_json::Value::{Array, Number, Object};
    match (a, b) {
        (Number(a), Number(b)) if a.is_f64() && b.is_f64() => {
            let (a, b) = (a.as_f64().unwrap_or_default(), b.as_f64().unwrap_or_default());
            (a - b).abs() <= a.abs() * 1e-12
        }
        (Array(a), Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Object(a), Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| same(a, b)))
        }
        _ => a == b,
    }
}

/// A key set is read without a panic, and each key that is used comes out as it went in.
pub fn jwks(data: &[u8]) {
    if let Ok((set, problems)) = JwkSet::parse(data) {
        assert!(set.len() + problems.len() <= 100);
        set.public_keys().iter().for_each(survives);
    }
    if let Ok((set, _)) = JwkSet::from_local(data) {
        assert!(!set.is_empty());
        set.public_keys().iter().for_each(survives);
    }
    if let Ok(key) = PublicKey::from_jwk(data) {
        survives(&key);
    }
}

/// PEM and DER are read without a panic, and each key that is used comes out as it went in.
pub fn pem(data: &[u8]) {
    if let Ok(key) = PublicKey::from_der(data) {
        survives(&key);
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(key) = PublicKey::from_pem(text) {
        survives(&key);
    }
    let _ = certificate_from_pem(text);
    for algorithm in [
        Algorithm::RS256,
        Algorithm::ES256,
        Algorithm::ES384,
        Algorithm::ES512,
        Algorithm::EdDSA,
    ] {
        if let Ok(key) = SigningKey::from_pem(text, algorithm) {
            signs(&key);
        }
    }
}

/// A private JWK is read without a panic, and what it signs its public half verifies.
pub fn private_jwk(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let jwk = Secret::new(text);
    for algorithm in [None, Some(Algorithm::PS256), Some(Algorithm::ES384)] {
        if let Ok(key) = SigningKey::from_private_jwk(&jwk, algorithm) {
            signs(&key);
            let out = key.to_private_jwk().expect("a key that was read can be written");
            let again = SigningKey::from_private_jwk(&out, None).expect("what we write we read");
            assert_eq!(again.public_jwk(), key.public_jwk());
        }
    }
}

/// What we sign we verify, and with any one bit changed we do not. The first three bytes choose algorithm and bit.
pub fn bit_flip(data: &[u8]) {
    let [choice, high, low, payload @ ..] = data else {
        return;
    };
    let payload = payload.get(..1024).unwrap_or(payload);
    let claims = serde_json::json!({ "x": String::from_utf8_lossy(payload) });
    let signers = signers();
    let index = usize::from(*choice) % (signers.keys.len() + signers.hmacs.len());
    let (token, keys) = match signers.keys.get(index) {
        Some(key) => (key.sign_jwt("at+jwt", &claims).expect("a key signs"), &signers.public),
        None => {
            let secret = &signers.hmacs[index - signers.keys.len()];
            (secret.sign_jwt("at+jwt", &claims), &signers.secrets)
        }
    };
    assert!(verifies(&token, keys), "what we sign we verify");
    let mut changed = token.into_bytes();
    let bit = (usize::from(*high) << 8 | usize::from(*low)) % (changed.len() * 8);
    changed[bit / 8] ^= 1 << (bit % 8);
    if let Ok(changed) = std::str::from_utf8(&changed) {
        assert!(!verifies(changed, keys), "bit {bit} may not change");
    }
}

struct Signers {
    keys: Vec<SigningKey>,
    public: JwkSet,
    hmacs: Vec<SharedSecret>,
    secrets: JwkSet,
}

/// One key for each algorithm, made once.
fn signers() -> &'static Signers {
    static SIGNERS: OnceLock<Signers> = OnceLock::new();
    SIGNERS.get_or_init(|| {
        let of = |set: AlgorithmSet| set.iter().collect::<Vec<_>>();
        let keys: Vec<SigningKey> = of(AlgorithmSet::asymmetric())
            .into_iter()
            .map(|algorithm| SigningKey::generate(algorithm).expect("keys can be made"))
            .collect();
        let hmacs: Vec<SharedSecret> = of(AlgorithmSet::symmetric())
            .into_iter()
            .map(|algorithm| {
                let secret = SharedSecret::new(&portcullis_jose::random_array::<64>(), algorithm);
                secret.expect("64 bytes are enough").with_kid(algorithm.name())
            })
            .collect();
        Signers {
            public: JwkSet::from_keys(keys.iter().map(SigningKey::public_key)),
            secrets: JwkSet::shared_secrets(hmacs.iter().cloned()).expect("three secrets make a set"),
            keys,
            hmacs,
        }
    })
}

fn verifies(token: &str, keys: &JwkSet) -> bool {
    UnverifiedJws::parse(token, &Limits::default())
        .and_then(|jws| jws.verify(keys, AlgorithmSet::of(&Algorithm::ALL)))
        .is_ok()
}

fn survives(key: &PublicKey) {
    let jwk = PublicKey::from_jwk(key.to_jwk().to_string().as_bytes()).expect("what we write we read");
    assert_eq!(jwk.thumbprint(), key.thumbprint());
    let der = PublicKey::from_der(&key.to_der().expect("a key can be written")).expect("what we write we read");
    assert_eq!(der.thumbprint(), key.thumbprint());
}

fn signs(key: &SigningKey) {
    let token = key.sign_jwt("JWT", &serde_json::json!({})).expect("a key signs");
    assert!(
        verifies(&token, &JwkSet::from_keys([key.public_key()])),
        "what we sign we verify"
    );
}
