//! Judging a token: the checks in their order, and what has to be fetched for them.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use portcullis_audit::Audit;
use portcullis_jose::{Claims, Clock, Limits, Refusal, UnixTime, UnverifiedJws, Verified};
use portcullis_oidc::dpop::Proof;
use portcullis_oidc::token_rules::{AccessTokenRules, check_access_token};
use portcullis_oidc::{Binding, Doubt, KeySnapshot, Provider, RefreshTask};
use portcullis_policy::{Authorized, CallContext, NamedPolicy};

use crate::answer::Realm;
use crate::cache::TokenCache;
use crate::credential::Presented;
use crate::dpop::{Proofs, SenderConstraint};
use crate::error::GuardError;
use crate::introspect::Opaque;
use crate::metadata::ResourceMetadata;
use crate::proof::check_proof;
use crate::revocation::{Revocations, Stale};
use crate::token::{Origin, VerifiedToken, Window};

/// What all handles of a guard share.
pub(crate) struct Inner {
    pub(crate) issuers: Vec<Issuer>,
    pub(crate) policies: BTreeMap<Box<str>, Arc<NamedPolicy>>,
    pub(crate) realm: Realm,
    pub(crate) metadata: Option<ResourceMetadata>,
    pub(crate) limits: Limits,
    pub(crate) cache: TokenCache,
    pub(crate) revocations: Revocations,
    /// `None`: tokens that are bound to a key by `jkt` are refused.
    pub(crate) proofs: Option<Proofs>,
    pub(crate) constraint: Option<SenderConstraint>,
    pub(crate) stale: Option<Stale>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) audit: Audit,
    /// Whether callers are told the private code of a refusal.
    pub(crate) discloses_reason: bool,
    /// Who is asked about tokens that do not speak for themselves.
    pub(crate) opaque: Option<Opaque>,
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

/// A token that passed every check, with its proof where it needs one.
pub(crate) struct Admitted {
    pub(crate) token: Arc<VerifiedToken>,
    /// It must be marked as used before the token counts.
    pub(crate) proof: Option<Proof>,
    /// The time that it was judged at; its policy is asked at the same.
    pub(crate) now: UnixTime,
}

pub(crate) enum Step {
    Done(Result<Admitted, GuardError>),
    /// The token may be good, and its key is not here.
    NeedsKeys {
        issuer: usize,
        doubt: Option<(Arc<KeySnapshot>, Doubt)>,
    },
    /// The token does not speak for itself: its issuer has to be asked.
    NeedsIntrospection,
    /// The token is good, unless it was revoked, and the list of revocations was not read yet, or too long ago.
    NeedsRevocations,
}

// === impl Admitted ===

impl Admitted {
    /// The token, unless a proof has to be marked first.
    pub(crate) fn finished(self) -> Option<Admitted> {
        self.proof.is_none().then_some(self)
    }
}

// === impl Inner ===

impl Inner {
    /// Everything that can be done without waiting. The order of the checks is the order of the codes. `may_read`: whether
    /// a list of revocations that is too old may be read again for this call, which is done once.
    pub(crate) fn step(&self, presented: &Presented<'_>, may_read: bool) -> Step {
        match self.judge(presented, may_read) {
            Ok(step) => step,
            Err(error) => Step::Done(Err(error)),
        }
    }

    fn judge(&self, presented: &Presented<'_>, may_read: bool) -> Result<Step, GuardError> {
        let missing = |now| !self.revocations.is_loaded() || (may_read && self.should_read_again(now));
        if self.asked_about(presented.text().as_bytes()).is_some() {
            self.check_opaque(presented.text())?;
            return Ok(match missing(self.clock.now()) {
                true => Step::NeedsRevocations,
                false => Step::NeedsIntrospection,
            });
        }
        let jws = UnverifiedJws::parse(presented.text(), &self.limits)?;
        let (index, issuer) = self.issuer(&jws)?;
        jws.header().kid()?;
        let Some(keys) = issuer.provider.keys() else {
            return Ok(Step::NeedsKeys {
                issuer: index,
                doubt: None,
            });
        };
        let set = keys.of_issuer(jws.unverified_issuer().ok().flatten());
        let claims = match jws.verify(set, issuer.rules.algorithms) {
            Ok(claims) => claims,
            Err(refusal) => return issuer.in_doubt(index, keys, presented, refusal),
        };
        let now = self.clock.now();
        let binding = check_access_token(&claims, &issuer.rules, now)?;
        if missing(now) {
            return Ok(Step::NeedsRevocations);
        }
        let origin = Origin {
            issuer: index,
            generation: Some(keys.generation),
        };
        let verified = self.verified(claims, &issuer.rules, origin, binding, UnixTime::from_secs(i64::MAX))?;
        // What is remembered is that the token is good; who may send it, and whether it was revoked, is asked each time.
        self.cache.insert(presented.text().as_bytes(), Arc::clone(&verified));
        Ok(Step::Done(self.admit(verified, presented, now)))
    }

    /// What is asked on every request, also where the token is remembered: the proof of its key, and revocations. A
    /// proof is used up last, so that a call that is refused for another reason can be sent again with it.
    pub(crate) fn admit(
        &self,
        token: Arc<VerifiedToken>,
        presented: &Presented<'_>,
        now: UnixTime,
    ) -> Result<Admitted, GuardError> {
        let proof = self.check_proof(token.binding(), presented, now)?;
        self.check_unrevoked(&token, now)?;
        Ok(Admitted { token, proof, now })
    }

    pub(crate) fn check_proof(
        &self,
        binding: &Binding,
        presented: &Presented<'_>,
        now: UnixTime,
    ) -> Result<Option<Proof>, GuardError> {
        check_proof(binding, presented, self.proofs.as_ref(), self.constraint, now)
    }

    /// Marks the proof of a call as used; it is refused where that was done before by another call.
    pub(crate) async fn use_up(&self, proof: &Proof, presented: &Presented<'_>) -> Result<(), GuardError> {
        match &self.proofs {
            _ if presented.has_used(&proof.id()) => Ok(()),
            Some(proofs) => proofs.use_up(proof, self.clock.now()).await,
            None => Err(GuardError::NotGuarded),
        }
    }

    /// The token's own word about its issuer picks rules and keys, and nothing else: it is compared again by the rules.
    fn issuer(&self, jws: &UnverifiedJws<'_>) -> Result<(usize, &Issuer), GuardError> {
        // Somebody's rules must say what is wrong with a token of nobody: algorithm and type come before the issuer.
        let Some((index, issuer)) = self.named_issuer(jws).or_else(|| self.first_issuer()) else {
            return Err(GuardError::NotGuarded);
        };
        let checked = issuer.rules.check_header(jws);
        checked.map_err(|refusal| self.all_issuers(refusal))?;
        Ok((index, issuer))
    }

    pub(crate) fn named_issuer(&self, jws: &UnverifiedJws<'_>) -> Option<(usize, &Issuer)> {
        let named = jws.unverified_issuer().ok().flatten()?;
        let mut issuers = self.issuers.iter().enumerate();
        issuers.find(|(_, issuer)| issuer.provider.issuer_rule().matches(named))
    }

    pub(crate) fn first_issuer(&self) -> Option<(usize, &Issuer)> {
        self.issuers.iter().enumerate().next()
    }

    /// A token of nobody is told all whom we trust.
    pub(crate) fn all_issuers(&self, refusal: Refusal) -> Refusal {
        match refusal {
            Refusal::IssuerMismatch { found, .. } => {
                let issuers = self.issuers.iter();
                let trusted: Vec<String> = issuers
                    .map(|issuer| issuer.provider.issuer_rule().to_string())
                    .collect();
                Refusal::IssuerMismatch {
                    expected: trusted.join(" or "),
                    found,
                }
            }
            other => other,
        }
    }

    /// Asks a policy about a token and the call that it came with.
    pub(crate) fn ask(
        &self,
        policy: &NamedPolicy,
        claims: &Verified<Claims>,
        presented: &Presented<'_>,
        now: UnixTime,
    ) -> Result<Authorized, GuardError> {
        let call = CallContext::at(now).request(presented.method(), presented.path());
        Ok(policy.evaluate(claims, &call)?)
    }

    /// `until`: when it has to be verified again, if it has not expired by then.
    pub(crate) fn verified(
        &self,
        claims: Verified<Claims>,
        rules: &AccessTokenRules,
        origin: Origin,
        binding: Binding,
        until: UnixTime,
    ) -> Result<Arc<VerifiedToken>, Refusal> {
        let expires = claims.time("exp")?.ok_or(Refusal::ExpiryMissing)?;
        let issued_at = claims.time("iat")?;
        let from = claims
            .time("nbf")?
            .max(issued_at)
            .map_or(UnixTime::from_secs(i64::MIN), |from| from.plus(-rules.leeway));
        let window = Window {
            from,
            until: until.min(expires.plus(rules.leeway)),
        };
        let handles = self.revocations.list().handles(&claims);
        Ok(Arc::new(VerifiedToken::new(
            claims, issued_at, expires, window, origin, binding, handles,
        )))
    }

    pub(crate) fn check_unrevoked(&self, token: &VerifiedToken, now: UnixTime) -> Result<(), GuardError> {
        match self
            .revocations
            .list()
            .find(token.handles(), token.claims(), token.issued_at(), now)
        {
            None => self.check_fresh(now),
            Some(what) => Err(Refusal::Revoked { what }.into()),
        }
    }

    /// Whether the list is too old and nobody has tried in this second to read it: after the machine has slept, or where
    /// its clock was set, that is enough.
    pub(crate) fn should_read_again(&self, now: UnixTime) -> bool {
        let stale = self.stale.as_ref();
        stale.is_some_and(|stale| stale.is_over(&self.revocations, now)) && !self.revocations.was_tried(now)
    }

    /// Whether the list may be relied on.
    pub(crate) fn check_fresh(&self, now: UnixTime) -> Result<(), GuardError> {
        match &self.stale {
            None => Ok(()),
            Some(stale) => stale.check(&self.revocations, now, &self.audit, &self.realm),
        }
    }

    /// Fetches keys once for a token; one that is still refused then is refused for good.
    pub(crate) async fn fetch_keys(
        &self,
        issuer: usize,
        doubt: Option<(Arc<KeySnapshot>, Doubt)>,
        asked: &mut bool,
    ) -> Result<(), GuardError> {
        let Some(issuer) = self.issuers.get(issuer) else {
            return Ok(());
        };
        issuer.keep_fresh();
        let fetched = match (doubt, std::mem::replace(asked, true)) {
            (Some((_, doubt)), true) => return Err(doubt.into_refusal().into()),
            (Some((seen, doubt)), false) => match issuer.provider.keys_in_doubt(&doubt, &seen).await {
                Err(_) if doubt.is_slight() => return Err(doubt.into_refusal().into()),
                fetched => fetched,
            },
            (None, true) => return Err(issuer.unavailable("they were gone again as soon as they were fetched")),
            (None, false) => issuer.provider.keys_or_fetch().await,
        };
        fetched
            .map(drop)
            .map_err(|error| issuer.unavailable(&error.to_string()))
    }
}

// === impl Issuer ===

impl Issuer {
    /// A token that these keys refuse: others may not, if they may be fetched for it.
    fn in_doubt(
        &self,
        index: usize,
        keys: Arc<KeySnapshot>,
        presented: &Presented<'_>,
        refusal: Refusal,
    ) -> Result<Step, GuardError> {
        let Some(doubt) = Doubt::of(&refusal, presented.text(), keys.of_token(presented.text())) else {
            return Err(refusal.into());
        };
        match self.provider.keys_at_hand(&doubt, &keys) {
            Some(Ok(current)) if current.version == keys.version => Err(refusal.into()),
            Some(Err(_)) if doubt.is_slight() => Err(refusal.into()),
            Some(Err(error)) => Err(self.unavailable(&error.to_string())),
            _ => Ok(Step::NeedsKeys {
                issuer: index,
                doubt: Some((keys, doubt)),
            }),
        }
    }

    fn unavailable(&self, reason: &str) -> GuardError {
        GuardError::KeysUnavailable {
            issuer: self.provider.issuer().into(),
            reason: reason.into(),
        }
    }

    /// Starts to keep the keys fresh, where that is ours to do and there is a runtime to do it in.
    pub(crate) fn keep_fresh(&self) {
        if let Refresh::Ours(task) = &self.refresh
            && tokio::runtime::Handle::try_current().is_ok()
        {
            task.get_or_init(|| self.provider.spawn_refresh());
        }
    }
}
