//! Whose tokens count: one issuer to the letter, or the tenants of a template.

use std::fmt;

use portcullis_jose::{Claims, Refusal};

/// The part of a template that a token's own tenant takes the place of, as Microsoft Entra's metadata spell it.
const PLACE: &str = "{tenantid}";

/// What a token's `iss` must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerRule {
    /// The issuer, or the template.
    text: String,
    /// None: exactly this text.
    tenants: Option<Tenants>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Tenants {
    before: String,
    after: String,
    allowed: Vec<String>,
}

/// A template that names no tenant, or every one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IssuerError {
    /// There is no place for a tenant in it, or several.
    #[error("the issuer {0:?} does not have {PLACE} exactly once")]
    NoPlace(String),
    /// Without a list, any customer of the provider could issue tokens.
    #[error("the tenants whose tokens count must be listed")]
    NoTenants,
    /// A tenant is an identifier, and nothing that could reach into the rest of a URL.
    #[error("{0:?} is no tenant: letters, digits and hyphens, as the claim `tid` has it")]
    BadTenant(String),
}

// === impl IssuerRule ===

impl IssuerRule {
    /// Exactly this issuer, byte for byte.
    #[must_use]
    pub fn exactly(issuer: impl Into<String>) -> IssuerRule {
        IssuerRule {
            text: issuer.into(),
            tenants: None,
        }
    }

    /// The issuers of these tenants: `template` with each in the place of `{tenantid}`.
    ///
    /// A token counts if its `iss` is the template filled with its own `tid`, and that is one of the tenants. There is
    /// no wildcard: whoever may create a tenant could issue tokens then.
    ///
    /// # Errors
    /// [`IssuerError`]
    pub fn tenants(template: impl Into<String>, tenants: &[String]) -> Result<IssuerRule, IssuerError> {
        let text: String = template.into();
        let (before, after) = match text.split_once(PLACE) {
            Some((before, after)) if !after.contains(PLACE) => (before.to_owned(), after.to_owned()),
            _ => return Err(IssuerError::NoPlace(text)),
        };
        if tenants.is_empty() {
            return Err(IssuerError::NoTenants);
        }
        let plain = |tenant: &&String| {
            !tenant.is_empty() && tenant.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        };
        if let Some(bad) = tenants.iter().find(|tenant| !plain(tenant)) {
            return Err(IssuerError::BadTenant(bad.clone()));
        }
        let allowed = tenants.to_vec();
        Ok(IssuerRule {
            text,
            tenants: Some(Tenants { before, after, allowed }),
        })
    }

    /// The issuer, or the template as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it is a template.
    #[must_use]
    pub fn is_template(&self) -> bool {
        self.tenants.is_some()
    }

    /// Every issuer whose tokens may count: one, or that of each tenant.
    #[must_use]
    pub fn issuers(&self) -> Vec<String> {
        match &self.tenants {
            None => vec![self.text.clone()],
            Some(tenants) => tenants.issuers().collect(),
        }
    }

    /// Whether tokens with this `iss` may count.
    #[must_use]
    pub fn matches(&self, issuer: &str) -> bool {
        match &self.tenants {
            None => issuer == self.text,
            Some(tenants) => tenants.of(issuer).is_some(),
        }
    }

    /// Whether both would take the same issuer's tokens.
    #[must_use]
    pub fn overlaps(&self, other: &IssuerRule) -> bool {
        match &self.tenants {
            None => other.matches(&self.text),
            Some(tenants) => tenants.issuers().any(|issuer| other.matches(&issuer)),
        }
    }

    /// Whether a published key may be used for these issuers. Entra's keys say in a member `issuer` whose they are:
    /// those of all tenants name the template, those of one tenant that tenant.
    pub(crate) fn takes_key_of(&self, issuer: &str) -> bool {
        issuer == self.text || self.matches(issuer)
    }

    /// The rule on a token's `iss`, before its signature is looked at.
    ///
    /// # Errors
    /// [`Refusal::IssuerMismatch`]
    pub fn check(&self, issuer: Option<&str>) -> Result<(), Refusal> {
        match issuer {
            Some(issuer) if self.matches(issuer) => Ok(()),
            found => Err(Refusal::IssuerMismatch {
                expected: self.to_string(),
                found: found.unwrap_or("(none)").to_owned(),
            }),
        }
    }

    /// The rule on the claims of a verified token: `iss` once more, and for a template that `tid` is the tenant that
    /// `iss` names.
    ///
    /// # Errors
    /// [`Refusal::IssuerMismatch`], or what is wrong with `tid`.
    pub fn check_claims(&self, claims: &Claims) -> Result<(), Refusal> {
        let issuer = claims.str("iss");
        self.check(issuer)?;
        let Some(tenant) = self
            .tenants
            .as_ref()
            .zip(issuer)
            .and_then(|(tenants, iss)| tenants.of(iss))
        else {
            return Ok(());
        };
        match claims.optional_str("tid")? {
            None => Err(Refusal::ClaimMissing { claim: "tid".into() }),
            Some(found) if found == tenant => Ok(()),
            Some(found) => Err(Refusal::ClaimValue {
                claim: "tid".into(),
                expected: tenant.to_owned(),
                found: found.to_owned(),
            }),
        }
    }
}

impl Tenants {
    /// The tenant that an issuer belongs to, if it is one of ours.
    fn of<'i>(&self, issuer: &'i str) -> Option<&'i str> {
        let tenant = issuer.strip_prefix(&*self.before)?.strip_suffix(&*self.after)?;
        self.allowed.iter().any(|allowed| allowed == tenant).then_some(tenant)
    }

    fn issuers(&self) -> impl Iterator<Item = String> {
        let filled = |tenant| format!("{}{tenant}{}", self.before, self.after);
        self.allowed.iter().map(filled)
    }
}

impl From<&str> for IssuerRule {
    fn from(issuer: &str) -> IssuerRule {
        IssuerRule::exactly(issuer)
    }
}

impl From<String> for IssuerRule {
    fn from(issuer: String) -> IssuerRule {
        IssuerRule::exactly(issuer)
    }
}

/// What is accepted, as a refusal says it.
impl fmt::Display for IssuerRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        match &self.tenants {
            None => Ok(()),
            Some(tenants) => write!(f, " (tenant {})", tenants.allowed.join(" or ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEMPLATE: &str = "https://login.microsoftonline.com/{tenantid}/v2.0";
    const OURS: &str = "9122040d-6c67-4c5b-b112-36a304b66dad";
    const THEIRS: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";

    fn filled(tenant: &str) -> String {
        TEMPLATE.replace(PLACE, tenant)
    }

    fn rule() -> IssuerRule {
        IssuerRule::tenants(TEMPLATE, &[OURS.to_owned()]).unwrap()
    }

    #[test]
    fn an_issuer_is_equal_to_the_letter() {
        let rule = IssuerRule::exactly("https://a.example");
        assert!(rule.matches("https://a.example"));
        for other in ["https://a.example/", "https://A.example", "http://a.example", ""] {
            assert!(!rule.matches(other), "{other}");
        }
        assert_eq!(rule.check(None).unwrap_err().code(), "token.issuer_mismatch");
    }

    #[test]
    fn a_template_takes_the_tenants_of_its_list_alone() {
        let rule = rule();
        assert!(rule.matches(&filled(OURS)));
        let others = [
            filled(THEIRS),
            filled(""),
            filled(PLACE),
            TEMPLATE.to_owned(),
            filled(&OURS.to_uppercase()),
            filled(&format!("{OURS}/v2.0/{OURS}")),
            format!("{}/", filled(OURS)),
            "https://login.microsoftonline.com/v2.0".to_owned(),
        ];
        for other in others {
            assert!(!rule.matches(&other), "{other}");
            assert_eq!(rule.check(Some(&other)).unwrap_err().code(), "token.issuer_mismatch");
        }
    }

    #[test]
    fn a_template_needs_one_place_and_plain_tenants() {
        let with = |template: &str, tenants: &[&str]| {
            let tenants: Vec<String> = tenants.iter().map(|tenant| (*tenant).to_owned()).collect();
            IssuerRule::tenants(template, &tenants).map(|_| ())
        };
        assert_eq!(with(TEMPLATE, &[OURS, THEIRS]), Ok(()));
        assert_eq!(with(TEMPLATE, &[]), Err(IssuerError::NoTenants));
        for template in ["https://a.example", "https://{tenantid}.example/{tenantid}"] {
            assert_eq!(with(template, &[OURS]), Err(IssuerError::NoPlace(template.into())));
        }
        for tenant in ["", "*", "a/b", "a.example#", PLACE] {
            assert_eq!(with(TEMPLATE, &[tenant]), Err(IssuerError::BadTenant(tenant.into())));
        }
    }

    #[test]
    fn rules_that_take_the_same_tokens_overlap() {
        let rule = rule();
        assert!(rule.overlaps(&rule) && rule.overlaps(&filled(OURS).into()));
        assert!(IssuerRule::exactly(filled(OURS)).overlaps(&rule));
        assert!(!rule.overlaps(&filled(THEIRS).into()) && !rule.overlaps(&TEMPLATE.into()));
        assert!(rule.takes_key_of(TEMPLATE) && rule.takes_key_of(&filled(OURS)) && !rule.takes_key_of(&filled(THEIRS)));
    }
}
