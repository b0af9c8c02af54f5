//! A whole token that is to be revoked. What names it is taken from it at once; nothing keeps the token.

use portcullis_audit::Refused;
use portcullis_jose::{Secret, UnixTime, base64url_decode, sha256};
use portcullis_store::TokenId;
use serde::Deserialize;

use super::entry::bad;

/// What a token is known by. Nothing of it is proven: to revoke what nobody accepts does no harm.
#[derive(Debug)]
pub(super) struct Pasted {
    /// `None` where the token does not say it.
    pub(super) issuer: Option<String>,
    pub(super) id: TokenId,
    pub(super) expires: Option<UnixTime>,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    jti: Option<String>,
    exp: Option<f64>,
}

impl Pasted {
    /// `is_opaque`: whether a provider is asked about such a token.
    pub(super) fn read(token: &Secret, is_opaque: impl Fn(&str) -> bool) -> Result<Pasted, Refused> {
        let text = token.expose().trim();
        let text = match text.split_once(' ') {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("bearer") => rest.trim_start(),
            _ => text,
        };
        if !text.is_empty() && is_opaque(text) {
            return Ok(Pasted {
                issuer: None,
                id: TokenId::SignedPart(sha256(text.as_bytes())),
                expires: None,
            });
        }
        let no_jwt = || bad("`token` is no signed JWT; revoke by session, subject or client instead");
        let (signed_part, _) = text.rsplit_once('.').ok_or_else(no_jwt)?;
        let (_, claims) = signed_part.split_once('.').ok_or_else(no_jwt)?;
        let claims = base64url_decode(claims).ok_or_else(no_jwt)?;
        let claims: Claims =
            serde_json::from_slice(&claims).map_err(|_| bad("`token` has no readable `iss`, `jti` and `exp`"))?;
        // An empty one names nothing.
        let id = match claims.jti.filter(|jti| !jti.is_empty()) {
            Some(jti) => TokenId::Jti {
                iss: claims.iss.clone(),
                jti,
            },
            None => TokenId::SignedPart(sha256(signed_part.as_bytes())),
        };
        Ok(Pasted {
            issuer: Some(claims.iss),
            id,
            expires: claims.exp.map(whole_seconds),
        })
    }
}

/// RFC 7519 s2: a NumericDate may have a fraction. Rounded up, so that the revocation does not end first.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a float becomes the nearest integer, and saturates"
)]
fn whole_seconds(time: f64) -> UnixTime {
    UnixTime::from_secs(time.ceil() as i64)
}

#[cfg(test)]
mod tests {
    use portcullis_jose::base64url_encode;
    use serde_json::{Value, json};

    use super::*;

    fn read(claims: &Value) -> Result<Pasted, Refused> {
        let claims = base64url_encode(claims.to_string().as_bytes());
        Pasted::read(&Secret::new(format!("e30.{claims}.c2ln")), |_| false)
    }

    #[test]
    fn a_token_is_known_by_its_jti_or_by_what_was_signed() {
        let with = read(&json!({"iss": "i", "jti": "t1", "exp": 100.5})).unwrap();
        let (iss, jti) = ("i".to_owned(), "t1".to_owned());
        assert_eq!(
            (with.id, with.expires),
            (TokenId::Jti { iss, jti }, Some(UnixTime::from_secs(101)))
        );
        let claims = json!({"iss": "i"});
        let without = read(&claims).unwrap();
        let signed = format!("e30.{}", base64url_encode(claims.to_string().as_bytes()));
        assert_eq!(without.id, TokenId::SignedPart(sha256(signed.as_bytes())));
        assert_eq!((without.issuer.as_deref(), without.expires), (Some("i"), None));
        // The same token with a signature written in another way, or as it stands in a header.
        let text = Secret::new(format!("Bearer {signed}.b3RoZXI "));
        assert_eq!(Pasted::read(&text, |_| false).unwrap().id, without.id);
    }

    #[test]
    fn a_token_that_does_not_speak_for_itself_is_known_by_its_hash() {
        for text in ["opaque-secret", "Bearer opaque-secret\n"] {
            let pasted = Pasted::read(&Secret::new(text), |text| text == "opaque-secret").unwrap();
            assert_eq!(pasted.id, TokenId::SignedPart(sha256(b"opaque-secret")));
            assert_eq!((pasted.issuer, pasted.expires), (None, None));
        }
        assert!(Pasted::read(&Secret::new(" "), |_| true).is_err());
    }

    #[test]
    fn what_is_no_token_is_refused_without_being_quoted() {
        for text in ["", "opaque-secret", "a.b", "a.%%%.c", "a.e30.c", "a.bm90anNvbg.c"] {
            let refused = Pasted::read(&Secret::new(text), |_| false).unwrap_err();
            assert_eq!(refused.code, "admin.bad_request", "{text}");
            assert!(!refused.cause.contains("opaque-secret") && refused.found.is_none());
        }
    }
}
