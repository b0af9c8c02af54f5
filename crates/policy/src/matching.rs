//! What text is compared with where equality is not enough: patterns, and the domains of e-mail addresses.

use portcullis_jose::{Claims, Value};
use regex_lite::{Regex, RegexBuilder};

use crate::policy::PolicyError;

/// The longest pattern, in bytes.
const MAX_PATTERN: usize = 512;
/// The memory of a compiled pattern. Time to match is this, roughly, times the length of the value.
const MAX_COMPILED: usize = 64 * 1024;
/// The longest name of a domain (RFC 1035 s2.3.4).
const MAX_DOMAIN: usize = 253;

/// A regular expression over a whole value.
#[derive(Clone)]
pub(crate) struct Pattern {
    text: Box<str>,
    regex: Regex,
}

// === impl Pattern ===

impl Pattern {
    pub(crate) fn new(text: &str) -> Result<Pattern, PolicyError> {
        let fault = |why: String| PolicyError::Pattern {
            pattern: text.chars().take(64).collect::<String>().into(),
            why: why.into(),
        };
        if text.is_empty() || text.len() > MAX_PATTERN {
            return Err(fault(format!("it must have 1 to {MAX_PATTERN} bytes")));
        }
        let compile = |text: &str| RegexBuilder::new(text).size_limit(MAX_COMPILED).build();
        // Alone first: `a)|(b` makes sense only inside the brackets that anchor it, and would undo them.
        let regex = compile(text).and_then(|_| compile(&format!(r"\A(?:{text})\z")));
        match regex {
            Ok(regex) => Ok(Pattern {
                text: text.into(),
                regex,
            }),
            Err(error) => Err(fault(error.to_string())),
        }
    }

    /// Whether it is all of a text. Values of other kinds, and lists, never match.
    pub(crate) fn matches(&self, value: Value<'_>) -> bool {
        value.as_str().is_some_and(|text| self.regex.is_match(text))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }
}

/// A domain as it is compared: lower-case ASCII labels. Names in other scripts are written as `xn--...`.
pub(crate) fn domain(text: &str) -> Option<Box<str>> {
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    (text.len() <= MAX_DOMAIN && text.split('.').all(label)).then(|| text.to_ascii_lowercase().into())
}

/// The domain of an address with exactly one `@` and nothing but visible ASCII: what is after it is then the same for
/// everybody who reads the address. Quoted local parts and addresses in other scripts have none here.
pub(crate) fn domain_of(address: &str) -> Option<&str> {
    let (local, domain) = address.split_once('@')?;
    let plain = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"');
    (plain(local) && plain(domain) && !domain.contains('@')).then_some(domain)
}

/// Whether the provider vouches for the address (OpenID Connect Core s5.1): `true`, and no word that looks like it.
pub(crate) fn email_verified(claims: &Claims) -> bool {
    matches!(claims.get("email_verified"), Some(Value::Bool(true)))
}
