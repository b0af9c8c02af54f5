//! Checks of a request's head that come before anything else: sizes, framing, host.

use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::request::Parts;
use http::uri::Authority;
use http::{Method, StatusCode, Version};

/// How large a request's head may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeadLimits {
    /// Header fields, repeated ones counted each time.
    pub headers: usize,
    /// Bytes of all names and values.
    pub bytes: usize,
    /// Bytes of path and query.
    pub target: usize,
}

impl Default for HeadLimits {
    fn default() -> Self {
        HeadLimits {
            headers: 100,
            bytes: 32 * 1024,
            target: 8 * 1024,
        }
    }
}

/// Why a request's head is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeadError {
    /// More header fields than [`HeadLimits::headers`].
    #[error("the request has too many header fields")]
    TooManyHeaders,
    /// More bytes of header fields than [`HeadLimits::bytes`].
    #[error("the request's header fields are too large")]
    TooLarge,
    /// A longer path and query than [`HeadLimits::target`].
    #[error("the request's path and query are too long")]
    TargetTooLong,
    /// `CONNECT` asks for a tunnel; a gateway opens none.
    #[error("CONNECT is not served here")]
    Connect,
    /// `TRACE` sends the request back, credentials of ours included.
    #[error("TRACE is not served here")]
    Trace,
    /// A method with small letters: many programs take `delete` for `DELETE`, and it would be judged as another method.
    #[error("the request's method has small letters")]
    MethodCase,
    /// More than one `Content-Length`, or one that is not a number.
    #[error("the request's Content-Length is repeated or not a number")]
    ContentLength,
    /// `Transfer-Encoding` together with `Content-Length`, in HTTP/1.0, or other than `chunked`.
    #[error("the request's Transfer-Encoding is not a lone `chunked`")]
    TransferEncoding,
    /// No host, several, or one with characters that no host has.
    #[error("the request's Host is missing, repeated or malformed")]
    Host,
    /// `Host` and the host of the request target differ.
    #[error("the request names two different hosts")]
    HostMismatch,
}

impl HeadError {
    /// The stable code, as in the catalogue of errors.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            HeadError::Connect | HeadError::Trace | HeadError::MethodCase => "route.method_not_allowed",
            _ => "request.bad_head",
        }
    }

    /// The status of the public answer.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            HeadError::TooManyHeaders | HeadError::TooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            HeadError::TargetTooLong => StatusCode::URI_TOO_LONG,
            HeadError::Connect | HeadError::Trace | HeadError::MethodCase => StatusCode::METHOD_NOT_ALLOWED,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

/// Refuses a head that is too large, or that two servers could read differently.
///
/// # Errors
/// [`HeadError`]: the first rule that is broken.
pub fn check_request_head(parts: &Parts, limits: &HeadLimits) -> Result<(), HeadError> {
    check_sizes(parts, limits)?;
    // RFC 9110 s9.3.6: an origin or gateway that opens no tunnels answers 405.
    if parts.method == Method::CONNECT {
        return Err(HeadError::Connect);
    }
    // RFC 9110 s9.3.8: an answer to TRACE holds the request, and with it the token that we attached.
    if parts.method == Method::TRACE {
        return Err(HeadError::Trace);
    }
    // RFC 9110 s9.1: methods are case-sensitive, and all that are registered are in capitals.
    if parts.method.as_str().bytes().any(|byte| byte.is_ascii_lowercase()) {
        return Err(HeadError::MethodCase);
    }
    check_framing(parts)?;
    check_host(parts)
}

/// The host that a request asks for, with the port where it names one: of the target, else of `Host`.
#[must_use]
pub fn request_host(parts: &Parts) -> Option<&str> {
    // RFC 9112 s3.2.2: the host of an absolute target wins over the header.
    match parts.uri.authority() {
        Some(authority) => Some(authority.as_str()),
        None => parts.headers.get(HOST)?.to_str().ok(),
    }
}

fn check_sizes(parts: &Parts, limits: &HeadLimits) -> Result<(), HeadError> {
    if parts.headers.len() > limits.headers {
        return Err(HeadError::TooManyHeaders);
    }
    let bytes: usize = parts
        .headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum();
    if bytes > limits.bytes {
        return Err(HeadError::TooLarge);
    }
    if parts
        .uri
        .path_and_query()
        .is_some_and(|target| target.as_str().len() > limits.target)
    {
        return Err(HeadError::TargetTooLong);
    }
    Ok(())
}

fn check_framing(parts: &Parts) -> Result<(), HeadError> {
    let mut lengths = parts.headers.get_all(CONTENT_LENGTH).iter();
    let length = lengths.next();
    // RFC 9112 s6.3: several lengths, even equal ones, are what request smuggling is made of.
    if lengths.next().is_some() {
        return Err(HeadError::ContentLength);
    }
    if length.is_some_and(|value| value.is_empty() || !value.as_bytes().iter().all(u8::is_ascii_digit)) {
        return Err(HeadError::ContentLength);
    }
    let mut codings = parts.headers.get_all(TRANSFER_ENCODING).iter();
    if let Some(coding) = codings.next() {
        // RFC 9112 s6.1: both fields at once, or chunked in HTTP/1.0, is an error or an attack.
        let lone = coding.as_bytes().eq_ignore_ascii_case(b"chunked") && codings.next().is_none();
        if !lone || length.is_some() || parts.version < Version::HTTP_11 {
            return Err(HeadError::TransferEncoding);
        }
    }
    Ok(())
}

fn check_host(parts: &Parts) -> Result<(), HeadError> {
    let mut hosts = parts.headers.get_all(HOST).iter();
    let header = hosts.next();
    if hosts.next().is_some() {
        return Err(HeadError::Host);
    }
    let authority = parts.uri.authority();
    // RFC 9110 s4.2.4: user information in a target is for deceiving people.
    if authority.is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(HeadError::Host);
    }
    match (header, authority) {
        // RFC 9112 s3.2: HTTP/1.1 without Host is 400.
        (None, None) if parts.version == Version::HTTP_10 => Ok(()),
        (None, None) => Err(HeadError::Host),
        (None, Some(_)) => Ok(()),
        (Some(value), authority) => {
            let bytes = value.as_bytes();
            if bytes.is_empty() || !bytes.iter().all(|&byte| is_host_byte(byte)) {
                return Err(HeadError::Host);
            }
            // RFC 9113 s8.3.1: Host and :authority must not differ.
            match authority {
                Some(authority) if !agree(bytes, authority) => Err(HeadError::HostMismatch),
                _ => Ok(()),
            }
        }
    }
}

fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'~' | b':' | b'[' | b']')
}

fn agree(header: &[u8], authority: &Authority) -> bool {
    let (host, port) = split_host(header);
    let (other, other_port) = split_host(authority.as_str().as_bytes());
    host.eq_ignore_ascii_case(other) && port == other_port
}

/// Host without its last dot, and the port where it is not a scheme's own.
fn split_host(authority: &[u8]) -> (&[u8], Option<&[u8]>) {
    let colon = authority.iter().rposition(|&byte| byte == b':' || byte == b']');
    let (host, port) = match colon.and_then(|at| authority.split_at_checked(at)) {
        Some((host, [b':', port @ ..])) => (host, Some(port)),
        _ => (authority, None),
    };
    (
        host.strip_suffix(b".").unwrap_or(host),
        port.filter(|port| !matches!(*port, b"" | b"80" | b"443")),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn check(request: http::request::Builder) -> Result<(), HeadError> {
        let (parts, ()) = request.body(()).unwrap().into_parts();
        check_request_head(&parts, &HeadLimits::default())
    }

    fn get(target: &str) -> http::request::Builder {
        Request::get(target).header("host", "app.test")
    }

    #[test]
    fn a_plain_request_passes() {
        assert_eq!(check(get("/a?b=c").header("content-length", "3")), Ok(()));
        assert_eq!(check(get("/a").header("transfer-encoding", "Chunked")), Ok(()));
        assert_eq!(check(Request::get("/").version(Version::HTTP_10)), Ok(()));
        assert_eq!(
            check(Request::get("https://app.test/").version(Version::HTTP_2)),
            Ok(())
        );
        assert_eq!(check(get("https://APP.test/")), Ok(()));
        assert_eq!(check(get("https://app.test.:443/")), Ok(()));
        assert_eq!(check(Request::get("http://[::1]:80/").header("host", "[::1]")), Ok(()));
        assert_eq!(check(Request::get("/").header("host", "[::1]:8080")), Ok(()));
    }

    #[test]
    fn sizes_are_bounded() {
        let mut request = get("/");
        for number in 0..99 {
            request = request.header(format!("x-{number}"), "1");
        }
        assert_eq!(check(request), Ok(()), "100 fields");
        let mut request = get("/");
        for _ in 0..100 {
            request = request.header("x-same", "1");
        }
        assert_eq!(check(request), Err(HeadError::TooManyHeaders));
        assert_eq!(check(get("/").header("x-big", "a".repeat(32 * 1024 - 17))), Ok(()));
        assert_eq!(
            check(get("/").header("x-big", "a".repeat(32 * 1024))),
            Err(HeadError::TooLarge)
        );
        assert_eq!(HeadError::TooLarge.status(), 431);
        assert_eq!(check(get(&format!("/{}", "a".repeat(8 * 1024 - 1)))), Ok(()));
        let error = check(get(&format!("/{}", "a".repeat(8 * 1024)))).unwrap_err();
        assert_eq!((error, error.status().as_u16()), (HeadError::TargetTooLong, 414));
    }

    #[test]
    fn a_body_has_one_length() {
        let twice = get("/").header("content-length", "3").header("content-length", "3");
        assert_eq!(check(twice), Err(HeadError::ContentLength));
        for value in ["3, 3", "+3", "-1", "", "0x3"] {
            assert_eq!(
                check(get("/").header("content-length", value)),
                Err(HeadError::ContentLength),
                "{value}"
            );
        }
        let both = get("/")
            .header("content-length", "3")
            .header("transfer-encoding", "chunked");
        assert_eq!(check(both), Err(HeadError::TransferEncoding));
        for value in ["gzip, chunked", "identity", "xchunked", "chunked, chunked"] {
            assert_eq!(
                check(get("/").header("transfer-encoding", value)),
                Err(HeadError::TransferEncoding),
                "{value}"
            );
        }
        let old = get("/")
            .header("transfer-encoding", "chunked")
            .version(Version::HTTP_10);
        assert_eq!(check(old), Err(HeadError::TransferEncoding));
        assert_eq!(HeadError::TransferEncoding.status(), 400);
        assert_eq!(HeadError::TransferEncoding.code(), "request.bad_head");
    }

    #[test]
    fn connect_opens_no_tunnel() {
        let error = check(Request::connect("app.test:443").header("host", "app.test:443")).unwrap_err();
        assert_eq!((error, error.status().as_u16()), (HeadError::Connect, 405));
        assert_eq!(error.code(), "route.method_not_allowed");
    }

    #[test]
    fn the_host_is_one_and_agrees_with_the_target() {
        assert_eq!(check(Request::get("/")), Err(HeadError::Host));
        assert_eq!(check(get("/").header("host", "app.test")), Err(HeadError::Host));
        for value in ["", "a@b", "a/b", "a b", "a,b", "a%00b"] {
            assert_eq!(
                check(Request::get("/").header("host", value)),
                Err(HeadError::Host),
                "{value}"
            );
        }
        assert_eq!(check(get("https://other.test/")), Err(HeadError::HostMismatch));
        assert_eq!(check(get("https://app.test:8443/")), Err(HeadError::HostMismatch));
        assert_eq!(check(Request::get("https://user@app.test/")), Err(HeadError::Host));
    }

    #[test]
    fn the_host_is_taken_from_the_target_first() {
        let host = |request: http::request::Builder| {
            request_host(&request.body(()).unwrap().into_parts().0).map(str::to_owned)
        };
        assert_eq!(host(get("https://t.test:1/")).as_deref(), Some("t.test:1"));
        assert_eq!(host(get("/")).as_deref(), Some("app.test"));
        assert_eq!(host(Request::get("/")), None);
    }
}
