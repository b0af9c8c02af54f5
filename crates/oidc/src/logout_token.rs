//! The rules that a logout token has to keep: OpenID Connect Back-Channel Logout 1.0 s2.4 and s2.6.

use portcullis_jose::{Algorithm, AlgorithmSet, Claims, JwkSet, Limits, Refusal, Secret, UnixTime, UnverifiedJws};

use crate::{Client, IssuerRule, ProviderError};

/// The member of `events` that makes a token a logout token.
pub const LOGOUT_EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// How far clocks may be apart for a logout token, in seconds.
const LEEWAY: i64 = 60;
/// s2.4 recommends two minutes from issue to expiry. Longer than this, a captured token would be of use for too long.
const MAX_LIFETIME: i64 = 60 * 60;
/// Identifiers are kept and compared; longer ones are nobody's.
const MAX_IDENTIFIER: usize = 255;

/// What a logout token must say.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LogoutTokenRules<'a> {
    /// Whose tokens count.
    pub issuer: &'a IssuerRule,
    /// Our client identifier, which must be the audience.
    pub client_id: &'a str,
    /// The algorithm, pinned by configuration: that of ID tokens (s2.4).
    pub algorithm: Algorithm,
}

/// A logout token whose signature and claims were checked: whose sessions are over.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogoutToken {
    /// The issuer, as the token has it.
    pub issuer: String,
    /// The subject; there without a `sid`, all of its sessions are meant.
    pub subject: Option<String>,
    /// The session at the provider.
    pub sid: Option<String>,
    /// The token's identifier: it is to be taken once.
    pub id: String,
    /// When it was issued, by the provider's clock.
    pub issued: UnixTime,
    /// When it expires.
    pub expires: UnixTime,
}

// === impl LogoutTokenRules ===

impl<'a> LogoutTokenRules<'a> {
    /// The rules for an issuer and a client.
    #[must_use]
    pub fn new(issuer: &'a IssuerRule, client_id: &'a str, algorithm: Algorithm) -> LogoutTokenRules<'a> {
        LogoutTokenRules {
            issuer,
            client_id,
            algorithm,
        }
    }

    /// Verifies a logout token.
    ///
    /// # Errors
    /// The first rule that is broken: algorithm, type, issuer, key, signature, claims.
    pub fn verify(&self, token: &Secret, keys: &JwkSet, now: UnixTime) -> Result<LogoutToken, Refusal> {
        let jws = UnverifiedJws::parse(token.expose(), &Limits::default())?;
        let pinned = AlgorithmSet::of(&[self.algorithm]);
        jws.require_algorithm(pinned)?;
        let explicit = jws.header().require_type(&["logout+jwt"]).is_ok();
        if !explicit && jws.header().has_typ() {
            jws.header().require_type(&["logout+jwt", "JWT"])?;
        }
        self.issuer.check(jws.unverified_issuer()?)?;
        let claims = jws.verify(keys, pinned)?;
        if !explicit {
            must_look_like_a_logout_token(&claims)?;
        }
        self.check(&claims, now)
    }

    fn check(&self, claims: &Claims, now: UnixTime) -> Result<LogoutToken, Refusal> {
        let issuer = claims.str("iss");
        self.issuer.check(issuer)?;
        let (issued, expires) = check_time(claims, now)?;
        // s2.6 (3), as for an ID token: our client, and no audience beside it.
        let audiences = claims.strings("aud")?.ok_or(Refusal::AudienceMissing)?;
        if audiences.is_empty() || audiences.iter().any(|audience| *audience != self.client_id) {
            return Err(Refusal::AudienceMismatch {
                expected: self.client_id.into(),
                found: audiences.join(", "),
            });
        }
        // s2.6 (6): what has a nonce was made for a login.
        if claims.get("nonce").is_some() {
            return Err(Refusal::ClaimForbidden { claim: "nonce".into() });
        }
        check_event(claims)?;
        let id = identifier(claims, "jti")?.ok_or_else(|| missing("jti"))?.to_owned();
        // s2.4: sub, sid, or both.
        let (subject, sid) = (identifier(claims, "sub")?, identifier(claims, "sid")?);
        if subject.is_none() && sid.is_none() {
            return Err(missing("sid"));
        }
        Ok(LogoutToken {
            issuer: issuer.unwrap_or_default().to_owned(),
            subject: subject.map(str::to_owned),
            sid: sid.map(str::to_owned),
            id,
            issued,
            expires,
        })
    }
}

// === impl Client ===

impl Client {
    /// Verifies a logout token for this client. Where newer keys could help, they are looked for once.
    ///
    /// That the token was not taken before is for the caller to see to: it has a store.
    ///
    /// # Errors
    /// [`ProviderError::Token`] with the rule that it breaks, or why the keys cannot be had.
    pub async fn verify_logout_token(&self, token: &Secret) -> Result<LogoutToken, ProviderError> {
        let provider = self.provider();
        let algorithm = provider.settings().id_token_algorithm;
        let rules = LogoutTokenRules::new(provider.issuer_rule(), self.client_id(), algorithm);
        let now = provider.clock().now();
        self.by_keys(token, |keys| rules.verify(token, keys, now)).await
    }
}

/// s2.4 recommends `typ: logout+jwt` and does not demand it. A token without it is taken only where no other kind of
/// token could look the same (RFC 8725 s3.12).
fn must_look_like_a_logout_token(claims: &Claims) -> Result<(), Refusal> {
    let foreign = ["nonce", "at_hash", "c_hash", "scope", "scp", "client_id"];
    let found = match foreign.into_iter().find(|name| claims.get(name).is_some()) {
        Some(name) => format!("a token with the claim {name}"),
        None if claims.get("events").is_none() => "a token without the claim events".to_owned(),
        None => return Ok(()),
    };
    Err(Refusal::TypeMismatch {
        expected: "logout+jwt".into(),
        found,
    })
}

fn check_time(claims: &Claims, now: UnixTime) -> Result<(UnixTime, UnixTime), Refusal> {
    let expires = claims.time("exp")?.ok_or(Refusal::ExpiryMissing)?;
    let issued = claims.time("iat")?.ok_or_else(|| missing("iat"))?;
    if now >= expires.plus(LEEWAY) {
        return Err(Refusal::Expired { expired: expires, now });
    }
    for (claim, from) in [("iat", Some(issued)), ("nbf", claims.time("nbf")?)] {
        if let Some(from) = from.filter(|from| *from > now.plus(LEEWAY)) {
            return Err(Refusal::NotYetValid { claim, from, now });
        }
    }
    let lifetime = expires.since(issued);
    if lifetime > MAX_LIFETIME {
        return Err(Refusal::ClaimRange {
            claim: "exp".into(),
            found: format!("{lifetime} s after it was issued"),
        });
    }
    Ok((issued, expires))
}

/// s2.4: `events` is an object with the logout member, whose value is an object.
fn check_event(claims: &Claims) -> Result<(), Refusal> {
    let wrong = |claim: &str, found| Refusal::ClaimType {
        claim: claim.into(),
        expected: "object",
        found,
    };
    let events = claims.get("events").ok_or_else(|| missing("events"))?;
    let members = events.as_object().ok_or_else(|| wrong("events", events.kind()))?;
    let event = members.get(LOGOUT_EVENT).ok_or_else(|| missing(LOGOUT_EVENT))?;
    match event.as_object() {
        Some(_) => Ok(()),
        None => Err(wrong(LOGOUT_EVENT, event.kind())),
    }
}

fn identifier<'c>(claims: &'c Claims, name: &'static str) -> Result<Option<&'c str>, Refusal> {
    match claims.optional_str(name)? {
        Some("") => Err(missing(name)),
        Some(text) if text.len() > MAX_IDENTIFIER => Err(Refusal::ClaimValue {
            claim: name.into(),
            expected: format!("at most {MAX_IDENTIFIER} bytes"),
            found: format!("{} bytes", text.len()),
        }),
        found => Ok(found),
    }
}

fn missing(claim: &str) -> Refusal {
    Refusal::ClaimMissing { claim: claim.into() }
}

#[cfg(test)]
#[path = "logout_token_tests.rs"]
mod tests;
