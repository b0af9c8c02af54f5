use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use portcullis_jose::{Secret, UnixTime, sha256};

use crate::flight::Flight;
use crate::{Client, ProviderError, TokenTarget};

/// A token without a stated lifetime is used for so long, in seconds.
const UNSTATED_LIFETIME: i64 = 60;
/// So many tokens are kept; the ones that end first make room.
const KEPT: usize = 10_000;

/// Exchanges people's tokens for narrower ones (RFC 8693): for one upstream, with fewer scopes. Each is kept as long as
/// it lives, and asked for once however many calls need it at the same time. Cheap to clone.
#[derive(Clone)]
pub struct TokenExchange(Arc<Inner>);

struct Inner {
    client: Client,
    target: TokenTarget,
    kept: Mutex<HashMap<[u8; 32], Kept>>,
}

#[derive(Clone, Default)]
struct Kept {
    token: Option<(Secret, UnixTime)>,
    flight: Flight<Result<Secret, ProviderError>>,
}

// === impl TokenExchange ===

impl TokenExchange {
    /// Tokens for this target, by this client. Where it has a DPoP key, they are bound to that (RFC 9449 s5): whoever
    /// presents one proves the key.
    #[must_use]
    pub fn new(client: Client, target: TokenTarget) -> TokenExchange {
        TokenExchange(Arc::new(Inner {
            client,
            target,
            kept: Mutex::default(),
        }))
    }

    /// A token for the target, in the name of the person whose token this is.
    ///
    /// # Errors
    /// The provider's refusal, or why it could not be asked.
    pub async fn token_for(&self, subject_token: &Secret) -> Result<Secret, ProviderError> {
        let key = sha256(subject_token.expose().as_bytes());
        let now = self.now();
        let flight = {
            let mut kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
            let entry = kept.entry(key).or_default();
            if let Some((token, _)) = entry.token.as_ref().filter(|(_, until)| now < *until) {
                return Ok(token.clone());
            }
            entry.flight.clone()
        };
        let landing = flight.join_or(self.clone().exchange(key, subject_token.clone()));
        landing.wait().await.unwrap_or_else(|| {
            Err(ProviderError::BadAnswer {
                endpoint: "token endpoint",
                why: "the request was interrupted".into(),
            })
        })
    }

    async fn exchange(self, key: [u8; 32], subject_token: Secret) -> Result<Secret, ProviderError> {
        let asked = self.now();
        // Another flight may have ended between the look and this one.
        if let Some(token) = self.kept(&key, asked) {
            return Ok(token);
        }
        let result = self.0.client.exchange_token(&subject_token, &self.0.target).await;
        let mut kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let Ok(response) = result else {
            kept.remove(&key);
            return result.map(|response| response.access_token);
        };
        let lifetime = response.expires_in.unwrap_or(UNSTATED_LIFETIME);
        // Whoever gets it has time to use it.
        let until = asked.plus(lifetime * 4 / 5);
        kept.entry(key).or_default().token = Some((response.access_token.clone(), until));
        if kept.len() > KEPT {
            make_room(&mut kept, asked);
        }
        Ok(response.access_token)
    }

    fn kept(&self, key: &[u8; 32], now: UnixTime) -> Option<Secret> {
        let kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let (token, until) = kept.get(key)?.token.as_ref()?;
        (now < *until).then(|| token.clone())
    }

    fn now(&self) -> UnixTime {
        self.0.client.provider().clock().now()
    }
}

/// Removes what is over, and if that is not enough the half that ends first.
fn make_room(kept: &mut HashMap<[u8; 32], Kept>, now: UnixTime) {
    let ends = |kept: &Kept| kept.token.as_ref().map_or(i64::MAX, |(_, until)| until.as_secs());
    kept.retain(|_, kept| now.as_secs() < ends(kept));
    if kept.len() > KEPT {
        let mut all: Vec<i64> = kept.values().map(ends).collect();
        let middle = all.len() / 2;
        let (_, median, _) = all.select_nth_unstable(middle);
        let median = *median;
        kept.retain(|_, kept| median < ends(kept));
    }
}

impl fmt::Debug for TokenExchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenExchange")
            .field("client_id", &self.0.client.client_id())
            .field("target", &self.0.target)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "token_exchange_tests.rs"]
mod tests;
