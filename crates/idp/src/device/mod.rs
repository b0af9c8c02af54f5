//! The device authorization grant (RFC 8628): the endpoint that devices begin at, and the page where a person enters
//! the code.

mod page;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::client_auth::{Caller, authenticate};
use crate::config::{GrantType, is_scope_token};
use crate::dev::LogNote;
use crate::form::{FormBody, Params};
use crate::oauth_error::OAuthError;
use crate::provider::Provider;
use crate::response::{no_store, with_query};
use crate::token::parse_scopes;

pub(crate) use page::{done, show, submit};

/// RFC 8628 s3.4
pub(crate) const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// RFC 8628 s3.1, s3.2
pub(crate) async fn authorization(
    State(provider): State<Arc<Provider>>,
    caller: Caller,
    FormBody(form): FormBody,
) -> Response {
    let mut note = LogNote::default();
    let mut response = match begin(&provider, &caller, &form, &mut note).await {
        Ok(answer) => no_store(Json(answer).into_response()),
        Err(error) => {
            note.error = Some(error.error.clone().into_owned());
            error.into_response()
        }
    };
    response.extensions_mut().insert(note);
    response
}

async fn begin(provider: &Provider, caller: &Caller, form: &Params, note: &mut LogNote) -> Result<Value, OAuthError> {
    if form.has_repeated() {
        return Err(OAuthError::invalid_request("a parameter comes twice"));
    }
    let client = authenticate(provider, caller, form).await?;
    note.client_id = Some(client.client_id.clone());
    if !client.may(GrantType::DeviceCode) {
        return Err(OAuthError::new(
            "unauthorized_client",
            "the client's configuration does not have the grant device_code",
        ));
    }
    let scopes = form.get("scope");
    let scopes = scopes.map_or_else(|| client.scopes.iter().cloned().collect(), parse_scopes);
    if !scopes.iter().all(|scope| is_scope_token(scope)) {
        return Err(OAuthError::invalid_scope("scope has a character that it must not have"));
    }
    let resources: Vec<String> = form.all("resource").map(str::to_owned).collect();
    if resources
        .iter()
        .any(|resource| provider.registry.api(resource).is_none())
    {
        return Err(OAuthError::new("invalid_target", "resource is no API of this provider"));
    }
    let settings = provider.settings;
    let times = (settings.device_code_lifetime, settings.device_code_interval);
    let now = provider.now();
    let (device_code, user_code) = provider
        .state()
        .open_device(&client.client_id, scopes, resources, times, now);
    provider.dev.note_secret(&device_code);
    let place = provider.url("/device");
    Ok(json!({
        "verification_uri_complete": with_query(&place, &[("user_code", &user_code)]),
        "verification_uri": place,
        "device_code": device_code,
        "user_code": user_code,
        "expires_in": times.0,
        "interval": times.1,
    }))
}
