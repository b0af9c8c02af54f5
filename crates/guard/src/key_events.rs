//! What happens to a provider's keys, as events and counts.

use std::sync::Arc;

use portcullis_audit::{Audit, Event};
use portcullis_oidc::{Observer, ProviderEvent};

/// Tells an audit of what happens to a provider's keys: each fetch is counted, and what is news is an event.
#[must_use]
pub fn report_keys(audit: Audit) -> Observer {
    Arc::new(move |provider, event| match event {
        ProviderEvent::KeysRefreshed { keys, ignored, news } => {
            audit.metrics().keys_fetched(provider, *keys);
            if *news {
                let (provider, keys, ignored) = (provider.to_owned(), *keys, ignored.clone());
                audit.emit(
                    None,
                    Event::KeysRefreshed {
                        provider,
                        keys,
                        ignored,
                    },
                );
            }
        }
        ProviderEvent::KeysUnavailable { age, error, news } => {
            audit.metrics().provider_failed(provider);
            if *news {
                let event = Event::KeysUnavailable {
                    provider: provider.to_owned(),
                    age_seconds: *age,
                    reason: error.to_string(),
                };
                audit.emit(None, event);
            }
        }
        _ => {}
    })
}
