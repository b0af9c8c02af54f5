use std::fmt;
use std::sync::Arc;

use portcullis_jose::Secret;
use serde::{Deserialize, Serialize};

use super::{Behaviour, Mint, RequestLogEntry, mint};
use crate::config::{Client, check_one};
use crate::keys::Signing;
use crate::provider::Provider;
use crate::{IdpError, TokenCounts};

/// What happens to the former key when keys are rotated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RotateHow {
    /// It stays published, so that tokens signed with it stay good.
    Overlap,
    /// It is gone at once, as after a theft.
    DropOld,
    /// It is gone at once, and the new one goes by its name, as no provider should do it.
    SameName,
}

/// The handle on a running provider for the program that started it. Cheap to clone.
#[derive(Clone)]
pub struct Control(pub(crate) Arc<Provider>);

impl Control {
    /// The issuer.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.0.issuer
    }

    /// Makes a token to order, without any login.
    ///
    /// # Errors
    /// [`IdpError::UnknownUser`], [`IdpError::UnknownClient`], or [`IdpError::Key`] if it cannot be signed.
    pub fn mint(&self, order: &Mint) -> Result<String, IdpError> {
        mint::mint(&self.0, order)
    }

    /// Signs any claims as a JWT of this `typ`, in the provider's name.
    ///
    /// # Errors
    /// [`IdpError::Key`] if it cannot be signed.
    pub fn sign(&self, typ: &str, claims: &serde_json::Value) -> Result<String, IdpError> {
        Ok(self.0.keys.sign(typ, claims, Signing::Sound)?)
    }

    /// How the provider misbehaves now.
    #[must_use]
    pub fn behaviour(&self) -> Behaviour {
        self.0.dev.behaviour().clone()
    }

    /// Puts a client in the place of the one of the same identifier, or adds it.
    ///
    /// # Errors
    /// [`IdpError::Config`] with its faults; then nothing changes.
    pub fn put_client(&self, client: Client) -> Result<(), IdpError> {
        let faults = check_one(&client);
        if !faults.is_empty() {
            return Err(IdpError::Config { faults });
        }
        self.0.registry.put_client(client);
        Ok(())
    }

    /// From now on a client has these secrets and no other. Says whether there is such a client.
    #[expect(clippy::must_use_candidate, reason = "it is called for what it does")]
    pub fn set_client_secrets(&self, client_id: &str, secrets: Vec<Secret>) -> bool {
        self.0.registry.set_secrets(client_id, secrets)
    }

    /// From now on misbehave like this; `Behaviour::default()` ends it.
    pub fn set_behaviour(&self, behaviour: Behaviour) {
        *self.0.dev.behaviour() = behaviour;
    }

    /// The requests that were answered, the oldest first; the last ten thousand.
    #[must_use]
    pub fn request_log(&self) -> Vec<RequestLogEntry> {
        self.0.dev.log().iter().cloned().collect()
    }

    /// Forgets the requests so far.
    pub fn clear_request_log(&self) {
        self.0.dev.log().clear();
    }

    /// Signs from now on with a new key. Making an RSA key blocks for some tenths of a second.
    ///
    /// # Errors
    /// [`IdpError::Key`] if no key can be made.
    pub fn rotate_keys(&self, how: RotateHow) -> Result<(), IdpError> {
        Ok(self.0.keys.rotate(how)?)
    }

    /// Signs a user out of this provider in every browser, or everybody. Says how many sessions ended.
    #[expect(clippy::must_use_candidate, reason = "it is called for what it does")]
    pub fn end_user_sessions(&self, username: Option<&str>) -> usize {
        self.0.state().end_user_sessions(username)
    }

    /// Revokes all that came of every login: refresh tokens, and access tokens here. Says how many logins.
    #[expect(clippy::must_use_candidate, reason = "it is called for what it does")]
    pub fn revoke_all_refresh(&self) -> usize {
        self.0.state().revoke_all_grants()
    }

    /// How much was issued, and what is alive.
    #[must_use]
    pub fn token_counts(&self) -> TokenCounts {
        self.0.state().counted(self.0.now())
    }

    /// Every code, token and cookie value issued so far, for the test that looks for them where they must not be;
    /// the last twenty thousand.
    #[must_use]
    pub fn issued_secrets(&self) -> Vec<String> {
        self.0
            .dev
            .secrets()
            .iter()
            .map(|secret| secret.expose().to_owned())
            .collect()
    }

    /// The bearer token of the `/dev/...` endpoints, made at start.
    #[must_use]
    pub fn admin_token(&self) -> &str {
        self.0.dev.admin_token.expose()
    }
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control")
            .field("issuer", &self.0.issuer)
            .finish_non_exhaustive()
    }
}
