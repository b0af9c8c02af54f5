//! DPoP at an API (RFC 9449 s7): whose address proofs must name, what was used before, and nonces.

mod marks;
mod nonce;

use std::fmt;
use std::sync::Arc;

use http::HeaderValue;
use portcullis_jose::{AlgorithmSet, UnixTime};
use portcullis_oidc::HttpsUrl;
use portcullis_oidc::dpop::{DEFAULT_WINDOW, Proof, ProofRefusal, ProofRules, TargetUri};
use portcullis_store::ReplayStore;

use crate::builder::BuildFault;
use crate::credential::Presented;
use crate::error::GuardError;
use crate::metadata::ResourceMetadata;

use marks::Marks;
pub use nonce::DpopNonces;

const MAX_WINDOW: i64 = 300;

/// How a guard checks DPoP proofs. Without it, tokens that are bound to a key are refused.
///
/// ```
/// use portcullis_guard::{Dpop, DpopNonces, Guard};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let guard = Guard::builder()
///     .authority("https://login.example.com")
///     .audience("api://orders")
///     .dpop(Dpop::at("https://api.example.com").nonces(DpopNonces::of_this_process()?))
///     .build()?;
/// # let _ = guard;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "it is given to `GuardBuilder::dpop`"]
pub struct Dpop {
    address: String,
    aliases: Vec<String>,
    replay: Option<Arc<dyn ReplayStore>>,
    algorithms: AlgorithmSet,
    window: i64,
    nonces: Option<DpopNonces>,
    offered: bool,
}

/// Which proof of a key an API asks for, of every caller (RFC 9449, RFC 8705 s3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SenderConstraint {
    /// A DPoP proof: `cnf` of the token has `jkt`.
    Dpop,
    /// A client certificate: `cnf` of the token has `x5t#S256`.
    MutualTls,
    /// One of the two.
    Any,
}

/// What is needed to judge proofs.
pub(crate) struct Proofs {
    target: TargetUri,
    aliases: Vec<TargetUri>,
    algorithms: AlgorithmSet,
    window: i64,
    marks: Marks,
    nonces: Option<DpopNonces>,
    offered: bool,
}

/// What a builder was told becomes what a guard needs.
pub(crate) fn build(
    dpop: Option<Dpop>,
    constraint: Option<SenderConstraint>,
    faults: &mut Vec<BuildFault>,
) -> Option<Proofs> {
    if constraint == Some(SenderConstraint::Dpop) && dpop.is_none() {
        faults.push(BuildFault::ConstraintWithoutDpop);
    }
    dpop?.build(faults)
}

/// What the document of an API says of tokens that are bound to a key (RFC 9728 s2).
pub(crate) fn describe(
    metadata: ResourceMetadata,
    proofs: Option<&Proofs>,
    constraint: Option<SenderConstraint>,
) -> ResourceMetadata {
    let metadata = match proofs {
        // A token that is bound to a key alone would not do.
        Some(_) if constraint == Some(SenderConstraint::MutualTls) => metadata,
        Some(proofs) => metadata.dpop(&proofs.algorithms(), constraint == Some(SenderConstraint::Dpop)),
        None => metadata,
    };
    match constraint {
        Some(SenderConstraint::MutualTls | SenderConstraint::Any) => metadata.certificate_bound_tokens(),
        _ => metadata,
    }
}

// === impl Dpop ===

impl Dpop {
    /// Proofs name this address in `htu`: the origin by which callers know this API, and where a proxy in front takes a
    /// prefix of the path away, that prefix too. Around a router that does so, put [`KeepUri`](crate::KeepUri).
    ///
    /// It is never taken from the request: who can send a proof can send a `Host` header.
    pub fn at(address: impl Into<String>) -> Dpop {
        Dpop {
            address: address.into(),
            aliases: Vec::new(),
            replay: None,
            algorithms: AlgorithmSet::asymmetric(),
            window: DEFAULT_WINDOW,
            nonces: None,
            offered: true,
        }
    }

    /// Another address by which callers know the same API.
    pub fn also_at(mut self, address: impl Into<String>) -> Dpop {
        self.aliases.push(address.into());
        self
    }

    /// Where the proofs that were used are remembered, for all replicas of this API. A store that is down is 503.
    ///
    /// Without it they are remembered in this process alone, at most 262,144 in about two minutes; when there are more,
    /// the answer is 503 too. A proof is then good once for each replica.
    pub fn replay(self, store: Arc<dyn ReplayStore>) -> Dpop {
        Dpop {
            replay: Some(store),
            ..self
        }
    }

    /// The algorithms that proofs may be signed with; by default every one that has a public key.
    pub fn algorithms(self, algorithms: AlgorithmSet) -> Dpop {
        Dpop { algorithms, ..self }
    }

    /// How far a proof's `iat` may be from now, in seconds, before and after: 60 by default, at most 300.
    pub fn window(self, seconds: i64) -> Dpop {
        Dpop {
            window: seconds,
            ..self
        }
    }

    /// Asks for proofs with a nonce of ours (RFC 9449 s9), so that none can be made in advance.
    pub fn nonces(self, nonces: DpopNonces) -> Dpop {
        Dpop {
            nonces: Some(nonces),
            ..self
        }
    }

    /// Proofs are checked, but challenges offer the scheme only to a caller that uses it.
    pub fn not_offered(self) -> Dpop {
        Dpop { offered: false, ..self }
    }

    fn build(self, faults: &mut Vec<BuildFault>) -> Option<Proofs> {
        if !(1..=MAX_WINDOW).contains(&self.window) {
            faults.push(BuildFault::DpopWindow(self.window));
        }
        let mut parse = |address: &String| {
            let target = target_at(address).map_err(|why| {
                let address = address.clone();
                faults.push(BuildFault::DpopAddress { address, why });
            });
            target.ok()
        };
        Some(Proofs {
            target: parse(&self.address)?,
            aliases: self.aliases.iter().filter_map(parse).collect(),
            algorithms: self.algorithms,
            window: self.window,
            marks: Marks::new(self.replay, self.window),
            nonces: self.nonces,
            offered: self.offered,
        })
    }
}

fn target_at(address: &str) -> Result<TargetUri, String> {
    let url = HttpsUrl::parse(address).map_err(|error| error.to_string())?;
    match url.as_url().query() {
        None => TargetUri::parse(address).ok_or_else(|| "it is not an address in plain ASCII".to_owned()),
        Some(_) => Err("it has a query".to_owned()),
    }
}

// === impl SenderConstraint ===

impl SenderConstraint {
    /// The member of `cnf` that a token must have.
    pub(crate) fn member(self) -> &'static str {
        match self {
            SenderConstraint::Dpop => "jkt",
            SenderConstraint::MutualTls => "x5t#S256",
            SenderConstraint::Any => "jkt or x5t#S256",
        }
    }
}

// === impl Proofs ===

impl Proofs {
    /// The rules of RFC 9449 s4.3 but the last: that the proof was not used before.
    pub(crate) fn check(&self, presented: &Presented<'_>, jkt: &str, now: UnixTime) -> Result<Proof, ProofRefusal> {
        let target = self.target.at(presented.target());
        let aliases: Vec<_> = self.aliases.iter().map(|alias| alias.at(presented.target())).collect();
        let accepts = self
            .nonces
            .as_ref()
            .map(|nonces| move |nonce: &str| nonces.accepts(nonce, now));
        let mut rules = ProofRules::new(presented.method(), &target, now).with_token(presented.text(), jkt);
        rules.aliases = &aliases;
        rules.algorithms = self.algorithms;
        rules.window = self.window;
        rules.nonce = accepts.as_ref().map(|accepts| accepts as &dyn Fn(&str) -> bool);
        Proof::check(presented.proofs().map(HeaderValue::as_bytes), &rules)
    }

    /// Marks a proof as used.
    pub(crate) async fn use_up(&self, proof: &Proof, now: UnixTime) -> Result<(), GuardError> {
        match self.marks.mark(proof, now).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(ProofRefusal::Replayed.into()),
            Err(error) => Err(GuardError::ReplayUnavailable(error)),
        }
    }

    /// The nonce to use from now on; `None` where none is needed.
    pub(crate) fn nonce(&self, now: UnixTime) -> Option<HeaderValue> {
        self.nonces.as_ref()?.current(now)
    }

    /// The same where the proof of this call has one that will not be accepted for long (RFC 9449 s8.2).
    pub(crate) fn next_nonce(&self, presented: &Presented<'_>, now: UnixTime) -> Option<HeaderValue> {
        let nonces = self.nonces.as_ref()?;
        let proof = presented.proofs().next()?.to_str().ok()?;
        let nonce = portcullis_oidc::dpop::nonce_of(proof)?;
        (!nonces.is_current(&nonce, now)).then(|| nonces.current(now))?
    }

    /// The names of the algorithms.
    pub(crate) fn algorithms(&self) -> Vec<&'static str> {
        self.algorithms.iter().map(|algorithm| algorithm.name()).collect()
    }

    pub(crate) fn is_offered(&self) -> bool {
        self.offered
    }
}

impl fmt::Debug for Proofs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proofs")
            .field("target", &self.target)
            .field("window", &self.window)
            .finish_non_exhaustive()
    }
}
