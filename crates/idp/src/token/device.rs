use serde_json::Value;

use super::Binding;
use super::issue::{Login, token_answer};
use crate::config::Client;
use crate::form::Params;
use crate::oauth_error::OAuthError;
use crate::provider::Provider;
use crate::state::DeviceAnswer;

/// The device grant (RFC 8628 s3.4, s3.5).
pub(super) fn exchange(
    provider: &Provider,
    client: &Client,
    form: &Params,
    binding: &Binding,
) -> Result<Value, OAuthError> {
    let code = form
        .get("device_code")
        .ok_or_else(|| OAuthError::invalid_request("device_code is missing"))?;
    let resource = super::resource(form)?;
    let now = provider.now();
    let answer = provider.state().ask_device(code, &client.client_id, now);
    let grant = match answer {
        DeviceAnswer::Granted(grant) => grant,
        DeviceAnswer::Pending => return Err(OAuthError::new("authorization_pending", "nobody has answered yet")),
        DeviceAnswer::SlowDown => {
            return Err(OAuthError::new(
                "slow_down",
                "asked too soon: wait five seconds longer from now on",
            ));
        }
        DeviceAnswer::Denied => return Err(OAuthError::new("access_denied", "the user did not agree")),
        DeviceAnswer::Expired => return Err(OAuthError::new("expired_token", "the device code has expired")),
        DeviceAnswer::Unknown => {
            return Err(OAuthError::invalid_grant(
                "the device code is unknown, used or another client's",
            ));
        }
    };
    let id = provider.state().open_grant((*grant).clone());
    let login = Login {
        id,
        scopes: &grant.scopes,
        grant: &grant,
        binding,
        first: true,
    };
    token_answer(provider, client, &login, resource)
}
