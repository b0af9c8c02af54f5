//! Access tokens out of a kept login, for one process after the other: a refresh token that rotates must not be used
//! twice (RFC 9700 s4.14.2), so whoever refreshes holds the login's lock, and whoever waited looks again first.

use std::path::Path;

use portcullis_jose::{Clock as _, Secret, SystemClock, UnixTime};
use portcullis_oidc::{Client, ProviderError, TokenResponse};

use super::kept::lasts;
use super::key::{self, Key};
use super::{Access, Kept, Place, Problem, Target};
use crate::serve::runtime;

/// A kept login, opened.
#[derive(Debug)]
pub(crate) struct Tokens {
    place: Place,
    key: Key,
    kept: Kept,
}

/// Which token, and how long it must be good for.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) target: Target,
    /// The ID token, in the place of an access token.
    pub(crate) id_token: bool,
    pub(crate) seconds: i64,
    /// A new one, whatever is there.
    pub(crate) anew: bool,
}

/// A token to send.
#[derive(Debug)]
pub(crate) struct Bearer {
    pub(crate) token: Secret,
    pub(crate) expires: Option<UnixTime>,
    pub(crate) scope: Option<String>,
    /// Why it is an old one.
    pub(crate) old: Option<String>,
}

/// What became of a login that was ended.
#[derive(Debug)]
pub(crate) enum Revoked {
    Yes,
    /// The provider has no endpoint for it.
    Cannot,
    Failed(Problem),
}

impl Tokens {
    /// Keeps a login from now on, in the place of whatever has its name.
    pub(crate) fn keep(place: Place, key: Key, kept: Kept) -> Result<Tokens, Problem> {
        let tokens = Tokens { place, key, kept };
        let _lock = tokens.place.lock()?;
        tokens.write()?;
        Ok(tokens)
    }

    /// Opens what is kept.
    pub(crate) fn open(place: Place, passphrase: Option<&Path>) -> Result<Tokens, Problem> {
        let file = place.read()?;
        let key = Key::find(&key::lock_of(&file)?, &place, passphrase)?;
        let kept = key.open(&place, &file)?;
        Ok(Tokens { place, key, kept })
    }

    pub(crate) fn kept(&self) -> &Kept {
        &self.kept
    }

    pub(crate) fn key(&self) -> &Key {
        &self.key
    }

    /// A token that is good for as long as is asked, refreshed if there is none.
    pub(crate) fn bearer(&mut self, ask: &Ask) -> Result<Bearer, Problem> {
        if let Some(bearer) = self.at_hand(ask).filter(|_| !ask.anew) {
            return Ok(bearer);
        }
        let before = self.kept.access(&self.target(ask)).map(|access| access.issued);
        let _lock = self.place.lock()?;
        self.reload()?;
        // Another process may have been first.
        let newer = self.kept.access(&self.target(ask)).map(|access| access.issued) != before;
        if let Some(bearer) = self.at_hand(ask).filter(|_| newer || !ask.anew) {
            return Ok(bearer);
        }
        self.refresh(ask)
    }

    /// What is meant by a target that names nothing is that of the login.
    fn target(&self, ask: &Ask) -> Target {
        match self.kept.access.first() {
            Some(own) if ask.target == Target::default() || ask.id_token => own.target.clone(),
            _ => ask.target.clone(),
        }
    }

    fn at_hand(&self, ask: &Ask) -> Option<Bearer> {
        let now = SystemClock.now();
        if ask.id_token {
            let issued = self.kept.access.first()?.issued;
            let good = lasts(issued, Some(self.kept.id_token_expires), ask.seconds, now);
            return good.then(|| self.id_token());
        }
        let access = self.kept.access(&self.target(ask))?;
        access.lasts(ask.seconds, now).then(|| Bearer::of(access))
    }

    fn id_token(&self) -> Bearer {
        Bearer {
            token: self.kept.id_token.clone(),
            expires: Some(self.kept.id_token_expires),
            scope: None,
            old: None,
        }
    }

    fn refresh(&mut self, ask: &Ask) -> Result<Bearer, Problem> {
        let target = self.target(ask);
        let Some(refresh_token) = self.kept.refresh_token.clone() else {
            return Err(Problem::new(
                "the login has no refresh token (the provider gave none for `offline_access`), and no token that is \
                 good for this: sign in again",
            ));
        };
        let client = self.kept.party.client()?;
        let asked = runtime(Some(1)).map_err(Problem::new)?.block_on(async {
            let audience = target.audience.as_deref();
            let tokens = client.refresh_for(&refresh_token, &target.scopes, audience).await?;
            let claims = verified(&client, &tokens, &self.kept).await?;
            Ok::<_, Refused>((tokens, claims))
        });
        match asked {
            Ok((tokens, id_token_expires)) => self.take(target, tokens, id_token_expires, &client)?,
            Err(Refused::Provider(error)) if error.is_temporary() && !ask.anew => return self.old(ask, error),
            Err(Refused::Provider(error)) if error.is_invalid_grant() => {
                return Err(Problem::coded(
                    "refresh.rejected",
                    "the login is over: the provider does not take its refresh token any more; sign in again",
                ));
            }
            Err(Refused::Provider(error)) => return Err(error.into()),
            Err(Refused::Somebody) => {
                return Err(Problem::coded(
                    "login.id_token_invalid",
                    "the provider answered the refresh with somebody else's ID token: sign in again",
                ));
            }
        }
        match ask.id_token {
            true => Ok(self.id_token()),
            false => {
                let access = self.kept.access(&self.target(ask)).map(Bearer::of);
                access.ok_or_else(|| Problem::new("the provider gave no access token"))
            }
        }
    }

    /// Keeps what a refresh brought, before anybody gets it.
    fn take(
        &mut self,
        target: Target,
        tokens: TokenResponse,
        id_token_expires: Option<UnixTime>,
        client: &Client,
    ) -> Result<(), Problem> {
        let now = client.provider().clock().now();
        let expires = tokens.expires_at(now);
        if let Some(next) = tokens.refresh_token {
            self.kept.refresh_token = Some(next);
        }
        if let (Some(id_token), Some(expires)) = (tokens.id_token, id_token_expires) {
            (self.kept.id_token, self.kept.id_token_expires) = (id_token, expires);
        }
        self.kept.put(Access {
            target,
            token: tokens.access_token,
            issued: now,
            expires,
            scope: tokens.scope,
        });
        self.write()
    }

    /// The provider does not answer: what is there is used while it lives.
    fn old(&self, ask: &Ask, error: ProviderError) -> Result<Bearer, Problem> {
        let now = SystemClock.now();
        let bearer = match ask.id_token {
            true => Some(self.id_token()),
            false => self.kept.access(&self.target(ask)).map(Bearer::of),
        };
        match bearer.filter(|bearer| bearer.expires.is_some_and(|expires| now < expires)) {
            Some(bearer) => Ok(Bearer {
                old: Some(error.to_string()),
                ..bearer
            }),
            None => Err(error.into()),
        }
    }

    fn reload(&mut self) -> Result<(), Problem> {
        let file = self.place.read()?;
        if key::lock_of(&file)? != *self.key.lock() {
            return Err(Problem::new(
                "somebody has signed in anew meanwhile: run this once more",
            ));
        }
        self.kept = self.key.open(&self.place, &file)?;
        Ok(())
    }

    fn write(&self) -> Result<(), Problem> {
        self.place.write(&self.key.seal(&self.place, &self.kept)?)
    }

    /// Revokes at the provider (RFC 7009) and forgets here, in any case.
    pub(crate) fn end(mut self) -> Result<(Revoked, Kept), Problem> {
        let _lock = self.place.lock()?;
        self.reload()?;
        let revoked = match revoke(&self.kept) {
            Ok(true) => Revoked::Yes,
            Ok(false) => Revoked::Cannot,
            Err(problem) => Revoked::Failed(problem),
        };
        self.place.remove()?;
        key::forget(self.key.lock(), &self.place);
        Ok((revoked, self.kept))
    }

    /// Forgets without opening anything.
    pub(crate) fn forget(place: &Place) -> Result<(), Problem> {
        let file = place.read()?;
        let _lock = place.lock()?;
        place.remove()?;
        if let Ok(lock) = key::lock_of(&file) {
            key::forget(&lock, place);
        }
        Ok(())
    }
}

/// Why a refresh brought nothing.
enum Refused {
    Provider(ProviderError),
    /// OpenID Connect Core 1.0 s12.2: `iss` and `sub` are those of the login.
    Somebody,
}

impl From<ProviderError> for Refused {
    fn from(error: ProviderError) -> Refused {
        Refused::Provider(error)
    }
}

/// When the ID token of a refresh ends, if it brought one.
async fn verified(client: &Client, tokens: &TokenResponse, kept: &Kept) -> Result<Option<UnixTime>, Refused> {
    let Some(id_token) = &tokens.id_token else {
        return Ok(None);
    };
    let claims = client
        .verify_id_token(id_token, None, Some(&tokens.access_token))
        .await?;
    if claims.str("iss") != Some(&kept.issuer) || claims.str("sub") != Some(&kept.subject) {
        return Err(Refused::Somebody);
    }
    Ok(claims.time("exp").ok().flatten())
}

/// Whether the provider has an endpoint for it.
fn revoke(kept: &Kept) -> Result<bool, Problem> {
    let client = kept.party.client()?;
    runtime(Some(1)).map_err(Problem::new)?.block_on(async {
        if client.provider().metadata().await?.revocation_endpoint.is_none() {
            return Ok(false);
        }
        // RFC 7009 s2.1: with the refresh token go the access tokens of its grant, at providers that can. The others
        // are told of each.
        if let Some(token) = &kept.refresh_token {
            client.revoke(token, "refresh_token").await?;
        }
        for access in &kept.access {
            client.revoke(&access.token, "access_token").await?;
        }
        Ok(true)
    })
}

impl Bearer {
    fn of(access: &Access) -> Bearer {
        Bearer {
            token: access.token.clone(),
            expires: access.expires,
            scope: access.scope.clone(),
            old: None,
        }
    }

    /// Whether it lacks a scope that was asked for.
    pub(crate) fn lacks<'a>(&self, asked: &'a [String]) -> Vec<&'a str> {
        let Some(granted) = &self.scope else { return Vec::new() };
        let granted: Vec<&str> = granted.split(' ').collect();
        asked
            .iter()
            .map(String::as_str)
            .filter(|scope| !granted.contains(scope))
            .collect()
    }
}
