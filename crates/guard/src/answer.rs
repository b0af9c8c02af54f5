//! What the caller sees of a refusal.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use portcullis_audit::RequestId;
use portcullis_jose::Refusal;
use serde::Serialize;

use crate::credential::Scheme;
use crate::dpop::SenderConstraint;
use crate::error::GuardError;

/// Seconds after which it is worth to try again when our keys or our store are missing.
const RETRY_AFTER: u32 = 5;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
pub(crate) const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");
const PORTCULLIS_REASON: HeaderName = HeaderName::from_static("portcullis-reason");
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// The public side of a refusal: status, challenge and problem. It holds nothing that tells one bad token from another.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Answer {
    /// The HTTP status.
    pub status: StatusCode,
    /// OAuth's error code, as in the body's `code`.
    pub error: &'static str,
    /// The problem's title.
    pub title: &'static str,
    /// A sentence for whoever wrote the client, and fit to be shown to a person.
    pub detail: Cow<'static, str>,
    /// The `WWW-Authenticate` headers, one for each scheme that would do (RFC 9110 s11.6.1).
    pub challenges: Vec<String>,
    /// The `Retry-After` header, in seconds.
    pub retry_after: Option<u32>,
    /// The `DPoP-Nonce` header: what the next proof needs (RFC 9449 s9).
    pub dpop_nonce: Option<HeaderValue>,
    /// The private code, which is the label of the metrics and the key of the audit event. Not sent, unless the guard
    /// was told to: [`GuardBuilder::dangerous_reason_header`](crate::GuardBuilder::dangerous_reason_header).
    pub label: &'static str,
    /// Whether the header `Portcullis-Reason` tells the caller the private code.
    pub discloses_reason: bool,
}

/// The protection space that a challenge names (RFC 9110 s11.5), and where it is described.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Realm {
    name: Box<str>,
    /// RFC 9728 s5.1.
    metadata: Option<Box<str>>,
    dpop: Option<Offer>,
}

/// Who is told that the scheme DPoP would do.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Offer {
    /// The algorithms, as a challenge lists them.
    algs: Box<str>,
    to: OfferTo,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OfferTo {
    /// Whoever uses the scheme. A bearer token that would need it gets the answer that every bad one gets.
    Those,
    /// Everybody, beside Bearer.
    All,
    /// Everybody, and nothing else would do.
    AllAlone,
}

/// RFC 9457.
#[derive(Serialize)]
struct Problem<'a> {
    r#type: &'static str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    code: &'a str,
    request_id: &'a str,
}

// === impl Answer ===

impl Answer {
    /// The answer to a call with a bearer token, or none.
    #[must_use]
    pub fn of(error: &GuardError, realm: &Realm) -> Answer {
        Answer::to(error, realm, Scheme::Bearer)
    }

    /// The one place where a refusal becomes a status, challenges, a body and a label. `scheme` is the one that the call
    /// was made with.
    #[must_use]
    pub fn to(error: &GuardError, realm: &Realm, scheme: Scheme) -> Answer {
        let mut scope = None;
        let (status, code, title, detail) = match error {
            // RFC 6750 s3: without any authentication information, no error code.
            GuardError::NoCredential { .. } => (
                StatusCode::UNAUTHORIZED,
                "unauthorized",
                "Unauthorized",
                "This resource needs an access token in the Authorization header.",
            ),
            // RFC 6750 s3.1: invalid_request, "uses more than one method for including an access token, or is otherwise
            // malformed".
            GuardError::Token(Refusal::InQuery) => (
                StatusCode::BAD_REQUEST,
                "invalid_request",
                "Bad Request",
                "Send the access token in the Authorization header, not in the URL. Treat this one as disclosed.",
            ),
            GuardError::Token(Refusal::MultipleCredentials) => (
                StatusCode::BAD_REQUEST,
                "invalid_request",
                "Bad Request",
                "The request has more than one credential: send one Authorization header with one access token.",
            ),
            GuardError::MalformedCredential => (
                StatusCode::BAD_REQUEST,
                "invalid_request",
                "Bad Request",
                "The Authorization header has no readable access token after Bearer.",
            ),
            // What is missing on our side is not the caller's fault: a 401 would make clients throw good tokens away.
            GuardError::KeysUnavailable { .. }
            | GuardError::IntrospectionUnavailable { .. }
            | GuardError::RevocationsUnavailable(_)
            | GuardError::ReplayUnavailable(_) => unavailable(),
            // RFC 9449 s7.1, s9.
            GuardError::Proof(refusal) => (
                StatusCode::UNAUTHORIZED,
                refusal.oauth_error(),
                "Unauthorized",
                match refusal.oauth_error() {
                    "use_dpop_nonce" => "The DPoP proof needs the nonce of the DPoP-Nonce header.",
                    _ => {
                        "The DPoP proof is not valid for this request. The operator finds the reason under the request id."
                    }
                },
            ),
            // RFC 6750 s3.1: one answer for every bad token, so that it cannot be used to try tokens out.
            GuardError::Token(_) | GuardError::Inactive | GuardError::NotBound { .. } => (
                StatusCode::UNAUTHORIZED,
                "invalid_token",
                "Unauthorized",
                "The access token is not valid here. The operator finds the reason under the request id.",
            ),
            // RFC 9470 s3: the token is fine, the way its user was authenticated is not.
            GuardError::Denied(denied) if denied.asks_for_step_up() => (
                StatusCode::UNAUTHORIZED,
                "insufficient_user_authentication",
                "Unauthorized",
                match denied.acr_values {
                    Some(_) => "A different authentication level is required.",
                    None => "A more recent authentication is required.",
                },
            ),
            GuardError::Denied(denied) => {
                scope = denied.scope.as_deref();
                forbidden()
            }
            GuardError::NoPolicy { .. } | GuardError::ClaimsMismatch { .. } => forbidden(),
            GuardError::NotGuarded => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "server_error",
                "Internal Server Error",
                "The service is not set up correctly. The operator finds the reason under the request id.",
            ),
        };
        let challenges = match status {
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::INTERNAL_SERVER_ERROR => Vec::new(),
            _ => {
                let described = !matches!(error, GuardError::NoCredential { .. });
                let step_up = match error {
                    GuardError::Denied(denied) => Some(denied),
                    _ => None,
                };
                let max_age = step_up
                    .and_then(|denied| denied.max_age)
                    .map(|seconds| seconds.to_string());
                let attributes = [
                    ("error", described.then_some(code)),
                    ("error_description", described.then_some(detail)),
                    ("scope", scope),
                    ("acr_values", step_up.and_then(|denied| denied.acr_values.as_deref())),
                    ("max_age", max_age.as_deref()),
                ];
                realm.challenges(error, scheme, status, &attributes)
            }
        };
        let retry_after = (status == StatusCode::SERVICE_UNAVAILABLE).then_some(RETRY_AFTER);
        // Where a role would do as well, the scope is not what this needs.
        let lacks_scope = error.code() == "policy.scope_insufficient";
        let detail = match scope.filter(|scope| lacks_scope && quotable(scope)) {
            Some(scope) if scope.contains(' ') => Cow::Owned(format!(
                "The access token does not carry all the permissions that this needs: {scope}."
            )),
            Some(scope) => Cow::Owned(format!(
                "The access token does not carry the permission that this needs: {scope}."
            )),
            None => Cow::Borrowed(detail),
        };
        Answer {
            status,
            error: code,
            title,
            detail,
            challenges,
            retry_after,
            dpop_nonce: None,
            label: error.code(),
            discloses_reason: false,
        }
    }

    /// The answer as an HTTP response.
    #[must_use]
    pub fn response(&self, request_id: &RequestId) -> Response<Bytes> {
        let problem = Problem {
            r#type: "about:blank",
            title: self.title,
            status: self.status.as_u16(),
            detail: &self.detail,
            code: self.error,
            request_id: request_id.as_str(),
        };
        // Text and a number: there is nothing that could fail.
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        let mut response = Response::new(Bytes::from(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        self.fill(headers, request_id);
        response
    }

    /// The answer as a gRPC client reads it: a response of trailers alone, in its headers, with the challenge and the
    /// request id as metadata (gRPC over HTTP/2, "Trailers-Only").
    #[must_use]
    pub fn grpc_response(&self, request_id: &RequestId) -> Response<Bytes> {
        // <https://grpc.github.io/grpc/core/md_doc_statuscodes.html>
        let (status, message) = match self.status {
            StatusCode::FORBIDDEN => ("7", "permission denied"),
            StatusCode::SERVICE_UNAVAILABLE => ("14", "unavailable"),
            StatusCode::INTERNAL_SERVER_ERROR => ("13", "internal error"),
            _ => ("16", "unauthenticated"),
        };
        let mut response = Response::new(Bytes::new());
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        // The status is 200, so nothing else keeps a cache from storing it (RFC 9111 s3).
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(GRPC_STATUS, HeaderValue::from_static(status));
        // What stands between quotes in a challenge needs no percent-encoding, but for the percent sign itself.
        let message = HeaderValue::from_str(&self.detail.replace('%', "%25"))
            .unwrap_or_else(|_| HeaderValue::from_static(message));
        headers.insert(GRPC_MESSAGE, message);
        self.fill(headers, request_id);
        response
    }

    /// The headers of both forms.
    fn fill(&self, headers: &mut HeaderMap, request_id: &RequestId) {
        if let Ok(id) = HeaderValue::from_str(request_id.as_str()) {
            headers.insert(X_REQUEST_ID, id);
        }
        let challenges = self.challenges.iter().map(|text| HeaderValue::from_str(text));
        for challenge in challenges.filter_map(Result::ok) {
            headers.append(header::WWW_AUTHENTICATE, challenge);
        }
        if let Some(nonce) = &self.dpop_nonce {
            headers.insert(DPOP_NONCE, nonce.clone());
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if self.discloses_reason {
            headers.insert(PORTCULLIS_REASON, HeaderValue::from_static(self.label));
        }
    }
}

// === impl Realm ===

impl Realm {
    /// The text must fit into quotes as it is: visible ASCII and spaces, without quotes and backslashes.
    #[must_use]
    pub fn new(text: &str) -> Option<Realm> {
        quotable(text).then(|| Realm {
            name: text.into(),
            metadata: None,
            dpop: None,
        })
    }

    /// For a place that has no name.
    #[must_use]
    pub fn unnamed() -> Realm {
        Realm {
            name: "api".into(),
            metadata: None,
            dpop: None,
        }
    }

    /// The realm as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// The same, whose challenges say where its metadata is: `resource_metadata` (RFC 9728 s5.1), by which a client finds
    /// the provider. `None` where the URL does not fit into quotes.
    #[must_use]
    pub fn with_metadata(self, url: &str) -> Option<Realm> {
        quotable(url).then(|| Realm {
            metadata: Some(url.into()),
            ..self
        })
    }

    /// The same, where DPoP proofs of these algorithms are checked.
    pub(crate) fn with_dpop(self, algorithms: &[&str], constraint: Option<SenderConstraint>, offered: bool) -> Realm {
        let to = match constraint {
            Some(SenderConstraint::Dpop) => OfferTo::AllAlone,
            Some(SenderConstraint::MutualTls) => OfferTo::Those,
            Some(SenderConstraint::Any) => OfferTo::All,
            None if offered => OfferTo::All,
            None => OfferTo::Those,
        };
        Realm {
            dpop: Some(Offer {
                // RFC 9449 s7.1.
                algs: algorithms.join(" ").into(),
                to,
            }),
            ..self
        }
    }

    /// What a caller without a credential is told: a challenge for each scheme that would do (RFC 6750 s3, RFC 9449
    /// s7.1).
    #[must_use]
    pub fn invitation(&self) -> Vec<String> {
        let error = GuardError::NoCredential { scheme: None };
        self.challenges(&error, Scheme::Bearer, StatusCode::UNAUTHORIZED, &[])
    }

    /// The attributes go to the scheme that the call was made with (RFC 9449 s7.1); others that would do stand beside it
    /// (s7.2).
    fn challenges(
        &self,
        error: &GuardError,
        scheme: Scheme,
        status: StatusCode,
        attributes: &[(&str, Option<&str>)],
    ) -> Vec<String> {
        let Some(Offer { algs, to }) = &self.dpop else {
            return vec![self.challenge("Bearer", attributes)];
        };
        let algs = ("algs", Some(&**algs));
        let proof = matches!(error, GuardError::Proof(_));
        if proof || scheme == Scheme::Dpop || *to == OfferTo::AllAlone {
            let attributes: Vec<_> = attributes.iter().copied().chain([algs]).collect();
            return vec![self.challenge("DPoP", &attributes)];
        }
        let mut challenges = vec![self.challenge("Bearer", attributes)];
        if status == StatusCode::UNAUTHORIZED && *to == OfferTo::All {
            challenges.push(self.challenge("DPoP", &[algs]));
        }
        challenges
    }

    /// A challenge of this scheme (RFC 9110 s11.6.1): `Bearer realm="orders", error="invalid_token"`. What has no value,
    /// or one that does not fit into quotes, is left out.
    #[must_use]
    pub fn challenge(&self, scheme: &str, attributes: &[(&str, Option<&str>)]) -> String {
        let mut challenge = format!("{scheme} realm=\"{}\"", self.name);
        let metadata = ("resource_metadata", self.metadata.as_deref());
        for (name, value) in attributes.iter().chain([&metadata]) {
            if let Some(value) = value.filter(|value| quotable(value)) {
                challenge.push_str(&format!(", {name}=\"{value}\""));
            }
        }
        challenge
    }
}

type Public = (StatusCode, &'static str, &'static str, &'static str);

fn unavailable() -> Public {
    (
        StatusCode::SERVICE_UNAVAILABLE,
        "temporarily_unavailable",
        "Service Unavailable",
        "The access token cannot be checked at the moment. It was not refused: send the request again later.",
    )
}

fn forbidden() -> Public {
    (
        StatusCode::FORBIDDEN,
        "insufficient_scope",
        "Forbidden",
        "The access token does not carry the rights that this resource needs.",
    )
}

/// RFC 6750 s3: error_description and scope have no quotes, no backslashes and nothing outside of %x20-7E, so nothing
/// needs escaping.
pub(crate) fn quotable(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| matches!(byte, 0x20..=0x7e) && byte != b'"' && byte != b'\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn realm() -> Realm {
        Realm::new("orders").unwrap()
    }

    #[test]
    fn every_challenge_is_safe_in_a_header_and_every_label_is_in_the_catalogue() {
        let unavailable = portcullis_store::StoreError::Unavailable { cause: "disk".into() };
        for error in [
            GuardError::NoCredential { scheme: Some("Basic") },
            Refusal::InQuery.into(),
            Refusal::MultipleCredentials.into(),
            GuardError::MalformedCredential,
            Refusal::Revoked { what: "session" }.into(),
            GuardError::KeysUnavailable {
                issuer: "i".into(),
                reason: "down".into(),
            },
            GuardError::RevocationsUnavailable(unavailable),
            GuardError::ClaimsMismatch {
                message: "missing field".into(),
            },
            GuardError::NoPolicy {
                call: "GET /orders".into(),
            },
            GuardError::NotGuarded,
        ] {
            let answer = Answer::of(&error, &realm());
            assert_eq!(
                error.refused().code,
                answer.label,
                "the catalogue knows {}",
                answer.label
            );
            let response = answer.response(&RequestId::new());
            assert_eq!(
                response.headers().contains_key("www-authenticate"),
                answer.status.is_client_error(),
                "{error}"
            );
            assert_eq!(
                response.headers().contains_key("retry-after"),
                answer.status == 503,
                "{error}"
            );
            assert!(
                quotable(&answer.detail) && answer.detail.ends_with('.'),
                "{}",
                answer.detail
            );
        }
    }

    #[test]
    fn a_missing_token_is_answered_without_an_error() {
        let answer = Answer::of(&GuardError::NoCredential { scheme: None }, &realm());
        assert_eq!(
            (answer.status.as_u16(), answer.challenges),
            (401, vec!["Bearer realm=\"orders\"".to_owned()])
        );
    }

    #[test]
    fn what_is_missing_on_our_side_is_never_a_401() {
        let error = GuardError::KeysUnavailable {
            issuer: "https://issuer.test".into(),
            reason: "connection refused".into(),
        };
        let answer = Answer::of(&error, &realm());
        assert_eq!(
            (answer.status.as_u16(), answer.challenges, answer.retry_after),
            (503, Vec::new(), Some(5))
        );
    }

    #[test]
    fn every_challenge_says_where_the_metadata_is_and_no_url_breaks_out() {
        let url = "https://api.example.com/.well-known/oauth-protected-resource/orders";
        let place = realm().with_metadata(url).unwrap();
        let refused = Refusal::Revoked { what: "session" }.into();
        for (error, begins) in [
            (
                GuardError::NoCredential { scheme: None },
                "Bearer realm=\"orders\", resource",
            ),
            (refused, "Bearer realm=\"orders\", error=\"invalid_token\", error_desc"),
            (
                Refusal::InQuery.into(),
                "Bearer realm=\"orders\", error=\"invalid_request\"",
            ),
        ] {
            let challenges = Answer::of(&error, &place).challenges;
            let [challenge] = &challenges[..] else {
                panic!("{challenges:?}")
            };
            assert!(challenge.starts_with(begins), "{challenge}");
            assert!(
                challenge.ends_with(&format!(", resource_metadata=\"{url}\"")),
                "{challenge}"
            );
        }
        assert_eq!(realm().with_metadata("https://a\"b"), None);
    }

    #[test]
    fn a_realm_fits_into_quotes() {
        assert_eq!(Realm::new("api://orders v1").unwrap().as_str(), "api://orders v1");
        for bad in ["", "a\"b", "a\\b", "a\r\nb", "caf\u{e9}"] {
            assert_eq!(Realm::new(bad), None, "{bad:?}");
        }
    }
}
