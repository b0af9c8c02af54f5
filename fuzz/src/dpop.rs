//! The target of `portcullis-oidc`: DPoP proofs and the addresses that they name.

use portcullis_jose::UnixTime;
use portcullis_oidc::dpop::{Proof, ProofRules, TargetUri, nonce_of};

/// A proof is read without a panic, and one that passes can be remembered; an address has one normal form.
pub fn dpop(data: &[u8]) {
    let target = TargetUri::parse("https://server.example.com/token").expect("it is an address");
    let rules = ProofRules::new("POST", &target, UnixTime::from_secs(1_562_262_616));
    if let Ok(proof) = Proof::check([data], &rules) {
        assert_eq!(proof.thumbprint.len(), 43);
        assert!((1..=256).contains(&proof.jti.len()));
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = nonce_of(text);
    assert!(target.at(text).as_str().starts_with("https://server.example.com"));
    if let Some(parsed) = TargetUri::parse(text) {
        assert_eq!(TargetUri::parse(parsed.as_str()), Some(parsed.clone()), "a normal form is its own");
    }
}
