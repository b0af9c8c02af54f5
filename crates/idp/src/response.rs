use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};

use crate::oauth_error::OAuthError;

/// RFC 6749 s5.1: what holds tokens or speaks of them is not cached.
pub(crate) fn no_store(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

/// Sends the browser on. 303 and never 307, which would post a password again (RFC 9700 s4.12).
pub(crate) fn see_other(location: &str, cookies: Vec<HeaderValue>) -> Response {
    let Ok(location) = HeaderValue::from_str(location) else {
        return OAuthError::server_error().into_response();
    };
    let mut response = no_store((StatusCode::SEE_OTHER, Body::empty()).into_response());
    let headers = response.headers_mut();
    headers.insert(header::LOCATION, location);
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    for cookie in cookies {
        headers.append(header::SET_COOKIE, cookie);
    }
    response
}

pub(crate) fn with_cookies(mut response: Response, cookies: Vec<HeaderValue>) -> Response {
    for cookie in cookies {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

/// Appends parameters to a URI that may have a query already.
pub(crate) fn with_query(uri: &str, parameters: &[(&str, &str)]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(parameters);
    let query = query.finish();
    let separator = match uri.find('?') {
        _ if query.is_empty() => "",
        None => "?",
        Some(at) if at + 1 == uri.len() || uri.ends_with('&') => "",
        Some(_) => "&",
    };
    format!("{uri}{separator}{query}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_join_the_query_that_is_there() {
        let parameters = [("code", "a b"), ("iss", "http://x")];
        assert_eq!(
            with_query("https://a/cb", &parameters),
            "https://a/cb?code=a+b&iss=http%3A%2F%2Fx"
        );
        assert_eq!(
            with_query("https://a/cb?x=1", &parameters[..1]),
            "https://a/cb?x=1&code=a+b"
        );
        assert_eq!(with_query("https://a/cb?", &parameters[..1]), "https://a/cb?code=a+b");
        assert_eq!(with_query("https://a/cb", &[]), "https://a/cb");
    }
}
