//! Headers that tell browsers what pages may do, and who may use the APIs from another origin.

use axum::body::Body;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ORIGIN, REFERRER_POLICY,
    STRICT_TRANSPORT_SECURITY, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};

use crate::config::{ContentSecurityPolicy, FrontendSettings, Settings};

const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");
const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
/// What a page of another origin may read of an answer, besides what every page may.
const EXPOSED: &str = "content-disposition, etag, link, location, retry-after, www-authenticate, x-request-id";

/// The headers of one frontend's pages.
#[derive(Debug)]
pub(super) struct PageHeaders {
    policy: Option<HeaderValue>,
    /// Whether the policy is written in the configuration: then it also holds for the pages of an upstream.
    explicit: bool,
    pub(super) transport: Option<HeaderValue>,
    others: Vec<(HeaderName, HeaderValue)>,
    cors: Vec<String>,
}

// === impl PageHeaders ===

impl PageHeaders {
    /// `frames`: origins that the pages may show in a frame, besides the provider's.
    pub(super) fn new(
        settings: &Settings,
        frontend: &FrontendSettings,
        frames: &[String],
    ) -> Result<PageHeaders, http::header::InvalidHeaderValue> {
        let headers = &frontend.headers;
        let (policy, explicit) = match &headers.content_security_policy {
            ContentSecurityPolicy::Off => (None, true),
            ContentSecurityPolicy::Text(policy) => (Some(policy.clone()), true),
            ContentSecurityPolicy::Own => (Some(own_policy(settings, frontend, frames)?), false),
        };
        let others = [
            (REFERRER_POLICY, &headers.referrer_policy),
            (PERMISSIONS_POLICY, &headers.permissions_policy),
            (OPENER_POLICY, &headers.cross_origin_opener_policy),
        ];
        let others = others
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.clone()?)));
        let secure = frontend.public_url.scheme() == "https";
        Ok(PageHeaders {
            policy,
            explicit,
            transport: headers.strict_transport_security.clone().filter(|_| secure),
            others: others.collect(),
            cors: frontend.cors.clone(),
        })
    }

    /// Sets them on a file of ours.
    pub(super) fn harden(&self, headers: &mut HeaderMap) {
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        self.fill(headers, true);
    }

    /// Adds what an upstream did not set itself. Its pages are its own, so they get a policy only by explicit wish.
    pub(super) fn complete(&self, headers: &mut HeaderMap) {
        self.fill(headers, self.explicit);
    }

    fn fill(&self, headers: &mut HeaderMap, with_policy: bool) {
        let kind = headers.get(CONTENT_TYPE);
        let page = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
        for (name, value) in &self.others {
            if page || *name == REFERRER_POLICY {
                headers.entry(name).or_insert_with(|| value.clone());
            }
        }
        if let Some(policy) = self.policy.as_ref().filter(|_| page && with_policy) {
            headers.entry(CONTENT_SECURITY_POLICY).or_insert_with(|| policy.clone());
        }
    }

    /// The origin of another site's page that may call, where it is one of the list.
    pub(super) fn foreign_origin(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        if self.cors.is_empty() {
            return None;
        }
        let mut origins = headers.get_all(ORIGIN).iter();
        let origin = origins.next().filter(|_| origins.next().is_none())?;
        let listed = self.cors.iter().any(|listed| listed.as_bytes() == origin.as_bytes());
        listed.then(|| origin.clone())
    }

    /// Whether answers differ by who asks.
    pub(super) fn varies_by_origin(&self) -> bool {
        !self.cors.is_empty()
    }
}

/// What comes from the page's own origin, and the provider in a frame, for a silent login.
fn own_policy(
    settings: &Settings,
    frontend: &FrontendSettings,
    frames: &[String],
) -> Result<HeaderValue, http::header::InvalidHeaderValue> {
    let ancestors = match frontend.headers.frame_ancestors.as_slice() {
        [] => "'none'".to_owned(),
        origins => format!("'self' {}", origins.join(" ")),
    };
    let mut shown = vec!["'self'".to_owned()];
    shown.extend(provider_origin(settings, frontend));
    shown.extend(frames.iter().cloned());
    HeaderValue::from_str(&format!(
        "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors {ancestors}; \
         frame-src {}",
        shown.join(" ")
    ))
}

fn provider_origin(settings: &Settings, frontend: &FrontendSettings) -> Option<String> {
    let client = settings.clients.get(&frontend.client)?;
    let provider = settings.providers.get(&client.provider)?;
    // The issuer of a template has its place for the tenant in its path.
    let issuer = url::Url::parse(&provider.issuer.replace(['{', '}'], "")).ok()?;
    Some(issuer.origin().ascii_serialization())
}

/// Whether a browser asks if it may make a call (Fetch s4.8).
pub(super) fn is_preflight(parts: &Parts) -> bool {
    parts.method == Method::OPTIONS && parts.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// It may: the origin is one that the configuration lists.
pub(super) fn preflight(parts: &Parts, origin: &HeaderValue) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    for (asked, allowed) in [
        (ACCESS_CONTROL_REQUEST_METHOD, ACCESS_CONTROL_ALLOW_METHODS),
        (ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_ALLOW_HEADERS),
    ] {
        if let Some(value) = parts.headers.get(&asked) {
            headers.insert(allowed, value.clone());
        }
        headers.append(VARY, HeaderValue::from(asked));
    }
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    allow(headers, origin);
    response
}

/// Lets a page of this origin read the answer. What an upstream said of origins does not count; which of its own headers
/// may be read does.
pub(super) fn allow(headers: &mut HeaderMap, origin: &HeaderValue) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    headers.append(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
}

/// On https alone (RFC 6797 s7.2), and not where the upstream has said it; but no upstream switches it off for the host.
pub(super) fn transport(headers: &mut HeaderMap, value: &HeaderValue) {
    let mut said = headers.get_all(STRICT_TRANSPORT_SECURITY).iter();
    let lasts = |value: &HeaderValue| {
        let mut directives = value.to_str().unwrap_or_default().split(';').map(str::trim);
        let age = directives.find_map(|directive| {
            let (name, age) = directive.split_once('=')?;
            name.trim()
                .eq_ignore_ascii_case("max-age")
                .then(|| age.trim().trim_matches('"'))
        });
        age.and_then(|age| age.parse::<u64>().ok()).is_some_and(|age| age > 0)
    };
    // Browsers read the first.
    if !said.next().is_some_and(lasts) {
        headers.insert(STRICT_TRANSPORT_SECURITY, value.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstream_may_say_more_of_transport_security_and_not_switch_it_off() {
        let ours = HeaderValue::from_static("max-age=31536000");
        for (said, kept) in [
            (&[][..], false),
            (&["max-age=63072000; includeSubDomains; preload"], true),
            (&["includeSubDomains; MAX-AGE=\"600\""], true),
            (&["max-age=0"], false),
            (&["max-age=0; includeSubDomains", "max-age=600"], false),
            (&["max-age=soon"], false),
            (&["includeSubDomains"], false),
        ] {
            let mut headers = HeaderMap::new();
            for value in said {
                headers.append(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(value));
            }
            transport(&mut headers, &ours);
            let values: Vec<&HeaderValue> = headers.get_all(STRICT_TRANSPORT_SECURITY).iter().collect();
            let expected = if kept { said[0] } else { "max-age=31536000" };
            assert_eq!(values, [expected], "{said:?}");
        }
    }
}
