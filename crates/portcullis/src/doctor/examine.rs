//! A token before the guard of an API: every check, and what probably led to a refusal.

use std::collections::BTreeMap;
use std::sync::Arc;

use portcullis_audit::{Audit, Refused};
use portcullis_guard::{Check, Explanation, GuardError, NamedPolicy, Outcome, Presented};
use portcullis_jose::{Clock, Refusal};

use super::asking;
use super::causes::{self, Answer, Case, Judged, Likely};
use super::token::{Decoded, Kind, Written};
use crate::config::Settings;
use crate::gateway::{GuardedApi, providers};

/// A call, and the guard that it meets.
pub(crate) struct Call<'c> {
    pub(crate) settings: &'c Settings,
    pub(crate) api: &'c str,
    pub(crate) guarded: &'c GuardedApi,
    pub(crate) method: &'c str,
    pub(crate) path: &'c str,
    pub(crate) policy: Option<&'c NamedPolicy>,
    /// The call has a token in its query too.
    pub(crate) token_in_query: bool,
    pub(crate) clock: &'c Arc<dyn Clock>,
    /// Whether the clock of the provider may be asked for: not where the time is made up.
    pub(crate) asks_clock: bool,
}

/// What came of it.
pub(crate) struct Examined {
    /// The guard's word on what was sent, slips and all.
    pub(crate) explanation: Explanation,
    pub(crate) token: Decoded,
    pub(crate) kind: Kind,
    pub(crate) because: String,
    pub(crate) causes: Vec<Likely>,
}

/// Says of a check that the call fails it. Of several that fail, the first decides.
pub(crate) fn fails(explanation: &mut Explanation, check: Check, refused: Refused) {
    for explained in explanation
        .checks
        .iter_mut()
        .filter(|explained| explained.check == check)
    {
        explained.outcome = Outcome::Failed;
        explained.code = Some(refused.code);
        explained.expected.clone_from(&refused.expected);
        explained.found.clone_from(&refused.found);
    }
    let mut failed = explanation
        .checks
        .iter()
        .filter(|explained| explained.outcome == Outcome::Failed);
    if failed.next().is_some_and(|first| first.check == check) {
        explanation.status = refused.status();
        explanation.refused = Some(refused);
    }
}

// === impl Call ===

impl Call<'_> {
    /// Lets the guard judge, and looks for causes. `answer` is what a server said to a request with the token.
    pub(crate) async fn examine(&self, written: &Written, answer: Option<&Answer>) -> Examined {
        let token = Decoded::of(written.token.expose());
        let (kind, because) = Kind::of(&token);
        let mut explanation = self.explain(written.sent.expose()).await;
        // What the token itself is good for is seen without the slips.
        let repaired = match written.slips.is_empty() {
            true => explanation.clone(),
            false => self.explain(written.token.expose()).await,
        };
        let published = match repaired.refused.as_ref().map(|refused| refused.code) {
            Some("keys.unknown_kid") => self.published().await,
            _ => BTreeMap::new(),
        };
        let about_time = |code: &str| matches!(code, "token.expired" | "token.not_yet_valid");
        let ahead = match &repaired.refused {
            Some(refused) if about_time(refused.code) && self.asks_clock => self.clocks(&token).await,
            _ => BTreeMap::new(),
        };
        let case = Case {
            slips: &written.slips,
            kind,
            token: &token,
            now: self.clock.now(),
            judged: Some(Judged {
                explanation: &repaired,
                settings: self.settings,
                api: self.api,
                policy: self.policy.map(NamedPolicy::name),
                ahead: &ahead,
                published: &published,
            }),
            answer,
        };
        let mut causes = causes::likely(&case);
        if repaired.allowed() && written.slips.is_empty() {
            // Nothing is wrong with the token: what is left is what happened on its way.
            causes.retain(|likely| answer.is_some() && likely.entry.name == "cause.header_stripped");
        }
        if self.token_in_query && self.guarded.bearer {
            fails(
                &mut explanation,
                Check::Credential,
                GuardError::from(Refusal::InQuery).refused(),
            );
        }
        Examined {
            explanation,
            token,
            kind,
            because,
            causes,
        }
    }

    async fn explain(&self, text: &str) -> Explanation {
        let presented = Presented::token_alone(text).called(self.method, self.path);
        self.guarded.guard.explain(&presented, self.policy).await
    }

    /// The names of the keys that each provider publishes, as far as they answer.
    async fn published(&self) -> BTreeMap<String, Vec<String>> {
        let audit = Audit::new(portcullis_audit::AuditSettings::in_memory(), self.clock.clone());
        let Ok(providers) = providers(self.settings, &audit, self.clock) else {
            return BTreeMap::new();
        };
        let mut published = BTreeMap::new();
        for (name, trusted) in providers {
            if let Ok(keys) = trusted.provider.keys_or_fetch().await {
                let kids = keys.set.kids().map(|kid| kid.unwrap_or("(none)").to_owned()).collect();
                published.insert(name, kids);
            }
        }
        published
    }

    /// The clock of the provider that the token names.
    async fn clocks(&self, token: &Decoded) -> BTreeMap<String, i64> {
        let mut clocks = BTreeMap::new();
        for (name, provider) in &self.settings.providers {
            if provider.issuer == token.issuer()
                && let Some(ahead) = asking::clock_ahead(provider, &**self.clock).await
            {
                clocks.insert(name.clone(), ahead);
            }
        }
        clocks
    }
}
