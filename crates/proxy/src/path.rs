//! One spelling for each path, so that the path a rule is matched against is the path the upstream serves.

use std::borrow::Cow;
use std::fmt;

use http::StatusCode;

/// A request path in its one canonical spelling.
///
/// Only [`normalise_path`] makes one. It begins with `/`, holds only characters that RFC 3986 allows in a path,
/// has no empty segment but a last one, no `.` or `..` segment, no escape of a character that needs none, and
/// its escapes are in upper case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CanonicalPath<'a>(Cow<'a, str>);

impl CanonicalPath<'_> {
    /// The path, without the query.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same path, independent of the request it came from.
    #[must_use]
    pub fn into_owned(self) -> CanonicalPath<'static> {
        CanonicalPath(Cow::Owned(self.0.into_owned()))
    }
}

impl fmt::Display for CanonicalPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a path has no canonical spelling. The answer is 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// The path does not begin with `/`.
    #[error("the path does not begin with `/`; send an absolute path")]
    NotAbsolute,
    /// A `.` or `..` segment, written plainly or with `%2e`.
    #[error("the path has a `.` or `..` segment; resolve it before sending")]
    DotSegment,
    /// `%2f`: servers disagree on whether it separates segments.
    #[error("the path has an encoded `/` (`%2f`); servers disagree on its meaning")]
    EncodedSlash,
    /// `\` or `%5c`: some servers read it as `/`.
    #[error("the path has a `\\` or `%5c`; some servers read it as `/`")]
    Backslash,
    /// `;` or `%3b`: some servers cut the segment there.
    #[error("the path has a `;` or `%3b`; some servers cut the segment there")]
    Semicolon,
    /// A control character, plain or encoded: `%00`, `%0d`, `%7f`.
    #[error("the path has a control character, plain or encoded")]
    Control,
    /// A raw space, `#` or `?`, which end a path and cannot be in one.
    #[error("the path has a raw space, `#` or `?`; encode it")]
    Delimiter,
    /// A byte outside ASCII that is not percent-encoded.
    #[error("the path has a byte outside ASCII; percent-encode it")]
    NotAscii,
    /// `%` without two hexadecimal digits after it.
    #[error("the path has a `%` without two hexadecimal digits after it")]
    BadEscape,
    /// The decoded path is not UTF-8; overlong forms such as `%c0%af` hide characters.
    #[error("the decoded path is not UTF-8")]
    NotUtf8,
}

impl PathError {
    /// The stable code, as in the catalogue of errors.
    #[must_use]
    pub fn code(self) -> &'static str {
        "path.not_canonical"
    }

    /// The status of the public answer.
    #[must_use]
    pub fn status(self) -> StatusCode {
        StatusCode::BAD_REQUEST
    }
}

/// Brings a path into its canonical spelling, or says why it has none. Allocates only where something changes.
///
/// Escapes of unreserved characters are decoded, runs of `/` become one, other escapes get upper-case digits,
/// and characters that RFC 3986 wants encoded are encoded.
///
/// # Errors
/// [`PathError`], where two servers could read the path differently.
///
/// ```
/// use portcullis_proxy::{PathError, normalise_path};
///
/// assert_eq!(normalise_path("/api//%6frders").unwrap().as_str(), "/api/orders");
/// assert_eq!(normalise_path("/api/%2e%2e/admin"), Err(PathError::DotSegment));
/// ```
pub fn normalise_path(raw: &str) -> Result<CanonicalPath<'_>, PathError> {
    if !raw.starts_with('/') {
        return Err(PathError::NotAbsolute);
    }
    let (mut changes, mut dots, mut previous) = (false, false, 0_u8);
    for &byte in raw.as_bytes() {
        match class(byte) {
            Class::Plain => dots |= byte == b'.' && previous == b'/',
            Class::Slash => changes |= previous == b'/',
            Class::Escape | Class::Encode => changes = true,
            Class::Refuse(error) => return Err(error),
        }
        previous = byte;
    }
    if changes {
        return rewrite(raw).map(|path| CanonicalPath(Cow::Owned(path)));
    }
    if dots && has_dot_segment(raw) {
        return Err(PathError::DotSegment);
    }
    Ok(CanonicalPath(Cow::Borrowed(raw)))
}

enum Class {
    Plain,
    Slash,
    Escape,
    /// No URI may hold it raw (RFC 3986 s2), yet clients send it: encoding it is what a browser would have done.
    Encode,
    Refuse(PathError),
}

fn class(byte: u8) -> Class {
    match byte {
        // RFC 3986 s3.3: pchar, without `;`.
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => Class::Plain,
        b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b'=' | b':' | b'@' => Class::Plain,
        b'/' => Class::Slash,
        b'%' => Class::Escape,
        b'"' | b'<' | b'>' | b'[' | b']' | b'^' | b'`' | b'{' | b'|' | b'}' => Class::Encode,
        b'\\' => Class::Refuse(PathError::Backslash),
        b';' => Class::Refuse(PathError::Semicolon),
        b' ' | b'#' | b'?' => Class::Refuse(PathError::Delimiter),
        0x00..=0x1f | 0x7f => Class::Refuse(PathError::Control),
        0x80..=0xff => Class::Refuse(PathError::NotAscii),
    }
}

fn rewrite(raw: &str) -> Result<String, PathError> {
    let mut path = String::with_capacity(raw.len() + 8);
    let mut decoded = Vec::with_capacity(raw.len());
    let mut bytes = raw.bytes();
    while let Some(byte) = bytes.next() {
        let (value, escaped) = match class(byte) {
            Class::Slash => {
                if !path.ends_with('/') {
                    path.push('/');
                    decoded.push(b'/');
                }
                continue;
            }
            Class::Plain => (byte, false),
            Class::Encode => (byte, true),
            Class::Escape => {
                let value = escaped_byte(bytes.next(), bytes.next()).ok_or(PathError::BadEscape)?;
                (value, !stands_for_itself(value))
            }
            Class::Refuse(error) => return Err(error),
        };
        match value {
            b'/' => return Err(PathError::EncodedSlash),
            b'\\' => return Err(PathError::Backslash),
            b';' => return Err(PathError::Semicolon),
            0x00..=0x1f | 0x7f => return Err(PathError::Control),
            _ => {}
        }
        decoded.push(value);
        if escaped {
            path.push('%');
            path.push(hex_digit(value >> 4));
            path.push(hex_digit(value & 0x0f));
        } else {
            path.push(char::from(value));
        }
    }
    if std::str::from_utf8(&decoded).is_err() {
        return Err(PathError::NotUtf8);
    }
    if has_dot_segment(&path) {
        return Err(PathError::DotSegment);
    }
    Ok(path)
}

fn has_dot_segment(path: &str) -> bool {
    path.split('/').any(|segment| segment == "." || segment == "..")
}

/// RFC 3986 s2.3: escaping the unreserved characters changes nothing. s2.2 lets `%3a` and `:` differ, but upstreams
/// take them for one, so a rule for one spelling must hold for the other: what may stand in a path as it is, does.
fn stands_for_itself(byte: u8) -> bool {
    matches!(class(byte), Class::Plain)
}

fn escaped_byte(high: Option<u8>, low: Option<u8>) -> Option<u8> {
    let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

fn hex_digit(value: u8) -> char {
    char::from_digit(u32::from(value), 16)
        .unwrap_or('0')
        .to_ascii_uppercase()
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_character_of_a_path_has_one_spelling() {
        for (escaped, plain) in [
            ("%3a", ":"),
            ("%40", "@"),
            ("%21", "!"),
            ("%28", "("),
            ("%2B", "+"),
            ("%2c", ","),
            ("%3D", "="),
        ] {
            let path = format!("/all{escaped}purge");
            assert_eq!(
                super::normalise_path(&path).unwrap().as_str(),
                format!("/all{plain}purge")
            );
        }
        assert_eq!(super::normalise_path("/a%25b%20c").unwrap().as_str(), "/a%25b%20c");
    }

    use super::*;

    fn ok(raw: &str) -> String {
        normalise_path(raw)
            .unwrap_or_else(|error| panic!("{raw}: {error}"))
            .as_str()
            .to_owned()
    }

    #[test]
    fn equal_paths_get_one_spelling() {
        for (raw, canonical) in [
            ("/", "/"),
            ("//", "/"),
            ("/api/orders", "/api/orders"),
            ("/api/orders/", "/api/orders/"),
            ("/api//orders///7", "/api/orders/7"),
            ("/%61pi/%6F%72ders", "/api/orders"),
            ("/a%7e%2D%5f%2eb", "/a~-_.b"),
            ("/caf%c3%a9", "/caf%C3%A9"),
            ("/a%20b%2bc", "/a%20b+c"),
            ("/100%25", "/100%25"),
            ("/%252e%252e/x", "/%252e%252e/x"),
            ("/a|b/{id}/[x]", "/a%7Cb/%7Bid%7D/%5Bx%5D"),
            ("/.well-known/x", "/.well-known/x"),
            ("/a/.../b..", "/a/.../b.."),
            ("/api/@evil", "/api/@evil"),
            ("//evil.test/x", "/evil.test/x"),
            ("/odata/Orders(1)", "/odata/Orders(1)"),
        ] {
            assert_eq!(ok(raw), canonical, "{raw}");
        }
    }

    #[test]
    fn ambiguous_paths_are_refused() {
        for (raw, error) in [
            ("", PathError::NotAbsolute),
            ("*", PathError::NotAbsolute),
            ("api", PathError::NotAbsolute),
            ("/a/../b", PathError::DotSegment),
            ("/..", PathError::DotSegment),
            ("/./a", PathError::DotSegment),
            ("/a/.", PathError::DotSegment),
            ("/a/%2e%2E/b", PathError::DotSegment),
            ("/a/.%2e", PathError::DotSegment),
            ("/a/%2e/b", PathError::DotSegment),
            ("/a//../b", PathError::DotSegment),
            ("/a%2fb", PathError::EncodedSlash),
            ("/a%2Fb", PathError::EncodedSlash),
            ("/a\\b", PathError::Backslash),
            ("/a%5cb", PathError::Backslash),
            ("/a/..;/b", PathError::Semicolon),
            ("/a;v=1", PathError::Semicolon),
            ("/a%3Bv=1", PathError::Semicolon),
            ("/a%00", PathError::Control),
            ("/a%0d%0ab", PathError::Control),
            ("/a%7f", PathError::Control),
            ("/a\tb", PathError::Control),
            ("/a b", PathError::Delimiter),
            ("/a#b", PathError::Delimiter),
            ("/a?b", PathError::Delimiter),
            ("/caf\u{e9}", PathError::NotAscii),
            ("/a%", PathError::BadEscape),
            ("/a%2", PathError::BadEscape),
            ("/a%zz", PathError::BadEscape),
            ("/a%u002f", PathError::BadEscape),
            ("/%%32e", PathError::BadEscape),
            ("/%c0%af", PathError::NotUtf8),
            ("/%e9", PathError::NotUtf8),
        ] {
            assert_eq!(normalise_path(raw), Err(error), "{raw}");
            assert_eq!(error.code(), "path.not_canonical");
            assert_eq!(error.status(), 400);
        }
    }

    #[test]
    fn a_canonical_path_costs_no_allocation() {
        assert!(matches!(normalise_path("/api/orders").unwrap().0, Cow::Borrowed(_)));
        assert!(matches!(normalise_path("/api//orders").unwrap().0, Cow::Owned(_)));
    }

    /// Every path of up to seven pieces of an alphabet of troublesome ones.
    #[test]
    fn the_result_is_stable_and_has_only_one_reading() {
        let pieces = ["/", ".", "a", "%2e", "%2F", "%61", "%25", "%c3%a9", ";", "|"];
        let (mut accepted, mut refused) = (0, 0);
        let mut paths = vec![String::from("/")];
        for _ in 0..5 {
            let mut longer = Vec::with_capacity(paths.len() * pieces.len());
            for path in &paths {
                for piece in pieces {
                    longer.push(format!("{path}{piece}"));
                }
            }
            for raw in &longer {
                let Ok(canonical) = normalise_path(raw) else {
                    refused += 1;
                    continue;
                };
                accepted += 1;
                let text = canonical.as_str();
                assert_eq!(ok(text), text, "stable: {raw}");
                assert!(!text.contains("//"), "{raw}");
                assert!(
                    text.split('/').all(|segment| segment != "." && segment != ".."),
                    "{raw}"
                );
                // What an upstream that decodes once sees has the same segments as what we matched.
                let decoded = decode(text);
                assert_eq!(decoded.split('/').count(), text.split('/').count(), "{raw}");
                assert!(
                    decoded.split('/').all(|segment| segment != "." && segment != ".."),
                    "{raw}"
                );
                assert_eq!(decoded, collapse(&decode(raw)), "{raw}");
            }
            paths = longer;
        }
        assert!(
            accepted > 1_000 && refused > 1_000,
            "{accepted} accepted, {refused} refused"
        );
    }

    fn decode(path: &str) -> String {
        let mut bytes = path.bytes();
        let mut decoded = Vec::new();
        while let Some(byte) = bytes.next() {
            decoded.push(if byte == b'%' {
                escaped_byte(bytes.next(), bytes.next()).unwrap()
            } else {
                byte
            });
        }
        String::from_utf8(decoded).unwrap()
    }

    fn collapse(path: &str) -> String {
        let mut path = path.to_owned();
        while path.contains("//") {
            path = path.replace("//", "/");
        }
        path
    }
}
