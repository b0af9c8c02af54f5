//! The rules that an access token has to keep: RFC 9068, RFC 8725, RFC 7519.

use portcullis_jose::{AlgorithmSet, Check, Claims, JwkSet, Refusal, UnixTime, UnverifiedJws, Value, Verified};

use crate::IssuerRule;
use crate::binding::Binding;

/// Which `typ` an access token must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum TokenType {
    /// RFC 9068 s2.1: `at+jwt`, so that no other JWT of the provider can pass for an access token.
    #[default]
    AtJwt,
    /// For providers that do not issue `at+jwt`: `JWT` or nothing too. What shows itself as an ID token or a logout
    /// token by its claims is refused all the same.
    Any,
}

/// What an API accepts. Issuer and audience cannot be left out.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct AccessTokenRules {
    /// Whose tokens count.
    pub issuer: IssuerRule,
    /// The token's `aud` must hold one of these, compared byte for byte.
    pub audiences: Vec<String>,
    /// The algorithms.
    pub algorithms: AlgorithmSet,
    /// The `typ`.
    pub token_type: TokenType,
    /// How far clocks may be apart, in seconds: 30, at most 300.
    pub leeway: i64,
    /// The longest accepted time from `iat` to `exp`, in seconds: 24 h.
    pub max_lifetime: i64,
    /// Whether a token must have a `jti`. RFC 9068 s2.2 demands it, and many providers leave it out.
    pub require_jti: bool,
    /// Whether a token must have an `iat`, as RFC 9068 s2.2 demands. Without it, nobody can say for how long a token may
    /// still come, and so for how long a revocation must be kept. Only for the answers of a provider (RFC 7662 s2.2) it
    /// is optional: they are its word of this moment.
    pub require_iat: bool,
}

/// A subject longer than this is refused (OpenID Connect Core 1.0 s2).
const MAX_SUBJECT: usize = 255;

impl AccessTokenRules {
    /// The defaults for an issuer and an audience.
    #[must_use]
    pub fn new(
        issuer: impl Into<IssuerRule>,
        audience: impl Into<String>,
        algorithms: AlgorithmSet,
    ) -> AccessTokenRules {
        AccessTokenRules {
            issuer: issuer.into(),
            audiences: vec![audience.into()],
            algorithms,
            token_type: TokenType::AtJwt,
            leeway: 30,
            max_lifetime: 24 * 60 * 60,
            require_jti: false,
            require_iat: true,
        }
    }

    /// The whole validation, in the fixed order: algorithm, type, issuer, key, signature, claims.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn verify(&self, jws: UnverifiedJws<'_>, keys: &JwkSet, now: UnixTime) -> Result<Verified<Claims>, Refusal> {
        self.check_header(&jws)?;
        let claims = jws.verify(keys, self.algorithms)?;
        check_access_token(&claims, self, now)?;
        Ok(claims)
    }

    /// What is checked before a key is looked for: algorithm, type and issuer.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check_header(&self, jws: &UnverifiedJws<'_>) -> Result<(), Refusal> {
        HEADER_CHECKS.iter().try_for_each(|(_, check)| check(jws, self))
    }

    fn check_algorithm(jws: &UnverifiedJws<'_>, rules: &AccessTokenRules) -> Result<(), Refusal> {
        jws.require_algorithm(rules.algorithms)
    }

    fn check_type(jws: &UnverifiedJws<'_>, rules: &AccessTokenRules) -> Result<(), Refusal> {
        match rules.token_type {
            TokenType::AtJwt => jws.header().require_type(&["at+jwt"]),
            TokenType::Any if !jws.header().has_typ() => Ok(()),
            TokenType::Any => jws.header().require_type(&["at+jwt", "JWT"]),
        }
    }

    fn check_issuer(jws: &UnverifiedJws<'_>, rules: &AccessTokenRules) -> Result<(), Refusal> {
        rules.issuer.check(jws.unverified_issuer()?)
    }
}

/// A check of the header, before a key is looked for.
pub type HeaderCheck = fn(&UnverifiedJws<'_>, &AccessTokenRules) -> Result<(), Refusal>;

/// The checks of the header, in their order.
pub const HEADER_CHECKS: [(Check, HeaderCheck); 3] = [
    (Check::Algorithm, AccessTokenRules::check_algorithm),
    (Check::Type, AccessTokenRules::check_type),
    (Check::Issuer, AccessTokenRules::check_issuer),
];

/// A check of the claims of a token whose signature was verified.
pub type ClaimCheck = fn(&Verified<Claims>, &AccessTokenRules, UnixTime) -> Result<(), Refusal>;

/// The checks of the claims, in their order.
pub const CLAIM_CHECKS: [(Check, ClaimCheck); 4] = [
    (Check::Claims, check_types),
    (Check::Time, check_time),
    (Check::Audience, check_audience),
    (Check::Subject, check_subject),
];

/// The rules on the claims of a token whose signature was verified.
///
/// Whether the token is bound to a key, and who must prove to have it, is the [`Binding`]'s to say.
///
/// # Errors
/// The first rule that is broken: types, time, audience, subject and client, a binding that cannot be read.
pub fn check_access_token(
    claims: &Verified<Claims>,
    rules: &AccessTokenRules,
    now: UnixTime,
) -> Result<Binding, Refusal> {
    CLAIM_CHECKS
        .iter()
        .try_for_each(|(_, check)| check(claims, rules, now))?;
    Binding::of(claims)
}

/// Whether the token is still alive: the part of the rules that is checked anew each time a verified token is used.
///
/// # Errors
/// [`Refusal::Expired`]
pub fn check_alive(expires: UnixTime, leeway: i64, now: UnixTime) -> Result<(), Refusal> {
    // RFC 7519 s4.1.4: "on or after" the expiry it must not be accepted.
    if now >= expires.plus(leeway) {
        Err(Refusal::Expired { expired: expires, now })
    } else {
        Ok(())
    }
}

/// A claim of the wrong type is not an absent claim.
fn check_types(claims: &Verified<Claims>, rules: &AccessTokenRules, _: UnixTime) -> Result<(), Refusal> {
    for name in ["sub", "client_id", "azp", "jti", "sid"] {
        claims.optional_str(name)?;
    }
    for name in ["scope", "scp"] {
        claims.strings(name)?;
    }
    rules.issuer.check_claims(claims)?;
    if rules.token_type == TokenType::Any {
        // RFC 8725 s3.12: without an explicit type, other kinds of JWT are told apart by their claims.
        // Keycloak before version 25 puts the nonce of the login into access tokens too, and says that they are such.
        let says_bearer = claims.str("typ").is_some_and(|typ| typ.eq_ignore_ascii_case("bearer"));
        for claim in ["nonce", "at_hash", "c_hash", "events"] {
            if claims.get(claim).is_some() && !(claim == "nonce" && says_bearer) {
                let found = format!("a token with the claim {claim}");
                return Err(Refusal::TypeMismatch {
                    expected: "access token".into(),
                    found,
                });
            }
        }
        check_kind(claims)?;
    }
    if rules.require_jti && claims.str("jti").is_none_or(str::is_empty) {
        return Err(Refusal::ClaimMissing { claim: "jti".into() });
    }
    Ok(())
}

/// A token that does not say in its header what it is may be an ID token or a refresh token, which is active as well
/// where the provider is asked. Providers say it in several ways: `token_type` (RFC 7662 s2.2), `token_use` (Ory Hydra, Amazon Cognito),
/// `typ` (Keycloak).
///
/// # Errors
/// [`Refusal::TypeMismatch`], or a member that is no text.
fn check_kind(claims: &Claims) -> Result<(), Refusal> {
    let kinds: [(&'static str, &[&str]); 3] = [
        ("token_type", &["bearer", "dpop", "access_token", "access"]),
        ("token_use", &["access", "access_token"]),
        ("typ", &["bearer", "dpop", "jwt", "at+jwt", "access"]),
    ];
    for (member, accepted) in kinds {
        if let Some(found) = claims.optional_str(member)?
            && !accepted.contains(&found.to_ascii_lowercase().as_str())
        {
            return Err(Refusal::TypeMismatch {
                expected: "access token".into(),
                found: format!("{member} {found}"),
            });
        }
    }
    Ok(())
}

fn check_time(claims: &Verified<Claims>, rules: &AccessTokenRules, now: UnixTime) -> Result<(), Refusal> {
    let expires = claims.time("exp")?.ok_or(Refusal::ExpiryMissing)?;
    let not_before = claims.time("nbf")?;
    let issued = claims.time("iat")?;
    check_alive(expires, rules.leeway, now)?;
    for (claim, from) in [("nbf", not_before), ("iat", issued)] {
        if let Some(from) = from.filter(|from| *from > now.plus(rules.leeway)) {
            return Err(Refusal::NotYetValid { claim, from, now });
        }
    }
    // RFC 9068 s2.2: iat is required. Where it may be left out, the lifetime counts from now.
    if issued.is_none() && rules.require_iat {
        return Err(Refusal::ClaimMissing { claim: "iat".into() });
    }
    let lifetime = expires.since(issued.unwrap_or(now));
    if lifetime > rules.max_lifetime {
        return Err(Refusal::ClaimRange {
            claim: "exp".into(),
            found: format!("{lifetime} s after it was issued"),
        });
    }
    Ok(())
}

fn check_audience(claims: &Verified<Claims>, rules: &AccessTokenRules, _: UnixTime) -> Result<(), Refusal> {
    let audiences = &rules.audiences;
    let expected = |audience: &str| audiences.iter().any(|ours| ours == audience);
    match claims.get("aud") {
        // The common case costs no list.
        Some(Value::String(one)) if expected(one) => return Ok(()),
        None => return Err(Refusal::AudienceMissing),
        _ => {}
    }
    let found = claims.strings("aud")?.unwrap_or_default();
    if found.iter().any(|audience| expected(audience)) {
        return Ok(());
    }
    // An empty list names nobody.
    if found.is_empty() {
        return Err(Refusal::AudienceMissing);
    }
    Err(Refusal::AudienceMismatch {
        expected: audiences.join(" or "),
        found: found.join(", "),
    })
}

fn check_subject(claims: &Verified<Claims>, _: &AccessTokenRules, _: UnixTime) -> Result<(), Refusal> {
    match claims.str("sub") {
        None | Some("") => Err(Refusal::SubjectMissing),
        Some(subject) if subject.len() > MAX_SUBJECT => Err(Refusal::ClaimValue {
            claim: "sub".into(),
            expected: format!("at most {MAX_SUBJECT} bytes"),
            found: format!("{} bytes", subject.len()),
        }),
        Some(_) => Ok(()),
    }
}

#[cfg(test)]
#[path = "token_rules_tests.rs"]
mod tests;
