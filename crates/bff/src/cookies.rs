use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};
use memchr::{memchr, memchr_iter};

use crate::{FrontendSettings, SameSite};

/// The cookies of a request, by RFC 6265bis s5.8.3 read strictly: bytes, no quoting, no `$Version`.
pub(crate) fn pairs(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    raw_pairs(headers)
        // One by one: a cookie of somebody else's that is no text hides none of the others.
        .filter_map(|(name, value)| Some((std::str::from_utf8(name).ok()?, std::str::from_utf8(value).ok()?)))
}

/// The value of a cookie that must be there once. Two of one name means that somebody planted one: neither counts.
pub(crate) fn single<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = raw_pairs(headers)
        .filter(|(found, _)| *found == name.as_bytes())
        .filter_map(|(_, value)| std::str::from_utf8(value).ok());
    match (values.next(), values.next()) {
        (Some(value), None) if !value.is_empty() => Some(value),
        _ => None,
    }
}

/// Sessions without a store have kilobytes of cookies, which are looked through several times.
fn raw_pairs(headers: &HeaderMap) -> impl Iterator<Item = (&[u8], &[u8])> {
    let fields = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes);
    fields.flat_map(|field| {
        let ends = memchr_iter(b';', field).chain([field.len()]);
        let pieces = ends.scan(0, |start, end| {
            let piece = field.get(*start..end);
            *start = end + 1;
            piece
        });
        pieces.filter_map(|piece| {
            let (name, value) = piece.split_at_checked(memchr(b'=', piece)?)?;
            Some((trim_start(name), trim_end(value.get(1..)?)))
        })
    })
}

fn trim_start(mut name: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = name {
        name = rest;
    }
    name
}

fn trim_end(mut value: &[u8]) -> &[u8] {
    while let [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

impl FrontendSettings {
    /// A `Set-Cookie` value; `max_age` in seconds, 0 deletes, none: as long as the browser. Every cookie is HttpOnly, host-only and for all paths.
    pub(crate) fn set_cookie(
        &self,
        name: &str,
        value: &str,
        max_age: Option<i64>,
        same_site: SameSite,
    ) -> Option<HeaderValue> {
        let mut cookie = format!("{name}={value}; Path=/; HttpOnly");
        if self.secure() {
            cookie.push_str("; Secure");
        }
        cookie.push_str(match same_site {
            SameSite::Lax => "; SameSite=Lax",
            SameSite::Strict => "; SameSite=Strict",
            SameSite::None => "; SameSite=None",
        });
        if let Some(seconds) = max_age {
            cookie.push_str(&format!("; Max-Age={seconds}"));
        }
        let mut value = HeaderValue::from_str(&cookie).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(cookie: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, HeaderValue::from_static(cookie));
        headers
    }

    #[test]
    fn a_cookie_counts_only_when_it_is_there_once() {
        assert_eq!(single(&headers("a=1; s=2"), "s"), Some("2"));
        assert_eq!(single(&headers("s=1; s=2"), "s"), None);
        assert_eq!(single(&headers("s="), "s"), None);
        assert_eq!(single(&headers(" \ta=1;;b;s=x=y \t ; =z"), "s"), Some("x=y"));
        assert_eq!(single(&headers("s =1;s\t=2"), "s"), None);
        let mut two = headers("s=1");
        two.append(COOKIE, HeaderValue::from_static("s=2"));
        assert_eq!(single(&two, "s"), None);
    }

    #[test]
    fn a_cookie_that_is_no_text_hides_no_other() {
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, HeaderValue::from_bytes(b"theme=caf\xe9; s=2; x=\xff").unwrap());
        assert_eq!(single(&headers, "s"), Some("2"));
    }

    #[test]
    fn names_are_compared_by_bytes() {
        assert_eq!(
            single(&headers("$Version=1; __Host-s=\"x\""), "__Host-s"),
            Some("\"x\"")
        );
        assert_eq!(single(&headers("__host-s=x"), "__Host-s"), None);
    }
}
