//! Which token the upstream gets.

use http::header::{AUTHORIZATION, UPGRADE};
use http::request::Parts;
use portcullis_audit::{Audit, Refused};
use portcullis_bff::{AccessToken, Bff, Session};
use portcullis_jose::Secret;
use portcullis_oidc::dpop::DpopKey;
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
    Exchanged(TokenExchange, Option<DpopKey>),
    Client(Own),
    CallerOrClient(Own),
    CallerOrNone,
    None,
}

/// The client's own tokens.
#[derive(Debug)]
pub(crate) struct Own {
    tokens: TokenSource,
    key: Option<DpopKey>,
    /// The first call finds a token, and none waits for a renewal.
    _fresh: RenewalTask,
}

/// What is attached to one call.
pub(super) struct Attached {
    pub(super) authorization: AuthorizationHeader,
    /// The client's token, if it is that: where the upstream refuses it there may be another.
    pub(super) own: Option<Secret>,
    /// The key that the token is bound to, where it is.
    pub(super) bound: Option<Bound>,
    /// The session that the token is of, where the route goes without as well.
    pub(super) session: Option<Session>,
}

/// A token, and the key that it is bound to.
pub(super) type Bound = (DpopKey, Secret);

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
                let client = client(asked)?;
                let key = client.options().dpop.clone();
                Attach::Exchanged(TokenExchange::new(client, asked.target.clone()), key)
            }
            UpstreamToken::Client(asked) => Attach::Client(own(asked)?),
            UpstreamToken::CallerOrClient(asked) => Attach::CallerOrClient(own(asked)?),
            UpstreamToken::CallerOrNone => Attach::CallerOrNone,
            UpstreamToken::None => Attach::None,
        })
    }

    /// The token for a call that has passed. `users` is the header that it passed with, and the key of ours that its token
    /// is bound to.
    pub(super) async fn attach(
        &self,
        (users, bound): (AuthorizationHeader, Option<Bound>),
        incoming: &Incoming<'_>,
        bff: Option<&Bff>,
    ) -> Result<Attached, Refused> {
        match self {
            Attach::Caller => Ok(Attached {
                authorization: users,
                own: None,
                bound,
                session: None,
            }),
            Attach::None => Ok(Attached::NOTHING),
            Attach::Exchanged(exchange, key) => {
                // A token that is bound to a key of the caller's own is for whoever has that key.
                let token = bound
                    .map(|(_, token)| token)
                    .or_else(|| users_token(&users, &incoming.parts));
                let token = token
                    .ok_or_else(|| Refused::new("token.binding_required").found("a bound token cannot be exchanged"))?;
                let narrowed = exchange.token_for(&token).await.map_err(|error| refused(&error))?;
                Ok(Attached::token(&narrowed, key.as_ref()))
            }
            Attach::Client(own) => own.attach().await,
            Attach::CallerOrClient(own) => match of_session(incoming, bff).await? {
                Some(attached) => Ok(attached),
                None => own.attach().await,
            },
            Attach::CallerOrNone => Ok(of_session(incoming, bff).await?.unwrap_or(Attached::NOTHING)),
        }
    }

    /// Whether what a browser gets depends on its cookie, although it needs none.
    pub(super) fn depends_on_cookie(&self) -> bool {
        matches!(self, Attach::CallerOrClient(_) | Attach::CallerOrNone)
    }

    /// Whether a session's token reaches the upstream, itself or exchanged; `own`: the client's own was taken.
    pub(super) fn sends_session(&self, own: bool) -> bool {
        match self {
            Attach::Caller | Attach::Exchanged(..) => true,
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
        Some(own.attached(&other))
    }
}

impl Attached {
    const NOTHING: Attached = Attached {
        authorization: AuthorizationHeader::Remove,
        own: None,
        bound: None,
        session: None,
    };

    /// A token of ours, and the key that it is bound to.
    fn token(token: &Secret, key: Option<&DpopKey>) -> Attached {
        let access_token = AccessToken::new(token.clone());
        let authorization = match key {
            None => access_token.bearer(),
            Some(_) => access_token.dpop(),
        };
        Attached {
            authorization: AuthorizationHeader::Set(authorization),
            bound: key.map(|key| (key.clone(), token.clone())),
            ..Attached::NOTHING
        }
    }
}

impl Own {
    fn new(client: Client, asked: &AskedToken) -> Own {
        let key = client.options().dpop.clone();
        let tokens = TokenSource::bound_client_credentials(client).target(asked.target.clone());
        Own {
            _fresh: tokens.keep_fresh(),
            tokens,
            key,
        }
    }

    async fn attach(&self) -> Result<Attached, Refused> {
        let token = self.tokens.token().await.map_err(|error| refused(&error))?;
        Ok(self.attached(&token))
    }

    fn attached(&self, token: &Secret) -> Attached {
        Attached {
            own: Some(token.clone()),
            ..Attached::token(token, self.key.as_ref())
        }
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
        // Where it is bound, it is bound to this key: an answer without is not taken.
        let key = bff.settings().client.options().dpop.as_ref();
        Ok(Some(Attached {
            session: Some(session),
            ..Attached::token(token.secret(), key)
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

/// The caller has done nothing wrong: whatever the provider says about our own request is our fault.
fn refused(error: &ProviderError) -> Refused {
    let code = match error {
        ProviderError::OAuth(refused) if refused.error != "invalid_client" => "token.not_issued",
        other => other.code(),
    };
    Refused::new(code).found(error.to_string())
}
