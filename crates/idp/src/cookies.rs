use http::{HeaderMap, HeaderValue, header};

use crate::provider::Provider;

/// The value of a cookie. `None` also when it comes twice: then somebody else set one of the two.
pub(crate) fn get<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut found = None;
    for line in headers.get_all(header::COOKIE) {
        // RFC 6265 s4.2.1. No quoting, no escapes: our values need none.
        for pair in line.to_str().ok()?.split(';') {
            let (key, value) = pair.trim_matches([' ', '\t']).split_once('=').unwrap_or_default();
            if key == name {
                if found.is_some() {
                    return None;
                }
                found = Some(value);
            }
        }
    }
    found.filter(|value| !value.is_empty())
}

impl Provider {
    /// Names the browser before anybody is signed in; forms are bound to it.
    pub(crate) fn browser_cookie_name(&self) -> String {
        format!("portcullis-idp-browser-{}", self.settings.port)
    }

    pub(crate) fn session_cookie_name(&self) -> String {
        format!("portcullis-idp-session-{}", self.settings.port)
    }

    /// The value of the session cookie that came with a request.
    pub(crate) fn session_cookie<'a>(&self, headers: &'a HeaderMap) -> Option<&'a str> {
        get(headers, &self.session_cookie_name())
    }

    pub(crate) fn browser_cookie<'a>(&self, headers: &'a HeaderMap) -> Option<&'a str> {
        get(headers, &self.browser_cookie_name())
    }

    /// `Lax` and not `Strict`: the login begins with a navigation from another site.
    pub(crate) fn set_cookie(&self, name: &str, value: &str) -> Option<HeaderValue> {
        self.dev.note_secret(value);
        let secure = if self.settings.https { "; Secure" } else { "" };
        HeaderValue::from_str(&format!(
            "{name}={value}; Path={}/; HttpOnly; SameSite=Lax{secure}",
            self.prefix
        ))
        .ok()
    }

    pub(crate) fn clear_cookie(&self, name: &str) -> Option<HeaderValue> {
        HeaderValue::from_str(&format!(
            "{name}=; Path={}/; HttpOnly; SameSite=Lax; Max-Age=0",
            self.prefix
        ))
        .ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::COOKIE, line.parse().unwrap());
        }
        headers
    }

    #[test]
    fn one_value_is_found() {
        assert_eq!(get(&headers(&["a=1; s=x=y; b=2"]), "s"), Some("x=y"));
        assert_eq!(get(&headers(&["a=1", "s=2"]), "s"), Some("2"));
    }

    #[test]
    fn two_values_are_none() {
        assert_eq!(get(&headers(&["s=1; s=2"]), "s"), None);
        assert_eq!(get(&headers(&["s=1", "s=1"]), "s"), None);
        assert_eq!(get(&headers(&["ss=1; s=; S=3"]), "s"), None);
    }
}
