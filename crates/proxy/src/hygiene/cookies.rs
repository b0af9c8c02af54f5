//! Our cookies stay with us: the upstream neither sees them nor sets them.

use bytes::Bytes;
use http::HeaderMap;
use http::header::{COOKIE, HeaderValue, SET_COOKIE};

/// Names a cookie of ours. Compared without regard to case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CookieMatch<'a> {
    /// The cookie of this name.
    Name(&'a str),
    /// Every cookie whose name begins so.
    Prefix(&'a str),
}

impl CookieMatch<'_> {
    fn matches(&self, name: &[u8]) -> bool {
        match self {
            CookieMatch::Name(wanted) => name.eq_ignore_ascii_case(wanted.as_bytes()),
            CookieMatch::Prefix(prefix) => name
                .get(..prefix.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes())),
        }
    }
}

/// Takes our cookies out of `Cookie`, and makes one field of several (RFC 9113 s8.2.3).
pub(crate) fn strip_request(headers: &mut HeaderMap, ours: &[CookieMatch<'_>]) {
    let mut fields = headers.get_all(COOKIE).iter();
    let Some(first) = fields.next() else { return };
    let single = fields.next().is_none();
    if single && !pairs(first).any(|pair| is_ours(pair, ours)) {
        return;
    }
    let mut kept = Vec::new();
    for pair in headers
        .get_all(COOKIE)
        .iter()
        .flat_map(pairs)
        .filter(|pair| !is_ours(pair, ours))
    {
        if !kept.is_empty() {
            kept.extend_from_slice(b"; ");
        }
        kept.extend_from_slice(pair);
    }
    headers.remove(COOKIE);
    // Pieces of a valid value joined with `; ` are a valid value.
    if let (false, Ok(mut value)) = (kept.is_empty(), HeaderValue::from_maybe_shared(Bytes::from(kept))) {
        value.set_sensitive(true);
        headers.insert(COOKIE, value);
    }
}

/// Drops each `Set-Cookie` of an upstream that would set one of our cookies.
pub(crate) fn strip_response(headers: &mut HeaderMap, ours: &[CookieMatch<'_>]) {
    if ours.is_empty() || !headers.get_all(SET_COOKIE).iter().any(|value| sets_ours(value, ours)) {
        return;
    }
    let kept: Vec<HeaderValue> = headers
        .get_all(SET_COOKIE)
        .iter()
        .filter(|value| !sets_ours(value, ours))
        .cloned()
        .collect();
    headers.remove(SET_COOKIE);
    for value in kept {
        headers.append(SET_COOKIE, value);
    }
}

fn pairs(field: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    let field = field.as_bytes();
    let ends = memchr::memchr_iter(b';', field).chain([field.len()]);
    let pieces = ends.scan(0, |start, end| {
        let piece = field.get(*start..end);
        *start = end + 1;
        piece
    });
    pieces.map(<[u8]>::trim_ascii).filter(|pair| !pair.is_empty())
}

fn sets_ours(field: &HeaderValue, ours: &[CookieMatch<'_>]) -> bool {
    pairs(field).next().is_some_and(|pair| is_ours(pair, ours))
}

/// `=name=value` counts as well: a cookie without a name is sent back as its bare value.
fn is_ours(pair: &[u8], ours: &[CookieMatch<'_>]) -> bool {
    let start = pair
        .iter()
        .position(|byte| *byte != b'=' && !byte.is_ascii_whitespace())
        .unwrap_or(pair.len());
    let pair = pair.get(start..).unwrap_or_default();
    let name = pair.split(|&byte| byte == b'=').next().unwrap_or_default().trim_ascii();
    ours.iter().any(|cookie| cookie.matches(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: [CookieMatch<'_>; 2] = [
        CookieMatch::Name("__Host-shop"),
        CookieMatch::Prefix("__Host-shop.login."),
    ];

    fn request(fields: &[&str]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(COOKIE, HeaderValue::from_str(field).unwrap());
        }
        strip_request(&mut headers, &OURS);
        headers
            .get_all(COOKIE)
            .iter()
            .map(|value| value.to_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn others_cookies_pass_and_ours_do_not() {
        assert_eq!(request(&["theme=dark; lang=da"]), ["theme=dark; lang=da"]);
        assert_eq!(
            request(&["theme=dark; __Host-shop=secret; lang=da"]),
            ["theme=dark; lang=da"]
        );
        assert_eq!(request(&["__Host-shop=secret"]), Vec::<String>::new());
        assert_eq!(request(&["__host-SHOP=secret;a=b"]), ["a=b"]);
        assert_eq!(request(&["__Host-shop.login.x1=s; a=b=c"]), ["a=b=c"]);
        assert_eq!(request(&["__Host-shop2=theirs"]), ["__Host-shop2=theirs"]);
        assert_eq!(request(&["=__Host-shop=s; a=b", " __Host-shop = s"]), ["a=b"]);
        assert_eq!(request(&["__Host-shop; ;; a"]), ["a"]);
        assert_eq!(
            request(&["a=1", "__Host-shop=s", "b=2"]),
            ["a=1; b=2"],
            "crumbs of HTTP/2"
        );
        assert_eq!(request(&[]), Vec::<String>::new());
    }

    #[test]
    fn an_upstream_cannot_set_our_cookies() {
        let mut headers = HeaderMap::new();
        for value in [
            "a=1; Path=/",
            "__Host-shop=evil; Path=/; Secure",
            "__HOST-shop=evil",
            "=__Host-shop=evil",
            " __Host-shop.login.1=evil",
            "b=__Host-shop; Path=/",
        ] {
            headers.append(SET_COOKIE, HeaderValue::from_str(value).unwrap());
        }
        strip_response(&mut headers, &OURS);
        let kept: Vec<_> = headers
            .get_all(SET_COOKIE)
            .iter()
            .map(|value| value.to_str().unwrap())
            .collect();
        assert_eq!(kept, ["a=1; Path=/", "b=__Host-shop; Path=/"]);
    }
}
