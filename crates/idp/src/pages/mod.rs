//! The pages that people see. They need no JavaScript and load nothing.

mod failure;

use std::collections::BTreeSet;
use std::sync::LazyLock;

use askama::Template;
use axum::extract::State;
use axum::response::{Html, IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, StatusCode, header};
use portcullis_jose::sha256;
use url::{Host, Url};

use crate::provider::Provider;
use crate::response::no_store;

pub(crate) use failure::{PageError, Reason};

const STYLE: &str = include_str!("../../templates/style.css");

/// The style is the one thing that a page may contain beside its text, so its hash is the policy.
static STYLE_HASH: LazyLock<String> = LazyLock::new(|| STANDARD.encode(sha256(STYLE.as_bytes())));

#[derive(Template)]
#[template(path = "login.html")]
pub(crate) struct LoginPage<'a> {
    pub(crate) action: &'a str,
    pub(crate) interaction: &'a str,
    pub(crate) csrf: &'a str,
    pub(crate) client: &'a str,
    pub(crate) username: &'a str,
    pub(crate) failed: bool,
}

#[derive(Template)]
#[template(path = "consent.html")]
pub(crate) struct ConsentPage<'a> {
    pub(crate) action: &'a str,
    pub(crate) interaction: &'a str,
    pub(crate) csrf: &'a str,
    pub(crate) client: &'a str,
    pub(crate) username: &'a str,
    /// The code that a device shows, for the person to compare (RFC 8628 s5.4).
    pub(crate) device: Option<&'a str>,
    pub(crate) scopes: Vec<(&'a str, &'static str)>,
}

#[derive(Template)]
#[template(path = "device.html")]
pub(crate) struct DevicePage<'a> {
    pub(crate) action: &'a str,
    pub(crate) interaction: &'a str,
    pub(crate) csrf: &'a str,
    pub(crate) user_code: &'a str,
    pub(crate) fault: &'a str,
}

#[derive(Template)]
#[template(path = "device_done.html")]
pub(crate) struct DeviceDonePage {
    pub(crate) allowed: bool,
}

#[derive(Template)]
#[template(path = "sign_out.html")]
pub(crate) struct SignOutPage<'a> {
    pub(crate) action: &'a str,
    pub(crate) interaction: &'a str,
    pub(crate) csrf: &'a str,
}

#[derive(Template)]
#[template(path = "signed_out.html")]
pub(crate) struct SignedOutPage {}

#[derive(Template)]
#[template(path = "form_post.html")]
pub(crate) struct FormPostPage<'a> {
    pub(crate) action: &'a str,
    pub(crate) parameters: &'a [(&'a str, &'a str)],
}

/// The one script that there is: it sends the form of its page.
const SEND: &str = "document.getElementById(\"answer\").submit();";

#[derive(Template)]
#[template(path = "home.html")]
struct HomePage<'a> {
    issuer: &'a str,
}

#[derive(Template)]
#[template(path = "failure.html")]
struct FailurePage {
    title: &'static str,
    detail: &'static str,
    code: &'static str,
}

/// What stands at the issuer's own address.
pub(crate) async fn home(State(provider): State<std::sync::Arc<Provider>>) -> Response {
    render(
        StatusCode::OK,
        &HomePage {
            issuer: &provider.issuer,
        },
        &[],
    )
}

/// Renders a page. Its form may be sent to these addresses, or lead there by a redirect, and to no others.
pub(crate) fn render(status: StatusCode, template: &impl Template, form_targets: &[&str]) -> Response {
    let Ok(text) = template.render() else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let mut response = no_store((status, Html(text)).into_response());
    let headers = response.headers_mut();
    if let Ok(policy) = HeaderValue::from_str(&policy(form_targets)) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    response
}

/// Renders a page whose form sends itself to this address.
pub(crate) fn render_sent(template: &FormPostPage<'_>, target: &str) -> Response {
    let mut response = render(StatusCode::OK, template, &[target]);
    let hash = STANDARD.encode(sha256(SEND.as_bytes()));
    let policy = format!("{}; script-src 'sha256-{hash}'", policy(&[target]));
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// What a scope means, in the words of the consent page.
pub(crate) fn describe_scope(scope: &str) -> &'static str {
    match scope {
        "openid" => "know that it is you",
        "profile" => "see your name and profile",
        "email" => "see your e-mail address",
        "offline_access" => "stay signed in when you are away",
        _ => "use this permission in your name",
    }
}

fn policy(form_targets: &[&str]) -> String {
    let sources: BTreeSet<String> = form_targets.iter().filter_map(|target| form_source(target)).collect();
    let sources = if sources.is_empty() {
        "'none'".to_owned()
    } else {
        sources.into_iter().collect::<Vec<_>>().join(" ")
    };
    format!(
        "default-src 'none'; style-src 'sha256-{}'; img-src data:; form-action {sources}; frame-ancestors 'none'; base-uri 'none'",
        *STYLE_HASH
    )
}

/// The source expression of an address. Browsers apply `form-action` to the redirects after a form too, so the
/// client's own address must be in it.
fn form_source(target: &str) -> Option<String> {
    let url = Url::parse(target).ok()?;
    match (url.scheme(), url.host()) {
        // The grammar of CSP has no IPv6 addresses.
        ("http" | "https", Some(Host::Ipv6(_))) => Some(format!("{}:", url.scheme())),
        ("http" | "https", Some(_)) => Some(url.origin().ascii_serialization()),
        (scheme, _) => Some(format!("{scheme}:")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_lead_to_named_places_alone() {
        let policy = policy(&["http://127.0.0.1:9400", "https://app.example/cb?x=1", ""]);
        assert!(
            policy.contains("form-action http://127.0.0.1:9400 https://app.example;"),
            "{policy}"
        );
        assert_eq!(form_source("com.example.app:/cb").unwrap(), "com.example.app:");
        assert_eq!(form_source("http://[::1]:3000/cb").unwrap(), "http:");
        assert!(super::policy(&[]).contains("form-action 'none';"));
    }

    #[test]
    fn what_was_typed_is_escaped() {
        let evil = "\"><script>alert(1)</script>";
        let page = LoginPage {
            action: "a",
            interaction: "i",
            csrf: "c",
            client: evil,
            username: evil,
            failed: true,
        };
        let text = page.render().unwrap();
        assert!(!text.contains("<script"), "{text}");
        assert!(text.contains("&#60;script&#62;"), "{text}");
    }

    #[test]
    fn the_style_in_the_page_is_the_one_that_the_policy_allows() {
        let text = SignedOutPage {}.render().unwrap();
        let style = text.split_once("<style>").unwrap().1.split_once("</style>").unwrap().0;
        assert_eq!(style, STYLE);
    }
}
