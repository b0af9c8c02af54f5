//! Each rule with its good twin, and the proofs that RFC 9449 prints.

use portcullis_jose::{Algorithm, SigningKey};
use serde_json::{Value, json};

use super::*;

const NOW: i64 = 1_800_000_000;
const TOKEN: &str = "header.claims.signature";

struct Sender(SigningKey);

impl Sender {
    fn new(algorithm: Algorithm) -> Sender {
        Sender(SigningKey::generate(algorithm).unwrap())
    }

    fn jkt(&self) -> &str {
        self.0.kid()
    }

    fn header(&self) -> Value {
        json!({"typ": "dpop+jwt", "alg": self.0.algorithm().name(), "jwk": self.0.public_jwk()})
    }

    /// A good proof, with these members changed; `null` removes one.
    fn proof(&self, header: &Value, claims: &Value) -> String {
        let good = json!({
            "jti": "proof-1", "htm": "GET", "htu": "https://api.test/orders", "iat": NOW,
            "ath": base64url_encode(&sha256(TOKEN.as_bytes())),
        });
        let payload = merged(good, claims).to_string();
        let header = merged(self.header(), header);
        self.0.sign_with_header(&header, payload.as_bytes()).unwrap()
    }
}

fn merged(mut good: Value, changes: &Value) -> Value {
    let members = good.as_object_mut().unwrap();
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(members.remove(name)),
            value => drop(members.insert(name.clone(), value.clone())),
        }
    }
    good
}

fn judge_at(proofs: &[&str], jkt: &str, nonce: Option<&dyn Fn(&str) -> bool>) -> Result<Proof, ProofRefusal> {
    let target = TargetUri::parse("https://api.test/orders").unwrap();
    let mut rules = ProofRules::new("GET", &target, UnixTime::from_secs(NOW)).with_token(TOKEN, jkt);
    rules.nonce = nonce;
    Proof::check(proofs.iter().map(|proof| proof.as_bytes()), &rules)
}

fn judge(proof: &str, jkt: &str) -> Result<Proof, ProofRefusal> {
    judge_at(&[proof], jkt, None)
}

#[track_caller]
fn refused(header: &Value, claims: &Value) -> &'static str {
    let sender = Sender::new(Algorithm::ES256);
    judge(&sender.proof(header, claims), sender.jkt()).unwrap_err().code()
}

#[test]
fn a_good_proof_passes_with_every_algorithm() {
    for algorithm in AlgorithmSet::asymmetric().iter() {
        let sender = Sender::new(algorithm);
        let proof = judge(&sender.proof(&json!({}), &json!({})), sender.jkt()).unwrap();
        assert_eq!(
            (proof.thumbprint.as_str(), proof.jti.as_str()),
            (sender.jkt(), "proof-1")
        );
        assert_eq!(proof.expires, UnixTime::from_secs(NOW + 60), "{algorithm}");
    }
}

#[test]
fn there_is_one_header_with_one_proof() {
    let sender = Sender::new(Algorithm::ES256);
    let good = sender.proof(&json!({}), &json!({}));
    let code = |proofs: &[&str]| judge_at(proofs, sender.jkt(), None).unwrap_err().code();
    assert_eq!(code(&[]), "dpop.proof_missing");
    assert_eq!(code(&[&good, &good]), "dpop.multiple_proofs");
    assert_eq!(code(&[&format!("{good}, {good}")]), "dpop.multiple_proofs");
    assert!(judge_at(&[&good], sender.jkt(), None).is_ok());
}

#[test]
fn it_is_a_well_formed_jws_of_bounded_size() {
    let sender = Sender::new(Algorithm::ES256);
    let good = sender.proof(&json!({}), &json!({}));
    for bad in [
        "",
        "a.b",
        "not a proof",
        &good[1..],
        &format!("{good}="),
        &format!("{good}.x"),
        &"a".repeat(9_000),
        "caf\u{e9}",
    ] {
        let refusal = judge(bad, sender.jkt()).unwrap_err();
        assert_eq!(refusal.code(), "dpop.malformed", "{bad}");
        assert!(refusal.found().is_some());
    }
    assert_eq!(refused(&json!({"crit": ["exp"]}), &json!({})), "dpop.malformed");
    let twice = sender
        .0
        .sign_with_header(&sender.header(), br#"{"jti":"a","jti":"b"}"#)
        .unwrap();
    assert_eq!(judge(&twice, sender.jkt()).unwrap_err().code(), "dpop.malformed");
}

#[test]
fn type_algorithm_key_and_signature() {
    let sender = Sender::new(Algorithm::ES256);
    let other = Sender::new(Algorithm::ES256);
    for typ in [json!("JWT"), json!("at+jwt"), json!(null), json!(1)] {
        assert_eq!(refused(&json!({"typ": typ}), &json!({})), "dpop.type_mismatch", "{typ}");
    }
    for alg in [json!("HS256"), json!("none"), json!("ES256K"), json!(null)] {
        assert_eq!(
            refused(&json!({"alg": alg}), &json!({})),
            "dpop.algorithm_not_allowed",
            "{alg}"
        );
    }
    let mut private = sender.0.public_jwk();
    private["d"] = json!("AAAA");
    for jwk in [json!(null), json!({}), json!({"kty": "oct", "k": "AAAA"}), private] {
        assert_eq!(refused(&json!({"jwk": jwk}), &json!({})), "dpop.key_unusable", "{jwk}");
    }
    // Somebody else's public key in the header, as it is known from his proofs.
    let forged = other.proof(&json!({"jwk": sender.0.public_jwk()}), &json!({}));
    assert_eq!(
        judge(&forged, sender.jkt()).unwrap_err().code(),
        "dpop.signature_invalid"
    );
    let refusal = judge(&other.proof(&json!({}), &json!({})), sender.jkt()).unwrap_err();
    assert_eq!(refusal.code(), "dpop.key_mismatch");
    assert_eq!(refusal.expected().as_deref(), Some(sender.jkt()));

    let target = TargetUri::parse("https://api.test/orders").unwrap();
    let mut rules = ProofRules::new("GET", &target, UnixTime::from_secs(NOW)).with_token(TOKEN, sender.jkt());
    rules.algorithms = AlgorithmSet::of(&[Algorithm::EdDSA]);
    let good = sender.proof(&json!({}), &json!({}));
    let refusal = Proof::check([good.as_bytes()], &rules).unwrap_err();
    assert_eq!(refusal.code(), "dpop.algorithm_not_allowed");
}

#[test]
fn method_and_address_are_those_of_the_request() {
    for method in ["POST", "get", "Get", "GET ", "HEAD"] {
        assert_eq!(
            refused(&json!({}), &json!({"htm": method})),
            "dpop.method_mismatch",
            "{method}"
        );
    }
    for uri in [
        "https://evil.test/orders",
        "http://api.test/orders",
        "https://api.test/orders/",
        "https://api.test/Orders",
        "https://api.test/",
        "https://api.test:8443/orders",
        "https://api.test@evil.test/orders",
        "/orders",
        "api.test/orders",
    ] {
        assert_eq!(refused(&json!({}), &json!({"htu": uri})), "dpop.uri_mismatch", "{uri}");
    }
    let sender = Sender::new(Algorithm::ES256);
    for uri in [
        "https://api.test/orders?page=2",
        "https://api.test/orders#top",
        "HTTPS://API.test:443/order%73",
    ] {
        let proof = sender.proof(&json!({}), &json!({"htu": uri}));
        assert!(judge(&proof, sender.jkt()).is_ok(), "{uri}");
    }
    let proof = sender.proof(&json!({}), &json!({"htu": "https://evil.test/?secret=1"}));
    let found = judge(&proof, sender.jkt()).unwrap_err().found().unwrap();
    assert_eq!(found, "https://evil.test/", "no query in an event");
}

#[test]
fn it_was_made_just_now() {
    let sender = Sender::new(Algorithm::ES256);
    for (iat, code) in [
        (NOW - 600, Some("dpop.expired")),
        (NOW - 61, Some("dpop.expired")),
        (NOW - 60, None),
        (NOW + 60, None),
        (NOW + 61, Some("dpop.not_yet_valid")),
    ] {
        let proof = sender.proof(&json!({}), &json!({"iat": iat}));
        assert_eq!(
            judge(&proof, sender.jkt()).err().map(|refusal| refusal.code()),
            code,
            "{iat}"
        );
    }
    // A mark is kept as long as the proof could be sent again.
    let early = judge(&sender.proof(&json!({}), &json!({"iat": NOW + 60})), sender.jkt()).unwrap();
    assert_eq!(early.expires, UnixTime::from_secs(NOW + 120));
}

#[test]
fn every_claim_is_there_and_of_its_type() {
    for claim in ["jti", "htm", "htu", "iat", "ath"] {
        assert_eq!(
            refused(&json!({}), &json!({claim: null})),
            "dpop.claim_missing",
            "{claim}"
        );
        assert_eq!(
            refused(&json!({}), &json!({claim: ["x"]})),
            "dpop.claim_invalid",
            "{claim}"
        );
    }
    assert_eq!(refused(&json!({}), &json!({"jti": ""})), "dpop.claim_missing");
    assert_eq!(refused(&json!({}), &json!({"iat": "now"})), "dpop.claim_invalid");
    assert_eq!(refused(&json!({}), &json!({"iat": -1})), "dpop.claim_invalid");
    assert_eq!(
        refused(&json!({}), &json!({"jti": "j".repeat(257)})),
        "dpop.claim_invalid"
    );
    let sender = Sender::new(Algorithm::ES256);
    let longest = sender.proof(&json!({}), &json!({"jti": "j".repeat(256)}));
    assert!(judge(&longest, sender.jkt()).is_ok());
}

#[test]
fn it_is_for_this_token() {
    for ath in ["x", TOKEN, &base64url_encode(&sha256(b"another"))] {
        assert_eq!(
            refused(&json!({}), &json!({"ath": ath})),
            "dpop.token_mismatch",
            "{ath}"
        );
    }
}

#[test]
fn a_nonce_is_asked_for_where_it_is_needed() {
    let sender = Sender::new(Algorithm::ES256);
    let ours = |nonce: &str| nonce == "n-1";
    let code = |claims: Value| {
        judge_at(&[&sender.proof(&json!({}), &claims)], sender.jkt(), Some(&ours))
            .err()
            .map(|refusal| (refusal.code(), refusal.oauth_error()))
    };
    assert_eq!(code(json!({"nonce": "n-1"})), None);
    assert_eq!(code(json!({})), Some(("dpop.nonce_required", "use_dpop_nonce")));
    assert_eq!(
        code(json!({"nonce": "n-0"})),
        Some(("dpop.nonce_stale", "use_dpop_nonce"))
    );
    assert_eq!(
        code(json!({"nonce": 1})),
        Some(("dpop.claim_invalid", "invalid_dpop_proof"))
    );
    // Where none is needed, one that is there means nothing.
    assert!(judge(&sender.proof(&json!({}), &json!({"nonce": "n-0"})), sender.jkt()).is_ok());
    assert_eq!(
        nonce_of(&sender.proof(&json!({}), &json!({"nonce": "n-1"}))).as_deref(),
        Some("n-1")
    );
    assert_eq!(nonce_of(&sender.proof(&json!({}), &json!({}))), None);
    assert_eq!(nonce_of("x"), None);
}

#[test]
fn no_single_bit_can_be_changed() {
    let sender = Sender::new(Algorithm::Ed25519);
    let good = sender.proof(&json!({}), &json!({}));
    for at in 0..good.len() {
        for bit in 0..7 {
            let mut bytes = good.clone().into_bytes();
            bytes[at] ^= 1 << bit;
            let changed = String::from_utf8(bytes).unwrap();
            assert!(judge(&changed, sender.jkt()).is_err(), "bit {bit} of byte {at}");
        }
    }
    assert!(judge(&good, sender.jkt()).is_ok());
}

#[test]
fn two_keys_or_two_identifiers_are_two_proofs() {
    let (one, two) = (Sender::new(Algorithm::ES256), Sender::new(Algorithm::ES256));
    let id = |sender: &Sender, jti: &str| {
        let proof = sender.proof(&json!({}), &json!({"jti": jti}));
        judge(&proof, sender.jkt()).unwrap().id()
    };
    assert_eq!(id(&one, "a"), id(&one, "a"));
    assert_ne!(id(&one, "a"), id(&one, "b"));
    assert_ne!(id(&one, "a"), id(&two, "a"));
}

/// RFC 9449 s4.1 and s6.1 (the thumbprint), s7.1 (with a token).
#[test]
fn the_proofs_of_rfc_9449_pass() {
    const JKT: &str = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";
    let at_the_provider = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg";
    let target = TargetUri::parse("https://server.example.com/token").unwrap();
    let rules = ProofRules::new("POST", &target, UnixTime::from_secs(1_562_262_616));
    let proof = Proof::check([at_the_provider.as_bytes()], &rules).unwrap();
    assert_eq!(
        (proof.thumbprint.as_str(), proof.jti.as_str()),
        (JKT, "-BwC3ESc6acc2lTc")
    );

    let at_the_api = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA";
    let token = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU";
    let target = TargetUri::parse("https://resource.example.org/protectedresource").unwrap();
    let rules = ProofRules::new("GET", &target, UnixTime::from_secs(1_562_262_618)).with_token(token, JKT);
    let proof = Proof::check([at_the_api.as_bytes()], &rules).unwrap();
    assert_eq!(proof.jti, "e1j3V_bKic8-LAEB");
    // The other way round each is refused.
    assert_eq!(
        Proof::check([at_the_provider.as_bytes()], &rules).unwrap_err().code(),
        "dpop.method_mismatch"
    );
}
