use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};

use crate::{FrontendSettings, SameSite};

/// The cookies of a request, by RFC 6265bis s5.8.3 read strictly: bytes, no quoting, no `$Version`.
pub(crate) fn pairs(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    headers
        .get_all(COOKIE)
        .iter()
        // One by one: a cookie of somebody else's that is no text hides none of the others.
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b';'))
        .filter_map(|pair| std::str::from_utf8(pair).ok())
        .filter_map(|pair| pair.trim_matches([' ', '\t']).split_once('='))
}

/// The value of a cookie that must be there once. Two of one name means that somebody planted one: neither counts.
pub(crate) fn single<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = pairs(headers)
        .filter(|(found, _)| *found == name)
        .map(|(_, value)| value);
    match (values.next(), values.next()) {
        (Some(value), None) if !value.is_empty() => Some(value),
        _ => None,
    }
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
