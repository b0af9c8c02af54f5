//! DPoP proofs (RFC 9449): what a sender shows to prove that it has the key which a token is bound to.
//!
//! The rules of s4.3 are functions of the proof, the request and the time. Whether a proof was seen before is not among
//! them, since that needs a memory: whoever accepts a [`Proof`] marks it as used up by its [`id`](Proof::id).

mod key;
mod refusal;
mod target;

use portcullis_jose::{
    AlgorithmSet, Claims, EmbeddedKeyJws, Limits, Refusal, UnixTime, Verified, base64url_encode, sha256,
};

pub use key::{DpopKey, asks_for_nonce};
pub use refusal::ProofRefusal;
pub use target::TargetUri;

/// The `typ` of a proof (RFC 9449 s4.2).
pub const PROOF_TYPE: &str = "dpop+jwt";

/// How far a proof's `iat` may be from now, in seconds, before or after.
pub const DEFAULT_WINDOW: i64 = 60;

const MAX_PROOF: usize = 8 * 1024;
/// What is remembered of a proof must be bounded (RFC 9449 s11.1).
const MAX_JTI: usize = 256;

/// What a proof must prove.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct ProofRules<'r> {
    /// The method of the request; `htm` is exactly this.
    pub method: &'r str,
    /// Where the request went; `htu` names the same place.
    pub target: &'r TargetUri,
    /// The same place by the other addresses that it has.
    pub aliases: &'r [TargetUri],
    /// The access token that was sent with the proof; `ath` is its hash. `None` at a token endpoint.
    pub token: Option<&'r str>,
    /// The thumbprint of the key that the token is bound to. `None` at a token endpoint.
    pub jkt: Option<&'r str>,
    /// The algorithms that proofs may be signed with. Symmetric ones never count.
    pub algorithms: AlgorithmSet,
    /// How far `iat` may be from `now`, in seconds.
    pub window: i64,
    /// Whether a nonce is one of ours and recent; `None` where proofs need none (RFC 9449 s9).
    pub nonce: Option<&'r dyn Fn(&str) -> bool>,
    /// The time.
    pub now: UnixTime,
}

/// A proof that keeps the rules.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Proof {
    /// The RFC 7638 thumbprint of the key that it was made with.
    pub thumbprint: String,
    /// Names the proof: no other proof of the same key has it.
    pub jti: String,
    /// The last second at which it is accepted. Its mark must be kept so long.
    pub expires: UnixTime,
}

/// The nonce of a proof, of which nothing else is looked at: whoever asks has checked it before.
#[must_use]
pub fn nonce_of(proof: &str) -> Option<String> {
    let seen = portcullis_jose::inspect::unverified(proof, &Limits::default()).ok()?;
    seen.claims.ok()?.get("nonce")?.as_str().map(str::to_owned)
}

// === impl Proof ===

impl Proof {
    /// Checks the one proof among the values of the `DPoP` headers.
    ///
    /// # Errors
    /// The first rule that is broken, in the order of RFC 9449 s4.3: one header, a well-formed JWS, an asymmetric
    /// algorithm, a public key that fits it, the type, the key of the token, the signature, then the claims.
    pub fn check<'h>(
        headers: impl IntoIterator<Item = &'h [u8]>,
        rules: &ProofRules<'_>,
    ) -> Result<Proof, ProofRefusal> {
        let text = the_one(headers)?;
        let mut limits = Limits::default();
        limits.token = MAX_PROOF;
        let jws = EmbeddedKeyJws::parse(text, &limits)?;
        jws.header().require_type(&[PROOF_TYPE])?;
        let thumbprint = jws.key().thumbprint().to_owned();
        check_key(&thumbprint, rules)?;
        let claims = jws.verify(rules.algorithms)?;
        CLAIM_CHECKS.iter().try_for_each(|check| check(&claims, rules))?;
        Ok(Proof {
            thumbprint,
            jti: text_claim(&claims, "jti")?.to_owned(),
            expires: issued_at(&claims)?.plus(rules.window),
        })
    }

    /// What is marked as used up: the key and the `jti`. Each key's owner may count as he likes.
    #[must_use]
    pub fn id(&self) -> [u8; 32] {
        // A thumbprint has 43 characters: where it ends is no question.
        sha256(format!("{}{}", self.thumbprint, self.jti).as_bytes())
    }
}

// === impl ProofRules ===

impl<'r> ProofRules<'r> {
    /// The rules for a request without a token, at a token endpoint.
    #[must_use]
    pub fn new(method: &'r str, target: &'r TargetUri, now: UnixTime) -> ProofRules<'r> {
        ProofRules {
            method,
            target,
            aliases: &[],
            token: None,
            jkt: None,
            algorithms: AlgorithmSet::asymmetric(),
            window: DEFAULT_WINDOW,
            nonce: None,
            now,
        }
    }

    /// The same with a token that is bound to the key of this thumbprint.
    #[must_use]
    pub fn with_token(self, token: &'r str, jkt: &'r str) -> ProofRules<'r> {
        ProofRules {
            token: Some(token),
            jkt: Some(jkt),
            ..self
        }
    }
}

/// A rule on the claims of a proof whose signature was verified.
type ClaimCheck = fn(&Verified<Claims>, &ProofRules<'_>) -> Result<(), ProofRefusal>;

/// The rules on the claims, in their order.
const CLAIM_CHECKS: [ClaimCheck; 6] = [
    check_jti,
    check_method,
    check_target,
    check_time,
    check_nonce,
    check_token,
];

/// RFC 9449 s4.3 no. 1: "There is not more than one DPoP HTTP request header field." A proxy may have folded two into one.
fn the_one<'h>(headers: impl IntoIterator<Item = &'h [u8]>) -> Result<&'h str, ProofRefusal> {
    let mut headers = headers.into_iter();
    let only = headers.next().ok_or(ProofRefusal::Missing)?;
    if headers.next().is_some() || only.contains(&b',') {
        return Err(ProofRefusal::Several);
    }
    std::str::from_utf8(only).map_err(|_| ProofRefusal::Malformed {
        why: "not ASCII text".into(),
    })
}

/// RFC 9449 s4.3 no. 12 b.
fn check_key(thumbprint: &str, rules: &ProofRules<'_>) -> Result<(), ProofRefusal> {
    match rules.jkt {
        Some(expected) if expected != thumbprint => Err(ProofRefusal::OtherKey {
            expected: expected.to_owned(),
            found: thumbprint.to_owned(),
        }),
        _ => Ok(()),
    }
}

fn check_jti(claims: &Verified<Claims>, _: &ProofRules<'_>) -> Result<(), ProofRefusal> {
    match text_claim(claims, "jti")? {
        jti if jti.len() > MAX_JTI => Err(ProofRefusal::Claim {
            claim: "jti",
            why: format!("{} bytes, more than {MAX_JTI}", jti.len()),
        }),
        _ => Ok(()),
    }
}

/// RFC 9449 s4.3 no. 8. Methods are case-sensitive (RFC 9110 s9.1).
fn check_method(claims: &Verified<Claims>, rules: &ProofRules<'_>) -> Result<(), ProofRefusal> {
    let found = text_claim(claims, "htm")?;
    if found == rules.method {
        return Ok(());
    }
    Err(ProofRefusal::OtherMethod {
        expected: rules.method.to_owned(),
        found: found.to_owned(),
    })
}

/// RFC 9449 s4.3 no. 9: "ignoring any query and fragment parts", and with both sides normalised.
fn check_target(claims: &Verified<Claims>, rules: &ProofRules<'_>) -> Result<(), ProofRefusal> {
    let found = text_claim(claims, "htu")?;
    let places = std::iter::once(rules.target).chain(rules.aliases);
    if TargetUri::parse(found).is_some_and(|found| places.into_iter().any(|place| *place == found)) {
        return Ok(());
    }
    Err(ProofRefusal::OtherTarget {
        expected: rules.target.to_string(),
        // A query may hold what is nobody's business.
        found: found.split(['?', '#']).next().unwrap_or_default().to_owned(),
    })
}

/// RFC 9449 s4.3 no. 11, s11.1.
fn check_time(claims: &Verified<Claims>, rules: &ProofRules<'_>) -> Result<(), ProofRefusal> {
    let (issued, now) = (issued_at(claims)?, rules.now);
    if issued.plus(rules.window) < now {
        return Err(ProofRefusal::Expired { issued, now });
    }
    if issued > now.plus(rules.window) {
        return Err(ProofRefusal::NotYetValid { issued, now });
    }
    Ok(())
}

/// RFC 9449 s4.3 no. 10, s9.
fn check_nonce(claims: &Verified<Claims>, rules: &ProofRules<'_>) -> Result<(), ProofRefusal> {
    let Some(accepts) = rules.nonce else {
        return Ok(());
    };
    match optional_text(claims, "nonce")? {
        None => Err(ProofRefusal::NonceRequired),
        Some(nonce) if accepts(nonce) => Ok(()),
        Some(_) => Err(ProofRefusal::NonceStale),
    }
}

/// RFC 9449 s4.3 no. 12 a: `ath` is the hash of the token's ASCII text (s4.2).
fn check_token(claims: &Verified<Claims>, rules: &ProofRules<'_>) -> Result<(), ProofRefusal> {
    let Some(token) = rules.token else {
        return Ok(());
    };
    if text_claim(claims, "ath")? == base64url_encode(&sha256(token.as_bytes())) {
        Ok(())
    } else {
        Err(ProofRefusal::OtherToken)
    }
}

fn issued_at(claims: &Verified<Claims>) -> Result<UnixTime, ProofRefusal> {
    let time = claims.time("iat").map_err(|refusal| of_claim("iat", &refusal))?;
    time.ok_or(ProofRefusal::ClaimMissing { claim: "iat" })
}

/// A claim that must be there, and not empty.
fn text_claim<'c>(claims: &'c Verified<Claims>, name: &'static str) -> Result<&'c str, ProofRefusal> {
    match optional_text(claims, name)? {
        None | Some("") => Err(ProofRefusal::ClaimMissing { claim: name }),
        Some(text) => Ok(text),
    }
}

fn optional_text<'c>(claims: &'c Verified<Claims>, name: &'static str) -> Result<Option<&'c str>, ProofRefusal> {
    claims.optional_str(name).map_err(|refusal| of_claim(name, &refusal))
}

fn of_claim(claim: &'static str, refusal: &Refusal) -> ProofRefusal {
    ProofRefusal::Claim {
        claim,
        why: refusal.found().unwrap_or_default(),
    }
}

#[cfg(test)]
#[path = "dpop/tests.rs"]
mod tests;
