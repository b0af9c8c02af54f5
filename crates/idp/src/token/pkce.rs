use portcullis_jose::{base64url_encode, constant_time_eq, sha256};

use crate::oauth_error::OAuthError;

/// Whether the verifier is the one whose hash began the login (RFC 7636 s4.6).
pub(super) fn check(challenge: Option<&str>, verifier: Option<&str>) -> Result<(), OAuthError> {
    match (challenge, verifier) {
        (None, None) => Ok(()),
        // RFC 9700 s4.8.2: a verifier without a challenge is a downgrade.
        (None, Some(_)) => Err(OAuthError::invalid_grant(
            "code_verifier was sent, but the login had no code_challenge",
        )),
        (Some(_), None) => Err(OAuthError::invalid_grant("code_verifier is missing")),
        (Some(challenge), Some(verifier)) => {
            let hash = base64url_encode(&sha256(verifier.as_bytes()));
            if is_verifier(verifier) && constant_time_eq(hash.as_bytes(), challenge.as_bytes()) {
                Ok(())
            } else {
                Err(OAuthError::invalid_grant(
                    "code_verifier does not fit the code_challenge of the login",
                ))
            }
        }
    }
}

/// RFC 7636 s4.1: 43 to 128 unreserved characters.
fn is_verifier(text: &str) -> bool {
    (43..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 7636 appendix B
    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    #[test]
    fn the_example_of_the_rfc_fits() {
        assert_eq!(check(Some(CHALLENGE), Some(VERIFIER)), Ok(()));
        assert_eq!(check(None, None), Ok(()));
    }

    #[test]
    fn everything_else_does_not() {
        let too_short = "abc";
        let its_hash = base64url_encode(&sha256(too_short.as_bytes()));
        for (challenge, verifier) in [
            (Some(CHALLENGE), None),
            (Some(CHALLENGE), Some(CHALLENGE)),
            (Some(CHALLENGE), Some("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXK")),
            (None, Some(VERIFIER)),
            (Some(its_hash.as_str()), Some(too_short)),
        ] {
            assert_eq!(
                check(challenge, verifier).unwrap_err().error,
                "invalid_grant",
                "{challenge:?} {verifier:?}"
            );
        }
    }
}
