//! What the parts of a token say.

use portcullis_jose::{Limits, Refusal, base64url_decode, inspect};
use serde_json::{Map, Value};

/// What a token's text looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Three parts, of which the first is a JSON object.
    Jws,
    /// Five parts, of which the first is a JSON object.
    Jwe,
    /// It begins as a JWT and has not its parts.
    Fragment,
    /// It says nothing by itself.
    Opaque,
}

/// A token laid open. Anybody can have written it.
#[derive(Clone, Debug)]
pub(crate) struct Decoded {
    pub(crate) form: Form,
    pub(crate) header: Map<String, Value>,
    pub(crate) claims: Map<String, Value>,
    /// What keeps a part from being read strictly.
    pub(crate) faults: Vec<Refusal>,
    pub(crate) signature: Vec<u8>,
    /// The length of the whole text.
    pub(crate) length: usize,
    /// The first characters of a text that is no JWT, by which its maker may be known. Never enough to be used.
    pub(crate) opening: String,
}

// === impl Decoded ===

impl Decoded {
    pub(crate) fn of(token: &str) -> Decoded {
        let parts: Vec<&str> = token.split('.').collect();
        let header = parts.first().and_then(|part| lenient(part)).unwrap_or_default();
        let form = match parts.len() {
            _ if header.is_empty() => Form::Opaque,
            3 => Form::Jws,
            5 => Form::Jwe,
            _ => Form::Fragment,
        };
        let claims = match form {
            Form::Jws | Form::Fragment => parts.get(1).and_then(|part| lenient(part)).unwrap_or_default(),
            _ => Map::new(),
        };
        let signature = match form {
            Form::Jws => parts.get(2).and_then(|part| base64url_decode(part)).unwrap_or_default(),
            _ => Vec::new(),
        };
        Decoded {
            form,
            header,
            claims,
            faults: faults(token, form),
            signature,
            length: token.len(),
            opening: match form {
                Form::Opaque => token.chars().take(11.min(token.len() / 3)).collect(),
                _ => String::new(),
            },
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.header.get(name)?.as_str()
    }

    pub(crate) fn algorithm(&self) -> &str {
        self.header("alg").unwrap_or("(none)")
    }

    pub(crate) fn str(&self, name: &str) -> Option<&str> {
        self.claims.get(name)?.as_str()
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.claims.contains_key(name)
    }

    pub(crate) fn issuer(&self) -> &str {
        self.str("iss").unwrap_or_default()
    }

    /// A claim that is one text or a list of them.
    pub(crate) fn strings(&self, name: &str) -> Vec<&str> {
        match self.claims.get(name) {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        }
    }

    pub(crate) fn audiences(&self) -> Vec<&str> {
        self.strings("aud")
    }

    /// The scopes, in whichever claim they are.
    pub(crate) fn scopes(&self) -> Vec<&str> {
        let name = if self.has("scope") { "scope" } else { "scp" };
        self.strings(name)
            .into_iter()
            .flat_map(|text| text.split(' '))
            .collect()
    }

    /// The client that the token was issued to, by any of the names that providers use.
    pub(crate) fn client(&self) -> Option<&str> {
        ["client_id", "azp", "appid", "cid"]
            .iter()
            .find_map(|name| self.str(name))
    }

    /// A time in seconds, where the claim is a number.
    pub(crate) fn time(&self, name: &str) -> Option<i64> {
        let value = self.claims.get(name)?;
        #[expect(clippy::cast_possible_truncation, reason = "a cast of a float saturates")]
        value.as_i64().or_else(|| value.as_f64().map(|time| time as i64))
    }
}

/// What [`inspect`] says against it, part by part.
fn faults(token: &str, form: Form) -> Vec<Refusal> {
    let seen = match inspect::unverified(token, &Limits::default()) {
        Ok(seen) => seen,
        // A JWE is whole; that it is encrypted is what it is.
        Err(Refusal::Encrypted) if form == Form::Jwe => return Vec::new(),
        Err(refusal) => return vec![refusal],
    };
    let parts = [seen.header.err(), seen.claims.err(), seen.signature_bytes.err()];
    parts.into_iter().flatten().collect()
}

/// A part as somebody can read it, also where it breaks the rules.
fn lenient(part: &str) -> Option<Map<String, Value>> {
    let plain = part.trim_end_matches('=').replace('+', "-").replace('/', "_");
    let bytes = base64url_decode(&plain)?;
    match serde_json::from_slice(&bytes).ok()? {
        Value::Object(members) => Some(members),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use portcullis_jose::base64url_encode;

    use super::*;

    fn part(text: &str) -> String {
        base64url_encode(text.as_bytes())
    }

    #[test]
    fn forms_are_told_apart() {
        let head = part(r#"{"alg":"ES256"}"#);
        let claims = part(r#"{"iss":"a","aud":["x","y"],"scp":"r w","exp":5.5}"#);
        let jws = Decoded::of(&format!("{head}.{claims}.AAAA"));
        assert_eq!((jws.form, jws.issuer(), jws.algorithm()), (Form::Jws, "a", "ES256"));
        assert_eq!((jws.audiences(), jws.scopes()), (vec!["x", "y"], vec!["r", "w"]));
        assert_eq!(
            (jws.time("exp"), jws.signature.len(), jws.faults.len()),
            (Some(5), 3, 0)
        );

        assert_eq!(Decoded::of(&format!("{head}.a.b.c.d")).form, Form::Jwe);
        let fragment = Decoded::of(&format!("{head}.{claims}"));
        assert_eq!((fragment.form, fragment.issuer()), (Form::Fragment, "a"));
        let opaque = Decoded::of("0.AVkAn0123456789012345678901234567890");
        assert_eq!((opaque.form, opaque.opening.as_str()), (Form::Opaque, "0.AVkAn0123"));
        assert_eq!(Decoded::of("").form, Form::Opaque);
    }

    #[test]
    fn what_breaks_a_rule_is_read_all_the_same_and_said() {
        let twice = Decoded::of(&format!(
            "{}.{}.AAAA",
            part(r#"{"alg":"ES256"}"#),
            part(r#"{"a":1,"a":2}"#)
        ));
        assert_eq!(twice.claims.get("a"), Some(&Value::from(2)));
        assert_eq!(twice.faults.first().map(Refusal::code), Some("token.duplicate_member"));
    }
}
