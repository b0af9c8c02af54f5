//! The rules that an ID token has to keep: OpenID Connect Core 1.0 s3.1.3.7 and s12.2.

use portcullis_jose::{
    Algorithm, AlgorithmSet, Claims, JwkSet, Limits, Refusal, Secret, UnixTime, UnverifiedJws, Verified,
    base64url_encode, constant_time_eq, sha256,
};

use crate::IssuerRule;

/// How far clocks may be apart for an ID token, in seconds.
const LEEWAY: i64 = 60;

/// What an ID token must say.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct IdTokenRules<'a> {
    /// Whose tokens count.
    pub issuer: &'a IssuerRule,
    /// Our client identifier, which must be the audience.
    pub client_id: &'a str,
    /// The algorithm, pinned by configuration.
    pub algorithm: Algorithm,
    /// The nonce that was sent; `None` for a token that came with a refresh.
    pub nonce: Option<&'a Secret>,
    /// The access token that came with it, compared with `at_hash` where that is present.
    pub access_token: Option<&'a Secret>,
}

impl<'a> IdTokenRules<'a> {
    /// The rules for an issuer and a client.
    #[must_use]
    pub fn new(issuer: &'a IssuerRule, client_id: &'a str, algorithm: Algorithm) -> IdTokenRules<'a> {
        IdTokenRules {
            issuer,
            client_id,
            algorithm,
            nonce: None,
            access_token: None,
        }
    }

    /// Verifies an ID token. The signature is checked although the token came over TLS.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn verify(&self, token: &Secret, keys: &JwkSet, now: UnixTime) -> Result<Verified<Claims>, Refusal> {
        let jws = UnverifiedJws::parse(token.expose(), &Limits::default())?;
        let pinned = AlgorithmSet::of(&[self.algorithm]);
        jws.require_algorithm(pinned)?;
        self.issuer.check(jws.unverified_issuer()?)?;
        let claims = jws.verify(keys, pinned)?;
        self.check(&claims, now)?;
        Ok(claims)
    }

    fn check(&self, claims: &Claims, now: UnixTime) -> Result<(), Refusal> {
        self.issuer.check_claims(claims)?;
        let expires = claims.time("exp")?.ok_or(Refusal::ExpiryMissing)?;
        let issued = claims
            .time("iat")?
            .ok_or(Refusal::ClaimMissing { claim: "iat".into() })?;
        if now >= expires.plus(LEEWAY) {
            return Err(Refusal::Expired { expired: expires, now });
        }
        for (claim, from) in [("iat", Some(issued)), ("nbf", claims.time("nbf")?)] {
            if let Some(from) = from.filter(|from| *from > now.plus(LEEWAY)) {
                return Err(Refusal::NotYetValid { claim, from, now });
            }
        }
        // s3.1.3.7 (3): our client, and no audience beside it that we do not trust by name.
        let audiences = claims.strings("aud")?.ok_or(Refusal::AudienceMissing)?;
        if audiences.is_empty() || audiences.iter().any(|audience| *audience != self.client_id) {
            return Err(Refusal::AudienceMismatch {
                expected: self.client_id.into(),
                found: audiences.join(", "),
            });
        }
        // s3.1.3.7 (5)
        if let Some(party) = claims.optional_str("azp")?.filter(|party| *party != self.client_id) {
            let (expected, found) = (self.client_id.to_owned(), party.to_owned());
            return Err(Refusal::ClaimValue {
                claim: "azp".into(),
                expected,
                found,
            });
        }
        match claims.optional_str("sub")? {
            None | Some("") => return Err(Refusal::SubjectMissing),
            Some(subject) if subject.len() > 255 => {
                let found = format!("{} bytes", subject.len());
                return Err(Refusal::ClaimValue {
                    claim: "sub".into(),
                    expected: "at most 255 bytes".into(),
                    found,
                });
            }
            Some(_) => {}
        }
        if let Some(sent) = self.nonce {
            let found = claims.optional_str("nonce")?.unwrap_or_default();
            if !constant_time_eq(found.as_bytes(), sent.expose().as_bytes()) {
                return Err(Refusal::ClaimValue {
                    claim: "nonce".into(),
                    expected: "the nonce of this login".into(),
                    found: if found.is_empty() { "none" } else { "another" }.into(),
                });
            }
        }
        self.check_access_token_hash(claims)
    }

    /// s3.1.3.6: the left half of the hash that belongs to the algorithm.
    fn check_access_token_hash(&self, claims: &Claims) -> Result<(), Refusal> {
        let (Some(token), Some(found)) = (self.access_token, claims.optional_str("at_hash")?) else {
            return Ok(());
        };
        let sha2 = match self.algorithm {
            Algorithm::RS256 | Algorithm::PS256 | Algorithm::ES256 => sha256(token.expose().as_bytes()),
            // The other hashes are longer; none of them is in use for at_hash by a provider that is known to us.
            _ => return Ok(()),
        };
        let (left, _) = sha2.split_at(16);
        if constant_time_eq(base64url_encode(left).as_bytes(), found.as_bytes()) {
            return Ok(());
        }
        Err(Refusal::ClaimValue {
            claim: "at_hash".into(),
            expected: "the hash of the access token beside it".into(),
            found: "another".into(),
        })
    }
}

#[cfg(test)]
#[path = "id_token_tests.rs"]
mod tests;
