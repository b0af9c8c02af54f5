//! Where a request went, as a proof names it.

use std::fmt;

/// A URI without query and fragment, normalised by RFC 3986 s6.2.2 and s6.2.3 so that two spellings of one place are
/// equal: case of scheme and host, the scheme's own port, an empty path, and percent-encoding.
///
/// Dot segments are not resolved: a request that has some is another request to many servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetUri(String);

// === impl TargetUri ===

impl TargetUri {
    /// An absolute `http` or `https` URI; `None` if it is anything else, or names a user.
    #[must_use]
    pub fn parse(uri: &str) -> Option<TargetUri> {
        if uri.bytes().any(|byte| !byte.is_ascii_graphic() || byte == b'\\') {
            return None;
        }
        let (scheme, rest) = uri.split_once("://")?;
        let (scheme, default_port) = if scheme.eq_ignore_ascii_case("https") {
            ("https", "443")
        } else if scheme.eq_ignore_ascii_case("http") {
            ("http", "80")
        } else {
            return None;
        };
        let without_query = rest.split(['?', '#']).next().unwrap_or_default();
        let (authority, path) = match without_query.find('/') {
            Some(at) => without_query.split_at(at),
            None => (without_query, "/"),
        };
        let (host, port) = split_port(authority)?;
        let mut normal = format!("{scheme}://{}", host.to_ascii_lowercase());
        if !port.is_empty() && port != default_port {
            normal.push(':');
            normal.push_str(port);
        }
        normal.push_str(&normal_path(path)?);
        Some(TargetUri(normal))
    }

    /// The place of this path below this one; a trailing slash of this one does not count. A path that is wrongly encoded
    /// stays as it is, and no URI that can be parsed names that place.
    #[must_use]
    pub fn at(&self, path: &str) -> TargetUri {
        let mut normal = self.0.trim_end_matches('/').to_owned();
        if !path.starts_with('/') {
            normal.push('/');
        }
        match normal_path(path) {
            Some(path) => normal.push_str(&path),
            None => normal.push_str(path),
        }
        TargetUri(normal)
    }

    /// The normalised text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TargetUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn split_port(authority: &str) -> Option<(&str, &str)> {
    // RFC 3986 s3.2.2: the colons of an IPv6 address stand in brackets.
    let after_address = authority.rfind(']').map_or(0, |at| at + 1);
    let (host, port) = match authority.get(after_address..)?.find(':') {
        Some(at) => (
            authority.get(..after_address + at)?,
            authority.get(after_address + at + 1..)?,
        ),
        None => (authority, ""),
    };
    let number = port.bytes().all(|byte| byte.is_ascii_digit());
    (!host.is_empty() && !host.contains('@') && number).then_some((host, port))
}

/// RFC 3986 s6.2.2.1, s6.2.2.2: what need not be encoded is not, and the digits of what is are capitals. `None` where a
/// percent sign encodes nothing.
fn normal_path(path: &str) -> Option<String> {
    let mut parts = path.split('%');
    let mut normal = parts.next()?.to_owned();
    for part in parts {
        let digits = part.get(..2)?;
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        match u8::from_str_radix(digits, 16).ok()? {
            byte if is_unreserved(byte) => normal.push(char::from(byte)),
            _ => {
                normal.push('%');
                normal.push_str(&digits.to_ascii_uppercase());
            }
        }
        normal.push_str(part.get(2..)?);
    }
    Some(normal)
}

/// RFC 3986 s2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(uri: &str) -> Option<String> {
        TargetUri::parse(uri).map(|target| target.to_string())
    }

    #[test]
    fn spellings_of_one_place_are_equal() {
        for spelling in [
            "https://api.example.com/a%20b/~c",
            "HTTPS://API.example.COM/a%20b/~c",
            "https://api.example.com:443/a%20b/~c",
            "https://api.example.com:/a%20b/~c",
            "https://api.example.com/%61%20b/%7Ec",
            "https://api.example.com/a%20b/%7ec?page=2",
            "https://api.example.com/a%20b/~c#part",
        ] {
            assert_eq!(
                normal(spelling).as_deref(),
                Some("https://api.example.com/a%20b/~c"),
                "{spelling}"
            );
        }
        assert_eq!(normal("https://api.example.com"), normal("https://api.example.com/"));
        assert_eq!(normal("https://api.example.com?x"), normal("https://api.example.com/"));
        assert_eq!(normal("http://[::1]:80/x").as_deref(), Some("http://[::1]/x"));
        assert_eq!(normal("http://[::1]:8080/x").as_deref(), Some("http://[::1]:8080/x"));
    }

    #[test]
    fn other_places_are_not() {
        let here = normal("https://api.example.com/a/b").unwrap();
        for other in [
            "http://api.example.com/a/b",
            "https://api.example.com:8443/a/b",
            "https://api.example.com:80/a/b",
            "https://api.example.org/a/b",
            "https://api.example.com./a/b",
            "https://api.example.com/A/b",
            "https://api.example.com/a/b/",
            "https://api.example.com/a//b",
            "https://api.example.com/a%2Fb",
            "https://api.example.com/x/../a/b",
        ] {
            assert_ne!(normal(other).unwrap(), here, "{other}");
        }
        // What is reserved says something else where it is encoded (RFC 3986 s2.2).
        assert_ne!(normal("https://a.test/x+y"), normal("https://a.test/x%2By"));
    }

    #[test]
    fn what_is_no_such_uri_is_nothing() {
        for text in [
            "",
            "/a/b",
            "api.example.com/a",
            "https:///a",
            "https://:443/a",
            "https://user@api.example.com/a",
            "https://api.example.com:443@evil.test/a",
            "https://api.example.com:4x/a",
            "ftp://api.example.com/a",
            "https://api.example.com/a b",
            "https://api.example.com\\a",
            "https://api.example.com/caf\u{e9}",
            "https://api.example.com/a\n",
            "https://api.example.com/%",
            "https://api.example.com/%zz",
            "https://api.example.com/%2%46",
        ] {
            assert_eq!(normal(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_path_below_is_normalised_like_the_rest() {
        for base in ["https://api.example.com", "https://api.example.com/"] {
            let target = TargetUri::parse(base).unwrap().at("/orders/%7e1");
            assert_eq!(target.as_str(), "https://api.example.com/orders/~1");
            assert_eq!(TargetUri::parse(base).unwrap().at("/"), TargetUri::parse(base).unwrap());
        }
        let below = TargetUri::parse("https://example.com/api/").unwrap().at("/orders");
        assert_eq!(below.as_str(), "https://example.com/api/orders");
        assert_eq!(below, TargetUri::parse("https://example.com/api/orders?q").unwrap());
        // What is no encoding stays as it is.
        assert_eq!(below.at("/%zz%4").as_str(), "https://example.com/api/orders/%zz%4");
    }
}
