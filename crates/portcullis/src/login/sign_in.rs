//! Signing in: at a browser on this machine, or on another device.

use std::time::Duration;

use portcullis_jose::Secret;
use portcullis_oidc::device::DeviceAuthorization;
use portcullis_oidc::login::LoginRequest;
use portcullis_oidc::loopback::{Loopback, LoopbackError, Redirect};
use portcullis_oidc::{Client, TokenResponse};

use super::{Access, Kept, Party, Problem, Target};

/// What is asked for.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) scopes: Vec<String>,
    pub(crate) audience: Option<String>,
    pub(crate) login_hint: Option<String>,
    pub(crate) prompt: Option<String>,
    pub(crate) redirect: Redirect,
    pub(crate) wait: Duration,
}

/// What the person has to see.
pub(crate) enum Shown<'a> {
    /// Where the browser has to go.
    Url(&'a str),
    /// What is to be typed on the other device, and where.
    Device(&'a DeviceAuthorization),
}

/// What the provider's answer is compared with.
struct Proof<'a> {
    nonce: Option<&'a Secret>,
    /// The `iss` of the callback.
    answered: Option<String>,
}

/// Authorization Code + PKCE on a loopback redirect (RFC 8252).
pub(crate) async fn on_this_machine(
    party: Party,
    asked: &Asked,
    show: impl FnOnce(Shown<'_>),
) -> Result<Kept, Problem> {
    let client = party.client()?;
    let loopback = Loopback::bind(&asked.redirect).await?;
    let redirect_uri = loopback.redirect_uri().to_owned();
    let mut request = LoginRequest::new(&redirect_uri, &asked.scopes);
    request.resource = asked.audience.as_deref();
    request.login_hint = asked.login_hint.as_deref();
    request.prompt = asked.prompt.as_deref();
    let (url, attempt) = client.begin_login(&request).await?;
    show(Shown::Url(url.as_str()));
    let metadata = client.provider().metadata().await?;
    let rule = client.provider().issuer_rule();
    let callback = loopback.answer(rule, &metadata, &attempt, asked.wait).await?;
    let answered = callback.issuer().map(str::to_owned);
    let tokens = client.exchange_code(callback, &attempt).await.map_err(|error| {
        let code_refused = error.is_invalid_grant();
        let problem = Problem::from(error);
        match code_refused {
            true => Problem::coded("login.code_rejected", problem.why),
            false => problem,
        }
    })?;
    let proof = Proof {
        nonce: Some(attempt.nonce()),
        answered,
    };
    finish(&client, party, asked, tokens, proof).await
}

/// The device authorization grant (RFC 8628).
pub(crate) async fn on_another_device(
    party: Party,
    asked: &Asked,
    show: impl FnOnce(Shown<'_>),
) -> Result<Kept, Problem> {
    let client = party.client()?;
    let mut device = client
        .begin_device_login(&asked.scopes, asked.audience.as_deref())
        .await?;
    device.expires_in = device.expires_in.min(asked.wait);
    show(Shown::Device(&device));
    let tokens = client.await_device_login(&device).await?;
    let proof = Proof {
        nonce: None,
        answered: None,
    };
    finish(&client, party, asked, tokens, proof).await
}

/// Nobody is signed in before the ID token says who it is.
async fn finish(
    client: &Client,
    party: Party,
    asked: &Asked,
    tokens: TokenResponse,
    proof: Proof<'_>,
) -> Result<Kept, Problem> {
    let invalid = |why: &str| Problem::coded("login.id_token_invalid", why);
    let id_token = tokens
        .id_token
        .clone()
        .ok_or_else(|| invalid("the provider sent no ID token, although `openid` was asked for"))?;
    let claims = client
        .verify_id_token(&id_token, proof.nonce, Some(&tokens.access_token))
        .await?;
    let issuer = claims.str("iss").unwrap_or_default().to_owned();
    // RFC 9207: of a template's tenants, the one that answered.
    if proof.answered.is_some_and(|answered| answered != issuer) {
        return Err(invalid(
            "the ID token is of another issuer than the answer to the login",
        ));
    }
    let expires = claims.time("exp").ok().flatten();
    let now = client.provider().clock().now();
    let access = Access {
        target: Target::new(asked.audience.clone(), Vec::new()),
        issued: now,
        expires: tokens.expires_at(now),
        scope: tokens.scope,
        token: tokens.access_token,
    };
    Ok(Kept {
        party,
        issuer,
        subject: claims.str("sub").unwrap_or_default().to_owned(),
        claims: Kept::told(&claims.to_json()),
        signed_in: now,
        refresh_token: tokens.refresh_token,
        id_token,
        id_token_expires: expires.unwrap_or(now),
        access: vec![access],
    })
}

impl From<portcullis_oidc::login::LoginError> for Problem {
    fn from(error: portcullis_oidc::login::LoginError) -> Problem {
        LoopbackError::from(error).into()
    }
}
