use std::sync::Arc;

use portcullis_audit::{Audit, AuditSettings};
use portcullis_jose::{Clock, Secret, SystemClock, random_token};
use portcullis_oidc::{Client, ClientAuth, OAuthError, ProviderError};

use crate::config::{self, ClientSettings, Settings};
use crate::gateway::provider_alone;

/// Whether a provider takes a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Taken,
    Refused,
    /// Its answer does not tell.
    Unknown(String),
}

/// Asks the provider with a secret of a client. Two questions may be needed: for a token of the client itself, and with a
/// refresh token that nobody has, which changes nothing.
///
/// # Errors
/// What in the configuration keeps it from being asked.
pub(crate) async fn try_secret(
    settings: &Settings,
    client: &ClientSettings,
    secret: &Secret,
) -> Result<Verdict, String> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let audit = Audit::new(AuditSettings::in_memory(), Arc::clone(&clock));
    let provider = provider_alone(settings, &client.provider, &audit, &clock).map_err(|error| error.to_string())?;
    let auth = match client.auth {
        config::ClientAuth::Post(_) => ClientAuth::Post(secret.clone()),
        _ => ClientAuth::Basic(secret.clone()),
    };
    let client = Client::new(provider, &client.client_id, auth);
    let first = match client.client_credentials(&[], None).await {
        Ok(_) => return Ok(Verdict::Taken),
        Err(error) => error,
    };
    if let Some(verdict) = of_client_credentials(&first) {
        return Ok(verdict);
    }
    let made_up = Secret::new(random_token(32));
    match client.refresh(&made_up, None).await {
        Ok(_) => Ok(Verdict::Unknown("it takes any refresh token".to_owned())),
        Err(error) => Ok(of_refresh(&error)),
    }
}

/// What the answer to a request for client credentials says, if it does.
fn of_client_credentials(error: &ProviderError) -> Option<Verdict> {
    match error {
        ProviderError::OAuth(OAuthError { error, .. }) if error == "invalid_client" => Some(Verdict::Refused),
        // Some say that a client may not do this before they look at its secret, and some say so of a wrong secret.
        ProviderError::OAuth(_) => None,
        other => Some(Verdict::Unknown(other.to_string())),
    }
}

/// RFC 6749 s5.2: the grant is looked at when the client is authenticated.
fn of_refresh(error: &ProviderError) -> Verdict {
    match error {
        ProviderError::OAuth(OAuthError { error, .. }) if error == "invalid_client" => Verdict::Refused,
        ProviderError::OAuth(OAuthError { error, .. }) if error == "invalid_grant" => Verdict::Taken,
        // Keycloak: "unauthorized_client" with 401 for a wrong secret.
        ProviderError::OAuth(OAuthError { status: 401, .. }) => Verdict::Refused,
        ProviderError::OAuth(OAuthError { error, .. }) => Verdict::Unknown(format!("it answers {error}")),
        other => Verdict::Unknown(other.to_string()),
    }
}
