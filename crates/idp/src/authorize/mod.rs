//! The authorization endpoint (RFC 6749 s4.1.1, OpenID Connect Core s3.1.2): first the checks, one file each, then
//! the decision what comes next, then the answer.

mod answer;
mod check_client;
mod check_pkce;
mod check_prompt;
mod check_response;
mod check_scope;
mod decide;
mod pushed;

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, Uri};
use portcullis_jose::random_token;

use crate::config::Client;
use crate::dev::LogNote;
use crate::form::{FormBody, Params};
use crate::oauth_error::OAuthError;
use crate::pages::{self, PageError};
use crate::provider::Provider;
use crate::response::{see_other, with_query};
use crate::state::{Device, Digest, Pending, Session, digest};

use decide::{Step, next_step};

pub(crate) use pushed::push;

/// A request that passed every check. Only then somebody is asked to sign in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AuthorizationRequest {
    pub(crate) client_id: String,
    pub(crate) redirect_uri: String,
    pub(crate) state: Option<String>,
    pub(crate) nonce: Option<String>,
    pub(crate) scopes: BTreeSet<String>,
    pub(crate) resources: Vec<String>,
    pub(crate) code_challenge: Option<String>,
    pub(crate) prompt: Prompt,
    pub(crate) max_age: Option<i64>,
    pub(crate) login_hint: Option<String>,
    /// The `sub` of the `id_token_hint`.
    pub(crate) hinted_sub: Option<String>,
    /// The thumbprint of the key that the code is bound to (RFC 9449 s10).
    pub(crate) dpop_jkt: Option<String>,
    /// The answer goes back as a form (OAuth 2.0 Form Post Response Mode).
    pub(crate) form_post: bool,
    /// The device that waits for it (RFC 8628), in place of a browser at the redirect URI.
    pub(crate) device: Option<(Digest, String)>,
}

/// `prompt` (OpenID Connect Core s3.1.2.1)
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Prompt {
    pub(crate) none: bool,
    pub(crate) login: bool,
    pub(crate) consent: bool,
}

/// An error that is sent back to the client. The texts are fixed: nothing of the request is in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AuthorizeError {
    pub(crate) error: &'static str,
    pub(crate) description: &'static str,
}

impl AuthorizeError {
    pub(crate) fn new(error: &'static str, description: &'static str) -> AuthorizeError {
        AuthorizeError { error, description }
    }
}

type Check = fn(&Provider, &Client, &Params, &mut AuthorizationRequest) -> Result<(), AuthorizeError>;

/// All that is checked once the client and its redirect URI are known to be right, in this order.
const CHECKS: [Check; 5] = [
    check_response::repetition,
    check_response::run,
    check_pkce::run,
    check_scope::run,
    check_prompt::run,
];

pub(crate) async fn get(State(provider): State<Arc<Provider>>, uri: Uri, headers: HeaderMap) -> Response {
    authorize(
        &provider,
        &headers,
        Params::parse(uri.query().unwrap_or_default().as_bytes()),
    )
    .await
}

pub(crate) async fn post(
    State(provider): State<Arc<Provider>>,
    headers: HeaderMap,
    FormBody(form): FormBody,
) -> Response {
    authorize(&provider, &headers, form).await
}

async fn authorize(provider: &Provider, headers: &HeaderMap, params: Params) -> Response {
    let params = &match pushed::resolve(provider, params.clone()).await {
        Ok(params) => params,
        Err(error) => match check_client::run(provider, &params) {
            Ok((client, redirect_uri)) => {
                let request = AuthorizationRequest::begin(&client, redirect_uri, &params);
                return answer::refuse(provider, &request, error, Vec::new());
            }
            // Nobody knows where to send it.
            Err(_) => return OAuthError::new(error.error, error.description).into_response(),
        },
    };
    // RFC 6749 s4.1.2.1: with an unknown client or redirect URI the browser is sent nowhere.
    let (client, redirect_uri) = match check_client::run(provider, params) {
        Ok(found) => found,
        Err(error) => return error.into_response(),
    };
    let client = &*client;
    let mut request = AuthorizationRequest::begin(client, redirect_uri, params);
    let mut response = match CHECKS
        .iter()
        .try_for_each(|check| check(provider, client, params, &mut request))
    {
        Err(error) => answer::refuse(provider, &request, error, Vec::new()),
        Ok(()) => {
            let cookie = provider.session_cookie(headers);
            let session = cookie.and_then(|cookie| provider.state().session(cookie, provider.now()).cloned());
            go_on(provider, headers, client, request, session.as_ref(), false, Vec::new())
        }
    };
    let mut note = response.extensions_mut().remove::<LogNote>().unwrap_or_default();
    note.client_id = Some(client.client_id.clone());
    response.extensions_mut().insert(note);
    response
}

/// Takes the next step of a login: a page, or the answer to the client.
pub(crate) fn go_on(
    provider: &Provider,
    headers: &HeaderMap,
    client: &Client,
    request: AuthorizationRequest,
    session: Option<&Session>,
    just_signed_in: bool,
    mut cookies: Vec<HeaderValue>,
) -> Response {
    let wants_consent = provider.wants_consent(client);
    match next_step(&request, session, just_signed_in, wants_consent, provider.now()) {
        Step::Refuse(error) => answer::refuse(provider, &request, error, cookies),
        Step::Grant(session) => answer::grant(provider, client, &request, session, cookies),
        Step::Login => to_page(provider, headers, "/login", Pending::Login(request), &mut cookies),
        Step::Consent(session) => {
            let pending = Pending::Consent(request, session.sub.clone());
            to_page(provider, headers, "/consent", pending, &mut cookies)
        }
    }
}

/// Grants what the user has just agreed to.
pub(crate) fn agreed(
    provider: &Provider,
    client: &Client,
    request: &AuthorizationRequest,
    session: &Session,
) -> Response {
    answer::grant(provider, client, request, session, Vec::new())
}

/// Tells the client that the user said no.
pub(crate) fn denied(provider: &Provider, request: &AuthorizationRequest) -> Response {
    answer::refuse(
        provider,
        request,
        AuthorizeError::new("access_denied", "the user did not agree"),
        Vec::new(),
    )
}

/// Sends the browser to a page of ours, bound to this browser.
fn to_page(
    provider: &Provider,
    headers: &HeaderMap,
    path: &str,
    pending: Pending,
    cookies: &mut Vec<HeaderValue>,
) -> Response {
    let known = provider
        .browser_cookie(headers)
        .filter(|cookie| cookie.len() == 43)
        .map(str::to_owned);
    let browser = known.unwrap_or_else(|| {
        let fresh = random_token(32);
        cookies.extend(provider.set_cookie(&provider.browser_cookie_name(), &fresh));
        fresh
    });
    let id = provider
        .state()
        .open_interaction(digest(&browser), pending, provider.now());
    let location = with_query(&provider.url(path), &[("interaction", &id)]);
    see_other(&location, std::mem::take(cookies))
}

impl AuthorizationRequest {
    fn begin(client: &Client, redirect_uri: &str, params: &Params) -> AuthorizationRequest {
        let text = |name: &str| params.get(name).map(str::to_owned);
        AuthorizationRequest {
            client_id: client.client_id.clone(),
            redirect_uri: redirect_uri.to_owned(),
            state: text("state").filter(|_| !params.repeats("state")),
            nonce: text("nonce"),
            scopes: BTreeSet::new(),
            resources: Vec::new(),
            code_challenge: None,
            prompt: Prompt::default(),
            max_age: None,
            login_hint: text("login_hint").filter(|hint| hint.len() <= 256),
            hinted_sub: None,
            dpop_jkt: text("dpop_jkt"),
            form_post: params.get("response_mode") == Some("form_post"),
            device: None,
        }
    }

    /// What a device asks for. Whoever enters its code is always asked whether that is meant (RFC 8628 s5.4).
    pub(crate) fn of_device(device: &Device, key: Digest) -> AuthorizationRequest {
        AuthorizationRequest {
            client_id: device.client_id.clone(),
            redirect_uri: String::new(),
            state: None,
            nonce: None,
            scopes: device.scopes.clone(),
            resources: device.resources.clone(),
            code_challenge: None,
            prompt: Prompt {
                consent: true,
                ..Prompt::default()
            },
            max_age: None,
            login_hint: None,
            hinted_sub: None,
            dpop_jkt: None,
            form_post: false,
            device: Some((key, device.user_code.clone())),
        }
    }
}

/// What stands in a page's place when a form or a link leads nowhere any more.
pub(crate) fn gone() -> Response {
    PageError::new(pages::Reason::InteractionGone).into_response()
}

#[cfg(test)]
pub(crate) fn sample() -> AuthorizationRequest {
    let client = Client {
        client_id: "web".into(),
        ..Client::default()
    };
    AuthorizationRequest::begin(&client, "https://app.example/cb", &Params::default())
}
