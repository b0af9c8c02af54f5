//! Which token the upstream gets.

use http::HeaderValue;
use http::header::{AUTHORIZATION, UPGRADE};
use http::request::Parts;
use portcullis_audit::{Audit, Refused};
use portcullis_bff::{Bff, Session};
use portcullis_jose::Secret;
use portcullis_oidc::{Client, ProviderError, RenewalTask, TokenExchange, TokenSource};
use portcullis_proxy::AuthorizationHeader;

use super::Incoming;
use super::build::BuildError;
use super::providers::{Providers, client};
use crate::config::{AskedToken, Settings, UpstreamToken};

/// How an API's upstream gets its token.
#[derive(Debug)]
pub(crate) enum Attach {
    Caller,
    Exchanged(TokenExchange),
    Client(Own),
    CallerOrClient(Own),
    CallerOrNone,
    None,
}

/// The client's own tokens.
#[derive(Debug)]
pub(crate) struct Own {
    tokens: TokenSource,
    /// The first call finds a token, and none waits for a renewal.
    _fresh: RenewalTask,
}

/// What is attached to one call.
pub(super) struct Attached {
    pub(super) authorization: AuthorizationHeader,
    /// The client's token, if it is that: where the upstream refuses it there may be another.
    pub(super) own: Option<Secret>,
    /// The session that the token is of, where the route goes without as well.
    pub(super) session: Option<Session>,
}

impl Attach {
    pub(super) fn of(
        configured: &UpstreamToken,
        settings: &Settings,
        providers: &Providers,
        audit: &Audit,
    ) -> Result<Attach, BuildError> {
        let client = |asked: &AskedToken| client(settings, providers, &asked.client, audit);
        let own = |asked: &AskedToken| Ok(Own::new(client(asked)?, asked));
        Ok(match configured {
            UpstreamToken::Caller => Attach::Caller,
            UpstreamToken::Exchanged(asked) => {
                Attach::Exchanged(TokenExchange::new(client(asked)?, asked.target.clone()))
            }
            UpstreamToken::Client(asked) => Attach::Client(own(asked)?),
            UpstreamToken::CallerOrClient(asked) => Attach::CallerOrClient(own(asked)?),
            UpstreamToken::CallerOrNone => Attach::CallerOrNone,
            UpstreamToken::None => Attach::None,
        })
    }

    /// The token for a call that has passed. `users` is the header that it passed with.
    pub(super) async fn attach(
        &self,
        users: AuthorizationHeader,
        incoming: &Incoming<'_>,
        bff: Option<&Bff>,
    ) -> Result<Attached, Refused> {
        let authorization = match self {
            Attach::Caller => users,
            Attach::None => AuthorizationHeader::Remove,
            Attach::Exchanged(exchange) => {
                let token = users_token(&users, &incoming.parts)
                    .ok_or_else(|| Refused::new("token.binding_required").found("a bound token cannot be exchanged"))?;
                let narrowed = exchange.token_for(&token).await;
                bearer(&narrowed.map_err(|error| refused(&error))?)
            }
            Attach::Client(own) => return own.attach().await,
            Attach::CallerOrClient(own) => match of_session(incoming, bff).await? {
                Some(attached) => return Ok(attached),
                None => return own.attach().await,
            },
            Attach::CallerOrNone => match of_session(incoming, bff).await? {
                Some(attached) => return Ok(attached),
                None => AuthorizationHeader::Remove,
            },
        };
        Ok(Attached {
            authorization,
            own: None,
            session: None,
        })
    }

    /// Whether what a browser gets depends on its cookie, although it needs none.
    pub(super) fn depends_on_cookie(&self) -> bool {
        matches!(self, Attach::CallerOrClient(_) | Attach::CallerOrNone)
    }

    /// Whether a session's token reaches the upstream, itself or exchanged; `own`: the client's own was taken.
    pub(super) fn sends_session(&self, own: bool) -> bool {
        match self {
            Attach::Caller | Attach::Exchanged(_) => true,
            Attach::CallerOrClient(_) | Attach::CallerOrNone => !own,
            Attach::Client(_) | Attach::None => false,
        }
    }

    /// Another token of the client's than this one, which the upstream has refused.
    pub(super) async fn instead_of(&self, refused: &Secret) -> Option<Attached> {
        let (Attach::Client(own) | Attach::CallerOrClient(own)) = self else {
            return None;
        };
        // What is wrong with the provider is told when there is no token at all.
        let other = own.tokens.instead_of(refused).await.ok()??;
        Some(Attached {
            authorization: bearer(&other),
            own: Some(other),
            session: None,
        })
    }
}

impl Own {
    fn new(client: Client, asked: &AskedToken) -> Own {
        let tokens = TokenSource::client_credentials(client).target(asked.target.clone());
        Own {
            _fresh: tokens.keep_fresh(),
            tokens,
        }
    }

    async fn attach(&self) -> Result<Attached, Refused> {
        let token = self.tokens.token().await.map_err(|error| refused(&error))?;
        Ok(Attached {
            authorization: bearer(&token),
            own: Some(token),
            session: None,
        })
    }
}

/// The token of the session that the browser has, if it has one and the app itself made the call. On a public route
/// nobody is refused for the lack of either.
async fn of_session(incoming: &Incoming<'_>, bff: Option<&Bff>) -> Result<Option<Attached>, Refused> {
    let headers = &incoming.parts.headers;
    // A browser cannot send a header of ours with an upgrade.
    let is_ours = |bff: &Bff| match headers.contains_key(UPGRADE) {
        true => bff.check_upgrade_origin(headers),
        false => bff.check_same_origin(headers),
    };
    let Some(bff) = bff.filter(|bff| bff.has_cookie(headers) && is_ours(bff).is_ok()) else {
        return Ok(None);
    };
    let attached = async {
        let Some(session) = bff.session(headers, &incoming.parts.method).await? else {
            return Ok(None);
        };
        let token = bff.access_token(&session, incoming.id).await?;
        Ok(Some(Attached {
            authorization: AuthorizationHeader::Set(token.bearer()),
            own: None,
            session: Some(session),
        }))
    };
    attached.await.or_else(|refused: Refused| match refused.status() {
        // The session is over.
        401 => Ok(None),
        _ => Err(refused),
    })
}

/// The bearer token that a call was made with.
fn users_token(users: &AuthorizationHeader, parts: &Parts) -> Option<Secret> {
    let value = match users {
        AuthorizationHeader::Set(value) => Some(value),
        AuthorizationHeader::Keep => parts.headers.get(AUTHORIZATION),
        _ => None,
    };
    let (scheme, token) = value?.to_str().ok()?.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| Secret::new(token.trim_start_matches(' ')))
}

fn bearer(token: &Secret) -> AuthorizationHeader {
    match HeaderValue::from_str(&format!("Bearer {}", token.expose())) {
        Ok(mut value) => {
            value.set_sensitive(true);
            AuthorizationHeader::Set(value)
        }
        Err(_) => AuthorizationHeader::Remove,
    }
}

/// The caller has done nothing wrong: whatever the provider says about our own request is our fault.
fn refused(error: &ProviderError) -> Refused {
    let code = match error {
        ProviderError::OAuth(refused) if refused.error != "invalid_client" => "token.not_issued",
        other => other.code(),
    };
    Refused::new(code).found(error.to_string())
}
