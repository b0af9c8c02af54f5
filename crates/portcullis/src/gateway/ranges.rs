//! Parts of a file (RFC 9110 s14): what the file server is asked for, where it is stricter or laxer than the standard.

use axum::body::Body;
use http::header::{CONTENT_RANGE, ETAG, LAST_MODIFIED, RANGE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};

/// The part that is asked for; `None` where the whole is to be sent: s14.2 has a server ignore a unit that it does not
/// know, and any method but GET, and allows it to ignore what is malformed or asks for several parts.
pub(super) fn wanted<B>(request: &Request<B>) -> Option<HeaderValue> {
    let mut values = request.headers().get_all(RANGE).iter();
    let (value, None) = (values.next()?.to_str().ok()?, values.next()) else {
        return None;
    };
    let (unit, part) = value.split_once('=')?;
    if request.method() != Method::GET || !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = part.trim().split_once('-')?;
    let number = |text: &str| match text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More than any file has.
        true => Some(text.parse::<u64>().unwrap_or(u64::MAX >> 1)),
        false => None,
    };
    let range = match (first.is_empty(), last.is_empty()) {
        (true, true) => return None,
        (true, false) => format!("bytes=-{}", number(last)?),
        (false, true) => format!("bytes={}-", number(first)?),
        (false, false) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then(|| format!("bytes={first}-{last}"))?
        }
    };
    HeaderValue::from_str(&range).ok()
}

/// s13.1.5: whether the file is still the one that a condition names. A weak tag never says so.
pub(super) fn is_same_version(condition: &HeaderValue, file: &HeaderMap) -> bool {
    match condition.as_bytes() {
        [b'"', ..] => file.get(ETAG) == Some(condition),
        [b'W', b'/', ..] => false,
        _ => file.get(LAST_MODIFIED) == Some(condition),
    }
}

/// Whether the last bytes were asked for, and the file has fewer, or the file has none at all: then that is the whole.
pub(super) fn is_of_the_whole(range: &HeaderValue, response: &Response<Body>) -> bool {
    let total = |headers: &HeaderMap| {
        let text = headers.get(CONTENT_RANGE)?.to_str().ok()?;
        text.rsplit_once('/')?.1.parse::<u64>().ok()
    };
    match response.status() {
        StatusCode::RANGE_NOT_SATISFIABLE => {
            range.as_bytes().starts_with(b"bytes=-") && range.as_bytes() != b"bytes=-0"
        }
        StatusCode::PARTIAL_CONTENT => total(response.headers()) == Some(0),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(method: &str, range: &str) -> Option<String> {
        let request = Request::builder().method(method).header(RANGE, range).body(()).unwrap();
        wanted(&request).map(|range| range.to_str().unwrap().to_owned())
    }

    #[test]
    fn what_is_no_part_is_the_whole() {
        for (range, expected) in [
            ("bytes=0-9", Some("bytes=0-9")),
            ("BYTES=5-", Some("bytes=5-")),
            ("bytes=-5", Some("bytes=-5")),
            ("bytes=0-99999999999999999999", Some("bytes=0-9223372036854775807")),
            ("items=0-1", None),
            ("bytes=9-0", None),
            ("bytes=-", None),
            ("bytes=a-b", None),
            ("bytes=0-1,3-4", None),
            ("bytes", None),
        ] {
            assert_eq!(asked("GET", range).as_deref(), expected, "{range}");
        }
        assert_eq!(asked("HEAD", "bytes=0-9"), None);
    }

    #[test]
    fn a_version_is_told_by_a_strong_tag_or_its_date() {
        let mut file = HeaderMap::new();
        file.insert(ETAG, HeaderValue::from_static("\"a\""));
        file.insert(LAST_MODIFIED, HeaderValue::from_static("Fri, 27 Nov 2026 10:00:00 GMT"));
        for (condition, same) in [
            ("\"a\"", true),
            ("\"b\"", false),
            ("W/\"a\"", false),
            ("Fri, 27 Nov 2026 10:00:00 GMT", true),
            ("Fri, 27 Nov 2026 10:00:01 GMT", false),
        ] {
            assert_eq!(
                is_same_version(&HeaderValue::from_static(condition), &file),
                same,
                "{condition}"
            );
        }
        assert!(!is_same_version(&HeaderValue::from_static("\"a\""), &HeaderMap::new()));
    }
}
