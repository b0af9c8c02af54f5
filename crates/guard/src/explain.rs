//! A decision as a value: every check in its order, with what was expected and what was found.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use portcullis_audit::{CheckLine, Refused};
use portcullis_jose::{AlgorithmSet, Check, Claims, Refusal, UnixTime, UnverifiedJws, Verified};
use portcullis_oidc::introspection::{introspected_binding, introspected_rules};
use portcullis_oidc::token_rules::{AccessTokenRules, CLAIM_CHECKS, HEADER_CHECKS, TokenType};
use portcullis_oidc::{Binding, Doubt, KeySnapshot};
use portcullis_policy::NamedPolicy;
use serde::Serialize;

use crate::answer::{Answer, Realm};
use crate::credential::Presented;
use crate::error::GuardError;
use crate::guard::Guard;
use crate::introspect::Opaque;
use crate::token::VerifiedToken;
use crate::verify::{Inner, Issuer};

/// How a check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Outcome {
    /// It was passed.
    Passed,
    /// It was not.
    Failed,
    /// It could not be made, because it needs what an earlier one did not give.
    NotReached,
}

/// One check of an [`Explanation`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Explained {
    /// Which check.
    #[serde(serialize_with = "name")]
    pub check: Check,
    /// How it went.
    pub outcome: Outcome,
    /// The code of the refusal, of a check that failed; the manual and `portcullis explain` tell its cause and fix.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
    /// What is accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// What the call has; never the token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
}

/// Every check on a call, and what the call is answered. Made by [`Guard::explain`](crate::Guard::explain); it prints
/// as one line for each check, and serialises for a page or a log. It never holds the token.
///
/// ```
/// # use portcullis_guard::{Check, Guard, Outcome, Presented};
/// # async fn example(guard: &Guard, token: &str) {
/// let explanation = guard.explain(&Presented::token_alone(token), None).await;
/// if let Some(refused) = &explanation.refused {
///     println!("{}: {} {}", refused.code, refused.cause, refused.fix);
/// }
/// let audience = explanation.check(Check::Audience).map(|check| (check.outcome, &check.expected, &check.found));
/// # let _ = (audience, Outcome::Passed);
/// # }
/// ```
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Explanation {
    /// The status of the answer; 200 where the guard lets the call through.
    pub status: u16,
    /// Why the call is refused: the first check that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<Refused>,
    /// The checks, in the order in which they are made; all of [`Check::ALL`] are there.
    pub checks: Vec<Explained>,
}

/// The checks for the event of a refusal. What was found is told of a token that is proven, and of the check that failed.
pub(crate) fn lines(inner: &Inner, error: &GuardError, token: Option<&VerifiedToken>) -> Vec<CheckLine> {
    let Some(failed) = error.check() else {
        return Vec::new();
    };
    let proven = token.and_then(|token| Some((token, &inner.issuers.get(token.origin().issuer)?.rules)));
    let line = |check: Check| match check.cmp(&failed) {
        Ordering::Less => {
            let (expected, found) = proven.map_or((None, None), |(token, rules)| {
                (claim_expected(check, rules), claim_found(check, token.claims()))
            });
            CheckLine::new(check.name(), "passed", expected, found)
        }
        Ordering::Equal => CheckLine::new(check.name(), "failed", error.expected(), error.found()),
        Ordering::Greater => CheckLine::new(check.name(), "not_reached", None, None),
    };
    Check::ALL.into_iter().map(line).collect()
}

pub(crate) async fn explain(guard: &Guard, presented: &Presented<'_>, policy: Option<&NamedPolicy>) -> Explanation {
    let mut report = Report::default();
    report.passed(Check::Credential, None, Some(presented.scheme().name().to_owned()));
    // What is missing ends the checks; what it was is in the report already.
    let _ = checks(guard, presented, policy, &mut report).await;
    report.end(guard.realm())
}

/// The checks that follow cannot be made.
struct Stop;

async fn checks(
    guard: &Guard,
    presented: &Presented<'_>,
    policy: Option<&NamedPolicy>,
    report: &mut Report,
) -> Result<(), Stop> {
    let inner = guard.inner();
    let asked_about = inner.asked_about(presented.text().as_bytes());
    let (claims, rules) = match asked_about {
        Some((opaque, issuer)) => vouched(inner, opaque, issuer, presented, report).await?,
        None => signed(inner, presented, report).await?,
    };
    let now = inner.clock.now();
    for (check, rule) in CLAIM_CHECKS {
        match rule(&claims, &rules, now) {
            Ok(()) => report.passed(check, claim_expected(check, &rules), claim_found(check, &claims)),
            Err(refusal) => report.failed_at(check, refusal.into()),
        }
    }
    let binding = match asked_about {
        Some(_) => introspected_binding(&claims),
        None => Binding::of(&claims),
    };
    proof(inner, binding, presented, now, report);
    revocation(guard, &claims, now, report).await;
    match policy {
        None => report.passed(Check::Policy, Some("none asked for".to_owned()), None),
        Some(policy) => match inner.ask(policy, &claims, presented, now) {
            Ok(_) => report.passed(Check::Policy, Some(policy.policy().to_string()), None),
            Err(error) => report.failed(error),
        },
    }
    Ok(())
}

/// What the issuer says of a token that does not speak for itself.
async fn vouched<'i>(
    inner: &Inner,
    opaque: &Opaque,
    issuer: &'i Issuer,
    presented: &Presented<'_>,
    report: &mut Report,
) -> Result<(Verified<Claims>, Cow<'i, AccessTokenRules>), Stop> {
    let asked = inner.vouched(opaque, presented.text()).await;
    let claims = asked.map_err(|error| report.stop(error))?;
    report.passed_up_to(Check::Claims);
    Ok((claims, Cow::Owned(introspected_rules(&issuer.rules))))
}

/// What a token says of itself, once its signature is found to be good.
async fn signed<'i>(
    inner: &'i Inner,
    presented: &Presented<'_>,
    report: &mut Report,
) -> Result<(Verified<Claims>, Cow<'i, AccessTokenRules>), Stop> {
    let parse = || UnverifiedJws::parse(presented.text(), &inner.limits);
    let jws = parse().map_err(|refusal| report.stop(refusal.into()))?;
    report.passed_up_to(Check::Algorithm);

    let (index, issuer) = header(inner, &jws, report)?;
    let kid = jws.header().kid().map_err(|refusal| report.stop(refusal.into()))?;
    let kid = kid.unwrap_or("(none)").to_owned();
    let algorithm = jws.header().algorithm();
    // An algorithm that is not accepted was reported; the rest is looked at nevertheless.
    let accepted = AlgorithmSet::of(&[algorithm]);
    let mut asked = false;
    let mut keys = keys(inner, index, issuer, None, &mut asked, report).await?;
    let mut verified = jws.verify(keys.of_token(presented.text()), accepted);
    let doubt = verified.as_ref().err();
    if let Some(doubt) = doubt.and_then(|refusal| Doubt::of(refusal, presented.text(), keys.of_token(presented.text())))
    {
        let doubt = Some((Arc::clone(&keys), doubt));
        keys = self::keys(inner, index, issuer, doubt, &mut asked, report).await?;
        verified = parse().and_then(|jws| jws.verify(keys.of_token(presented.text()), accepted));
    }
    let claims = verified.map_err(|refusal| report.stop(refusal.into()))?;
    report.passed(Check::KeyId, None, Some(kid));
    report.passed(Check::Key, None, Some(algorithm.name().to_owned()));
    report.passed(Check::Signature, None, None);
    Ok((claims, Cow::Borrowed(&issuer.rules)))
}

/// Algorithm, type and issuer, each for itself. Without an issuer that is trusted there are no keys to go on with.
fn header<'i>(inner: &'i Inner, jws: &UnverifiedJws<'_>, report: &mut Report) -> Result<(usize, &'i Issuer), Stop> {
    let Some((index, issuer)) = inner.named_issuer(jws).or_else(|| inner.first_issuer()) else {
        return Err(report.stop(GuardError::NotGuarded));
    };
    let mut trusted = true;
    for (check, rule) in HEADER_CHECKS {
        match rule(jws, &issuer.rules) {
            Ok(()) => report.passed(check, header_expected(check, &issuer.rules), header_found(check, jws)),
            Err(refusal) => {
                trusted &= check != Check::Issuer;
                report.failed_at(check, inner.all_issuers(refusal).into());
            }
        }
    }
    if trusted { Ok((index, issuer)) } else { Err(Stop) }
}

async fn keys(
    inner: &Inner,
    index: usize,
    issuer: &Issuer,
    doubt: Option<(Arc<KeySnapshot>, Doubt)>,
    asked: &mut bool,
    report: &mut Report,
) -> Result<Arc<KeySnapshot>, Stop> {
    if doubt.is_none()
        && let Some(keys) = issuer.provider.keys()
    {
        return Ok(keys);
    }
    let fetched = inner.fetch_keys(index, doubt, asked).await;
    fetched.map_err(|error| report.stop(error))?;
    issuer.provider.keys().ok_or_else(|| {
        report.stop(GuardError::KeysUnavailable {
            issuer: issuer.provider.issuer().into(),
            reason: "there are none".into(),
        })
    })
}

/// Whether a proof was used before is not asked: asking is marking.
fn proof(
    inner: &Inner,
    binding: Result<Binding, Refusal>,
    presented: &Presented<'_>,
    now: UnixTime,
    report: &mut Report,
) {
    let checked = binding.map_err(GuardError::from).and_then(|binding| {
        inner.check_proof(&binding, presented, now)?;
        Ok(match binding {
            Binding::Bearer => "none needed",
            _ => "the key is proven",
        })
    });
    match checked {
        Ok(found) => report.passed(Check::Proof, None, Some(found.to_owned())),
        Err(error) => report.failed_at(Check::Proof, error),
    }
}

async fn revocation(guard: &Guard, claims: &Verified<Claims>, now: UnixTime, report: &mut Report) {
    let revocations = guard.revocations();
    if !revocations.is_loaded()
        && let Err(error) = guard.read_revocations().await
    {
        report.failed(GuardError::RevocationsUnavailable(error));
        return;
    }
    let list = revocations.list();
    // A time that cannot be read was reported.
    let issued_at = claims.time("iat").ok().flatten();
    match list.find(&list.handles(claims), claims, issued_at, now) {
        None => match guard.inner().check_fresh(now) {
            Ok(()) => report.passed(Check::Revocation, None, Some("not revoked".to_owned())),
            Err(error) => report.failed(error),
        },
        Some(what) => report.failed(Refusal::Revoked { what }.into()),
    }
}

fn header_expected(check: Check, rules: &AccessTokenRules) -> Option<String> {
    Some(match check {
        Check::Algorithm => rules.algorithms.to_string(),
        Check::Type => match rules.token_type {
            TokenType::AtJwt => "at+jwt".to_owned(),
            _ => "at+jwt, JWT or nothing".to_owned(),
        },
        _ => return None,
    })
}

fn header_found(check: Check, jws: &UnverifiedJws<'_>) -> Option<String> {
    match check {
        Check::Algorithm => Some(jws.header().algorithm().name().to_owned()),
        Check::Type => Some(jws.header().typ().unwrap_or("(none)").to_owned()),
        Check::Issuer => jws.unverified_issuer().ok().flatten().map(str::to_owned),
        _ => None,
    }
}

fn claim_expected(check: Check, rules: &AccessTokenRules) -> Option<String> {
    match check {
        Check::Audience => Some(rules.audiences.join(" or ")),
        Check::Time => Some(format!(
            "alive for at most {} s, clocks {} s apart",
            rules.max_lifetime, rules.leeway
        )),
        _ => None,
    }
}

fn claim_found(check: Check, claims: &Claims) -> Option<String> {
    match check {
        Check::Audience => Some(claims.strings("aud").ok().flatten()?.join(", ")),
        Check::Time => Some(format!("exp {}", claims.time("exp").ok().flatten()?)),
        Check::Issuer => claims.str("iss").map(str::to_owned),
        Check::Subject => claims.str("sub").map(str::to_owned),
        _ => None,
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn name<S: serde::Serializer>(check: &Check, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(check.name())
}

/// What is known so far.
#[derive(Default)]
struct Report {
    checks: Vec<Explained>,
    refused: Option<GuardError>,
}

// === impl Report ===

impl Report {
    fn passed(&mut self, check: Check, expected: Option<String>, found: Option<String>) {
        self.checks.push(Explained {
            check,
            outcome: Outcome::Passed,
            code: None,
            expected,
            found,
        });
    }

    /// Those that are not reported yet and come before `end`.
    fn passed_up_to(&mut self, end: Check) {
        let next = self.checks.last().map(|last| last.check);
        for check in Check::ALL {
            if next.is_none_or(|last| check > last) && check < end {
                self.passed(check, None, None);
            }
        }
    }

    fn failed(&mut self, error: GuardError) {
        if let Some(check) = error.check() {
            self.failed_at(check, error);
        }
    }

    fn failed_at(&mut self, check: Check, error: GuardError) {
        let told = error.refused();
        self.checks.push(Explained {
            check,
            outcome: Outcome::Failed,
            code: Some(told.code),
            expected: told.expected,
            found: told.found,
        });
        self.refused.get_or_insert(error);
    }

    /// What comes before the check that failed was passed; what comes after it cannot be said.
    fn stop(&mut self, error: GuardError) -> Stop {
        if let Some(check) = error.check() {
            self.passed_up_to(check);
        }
        self.failed(error);
        Stop
    }

    fn end(mut self, realm: &Realm) -> Explanation {
        for check in Check::ALL {
            if !self.checks.iter().any(|explained| explained.check == check) {
                self.checks.push(Explained {
                    check,
                    outcome: Outcome::NotReached,
                    code: None,
                    expected: None,
                    found: None,
                });
            }
        }
        self.checks.sort_by_key(|explained| explained.check);
        let status = self
            .refused
            .as_ref()
            .map_or(200, |error| Answer::of(error, realm).status.as_u16());
        Explanation {
            status,
            refused: self.refused.as_ref().map(GuardError::refused),
            checks: self.checks,
        }
    }
}

// === impl Explanation ===

impl Explanation {
    /// Whether the guard lets the call through.
    #[must_use]
    pub fn allowed(&self) -> bool {
        self.refused.is_none()
    }

    /// The check of this name.
    #[must_use]
    pub fn check(&self, check: Check) -> Option<&Explained> {
        self.checks.iter().find(|explained| explained.check == check)
    }
}

/// A line for each check.
impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for explained in &self.checks {
            writeln!(f, "{explained}")?;
        }
        match &self.refused {
            None => write!(f, "allowed"),
            Some(refused) => write!(
                f,
                "refused: {} {}\n  cause: {}\n  fix:   {}",
                self.status, refused.code, refused.cause, refused.fix
            ),
        }
    }
}

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.outcome {
            Outcome::Passed => "passed",
            Outcome::Failed => "FAILED",
            Outcome::NotReached => "-",
        };
        write!(f, "{word:<7} {:<11}", self.check.name())?;
        match (&self.expected, &self.found) {
            (Some(expected), Some(found)) if self.outcome == Outcome::Failed => {
                write!(f, " expected {expected}; found {found}")?;
            }
            (Some(expected), None) if self.outcome == Outcome::Failed => write!(f, " expected {expected}")?,
            (_, Some(found)) => write!(f, " {found}")?,
            (Some(expected), None) => write!(f, " {expected}")?,
            (None, None) => {}
        }
        match self.code {
            Some(code) => write!(f, " ({code})"),
            None => Ok(()),
        }
    }
}
