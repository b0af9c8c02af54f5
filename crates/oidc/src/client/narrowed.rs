//! A refresh that asks for a part of what was granted, or for another API.

use portcullis_jose::Secret;

use super::Client;
use crate::{ProviderError, TokenResponse};

impl Client {
    /// Turns a refresh token into tokens of fewer scopes (RFC 6749 s6), for one API (RFC 8707 s2.2). Without scopes
    /// it is [`Client::refresh`].
    ///
    /// # Errors
    /// As of [`Client::refresh`].
    pub async fn refresh_for(
        &self,
        refresh_token: &Secret,
        scopes: &[String],
        resource: Option<&str>,
    ) -> Result<TokenResponse, ProviderError> {
        let scope = scopes.join(" ");
        let mut form = vec![
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh_token.expose()),
        ];
        if !scope.is_empty() {
            form.push(("scope", &scope));
        }
        form.extend(resource.map(|resource| ("resource", resource)));
        self.grant(form).await
    }
}
