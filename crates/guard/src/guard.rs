//! The guard: what the layer, the extractors and the gateway have in common.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode};
use portcullis_audit::{Audit, Credential, Event, RequestId};
use portcullis_policy::{Authorized, NamedPolicy};
use portcullis_store::{Revocation, RevocationTarget, StoreError, TokenId};

use crate::answer::{Answer, Realm};
use crate::builder::{GuardBuilder, NeedsAudience, NeedsAuthority};
use crate::credential::{Presented, Scheme};
use crate::error::GuardError;
use crate::explain::Explanation;
use crate::layer::{Require, Token};
use crate::metadata::ResourceMetadata;
use crate::revocation::{Revocations, unavailable};
use crate::routes::GuardRoutes;
use crate::token::{VerifiedToken, Window};
use crate::verify::{Admitted, Inner, Step};

/// Seconds for which the revocation of a token is kept beyond its end. Replicas may have other leeways, 300 s at most.
const LONGER_THAN_ANY_LEEWAY: i64 = 600;
/// A call waits for the list of revocations for so long.
const PATIENCE: Duration = Duration::from_secs(4);

/// Protects an API. A cheap handle; clones share everything.
#[derive(Clone)]
pub struct Guard(Arc<Inner>);

/// The request that is refused, as its audit event tells it.
#[derive(Clone, Copy, Debug)]
pub struct Call<'r> {
    /// The route's name, where there is one.
    pub route: Option<&'r str>,
    /// The method.
    pub method: &'r str,
    /// The path, without the query.
    pub path: &'r str,
    /// What the call was made with.
    pub credential: Credential,
    /// The token, where it was found to be good and something else is the matter.
    pub token: Option<&'r VerifiedToken>,
}

/// A route asks for a policy that was not declared.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no policy {name:?}; declared are: {known}. Add `.policy({name:?}, ...)` to the guard's builder")]
#[non_exhaustive]
pub struct UnknownPolicy {
    /// The name that was asked for.
    pub name: String,
    /// The names that were declared.
    pub known: String,
}

// === impl Guard ===

impl Guard {
    /// Begins a guard. It takes an authority and an audience; without both there is no `build`.
    pub fn builder() -> GuardBuilder<NeedsAuthority, NeedsAudience> {
        GuardBuilder::new()
    }

    pub(crate) fn new(inner: Inner) -> Guard {
        Guard(Arc::new(inner))
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.0
    }

    /// The layer that lets a request through only with a token that this policy says yes to.
    ///
    /// # Errors
    ///
    /// No policy of this name was declared.
    pub fn require(&self, policy: &str) -> Result<Require, UnknownPolicy> {
        Ok(Require::new(self.clone(), self.policy(policy)?, Token::Required))
    }

    /// The layer that lets a request through without a token, or with one that this policy says yes to. A bad token is
    /// refused.
    ///
    /// # Errors
    ///
    /// No policy of this name was declared.
    pub fn optional(&self, policy: &str) -> Result<Require, UnknownPolicy> {
        Ok(Require::new(self.clone(), self.policy(policy)?, Token::Optional))
    }

    /// Begins a layer for a whole program: policies by method and path. What has none is refused.
    pub fn routes(&self) -> GuardRoutes {
        GuardRoutes::new(self.clone())
    }

    /// The policy of this name.
    ///
    /// # Errors
    ///
    /// No policy of this name was declared.
    pub fn policy(&self, name: &str) -> Result<Arc<NamedPolicy>, UnknownPolicy> {
        self.0.policies.get(name).cloned().ok_or_else(|| UnknownPolicy {
            name: name.to_owned(),
            known: self
                .0
                .policies
                .keys()
                .map(|name| &**name)
                .collect::<Vec<_>>()
                .join(", "),
        })
    }

    /// The one access token of a request, with what came to prove that its sender may use it.
    ///
    /// # Errors
    ///
    /// There is none, there are several, or it is where it must not be.
    pub fn credential(parts: &Parts) -> Result<Presented<'_>, GuardError> {
        Presented::of_parts(parts)
    }

    /// A token that was verified before and still is good; `None` where it has to be verified (again), or came with a
    /// proof that has to be marked as used.
    ///
    /// # Errors
    ///
    /// Inside the option: the token was revoked, or came without the proof of its key.
    #[must_use]
    pub fn try_verify_cached(&self, presented: &Presented<'_>) -> Option<Result<Arc<VerifiedToken>, GuardError>> {
        if self.must_mark(presented) {
            return None;
        }
        let done = self
            .remembered(presented.text().as_bytes(), presented)?
            .map(Admitted::finished)
            .transpose()?;
        Some(done.map(|admitted| admitted.token))
    }

    /// A token that is remembered, by its text or by the bytes of its header: where they are found they are those of a token
    /// that was verified, so that nothing else has to be asked of them.
    pub(crate) fn remembered(&self, token: &[u8], presented: &Presented<'_>) -> Option<Result<Admitted, GuardError>> {
        let inner = &*self.0;
        if token.len() > inner.limits.token {
            return None;
        }
        let key = inner.cache_key(token);
        let verified = inner.cache.get(&key)?;
        let now = inner.clock.now();
        let Window { from, until } = verified.window();
        let origin = verified.origin();
        let provider = &inner.issuers.get(origin.issuer)?.provider;
        let same_keys = origin
            .generation
            .is_none_or(|generation| provider.keys_generation(now) == Some(generation));
        if now < from || now >= until || !same_keys {
            // The rules, or the new keys, will say what is wrong, if anything is.
            inner.cache.remove(&key);
            return None;
        }
        if inner.should_read_again(now) {
            return None;
        }
        Some(inner.admit(verified, presented, now))
    }

    /// Verifies a token with what is at hand; `None` where the provider or the store must be asked first, as always where
    /// a proof has to be marked as used.
    ///
    /// # Errors
    ///
    /// Inside the option: the token is refused.
    #[must_use]
    pub fn try_verify(&self, presented: &Presented<'_>) -> Option<Result<Arc<VerifiedToken>, GuardError>> {
        Some(self.try_admit(presented)?.map(|admitted| admitted.token))
    }

    pub(crate) fn try_admit(&self, presented: &Presented<'_>) -> Option<Result<Admitted, GuardError>> {
        if self.must_mark(presented) {
            return None;
        }
        match self.remembered(presented.text().as_bytes(), presented) {
            Some(done) => done.map(Admitted::finished).transpose(),
            None => self.try_admit_new(presented),
        }
    }

    /// The same for a token that is not remembered and no proof.
    pub(crate) fn try_admit_new(&self, presented: &Presented<'_>) -> Option<Result<Admitted, GuardError>> {
        match self.0.step(presented, true) {
            Step::Done(done) => done.map(Admitted::finished).transpose(),
            Step::NeedsKeys { .. } | Step::NeedsRevocations | Step::NeedsIntrospection => None,
        }
    }

    /// Verifies a token. It waits only where keys must be fetched, the provider be asked about an opaque token, or the
    /// revocations be read (at the start, and where they are too old), and to mark a proof. For the revocations it waits
    /// 4 s at most; the reading goes on for those who come later.
    ///
    /// A DPoP proof is used up by this: the next call needs another.
    ///
    /// # Errors
    ///
    /// The token is refused, or what is needed to judge it cannot be had.
    pub async fn verify(&self, presented: &Presented<'_>) -> Result<Arc<VerifiedToken>, GuardError> {
        Ok(self.admit(presented).await?.token)
    }

    /// The same with the proof, which is marked as used.
    pub(crate) async fn admit(&self, presented: &Presented<'_>) -> Result<Admitted, GuardError> {
        let admitted = self.judge(presented).await?;
        if let Some(proof) = &admitted.proof {
            self.0.use_up(proof, presented).await?;
        }
        Ok(admitted)
    }

    /// Proofs are checked once, by whoever marks them too.
    fn must_mark(&self, presented: &Presented<'_>) -> bool {
        presented.scheme() == Scheme::Dpop && self.0.proofs.is_some()
    }

    async fn judge(&self, presented: &Presented<'_>) -> Result<Admitted, GuardError> {
        if let Some(done) = self.remembered(presented.text().as_bytes(), presented) {
            return done;
        }
        let (mut asked, mut may_read) = (false, true);
        loop {
            match self.0.step(presented, may_read) {
                Step::Done(done) => return done,
                Step::NeedsRevocations => {
                    may_read = false;
                    match self.read_revocations().await {
                        // A list that is too old is one nevertheless; what happens then is a rule of its own.
                        Err(error) if !self.0.revocations.is_loaded() => {
                            return Err(GuardError::RevocationsUnavailable(error));
                        }
                        _ => {}
                    }
                }
                Step::NeedsKeys { issuer, doubt } => self.0.fetch_keys(issuer, doubt, &mut asked).await?,
                Step::NeedsIntrospection => return self.0.introspect(presented).await,
            }
        }
    }

    /// Asks a policy about a token and the call that it came with. It is asked for every request: what a token may do
    /// is never remembered.
    ///
    /// # Errors
    ///
    /// The policy says no.
    pub fn authorize(
        &self,
        token: &VerifiedToken,
        presented: &Presented<'_>,
        policy: &NamedPolicy,
    ) -> Result<Authorized, GuardError> {
        self.0.ask(policy, token.claims(), presented, self.0.clock.now())
    }

    /// Every check on a call, in the order in which they are made, passed or failed, with what was expected and what
    /// was found; never the token. The decision is the one that the call would get, but nothing is used up by asking:
    /// no proof is marked as seen, and no event is written.
    ///
    /// Checks that do not depend on the one that failed are made all the same, so that everything that is wrong with a
    /// token is seen at once.
    pub async fn explain(&self, presented: &Presented<'_>, policy: Option<&NamedPolicy>) -> Explanation {
        crate::explain::explain(self, presented, policy).await
    }

    /// What the answer to a call that passed has to carry as `DPoP-Nonce` (RFC 9449 s8.2, s9): the nonce that its sender
    /// should use from now on, where proofs need one and the one of this call will not be accepted for long.
    #[must_use]
    pub fn next_dpop_nonce(&self, presented: &Presented<'_>) -> Option<HeaderValue> {
        self.0.proofs.as_ref()?.next_nonce(presented, self.0.clock.now())
    }

    /// Refuses a call: writes the audit event and makes the answer, both with the same request id.
    #[must_use]
    pub fn refuse(&self, error: &GuardError, call: &Call<'_>, request_id: Option<&RequestId>) -> Response<Bytes> {
        let (answer, request_id) = self.tell(error, call, request_id);
        answer.response(&request_id)
    }

    /// Writes the audit event of a refusal; gives the answer and the request id that both have.
    pub(crate) fn tell(
        &self,
        error: &GuardError,
        call: &Call<'_>,
        request_id: Option<&RequestId>,
    ) -> (Answer, RequestId) {
        let request_id = request_id.cloned().unwrap_or_else(RequestId::new);
        let scheme = match call.credential {
            Credential::Dpop => Scheme::Dpop,
            _ => Scheme::Bearer,
        };
        let mut answer = Answer::to(error, &self.0.realm, scheme);
        if scheme == Scheme::Dpop && answer.status == StatusCode::UNAUTHORIZED {
            answer.dpop_nonce = self
                .0
                .proofs
                .as_ref()
                .and_then(|proofs| proofs.nonce(self.0.clock.now()));
        }
        answer.discloses_reason = self.0.discloses_reason;
        let event = Event::CallRefused {
            route: call.route.map(str::to_owned),
            method: call.method.to_owned(),
            path: call.path.to_owned(),
            credential: call.credential,
            subject: call.token.and_then(VerifiedToken::subject).map(str::to_owned),
            client: call.token.and_then(VerifiedToken::client).map(str::to_owned),
            status: answer.status.as_u16(),
            checks: crate::explain::lines(&self.0, error, call.token),
            refused: error.refused(),
        };
        self.0.audit.emit(Some(&request_id), event);
        (answer, request_id)
    }

    /// Revokes: in the store first, where there is one, then for the next request. Cached tokens are no exception.
    ///
    /// `issued_before` compares whole seconds and is exclusive: to include tokens of this very second, name the next
    /// one.
    ///
    /// # Errors
    ///
    /// The store did not take it; nothing is revoked then.
    pub async fn revoke(&self, revocation: Revocation) -> Result<(), StoreError> {
        let (kind, until) = (revocation.target.kind(), revocation.expires);
        let reason = revocation.reason.clone();
        let id = self.0.revocations.revoke(revocation, self.0.clock.now()).await?;
        let how = "program";
        self.0.audit.emit(
            None,
            Event::Revoked {
                kind,
                id,
                until,
                reason,
                how,
            },
        );
        Ok(())
    }

    /// Revokes one token until it expires: by its `jti`, or where it has none by the hash of what was signed.
    ///
    /// # Errors
    ///
    /// The store did not take it; the token is not revoked then.
    pub async fn revoke_token(&self, token: &VerifiedToken, reason: &str) -> Result<(), StoreError> {
        // An empty one names nothing.
        let id = match token.jti().filter(|jti| !jti.is_empty()) {
            Some(jti) => TokenId::Jti {
                iss: token.issuer().to_owned(),
                jti: jti.to_owned(),
            },
            None => TokenId::SignedPart(*token.signed_part_hash()),
        };
        self.revoke(Revocation {
            target: RevocationTarget::Token { id },
            issued_before: None,
            // The token's own end: one that the provider was asked about is remembered for a shorter time.
            expires: token.expires().plus(LONGER_THAN_ANY_LEEWAY),
            reason: reason.to_owned(),
        })
        .await
    }

    /// Whether a token that was verified before has been revoked since: for whoever goes on serving a call for longer
    /// than a moment, such as a WebSocket.
    #[must_use]
    pub fn is_revoked(&self, token: &VerifiedToken) -> bool {
        let list = self.0.revocations.list();
        let found = list.find(token.handles(), token.claims(), token.issued_at(), self.0.clock.now());
        found.is_some()
    }

    /// Reads from the store what other replicas have revoked. The first request does it where nobody did before.
    ///
    /// # Errors
    ///
    /// The store cannot be read; the list stays as it is.
    pub async fn sync_revocations(&self) -> Result<(), StoreError> {
        self.tell_loaded(self.0.revocations.sync(self.0.clock.now()).await?);
        Ok(())
    }

    /// The same for a call, which waits for it only so long. The reading goes on without it, for those who come later.
    pub(crate) async fn read_revocations(&self) -> Result<(), StoreError> {
        let (guard, readings) = (self.clone(), self.0.revocations.readings());
        let reading = tokio::spawn(async move {
            let (revocations, now) = (&guard.0.revocations, guard.0.clock.now());
            guard.tell_loaded(revocations.sync_together(now, readings).await?);
            Ok(())
        });
        match tokio::time::timeout(PATIENCE, reading).await {
            Ok(Ok(done)) => done,
            Ok(Err(_)) => Err(unavailable("the program is ending")),
            Err(_) => Err(unavailable("the store takes too long")),
        }
    }

    fn tell_loaded(&self, first: Option<usize>) {
        if let Some(entries) = first {
            self.0.audit.emit(None, Event::RevocationsLoaded { entries });
        }
    }

    /// Gets ready for the first request: reads the revocations and fetches the keys. Not needed, but the first request
    /// is faster.
    ///
    /// # Errors
    ///
    /// What is missing; the guard works nevertheless, as soon as it can be had.
    pub async fn prepare(&self) -> Result<(), GuardError> {
        self.sync_revocations()
            .await
            .map_err(GuardError::RevocationsUnavailable)?;
        for index in 0..self.0.issuers.len() {
            self.0.fetch_keys(index, None, &mut false).await?;
        }
        Ok(())
    }

    /// Whether a token could be judged now: the revocations are read and there are keys of every issuer.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.missing().is_empty()
    }

    /// What is missing to judge every token: the keys of providers, by their names, and the list of revocations, or a
    /// newer one.
    #[must_use]
    pub fn missing(&self) -> Vec<String> {
        let now = self.0.clock.now();
        let issuers = self.0.issuers.iter();
        let without = issuers.filter(|issuer| !issuer.provider.is_ready());
        let keys = without.map(|issuer| format!("keys of provider {}", issuer.provider.name()));
        let stale = self.0.stale.as_ref();
        let revocations = match self.0.revocations.is_loaded() {
            false => Some("the list of revocations"),
            true if stale.is_some_and(|stale| stale.is_refusing(&self.0.revocations, now)) => {
                Some("a newer list of revocations")
            }
            true => None,
        };
        keys.chain(revocations.map(str::to_owned)).collect()
    }

    /// Whether the provider would be asked about this token, because it does not speak for itself (RFC 7662). The hash of
    /// the whole token is what revocations know it by then.
    #[must_use]
    pub fn asks_about(&self, token: &str) -> bool {
        self.0.asked_about(token.as_bytes()).is_some()
    }

    /// For how many seconds a token that is issued now is taken at most, both clocks' leeway included.
    #[must_use]
    pub fn longest_life(&self) -> i64 {
        let lives = self.0.issuers.iter().map(|issuer| {
            let rules = &issuer.rules;
            rules.max_lifetime.saturating_add(2 * rules.leeway)
        });
        lives.max().unwrap_or(0)
    }

    /// The revocations that this guard goes by.
    #[must_use]
    pub fn revocations(&self) -> &Revocations {
        &self.0.revocations
    }

    /// Where refusals are reported.
    #[must_use]
    pub fn audit(&self) -> &Audit {
        &self.0.audit
    }

    /// The protection space that challenges name.
    #[must_use]
    pub fn realm(&self) -> &Realm {
        &self.0.realm
    }

    /// What clients are told about the API, where the builder was given its [`resource`](GuardBuilder::resource). Put it
    /// where it says: `.route_service(metadata.path(), metadata.clone())` in axum.
    #[must_use]
    pub fn metadata(&self) -> Option<&ResourceMetadata> {
        self.0.metadata.as_ref()
    }

    /// How many tokens are cached, and how many bytes they take.
    #[must_use]
    pub fn cached(&self) -> (usize, u64) {
        (self.0.cache.len(), self.0.cache.bytes())
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let issuers: Vec<&str> = self.0.issuers.iter().map(|issuer| issuer.provider.issuer()).collect();
        f.debug_struct("Guard")
            .field("issuers", &issuers)
            .field("policies", &self.0.policies.keys())
            .finish_non_exhaustive()
    }
}
