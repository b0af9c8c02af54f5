//! Setting up a guard. What would be a hole if it were left out cannot be left out: there is no `build` then.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use portcullis_audit::{Audit, AuditSettings};
use portcullis_jose::{AlgorithmSet, Clock, Limits, SystemClock};
use portcullis_oidc::token_rules::{AccessTokenRules, TokenType};
use portcullis_oidc::{HttpsUrl, HyperClient, Introspection, Provider, ProviderError, ProviderSettings};
use portcullis_policy::{NamedPolicy, Policy, PolicyError};
use portcullis_store::RevocationStore;

use crate::answer::Realm;
use crate::cache::TokenCache;
use crate::dpop::{self, Dpop, SenderConstraint};
use crate::guard::Guard;
use crate::introspect::Opaque;
use crate::key_events::report_keys;
use crate::metadata::{ResourceFault, ResourceMetadata};
use crate::revocation::{Revocations, Stale, StaleRevocations};
use crate::verify::{Inner, Issuer, Refresh};

/// The most that clocks may be assumed to be apart, in seconds.
const MAX_LEEWAY: i64 = 300;
/// The policy that is there without a declaration.
const AUTHENTICATED: &str = "authenticated";
const CACHE_BYTES: usize = 16 * 1024 * 1024;

/// The state of a builder that was not told yet whose tokens count.
#[derive(Debug)]
#[non_exhaustive]
pub struct NeedsAuthority;

/// The state of a builder that was not told yet whom the tokens must be for.
#[derive(Debug)]
#[non_exhaustive]
pub struct NeedsAudience;

/// Whose tokens count.
#[derive(Debug)]
pub struct Authorities(Vec<Authority>);

/// Whom the tokens must be for.
#[derive(Debug)]
pub struct Audiences(Vec<String>);

#[derive(Debug)]
enum Authority {
    Discovered(String),
    Given(Provider),
}

/// Sets up a [`Guard`].
///
/// Its type says what is missing: without an authority and an audience there is no [`build`](GuardBuilder::build). All
/// faults of the settings are told at once.
///
/// ```
/// use portcullis_guard::{Guard, Policy, TokenType};
///
/// # fn main() -> Result<(), portcullis_guard::BuildError> {
/// let guard = Guard::builder()
///     .authority("https://login.example.com")
///     .audience("api://orders")
///     .also_audience("api://orders-v1") // while the name is being changed
///     .token_type(TokenType::Any) // this provider does not write `at+jwt`
///     .policy("ReadOrders", Policy::scope("orders.read"))
///     .build()?;
///
/// let fault = Guard::builder().authority("http://login.example.com").audience("").build().unwrap_err();
/// assert_eq!(fault.faults.len(), 2, "{fault}");
/// # let _ = guard;
/// # Ok(())
/// # }
/// ```
///
/// ```compile_fail
/// // There is no audience: tokens for every API of the provider would pass.
/// let guard = portcullis_guard::Guard::builder().authority("https://login.example.com").build();
/// ```
#[must_use = "a guard is made by `build`"]
pub struct GuardBuilder<I, A> {
    authorities: I,
    audiences: A,
    options: Options,
}

struct Options {
    policies: Vec<(String, Policy)>,
    realm: Option<String>,
    resource: Option<String>,
    scopes_supported: Option<Vec<String>>,
    token_type: Option<TokenType>,
    algorithms: Option<AlgorithmSet>,
    leeway: Option<i64>,
    max_lifetime: Option<i64>,
    cache_bytes: usize,
    clock: Arc<dyn Clock>,
    audit: AuditTo,
    revocations: Revocations,
    dpop: Option<Dpop>,
    constraint: Option<SenderConstraint>,
    stale: Option<StaleRevocations>,
    require_jti: bool,
    discloses_reason: bool,
    introspections: Vec<Introspection>,
}

enum AuditTo {
    Memory,
    Stdout,
    Given(Audit),
}

/// All that is wrong with a guard's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BuildError {
    /// The faults, in the order of the settings.
    pub faults: Vec<BuildFault>,
}

/// One thing that is wrong with a guard's settings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildFault {
    /// The authority cannot be used.
    #[error("the authority {issuer:?} cannot be used: {error}")]
    Authority {
        /// The authority.
        issuer: String,
        /// Why not.
        error: ProviderError,
    },
    /// Opaque tokens would be asked about at a provider whose tokens do not count, or at several.
    #[error(
        "opaque tokens can be asked about at one provider, which is one of the authorities: {0:?} is not one, or the second"
    )]
    Introspection(String),
    /// The same issuer twice: nobody could say which keys count.
    #[error("the authority {0:?} is named twice: name each issuer once")]
    RepeatedAuthority(String),
    /// An audience without text would match nothing.
    #[error("an audience is empty: name this API as the provider names it in the `aud` claim")]
    EmptyAudience,
    /// The policy makes no sense.
    #[error("the policy {name:?}: {error}")]
    Policy {
        /// Its name.
        name: String,
        /// Why.
        error: PolicyError,
    },
    /// Two policies of one name.
    #[error("the policy {0:?} is declared twice: give each its own name")]
    RepeatedPolicy(String),
    /// The realm would break out of its quotes.
    #[error("the realm must be visible ASCII and spaces, without quotes and backslashes")]
    Realm,
    /// The resource cannot be told to clients.
    #[error(transparent)]
    Resource(#[from] ResourceFault),
    /// The leeway would keep dead tokens alive.
    #[error("the leeway of {0} s is not between 0 and {MAX_LEEWAY} s: set the machines' clocks instead")]
    Leeway(i64),
    /// No token could be accepted.
    #[error("the longest lifetime of {0} s is not positive")]
    Lifetime(i64),
    /// Proofs could not be compared with it.
    #[error("the address {address:?} of `Dpop::at` cannot be used: {why}")]
    DpopAddress {
        /// The address.
        address: String,
        /// Why not.
        why: String,
    },
    /// Proofs would be good for too long, or never.
    #[error("the window of {0} s for DPoP proofs is not between 1 and 300 s")]
    DpopWindow(i64),
    /// No token could ever pass.
    #[error("tokens must be bound by DPoP, and proofs are not checked: add `.dpop(Dpop::at(...))`")]
    ConstraintWithoutDpop,
}

// === impl GuardBuilder ===

impl GuardBuilder<NeedsAuthority, NeedsAudience> {
    pub(crate) fn new() -> Self {
        GuardBuilder {
            authorities: NeedsAuthority,
            audiences: NeedsAudience,
            options: Options {
                policies: Vec::new(),
                realm: None,
                resource: None,
                scopes_supported: None,
                token_type: None,
                algorithms: None,
                leeway: None,
                max_lifetime: None,
                cache_bytes: CACHE_BYTES,
                clock: Arc::new(SystemClock),
                audit: AuditTo::Memory,
                revocations: Revocations::in_memory(),
                dpop: None,
                constraint: None,
                stale: None,
                require_jti: false,
                discloses_reason: false,
                introspections: Vec::new(),
            },
        }
    }
}

impl<A> GuardBuilder<NeedsAuthority, A> {
    /// The issuer whose tokens count, to the letter. Its keys are found by discovery and kept fresh in the background.
    pub fn authority(self, issuer: impl Into<String>) -> GuardBuilder<Authorities, A> {
        self.with(Authority::Discovered(issuer.into()))
    }

    /// A provider that you have set up, and whose keys you keep fresh.
    pub fn provider(self, provider: Provider) -> GuardBuilder<Authorities, A> {
        self.with(Authority::Given(provider))
    }

    fn with(self, authority: Authority) -> GuardBuilder<Authorities, A> {
        GuardBuilder {
            authorities: Authorities(vec![authority]),
            audiences: self.audiences,
            options: self.options,
        }
    }
}

impl<A> GuardBuilder<Authorities, A> {
    /// One more issuer. A token's `iss` picks the issuer, exactly, and only that issuer's keys are tried.
    pub fn also_authority(mut self, issuer: impl Into<String>) -> Self {
        self.authorities.0.push(Authority::Discovered(issuer.into()));
        self
    }

    /// Takes opaque tokens too: whatever is no JWT is asked about here (RFC 7662), and then the same rules, policies and
    /// revocations hold for it.
    ///
    /// The provider is one of the authorities, and the only one that is asked: an opaque token does not say whose it is,
    /// and trying one after the other would show each provider the tokens of the others.
    pub fn introspection(mut self, introspection: Introspection) -> Self {
        self.options.introspections.push(introspection);
        self
    }

    /// One more provider.
    pub fn also_provider(mut self, provider: Provider) -> Self {
        self.authorities.0.push(Authority::Given(provider));
        self
    }
}

impl<I> GuardBuilder<I, NeedsAudience> {
    /// What the tokens' `aud` must hold: this API, as the provider names it.
    pub fn audience(self, audience: impl Into<String>) -> GuardBuilder<I, Audiences> {
        GuardBuilder {
            authorities: self.authorities,
            audiences: Audiences(vec![audience.into()]),
            options: self.options,
        }
    }
}

impl<I> GuardBuilder<I, Audiences> {
    /// One more name that this API goes by, such as the old one while it is being changed.
    pub fn also_audience(mut self, audience: impl Into<String>) -> Self {
        self.audiences.0.push(audience.into());
        self
    }
}

impl<I, A> GuardBuilder<I, A> {
    /// Declares a policy, for [`Guard::require`] to refer to. `authenticated` is there already: every valid token.
    pub fn policy(mut self, name: impl Into<String>, policy: Policy) -> Self {
        self.options.policies.push((name.into(), policy));
        self
    }

    /// The protection space that challenges name. The first audience by default.
    pub fn realm(mut self, realm: impl Into<String>) -> Self {
        self.options.realm = Some(realm.into());
        self
    }

    /// The address that clients call this API by: `https://api.example.com/orders`. Challenges then say where clients
    /// find who issues its tokens (`resource_metadata`, RFC 9728 s5.1); [`Guard::metadata`] is what stands there, with
    /// the guard's issuers and the scopes of all its policies.
    pub fn resource(mut self, resource: impl Into<String>) -> Self {
        self.options.resource = Some(resource.into());
        self
    }

    /// The scopes that [`Guard::metadata`] tells clients of, where they are not those of the builder's policies.
    pub fn scopes_supported<S: Into<String>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.options.scopes_supported = Some(scopes.into_iter().map(Into::into).collect());
        self
    }

    /// Which `typ` tokens must have; by default what the provider's settings say, which is `at+jwt` (RFC 9068).
    /// [`TokenType::Any`] is for providers that do not issue it.
    pub fn token_type(mut self, token_type: TokenType) -> Self {
        self.options.token_type = Some(token_type);
        self
    }

    /// The algorithms that signatures may have; by default those of the provider's settings.
    pub fn algorithms(mut self, algorithms: AlgorithmSet) -> Self {
        self.options.algorithms = Some(algorithms);
        self
    }

    /// How far clocks may be apart, in seconds: by default what the provider's settings say, which is 30; at most 300.
    pub fn leeway(mut self, seconds: i64) -> Self {
        self.options.leeway = Some(seconds);
        self
    }

    /// The longest time from a token's issue to its expiry, in seconds: by default what the provider's settings say,
    /// which is a day.
    pub fn max_lifetime(mut self, seconds: i64) -> Self {
        self.options.max_lifetime = Some(seconds);
        self
    }

    /// How many bytes the cache of verified tokens may take: 16 MiB by default, 0 for no cache.
    pub fn cache_bytes(mut self, bytes: usize) -> Self {
        self.options.cache_bytes = bytes;
        self
    }

    /// Where refusals are reported. In memory only by default.
    pub fn audit(mut self, audit: Audit) -> Self {
        self.options.audit = AuditTo::Given(audit);
        self
    }

    /// Writes each refusal with its cause and fix to standard output, one line of JSON each.
    pub fn audit_to_stdout(mut self) -> Self {
        self.options.audit = AuditTo::Stdout;
        self
    }

    /// Where revocations are kept, so that they survive a restart. In memory only by default.
    pub fn revocations(mut self, store: Arc<dyn RevocationStore>) -> Self {
        self.options.revocations = Revocations::stored(store);
        self
    }

    /// Revocations that other guards of this program go by too.
    pub fn shared_revocations(mut self, revocations: Revocations) -> Self {
        self.options.revocations = revocations;
        self
    }

    /// Checks DPoP proofs (RFC 9449), so that tokens that are bound to a key by `cnf.jkt` are accepted with them. Without
    /// this, such tokens are refused: they are worth nothing without the proof.
    pub fn dpop(mut self, dpop: Dpop) -> Self {
        self.options.dpop = Some(dpop);
        self
    }

    /// Accepts only tokens that are bound to a key of their sender. Bound tokens need their proof in any case.
    pub fn sender_constrained(mut self, constraint: SenderConstraint) -> Self {
        self.options.constraint = Some(constraint);
        self
    }

    /// What happens to calls when the store's list could not be read for some time; by default nothing. Whoever sets
    /// it has to read the list again and again ([`Guard::sync_revocations`], [`Revocations::sync`]).
    pub fn stale_revocations(mut self, rule: StaleRevocations) -> Self {
        self.options.stale = Some(rule);
        self
    }

    /// Refuses tokens without `jti`. Others can be revoked too, by the hash of what was signed.
    pub fn require_jti(mut self) -> Self {
        self.options.require_jti = true;
        self
    }

    /// Tells callers why they are refused: each refusal has the header `Portcullis-Reason` with its code, such as
    /// `token.audience_mismatch`. For development alone: whoever forges tokens learns from it how far they got.
    pub fn dangerous_reason_header(mut self) -> Self {
        self.options.discloses_reason = true;
        self
    }

    /// What tells the time.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.options.clock = clock;
        self
    }
}

impl GuardBuilder<Authorities, Audiences> {
    /// Makes the guard. Nothing is asked of the provider yet, so it may be down.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the settings.
    pub fn build(self) -> Result<Guard, BuildError> {
        let GuardBuilder {
            authorities,
            audiences,
            options,
        } = self;
        let mut faults = Vec::new();
        let audit = match options.audit {
            AuditTo::Given(audit) => audit,
            AuditTo::Stdout => Audit::new(AuditSettings::default(), Arc::clone(&options.clock)),
            AuditTo::Memory => Audit::new(AuditSettings::in_memory(), Arc::clone(&options.clock)),
        };

        let mut issuers: Vec<Issuer> = Vec::new();
        for authority in authorities.0 {
            let (provider, refresh) = match authority {
                Authority::Given(provider) => (provider, Refresh::Others),
                Authority::Discovered(issuer) => match discovered(&issuer, &options.clock, &audit) {
                    Ok(provider) => (provider, Refresh::Ours(OnceLock::new())),
                    Err(error) => {
                        faults.push(BuildFault::Authority { issuer, error });
                        continue;
                    }
                },
            };
            let rule = provider.issuer_rule();
            if issuers.iter().any(|other| other.provider.issuer_rule().overlaps(rule)) {
                faults.push(BuildFault::RepeatedAuthority(provider.issuer().to_owned()));
            }
            let settings = provider.settings();
            let algorithms = options.algorithms.unwrap_or(settings.algorithms);
            let mut rules = AccessTokenRules::new(settings.issuer.clone(), "", algorithms);
            rules.audiences.clone_from(&audiences.0);
            rules.token_type = options.token_type.unwrap_or(settings.token_type);
            rules.leeway = options.leeway.unwrap_or(settings.leeway);
            rules.require_jti = options.require_jti;
            rules.max_lifetime = options.max_lifetime.unwrap_or(settings.max_lifetime);
            issuers.push(Issuer {
                provider,
                rules,
                refresh,
            });
        }
        let opaque = Opaque::among(options.introspections, &issuers, &mut faults);
        if audiences.0.iter().any(String::is_empty) {
            faults.push(BuildFault::EmptyAudience);
        }
        let policies = named(options.policies, &mut faults);
        let realm = match &options.realm {
            Some(realm) => Realm::new(realm).unwrap_or_else(|| {
                faults.push(BuildFault::Realm);
                Realm::unnamed()
            }),
            None => audiences
                .0
                .first()
                .and_then(|audience| Realm::new(audience))
                .unwrap_or_else(Realm::unnamed),
        };
        let scopes = options.scopes_supported.unwrap_or_else(|| {
            let named = policies.values().flat_map(|policy| policy.policy().scope_names());
            named.map(str::to_owned).collect()
        });
        let metadata = options.resource.and_then(|resource| {
            let described = described(&resource, scopes, &issuers, &realm);
            described.map_err(|fault| faults.push(fault.into())).ok()
        });
        // Its URL was read, so it fits into quotes.
        let realm = match &metadata {
            Some(metadata) => realm.clone().with_metadata(metadata.url()).unwrap_or(realm),
            None => realm,
        };
        if let Some(leeway) = options.leeway.filter(|leeway| !(0..=MAX_LEEWAY).contains(leeway)) {
            faults.push(BuildFault::Leeway(leeway));
        }
        if let Some(lifetime) = options.max_lifetime.filter(|lifetime| *lifetime <= 0) {
            faults.push(BuildFault::Lifetime(lifetime));
        }
        let proofs = dpop::build(options.dpop, options.constraint, &mut faults);
        let metadata = metadata.map(|metadata| dpop::describe(metadata, proofs.as_ref(), options.constraint));
        let realm = match &proofs {
            Some(proofs) => realm.with_dpop(&proofs.algorithms(), options.constraint, proofs.is_offered()),
            None => realm,
        };
        if !faults.is_empty() {
            return Err(BuildError { faults });
        }
        issuers.iter().for_each(Issuer::keep_fresh);
        Ok(Guard::new(Inner {
            issuers,
            policies,
            realm,
            metadata,
            limits: Limits::default(),
            cache: TokenCache::new(options.cache_bytes),
            revocations: options.revocations,
            proofs,
            constraint: options.constraint,
            stale: options.stale.map(Stale::new),
            clock: options.clock,
            audit,
            discloses_reason: options.discloses_reason,
            opaque,
        }))
    }
}

impl<I, A> fmt::Debug for GuardBuilder<I, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardBuilder")
            .field("policies", &self.options.policies)
            .finish_non_exhaustive()
    }
}

fn discovered(issuer: &str, clock: &Arc<dyn Clock>, audit: &Audit) -> Result<Provider, ProviderError> {
    HttpsUrl::parse(issuer).map_err(|error| ProviderError::Url { what: "issuer", error })?;
    let http = HyperClient::new().map_err(|error| ProviderError::Unreachable {
        endpoint: "discovery document",
        error,
    })?;
    let settings = ProviderSettings::new(issuer, issuer);
    let http = http.beside(&settings.hosts());
    Ok(Provider::new(
        settings,
        Arc::new(http),
        Arc::clone(clock),
        report_keys(audit.clone()),
    ))
}

/// What clients are told about the API.
fn described(
    resource: &str,
    scopes: Vec<String>,
    issuers: &[Issuer],
    realm: &Realm,
) -> Result<ResourceMetadata, ResourceFault> {
    let metadata = ResourceMetadata::new(resource)?.name(realm.as_str());
    let servers = issuers
        .iter()
        .flat_map(|issuer| issuer.provider.issuer_rule().issuers());
    let metadata = servers.fold(metadata, |metadata, issuer| metadata.authorization_server(&issuer));
    Ok(scopes
        .into_iter()
        .fold(metadata, |metadata, scope| metadata.scope(&scope)))
}

fn named(policies: Vec<(String, Policy)>, faults: &mut Vec<BuildFault>) -> BTreeMap<Box<str>, Arc<NamedPolicy>> {
    let mut declared = BTreeMap::new();
    // It needs no declaration, and nothing else may have its name.
    let built_in = NamedPolicy::new(AUTHENTICATED, Policy::authenticated());
    declared.extend(built_in.ok().map(|policy| (AUTHENTICATED.into(), Arc::new(policy))));
    for (name, policy) in policies {
        match NamedPolicy::new(name.as_str(), policy) {
            Ok(policy) => {
                if declared
                    .insert(name.clone().into_boxed_str(), Arc::new(policy))
                    .is_some()
                {
                    faults.push(BuildFault::RepeatedPolicy(name));
                }
            }
            Err(error) => faults.push(BuildFault::Policy { name, error }),
        }
    }
    declared
}

// === impl BuildError ===

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the guard cannot be set up")?;
        self.faults.iter().try_for_each(|fault| write!(f, "\n  {fault}"))
    }
}

impl std::error::Error for BuildError {}
