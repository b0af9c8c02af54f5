//! What a cause is recognised by.

use std::collections::BTreeMap;

use portcullis_guard::{Check, Explanation, Outcome};
use portcullis_jose::UnixTime;
use url::Url;

use crate::config::{Access, ApiSettings, Guarded, ProviderSettings, Settings};
use crate::doctor::token::{Decoded, Kind, Slip};

/// A token, and what is known about it.
pub(crate) struct Case<'c> {
    pub(crate) slips: &'c [Slip],
    pub(crate) token: &'c Decoded,
    pub(crate) kind: Kind,
    pub(crate) now: UnixTime,
    pub(crate) judged: Option<Judged<'c>>,
    pub(crate) answer: Option<&'c Answer>,
}

/// What a guard says of the token, and why it may.
pub(crate) struct Judged<'c> {
    pub(crate) explanation: &'c Explanation,
    pub(crate) settings: &'c Settings,
    /// The name of the API that was called.
    pub(crate) api: &'c str,
    /// The name of the policy that was asked.
    pub(crate) policy: Option<&'c str>,
    /// By how many seconds this machine's clock is ahead of each provider's.
    pub(crate) ahead: &'c BTreeMap<String, i64>,
    /// The names of the keys that each provider publishes.
    pub(crate) published: &'c BTreeMap<String, Vec<String>>,
}

/// What a server said to a request with the token.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The values of `WWW-Authenticate`.
    pub(crate) challenges: Vec<String>,
    /// `code` or `error` of a problem document, or the header that development gateways send.
    pub(crate) code: Option<String>,
    /// Who says that it answered: `Server`.
    pub(crate) server: Option<String>,
}

// === impl Case ===

impl<'c> Case<'c> {
    /// The token alone.
    pub(crate) fn alone(token: &'c Decoded, slips: &'c [Slip], now: UnixTime) -> Case<'c> {
        Case {
            slips,
            token,
            kind: Kind::of(token).0,
            now,
            judged: None,
            answer: None,
        }
    }

    /// What the guard said, where the check of this kind failed.
    pub(super) fn failed(&self, check: Check) -> Option<&Judged<'c>> {
        let judged = self.judged.as_ref()?;
        let explained = judged.explanation.check(check)?;
        (explained.outcome == Outcome::Failed).then_some(judged)
    }

    /// What the guard said, where it refused with this code, be it first or later.
    pub(super) fn refused(&self, code: &str) -> Option<&Judged<'c>> {
        let judged = self.judged.as_ref()?;
        let mut checks = judged.explanation.checks.iter();
        checks.any(|explained| explained.code == Some(code)).then_some(judged)
    }

    /// What the guard said, if it refused the token at all.
    pub(super) fn refused_at_all(&self) -> Option<&Judged<'c>> {
        self.judged.as_ref().filter(|judged| !judged.explanation.allowed())
    }

    pub(super) fn has(&self, slip: Slip) -> bool {
        self.slips.contains(&slip)
    }
}

// === impl Judged ===

impl<'c> Judged<'c> {
    pub(super) fn api(&self) -> Option<&'c ApiSettings> {
        self.settings.apis.get(self.api)
    }

    pub(super) fn guarded(&self) -> Option<&'c Guarded> {
        match &self.api()?.access {
            Access::Guarded(guarded) => Some(guarded),
            Access::Anyone => None,
        }
    }

    /// The providers whose tokens the API takes.
    pub(super) fn providers(&self) -> impl Iterator<Item = (&'c str, &'c ProviderSettings)> {
        let names = self
            .guarded()
            .map(|guarded| guarded.providers.as_slice())
            .unwrap_or_default();
        names
            .iter()
            .filter_map(|name| Some((name.as_str(), self.settings.providers.get(name)?)))
    }

    /// The provider whose issuer the token names; the only one, where it names none of them.
    pub(super) fn provider(&self, token: &Decoded) -> Option<(&'c str, &'c ProviderSettings)> {
        let mut all = self.providers();
        let named = self
            .providers()
            .find(|(_, provider)| provider.issuer == token.issuer() || is_tenant(provider, token.issuer()));
        named.or_else(|| all.next())
    }

    pub(super) fn audiences(&self) -> &'c [String] {
        self.guarded()
            .map(|guarded| guarded.audience.as_slice())
            .unwrap_or_default()
    }

    /// What the check of this kind found.
    pub(super) fn found(&self, check: Check) -> &str {
        let explained = self.explanation.check(check);
        explained
            .and_then(|explained| explained.found.as_deref())
            .unwrap_or("nothing")
    }

    /// What the check of this kind expected.
    pub(super) fn expected(&self, check: Check) -> &str {
        let explained = self.explanation.check(check);
        explained
            .and_then(|explained| explained.expected.as_deref())
            .unwrap_or("something else")
    }

    /// By how many seconds our clock is ahead of that of the token's provider, where it was asked.
    pub(super) fn clock_ahead(&self, token: &Decoded) -> Option<i64> {
        let (name, _) = self.provider(token)?;
        self.ahead.get(name).copied()
    }
}

fn is_tenant(provider: &ProviderSettings, issuer: &str) -> bool {
    let filled = |tenant: &String| provider.issuer.replace("{tenantid}", tenant);
    provider.tenants.iter().any(|tenant| filled(tenant) == issuer)
}

/// Scheme, host with port, and path of an issuer.
pub(super) fn parts(issuer: &str) -> Option<(String, String, String)> {
    let url = Url::parse(issuer).ok()?;
    let host = url.host_str()?.to_owned();
    let host = match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host,
    };
    Some((
        url.scheme().to_owned(),
        host,
        url.path().trim_end_matches('/').to_owned(),
    ))
}
