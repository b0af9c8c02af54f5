//! Finding the one credential of a request.

use http::{HeaderMap, header::AUTHORIZATION};
use portcullis_jose::Refusal;

use crate::error::GuardError;

const SCHEME: &str = "bearer";

/// The access token in a request's headers. `query` is looked at only to refuse a token that is there.
///
/// RFC 6750 s2: "Clients MUST NOT use more than one method to transmit the token in each request."
pub(crate) fn credential<'r>(headers: &'r HeaderMap, query: Option<&str>) -> Result<&'r str, GuardError> {
    // RFC 6750 s2.3 allows the query and s5.3 warns of it: URLs end up in logs, histories and Referer headers.
    if query.is_some_and(has_token_parameter) {
        return Err(Refusal::InQuery.into());
    }
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        return Err(GuardError::NoCredential { scheme: None });
    };
    if values.next().is_some() {
        return Err(Refusal::MultipleCredentials.into());
    }
    let value = value.to_str().map_err(|_| GuardError::MalformedCredential)?;
    let (scheme, rest) = value.split_once(' ').unwrap_or((value, ""));
    // RFC 9110 s11.1: the scheme is case-insensitive.
    if !scheme.eq_ignore_ascii_case(SCHEME) {
        return Err(other_scheme(scheme));
    }
    // RFC 6750 s2.1: `credentials = "Bearer" 1*SP b64token`.
    let token = rest.trim_start_matches(' ');
    if token.is_empty() {
        return Err(GuardError::MalformedCredential);
    }
    // A proxy may have folded two headers into one. What else is wrong with the text is the token parser's to say.
    if token.as_bytes().contains(&b',') && token.split(',').skip(1).any(begins_with_scheme) {
        return Err(Refusal::MultipleCredentials.into());
    }
    Ok(token)
}

/// Only schemes that are known are named: the text may be a token that was sent without a scheme.
fn other_scheme(scheme: &str) -> GuardError {
    let known = ["Basic", "DPoP", "Digest", "Negotiate"];
    let scheme = known.into_iter().find(|known| known.eq_ignore_ascii_case(scheme));
    match scheme {
        Some(scheme) => GuardError::NoCredential { scheme: Some(scheme) },
        None => GuardError::NoCredential {
            scheme: Some("something other than Bearer"),
        },
    }
}

fn begins_with_scheme(part: &str) -> bool {
    let part = part.trim_start_matches([' ', '\t']);
    part.split_once(' ').is_some_and(|(scheme, _)| {
        !scheme.is_empty()
            && scheme
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    })
}

/// RFC 6750 s2.3: the parameter `access_token`, also where its name is percent-encoded.
fn has_token_parameter(query: &str) -> bool {
    query.split(['&', ';']).any(|pair| {
        let name = pair.split('=').next().unwrap_or_default();
        decoded(name.as_bytes()).eq(*b"access_token")
    })
}

fn decoded(mut text: &[u8]) -> impl Iterator<Item = u8> {
    std::iter::from_fn(move || {
        let (&first, rest) = text.split_first()?;
        if let (b'%', [high, low, after @ ..]) = (first, rest)
            && let (Some(high), Some(low)) = (hex(*high), hex(*low))
        {
            text = after;
            return Some(high << 4 | low);
        }
        text = rest;
        Some(first)
    })
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(values: &[&[u8]]) -> HeaderMap {
        values
            .iter()
            .map(|value| (AUTHORIZATION, HeaderValue::from_bytes(value).unwrap()))
            .collect()
    }

    fn code(values: &[&[u8]], query: Option<&str>) -> &'static str {
        credential(&headers(values), query).unwrap_err().code()
    }

    #[test]
    fn one_bearer_header_is_the_credential() {
        for value in ["Bearer a.b.c", "bearer a.b.c", "BEARER   a.b.c"] {
            assert_eq!(
                credential(&headers(&[value.as_bytes()]), None).unwrap(),
                "a.b.c",
                "{value}"
            );
        }
        // Other parameters of the query are none of our business.
        for query in [
            "",
            "token=a",
            "access_token2=a",
            "xaccess_token=a",
            "Access_Token=a",
            "q=access_token",
            "access_toke%6",
        ] {
            assert!(credential(&headers(&[b"Bearer a.b.c"]), Some(query)).is_ok(), "{query}");
        }
    }

    #[test]
    fn no_bearer_header_is_no_credential() {
        assert_eq!(code(&[], None), "token.missing");
        for value in [
            "",
            "Basic dXNlcg==",
            "DPoP a.b.c",
            "Bearers a.b.c",
            "a.b.c",
            "Bearer\ta.b.c",
        ] {
            assert_eq!(code(&[value.as_bytes()], None), "token.missing", "{value}");
        }
    }

    #[test]
    fn a_token_in_the_query_is_refused_with_and_without_a_header() {
        for query in [
            "access_token=a",
            "x=1&access_token=a",
            "access_token",
            "access%5Ftoken=a",
            "%61ccess_token=",
            "x;access_token=a",
        ] {
            assert_eq!(code(&[], Some(query)), "token.in_query", "{query}");
            assert_eq!(code(&[b"Bearer a.b.c"], Some(query)), "token.in_query", "{query}");
        }
    }

    #[test]
    fn more_than_one_credential_is_refused() {
        assert_eq!(
            code(&[b"Bearer a.b.c", b"Bearer a.b.c"], None),
            "token.multiple_credentials"
        );
        assert_eq!(code(&[b"Bearer a.b.c", b"Basic x"], None), "token.multiple_credentials");
        assert_eq!(
            code(&[b"Bearer a.b.c, Bearer d.e.f"], None),
            "token.multiple_credentials"
        );
        assert_eq!(code(&[b"Bearer a.b.c,\tbasic x"], None), "token.multiple_credentials");
    }

    #[test]
    fn a_malformed_credential_is_a_bad_request_and_a_malformed_token_is_not() {
        for value in [&b"Bearer"[..], b"Bearer ", b"Bearer    ", b"Bearer caf\xe9"] {
            assert_eq!(code(&[value], None), "token.malformed", "{value:?}");
        }
        for token in ["a b", "{\"payload\":\"x\", \"signature\":\"y z\"}", "a,b", "a%2eb%2ec"] {
            let value = format!("Bearer {token}");
            assert_eq!(credential(&headers(&[value.as_bytes()]), None).unwrap(), token);
        }
    }

    #[test]
    fn what_was_sent_without_a_scheme_is_not_repeated() {
        let error = credential(&headers(&[b"eyJhbGciOi.secret.token"]), None).unwrap_err();
        assert!(!format!("{error} {error:?} {:?}", error.found()).contains("secret"));
    }
}
