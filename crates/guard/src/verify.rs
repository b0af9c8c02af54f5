//! Judging a token: the checks in their order, and what has to be fetched for them.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use portcullis_audit::Audit;
use portcullis_jose::{Claims, Clock, Limits, Refusal, UnixTime, UnverifiedJws, Verified};
use portcullis_oidc::token_rules::{AccessTokenRules, check_access_token};
use portcullis_oidc::{KeySnapshot, Provider, RefreshTask};
use portcullis_policy::NamedPolicy;

use crate::answer::Realm;
use crate::cache::TokenCache;
use crate::error::GuardError;
use crate::revocation::Revocations;
use crate::token::{Origin, VerifiedToken, Window};

/// What all handles of a guard share.
pub(crate) struct Inner {
    pub(crate) issuers: Vec<Issuer>,
    pub(crate) policies: BTreeMap<Box<str>, Arc<NamedPolicy>>,
    pub(crate) realm: Realm,
    pub(crate) limits: Limits,
    pub(crate) cache: TokenCache,
    pub(crate) revocations: Revocations,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) audit: Audit,
}

/// Who may issue tokens, and what they have to be like.
pub(crate) struct Issuer {
    pub(crate) provider: Provider,
    pub(crate) rules: AccessTokenRules,
    /// Whether the guard keeps the keys fresh, or whoever made the provider.
    pub(crate) refresh: Refresh,
}

#[derive(Debug)]
pub(crate) enum Refresh {
    Others,
    /// Started as soon as there is a runtime.
    Ours(OnceLock<RefreshTask>),
}

pub(crate) enum Step {
    Done(Result<Arc<VerifiedToken>, GuardError>),
    /// The token may be good, and its key is not here.
    NeedsKeys {
        issuer: usize,
        unknown: Option<(Arc<KeySnapshot>, Refusal)>,
    },
    /// The token is good, unless it was revoked, and the list of revocations was not read yet.
    NeedsRevocations,
}

// === impl Inner ===

impl Inner {
    /// Everything that can be done without waiting. The order of the checks is the order of the codes.
    pub(crate) fn step(&self, token: &str) -> Step {
        match self.judge(token) {
            Ok(step) => step,
            Err(error) => Step::Done(Err(error)),
        }
    }

    fn judge(&self, token: &str) -> Result<Step, GuardError> {
        let jws = UnverifiedJws::parse(token, &self.limits)?;
        let (index, issuer) = self.issuer(&jws)?;
        jws.header().kid()?;
        let Some(keys) = issuer.provider.keys() else {
            return Ok(Step::NeedsKeys {
                issuer: index,
                unknown: None,
            });
        };
        let claims = match jws.verify(&keys.set, issuer.rules.algorithms) {
            Ok(claims) => claims,
            Err(refusal @ Refusal::UnknownKid { .. }) => {
                return Ok(Step::NeedsKeys {
                    issuer: index,
                    unknown: Some((keys, refusal)),
                });
            }
            Err(refusal) => return Err(refusal.into()),
        };
        let now = self.clock.now();
        check_access_token(&claims, &issuer.rules, now)?;
        if !self.revocations.is_loaded() {
            return Ok(Step::NeedsRevocations);
        }
        let origin = Origin {
            issuer: index,
            generation: keys.generation,
        };
        let verified = self.unrevoked(self.verified(claims, &issuer.rules, origin)?, now)?;
        self.cache.insert(token, Arc::clone(&verified));
        Ok(Step::Done(Ok(verified)))
    }

    /// The token's own word about its issuer picks rules and keys, and nothing else: it is compared again by the rules.
    fn issuer(&self, jws: &UnverifiedJws<'_>) -> Result<(usize, &Issuer), GuardError> {
        let named = jws.unverified_issuer().ok().flatten();
        let found = self
            .issuers
            .iter()
            .enumerate()
            .find(|(_, issuer)| Some(issuer.provider.issuer()) == named);
        // Somebody's rules must say what is wrong with a token of nobody: algorithm and type come before the issuer.
        let Some((index, issuer)) = found.or_else(|| self.issuers.iter().enumerate().next()) else {
            return Err(GuardError::NotGuarded);
        };
        issuer.rules.check_header(jws).map_err(|refusal| match refusal {
            Refusal::IssuerMismatch { found, .. } => {
                let trusted: Vec<&str> = self.issuers.iter().map(|issuer| issuer.provider.issuer()).collect();
                Refusal::IssuerMismatch {
                    expected: trusted.join(" or "),
                    found,
                }
            }
            other => other,
        })?;
        Ok((index, issuer))
    }

    fn verified(
        &self,
        claims: Verified<Claims>,
        rules: &AccessTokenRules,
        origin: Origin,
    ) -> Result<Arc<VerifiedToken>, Refusal> {
        let expires = claims.time("exp")?.ok_or(Refusal::ExpiryMissing)?;
        let issued_at = claims.time("iat")?;
        let from = claims
            .time("nbf")?
            .max(issued_at)
            .map_or(UnixTime::from_secs(i64::MIN), |from| from.plus(-rules.leeway));
        let window = Window {
            from,
            until: expires.plus(rules.leeway),
        };
        let handles = self.revocations.list().handles(&claims);
        Ok(Arc::new(VerifiedToken::new(
            claims, issued_at, expires, window, origin, handles,
        )))
    }

    pub(crate) fn unrevoked(&self, token: Arc<VerifiedToken>, now: UnixTime) -> Result<Arc<VerifiedToken>, GuardError> {
        match self
            .revocations
            .list()
            .find(token.handles(), token.claims(), token.issued_at(), now)
        {
            None => Ok(token),
            Some(what) => Err(Refusal::Revoked { what }.into()),
        }
    }

    /// Fetches keys once for a token; one that is still unknown then is refused.
    pub(crate) async fn fetch_keys(
        &self,
        issuer: usize,
        unknown: Option<(Arc<KeySnapshot>, Refusal)>,
        asked: &mut bool,
    ) -> Result<(), GuardError> {
        let Some(issuer) = self.issuers.get(issuer) else {
            return Ok(());
        };
        issuer.keep_fresh();
        let unavailable = |reason: &str| GuardError::KeysUnavailable {
            issuer: issuer.provider.issuer().into(),
            reason: reason.into(),
        };
        let fetched = match (unknown, std::mem::replace(asked, true)) {
            (Some((_, refusal)), true) => return Err(refusal.into()),
            (None, true) => return Err(unavailable("they were gone again as soon as they were fetched")),
            (Some((seen, _)), false) => issuer.provider.keys_for_unknown_kid(&seen).await,
            (None, false) => issuer.provider.keys_or_fetch().await,
        };
        fetched.map(drop).map_err(|error| unavailable(&error.to_string()))
    }
}

// === impl Issuer ===

impl Issuer {
    /// Starts to keep the keys fresh, where that is ours to do and there is a runtime to do it in.
    pub(crate) fn keep_fresh(&self) {
        if let Refresh::Ours(task) = &self.refresh
            && tokio::runtime::Handle::try_current().is_ok()
        {
            task.get_or_init(|| self.provider.spawn_refresh());
        }
    }
}
