//! Asking an address as a caller does, with a token.

use bytes::Bytes;
use http::header::{AUTHORIZATION, HeaderValue, SERVER, WWW_AUTHENTICATE};
use http::{HeaderMap, Method, Request, Response};
use portcullis_jose::Secret;
use portcullis_oidc::{HttpClient, HttpsUrl, HyperClient};
use serde_json::Value;

use crate::doctor::causes::Answer;
use crate::doctor::words::tidy;

/// An answer larger than this is not waited for.
const LIMIT: usize = 1024 * 1024;

/// A request of a caller. The token goes to an [`HttpsUrl`] and nowhere else.
pub(crate) async fn ask(
    client: &HyperClient,
    url: &HttpsUrl,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
    token: Option<&Secret>,
) -> Result<Response<Bytes>, String> {
    let mut request = Request::builder()
        .method(method)
        .uri(url.as_str())
        .body(body)
        .map_err(|error| error.to_string())?;
    *request.headers_mut() = headers;
    if let Some(token) = token {
        let value = HeaderValue::from_str(&format!("Bearer {}", token.expose()));
        let mut value = value.map_err(|_| "the token cannot be put into a header".to_owned())?;
        value.set_sensitive(true);
        request.headers_mut().insert(AUTHORIZATION, value);
    }
    client.send(request, LIMIT).await.map_err(|error| error.to_string())
}

/// What an answer says of a refusal: RFC 6750 s3, RFC 9457, and what a gateway in development adds.
pub(crate) fn parse(answer: &Response<Bytes>) -> Answer {
    let text = |value: &HeaderValue| value.to_str().ok().map(tidy);
    let body: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
    let member = |name: &str| body.get(name).and_then(Value::as_str).map(tidy);
    let reason = answer.headers().get("portcullis-reason").and_then(text);
    Answer {
        status: answer.status().as_u16(),
        challenges: answer
            .headers()
            .get_all(WWW_AUTHENTICATE)
            .iter()
            .filter_map(text)
            .collect(),
        code: reason.or_else(|| member("code")).or_else(|| member("error")),
        server: answer.headers().get(SERVER).and_then(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_is_in_the_header_or_in_the_problem() {
        let answer = |reason: Option<&str>, body: &'static str| {
            let mut answer = Response::builder()
                .status(401)
                .header(WWW_AUTHENTICATE, "Bearer realm=\"a\"");
            if let Some(reason) = reason {
                answer = answer.header("Portcullis-Reason", reason);
            }
            parse(&answer.body(Bytes::from_static(body.as_bytes())).unwrap())
        };
        assert_eq!(answer(None, "").code, None);
        assert_eq!(
            answer(None, r#"{"code":"upstream.timeout"}"#).code.as_deref(),
            Some("upstream.timeout")
        );
        assert_eq!(
            answer(None, r#"{"error":"invalid_token"}"#).code.as_deref(),
            Some("invalid_token")
        );
        let both = answer(Some("token.expired"), r#"{"code":"invalid_token"}"#);
        assert_eq!(both.code.as_deref(), Some("token.expired"));
        assert_eq!(
            (both.status, both.challenges),
            (401, vec!["Bearer realm=\"a\"".to_owned()])
        );
    }
}
