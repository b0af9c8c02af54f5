use std::collections::HashSet;
use std::fmt;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use http::{StatusCode, header};

use crate::oauth_error::OAuthError;

/// The parameters of a query or a form. They hold passwords and codes, so they never print their values.
#[derive(Clone, Default)]
pub(crate) struct Params(Vec<(String, String)>);

impl Params {
    pub(crate) fn parse(encoded: &[u8]) -> Params {
        Params(form_urlencoded::parse(encoded).into_owned().collect())
    }

    /// The parameters of a signed request (RFC 9101 s4): texts, numbers, and lists where a parameter may repeat.
    pub(crate) fn of_claims(claims: &serde_json::Map<String, serde_json::Value>) -> Params {
        use serde_json::Value;
        let text = |value: &Value| match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let mut pairs = Vec::new();
        for (name, value) in claims {
            match value {
                Value::Array(all) => pairs.extend(all.iter().map(|value| (name.clone(), text(value)))),
                value => pairs.push((name.clone(), text(value))),
            }
        }
        Params(pairs)
    }

    /// The same without these.
    pub(crate) fn without(mut self, names: &[&str]) -> Params {
        self.0.retain(|(name, _)| !names.contains(&name.as_str()));
        self
    }

    /// The same with this one value of a parameter.
    pub(crate) fn with(self, name: &str, value: &str) -> Params {
        let mut params = self.without(&[name]);
        params.0.push((name.to_owned(), value.to_owned()));
        params
    }

    /// The value. RFC 6749 s3.1: a parameter without a value is treated as if it were omitted.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0
            .iter()
            .filter(move |(key, value)| key == name && !value.is_empty())
            .map(|(_, value)| value.as_str())
    }

    /// Whether a parameter comes twice. RFC 6749 s3.1: it must not; RFC 8707 s2 makes the exception.
    pub(crate) fn has_repeated(&self) -> bool {
        let mut seen = HashSet::new();
        !self
            .0
            .iter()
            .filter(|(key, _)| key != "resource")
            .all(|(key, _)| seen.insert(key))
    }

    /// Whether this parameter comes twice.
    pub(crate) fn repeats(&self, name: &str) -> bool {
        self.0.iter().filter(|(key, _)| key == name).count() > 1
    }
}

impl fmt::Debug for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(key, _)| key)).finish()
    }
}

/// The form in the body of a POST.
pub(crate) struct FormBody(pub(crate) Params);

impl<S: Send + Sync> FromRequest<S> for FormBody {
    type Rejection = OAuthError;

    async fn from_request(request: Request, state: &S) -> Result<FormBody, OAuthError> {
        let kind = request
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return Err(OAuthError::invalid_request(
                "the body must be application/x-www-form-urlencoded",
            ));
        }
        match Bytes::from_request(request, state).await {
            Ok(body) => Ok(FormBody(Params::parse(&body))),
            Err(error) if error.status() == StatusCode::PAYLOAD_TOO_LARGE => Err(OAuthError {
                status: StatusCode::PAYLOAD_TOO_LARGE,
                ..OAuthError::invalid_request("the body is too large")
            }),
            Err(_) => Err(OAuthError::invalid_request("the body could not be read")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_is_omitted_and_repetition_is_seen() {
        let params = Params::parse(b"a=&b=1&resource=x&resource=y&c=%20+");
        assert_eq!(
            (params.get("a"), params.get("b"), params.get("c")),
            (None, Some("1"), Some("  "))
        );
        assert_eq!(params.all("resource").collect::<Vec<_>>(), ["x", "y"]);
        assert!(!params.has_repeated());
        let params = Params::parse(b"a=1&b=2&a=");
        assert!(params.has_repeated() && params.repeats("a") && !params.repeats("b"));
    }

    #[test]
    fn debug_has_no_values() {
        assert_eq!(format!("{:?}", Params::parse(b"password=hunter2")), "[\"password\"]");
    }
}
