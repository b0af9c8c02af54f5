mod authorization;
mod device;
mod narrowed;
mod request;
mod userinfo;

use bytes::Bytes;
use portcullis_jose::{Claims, JwkSet, Refusal, Secret, Verified};
use url::Url;

use crate::client_auth::{AssertionAudience, AuthMethod, ClientAuth};
use crate::dpop::DpopKey;
use crate::id_token::IdTokenRules;
use crate::login::{self, LoginAttempt, LoginRequest, ValidatedCallback};
use crate::token_response::{self, TokenResponse};
use crate::{Doubt, HttpsUrl, Provider, ProviderError, TokenTarget};

use request::{INTROSPECTION, REVOCATION, TOKEN};

/// A client of a provider: makes the requests of a login, of grants and of a logout, and judges their answers.
#[derive(Debug, Clone)]
pub struct Client {
    provider: Provider,
    client_id: String,
    auth: ClientAuth,
    options: ClientOptions,
}

/// How a client does what can be done in more than one way.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ClientOptions {
    /// Whom assertions of `private_key_jwt` name as their audience.
    pub assertion_audience: AssertionAudience,
    /// Authorization requests are pushed to the provider (RFC 9126), also where it does not demand it.
    pub pushed_requests: bool,
    /// Authorization requests are signed by the client's key (RFC 9101).
    pub signed_requests: bool,
    /// Answers come as a form, which leaves no code in a URL (OAuth 2.0 Form Post Response Mode).
    pub form_post: bool,
    /// More parameters of authorization requests.
    pub extra_parameters: Vec<(String, String)>,
    /// People's tokens are bound to this key (RFC 9449).
    pub dpop: Option<DpopKey>,
    /// What the FAPI 2.0 Security Profile demands of the provider is demanded: pushed requests, and `iss` in each answer.
    pub fapi2: bool,
}

/// RFC 8693 s2.1
const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
/// RFC 8693 s3
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// The parameters of a form, in order.
type Form<'a> = Vec<(&'a str, &'a str)>;

impl Client {
    /// A client that is registered at `provider`.
    #[must_use]
    pub fn new(provider: Provider, client_id: impl Into<String>, auth: ClientAuth) -> Client {
        Client {
            provider,
            client_id: client_id.into(),
            auth,
            options: ClientOptions::default(),
        }
    }

    /// The same, whose assertions of `private_key_jwt` name this as their audience.
    #[must_use]
    pub fn with_assertion_audience(self, audience: AssertionAudience) -> Client {
        let options = ClientOptions {
            assertion_audience: audience,
            ..self.options
        };
        Client { options, ..self }
    }

    /// The same with these options.
    #[must_use]
    pub fn with_options(self, options: ClientOptions) -> Client {
        Client { options, ..self }
    }

    /// The options.
    #[must_use]
    pub fn options(&self) -> &ClientOptions {
        &self.options
    }

    /// The same, whose tokens are bound to no key.
    pub(crate) fn without_dpop(mut self) -> Client {
        self.options.dpop = None;
        self
    }

    /// The provider.
    #[must_use]
    pub fn provider(&self) -> &Provider {
        &self.provider
    }

    /// The client identifier.
    #[must_use]
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// How the client proves itself.
    #[must_use]
    pub fn auth(&self) -> &ClientAuth {
        &self.auth
    }

    fn method(&self) -> AuthMethod {
        self.auth.method()
    }

    /// Begins a login: where to send the browser, and what to remember until it comes back.
    ///
    /// # Errors
    /// When the metadata cannot be had, or names no authorization endpoint.
    pub async fn begin_login(&self, request: &LoginRequest<'_>) -> Result<(Url, LoginAttempt), ProviderError> {
        let metadata = self.provider.metadata().await?;
        let endpoint = metadata.authorization_endpoint.as_ref();
        let endpoint = endpoint.ok_or(ProviderError::EndpointMissing("authorization_endpoint"))?;
        let issuer = self.provider.issuer();
        let now = self.provider.clock().now();
        let (mut parameters, attempt) = login::begin(issuer, &self.client_id, request, self.options.fapi2, now);
        let mut add = |name: &str, value: &str| parameters.push((name.to_owned(), value.to_owned()));
        if self.options.form_post {
            add("response_mode", "form_post");
        }
        if let Some(key) = &self.options.dpop {
            // RFC 9449 s10: the code is worth nothing without the key.
            add("dpop_jkt", &key.thumbprint());
        }
        parameters.extend(self.options.extra_parameters.iter().cloned());
        let pushed =
            self.options.pushed_requests || self.options.fapi2 || metadata.require_pushed_authorization_requests;
        if self.options.signed_requests {
            parameters = self.signed(parameters, !pushed).await?;
        }
        if !pushed {
            return Ok((login::to_url(endpoint, &parameters), attempt));
        }
        let request_uri = self.push(&metadata, &parameters).await?;
        let reference = [("client_id", self.client_id.as_str()), ("request_uri", &request_uri)];
        Ok((login::to_url(endpoint, &reference), attempt))
    }

    /// Turns the code of a validated callback into tokens: one request, never repeated (RFC 6749 s4.1.3).
    ///
    /// # Errors
    /// The provider's refusal, or why it could not be asked.
    pub async fn exchange_code(
        &self,
        callback: ValidatedCallback,
        attempt: &LoginAttempt,
    ) -> Result<TokenResponse, ProviderError> {
        let code = callback.into_code();
        self.grant(vec![
            ("grant_type", "authorization_code"),
            ("code", code.expose()),
            ("redirect_uri", attempt.redirect_uri()),
            // RFC 7636 s4.5
            ("code_verifier", attempt.verifier().expose()),
        ])
        .await
    }

    /// Turns a refresh token into new tokens (RFC 6749 s6).
    ///
    /// # Errors
    /// [`ProviderError::is_invalid_grant`] when the refresh token is worth nothing any more;
    /// [`ProviderError::is_temporary`] when the provider could not answer.
    pub async fn refresh(
        &self,
        refresh_token: &Secret,
        resource: Option<&str>,
    ) -> Result<TokenResponse, ProviderError> {
        let mut form = vec![
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh_token.expose()),
        ];
        // RFC 8707 s2.2
        form.extend(resource.map(|resource| ("resource", resource)));
        self.grant(form).await
    }

    /// A token for the client itself (RFC 6749 s4.4).
    ///
    /// # Errors
    /// The provider's refusal, or why it could not be asked.
    pub async fn client_credentials(
        &self,
        scopes: &[String],
        resource: Option<&str>,
    ) -> Result<TokenResponse, ProviderError> {
        let target = TokenTarget {
            scopes: scopes.to_vec(),
            resource: resource.map(str::to_owned),
            audience: None,
        };
        self.client_credentials_for(&target).await
    }

    /// The same for a target.
    ///
    /// # Errors
    /// The provider's refusal, or why it could not be asked.
    pub async fn client_credentials_for(&self, target: &TokenTarget) -> Result<TokenResponse, ProviderError> {
        let mut scope = String::new();
        let mut form = vec![("grant_type", "client_credentials")];
        form.extend(target.parameters(&mut scope));
        self.grant(form).await
    }

    /// Exchanges an access token for another one of the same person's, for this target (RFC 8693 s2.1).
    ///
    /// # Errors
    /// The provider's refusal, or why it could not be asked.
    pub async fn exchange_token(
        &self,
        subject_token: &Secret,
        target: &TokenTarget,
    ) -> Result<TokenResponse, ProviderError> {
        let mut scope = String::new();
        let mut form = vec![
            ("grant_type", TOKEN_EXCHANGE),
            ("subject_token", subject_token.expose()),
            ("subject_token_type", ACCESS_TOKEN),
            ("requested_token_type", ACCESS_TOKEN),
        ];
        form.extend(target.parameters(&mut scope));
        self.grant(form).await
    }

    /// Verifies an ID token of this client. Where newer keys could help, they are looked for once.
    ///
    /// # Errors
    /// [`ProviderError::Token`] with the rule that it breaks, or why the keys cannot be had.
    pub async fn verify_id_token(
        &self,
        token: &Secret,
        nonce: Option<&Secret>,
        access_token: Option<&Secret>,
    ) -> Result<Verified<Claims>, ProviderError> {
        let algorithm = self.provider.settings().id_token_algorithm;
        let mut rules = IdTokenRules::new(self.provider.issuer_rule(), &self.client_id, algorithm);
        rules.nonce = nonce;
        rules.access_token = access_token;
        let now = self.provider.clock().now();
        self.by_keys(token, |keys| rules.verify(token, keys, now)).await
    }

    /// Verifies a token by the provider's keys, and where newer ones could help, once more by those.
    pub(crate) async fn by_keys<T>(
        &self,
        token: &Secret,
        verify: impl Fn(&JwkSet) -> Result<T, Refusal>,
    ) -> Result<T, ProviderError> {
        let seen = self.provider.keys_or_fetch().await?;
        let keys = seen.of_token(token.expose());
        let refusal = match verify(keys) {
            Ok(verified) => return Ok(verified),
            Err(refusal) => refusal,
        };
        let Some(doubt) = Doubt::of(&refusal, token.expose(), keys) else {
            return Err(ProviderError::Token(refusal));
        };
        let newer = self.provider.keys_in_doubt(&doubt, &seen).await?;
        verify(newer.of_token(token.expose())).map_err(ProviderError::Token)
    }

    /// Revokes a refresh or access token (RFC 7009). `false`: the provider has no such endpoint, and nothing was done.
    ///
    /// # Errors
    /// The provider's refusal, or why it could not be asked.
    pub async fn revoke(&self, token: &Secret, hint: &str) -> Result<bool, ProviderError> {
        let metadata = self.provider.metadata().await?;
        let Some(url) = REVOCATION.of(&metadata, self.method()) else {
            return Ok(false);
        };
        let form = vec![("token", token.expose()), ("token_type_hint", hint)];
        let response = self.post(&REVOCATION, url, &form).await?;
        // RFC 7009 s2.2: 200, also for a token that is not known.
        if response.status() == http::StatusCode::OK {
            return Ok(true);
        }
        Err(token_response::parse_failure(
            REVOCATION.words,
            response.status(),
            response.body(),
        ))
    }

    /// Asks about an access token (RFC 7662 s2.1), at this address or at the one that the metadata names.
    pub(crate) async fn introspect(
        &self,
        url: Option<&HttpsUrl>,
        token: &Secret,
    ) -> Result<http::Response<Bytes>, ProviderError> {
        let form = vec![("token", token.expose()), ("token_type_hint", "access_token")];
        match url {
            // With an address of its own the endpoint is asked while the discovery document cannot be had.
            Some(url) => self.post(&INTROSPECTION, url, &form).await,
            None => {
                let metadata = self.provider.metadata().await?;
                let url = INTROSPECTION.need(&metadata, self.method())?;
                self.post(&INTROSPECTION, url, &form).await
            }
        }
    }

    /// Where to send the browser so that the session at the provider ends too (RP-Initiated Logout 1.0 s2). `None`
    /// if the provider has no such endpoint.
    ///
    /// # Errors
    /// When the metadata cannot be had.
    pub async fn end_session_url(
        &self,
        id_token: Option<&Secret>,
        return_to: &str,
        state: &str,
    ) -> Result<Option<Url>, ProviderError> {
        let metadata = self.provider.metadata().await?;
        Ok(metadata.end_session_endpoint.as_ref().map(|endpoint| {
            let mut url = endpoint.as_url().clone();
            let mut query = url.query_pairs_mut();
            if let Some(hint) = id_token {
                query.append_pair("id_token_hint", hint.expose());
            }
            query.append_pair("client_id", &self.client_id);
            query.append_pair("post_logout_redirect_uri", return_to);
            query.append_pair("state", state);
            drop(query);
            url
        }))
    }

    async fn grant(&self, form: Form<'_>) -> Result<TokenResponse, ProviderError> {
        let metadata = self.provider.metadata().await?;
        let url = TOKEN.need(&metadata, self.method())?;
        let response = self.post(&TOKEN, url, &form).await?;
        TokenResponse::read(response.status(), response.body(), self.options.dpop.is_some())
    }
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
