//! Finding the one credential of a request, and what came with it.

use std::fmt;

use http::request::Parts;
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, Uri, header::AUTHORIZATION};
use portcullis_jose::Refusal;

use crate::certificate::ClientCertificate;
use crate::error::GuardError;
use crate::keep_uri;

pub(crate) const DPOP: HeaderName = HeaderName::from_static("dpop");

/// How a token was presented: the scheme of the `Authorization` header (RFC 9110 s11.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Scheme {
    /// RFC 6750.
    Bearer,
    /// RFC 9449 s7.1: with a proof in the header `DPoP`.
    Dpop,
}

/// The one access token of a request, and what came with it to prove that its sender may use it.
///
/// [`Guard::credential`](crate::Guard::credential) finds it; it borrows from the request.
///
/// ```
/// # use portcullis_guard::{Guard, Presented};
/// // A token that did not come by HTTP, such as the first message of a WebSocket.
/// let presented = Presented::token_alone("eyJ...").called("GET", "/orders");
/// assert!(!format!("{presented:?}").contains("eyJ"), "it does not print");
///
/// let (parts, ()) = http::Request::get("/orders").body(()).unwrap().into_parts();
/// assert_eq!(Guard::credential(&parts).unwrap_err().code(), "token.missing");
/// ```
#[derive(Clone, Copy)]
pub struct Presented<'r> {
    token: &'r str,
    scheme: Scheme,
    method: &'r str,
    path: &'r str,
    /// The path as it was sent, which a proof names.
    target: &'r str,
    /// Where the proofs are, if there are any.
    headers: Option<&'r HeaderMap>,
    certificate: Option<&'r ClientCertificate>,
    used: Option<&'r UsedProof>,
    held: bool,
}

/// Left in a request whose proof was used up by a guard, for the guards that it meets after that one. Only this crate
/// makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UsedProof(pub(crate) [u8; 32]);

// === impl Scheme ===

impl Scheme {
    /// The scheme that a request's `Authorization` header names, if it is one of these.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Option<Scheme> {
        let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
        scheme_of(value.split_once(' ').map_or(value, |(scheme, _)| scheme)).ok()
    }

    /// The scheme's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Scheme::Bearer => "Bearer",
            Scheme::Dpop => "DPoP",
        }
    }
}

// === impl Presented ===

impl<'r> Presented<'r> {
    /// A token alone, as a session holds it. One that is bound to a key is refused, since nothing proves the key.
    #[must_use]
    pub fn token_alone(token: &'r str) -> Presented<'r> {
        Presented {
            token,
            scheme: Scheme::Bearer,
            method: "",
            path: "",
            target: "",
            headers: None,
            certificate: None,
            used: None,
            held: false,
        }
    }

    /// The same for a token that came out of our own keeping: the key that it is bound to, if it is, is ours.
    #[must_use]
    pub fn held(self) -> Presented<'r> {
        Presented { held: true, ..self }
    }

    pub(crate) fn is_held(&self) -> bool {
        self.held
    }

    /// The same for a call of this method and path, without the query, which policies may look at. A proof names the
    /// method too, and the path as it was sent.
    #[must_use]
    pub fn called(self, method: &'r str, path: &'r str) -> Presented<'r> {
        Presented { method, path, ..self }
    }

    /// The same over a connection with this client certificate, where something in front ended TLS and said so.
    #[must_use]
    pub fn with_certificate(self, certificate: Option<&'r ClientCertificate>) -> Presented<'r> {
        Presented { certificate, ..self }
    }

    /// The token's text.
    #[must_use]
    pub fn text(&self) -> &'r str {
        self.token
    }

    /// The scheme that it was presented with.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The method of the call.
    #[must_use]
    pub fn method(&self) -> &'r str {
        self.method
    }

    /// The path of the call, without the query.
    #[must_use]
    pub fn path(&self) -> &'r str {
        self.path
    }

    /// The certificate of the client's connection.
    #[must_use]
    pub fn certificate(&self) -> Option<&'r ClientCertificate> {
        self.certificate
    }

    /// The `DPoP` headers.
    pub(crate) fn proofs(&self) -> impl Iterator<Item = &'r HeaderValue> + use<'r> {
        self.headers.into_iter().flat_map(|headers| headers.get_all(DPOP))
    }

    /// The path as it was sent.
    pub(crate) fn target(&self) -> &'r str {
        self.target
    }

    /// Whether this very request has used this proof up already, at another guard.
    pub(crate) fn has_used(&self, proof: &[u8; 32]) -> bool {
        self.used.is_some_and(|used| used.0 == *proof)
    }

    pub(crate) fn of_parts(parts: &'r Parts) -> Result<Presented<'r>, GuardError> {
        let uri = keep_uri::sent(&parts.uri, &parts.extensions);
        Presented::of(&parts.method, uri, &parts.headers, &parts.extensions)
    }

    pub(crate) fn of(
        method: &'r Method,
        uri: &'r Uri,
        headers: &'r HeaderMap,
        extensions: &'r Extensions,
    ) -> Result<Presented<'r>, GuardError> {
        let (scheme, token) = credential(headers, uri.query())?;
        Ok(Presented {
            token,
            scheme,
            method: method.as_str(),
            path: uri.path(),
            target: uri.path(),
            headers: Some(headers),
            certificate: extensions.get::<ClientCertificate>(),
            used: extensions.get::<UsedProof>(),
            held: false,
        })
    }
}

impl<'r> Presented<'r> {
    /// The token of the most usual request as it was sent: one header of the form `Bearer token` and no query. Nothing is
    /// known of it but where it is; what is presented with it is told without its text.
    pub(crate) fn as_sent(
        method: &'r Method,
        uri: &'r Uri,
        headers: &'r HeaderMap,
        extensions: &'r Extensions,
    ) -> Option<(&'r [u8], Presented<'r>)> {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let token = values.next()?.as_bytes().strip_prefix(b"Bearer ")?;
        if values.next().is_some() || uri.query().is_some() {
            return None;
        }
        let presented = Presented {
            token: "",
            scheme: Scheme::Bearer,
            method: method.as_str(),
            path: uri.path(),
            target: uri.path(),
            headers: Some(headers),
            certificate: extensions.get::<ClientCertificate>(),
            used: None,
            held: false,
        };
        Some((token, presented))
    }
}

/// Never the token.
impl fmt::Debug for Presented<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presented")
            .field("scheme", &self.scheme)
            .field("method", &self.method)
            .field("path", &self.path)
            .field("certificate", &self.certificate)
            .finish_non_exhaustive()
    }
}

/// The access token in a request's headers. `query` is looked at only to refuse a token that is there.
///
/// RFC 6750 s2: "Clients MUST NOT use more than one method to transmit the token in each request."
fn credential<'r>(headers: &'r HeaderMap, query: Option<&str>) -> Result<(Scheme, &'r str), GuardError> {
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
    let value = text(value).ok_or(GuardError::MalformedCredential)?;
    let (scheme, rest) = value.split_once(' ').unwrap_or((value, ""));
    let scheme = scheme_of(scheme)?;
    // RFC 6750 s2.1: `credentials = "Bearer" 1*SP b64token`; RFC 9449 s7.1 the same for DPoP.
    let token = rest.trim_start_matches(' ');
    if token.is_empty() {
        return Err(GuardError::MalformedCredential);
    }
    // A proxy may have folded two headers into one. What else is wrong with the text is the token parser's to say.
    if memchr::memchr(b',', token.as_bytes()).is_some() && token.split(',').skip(1).any(begins_with_scheme) {
        return Err(Refusal::MultipleCredentials.into());
    }
    Ok((scheme, token))
}

/// RFC 9110 s11.1: the scheme is case-insensitive. Only schemes that are known are named in the refusal: the text may
/// be a token that was sent without a scheme.
fn scheme_of(text: &str) -> Result<Scheme, GuardError> {
    if text.eq_ignore_ascii_case("Bearer") {
        return Ok(Scheme::Bearer);
    }
    if text.eq_ignore_ascii_case("DPoP") {
        return Ok(Scheme::Dpop);
    }
    let known = ["Basic", "Digest", "Negotiate"];
    let scheme = known.into_iter().find(|known| known.eq_ignore_ascii_case(text));
    Err(GuardError::NoCredential {
        scheme: Some(scheme.unwrap_or("something other than Bearer")),
    })
}

/// As `HeaderValue::to_str`, which looks at each byte by itself; a token has a thousand of them.
fn text(value: &HeaderValue) -> Option<&str> {
    let bytes = value.as_bytes();
    bytes.is_ascii().then(|| std::str::from_utf8(bytes).ok())?
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
                (Scheme::Bearer, "a.b.c"),
                "{value}"
            );
        }
        let value = headers(&[b"dpop a.b.c"]);
        assert_eq!(credential(&value, None).unwrap(), (Scheme::Dpop, "a.b.c"));
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
            "DPoPs a.b.c",
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
            assert_eq!(credential(&headers(&[value.as_bytes()]), None).unwrap().1, token);
        }
    }

    #[test]
    fn what_was_sent_without_a_scheme_is_not_repeated() {
        let error = credential(&headers(&[b"eyJhbGciOi.secret.token"]), None).unwrap_err();
        assert!(!format!("{error} {error:?} {:?}", error.found()).contains("secret"));
    }
}
