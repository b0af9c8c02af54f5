//! Asking a provider about a token that does not speak for itself: RFC 7662.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use portcullis_jose::{Claims, Limits, Object, Refusal, Secret, UnixTime, Value, Verified, danger, sha256};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::flight::Flight;
use crate::token_rules::{AccessTokenRules, TokenType, check_access_token};
use crate::{Binding, Client, HttpError, HttpsUrl, Provider, ProviderError, token_response};

const ENDPOINT: &str = "introspection endpoint";
/// A request waits for an answer for so long.
const PATIENCE: Duration = Duration::from_secs(5);
/// So many tokens are asked about at a time; whoever comes then is told to come again.
const AT_A_TIME: usize = 256;
/// So many of them may be tokens that were never seen to be active: whoever makes tokens up must leave room for others.
const STRANGERS_AT_A_TIME: usize = 192;
/// A token that was active is no stranger for so long, in seconds.
const KNOWN_FOR: i64 = 3600;
/// So many tokens that were active are remembered.
const MOST_KNOWN: usize = 50_000;
/// A token that is not active is not asked about again for so long, in seconds. One that is made up never becomes good,
/// and one that was issued a moment ago may take a moment to be known everywhere.
const INACTIVE_FOR: i64 = 5;
/// So many tokens that are not active are remembered.
const MOST_INACTIVE: usize = 10_000;
/// How long an answer counts unless the configuration says otherwise, in seconds.
const CACHE_FOR: i64 = 60;

/// Asks a provider about opaque tokens. Cheap to clone; clones share what they know.
#[derive(Clone)]
pub struct Introspection {
    client: Client,
    url: Option<HttpsUrl>,
    cache_for: i64,
    shared: Arc<Shared>,
}

struct Shared {
    permits: Arc<Semaphore>,
    strangers: Arc<Semaphore>,
    /// By SHA-256 of the token: what is under way.
    flights: Mutex<HashMap<[u8; 32], Flight<Answer>>>,
    /// Tokens that are not active: until when they are not asked about again.
    inactive: Recently,
    /// Tokens that were active: until when that is remembered.
    known: Recently,
}

/// Tokens by their SHA-256, each until a time.
struct Recently {
    most: usize,
    tokens: Mutex<HashMap<[u8; 32], UnixTime>>,
}

/// The answer's members if the token is active.
type Answer = Result<Option<Object>, ProviderError>;

// === impl Introspection ===

impl Introspection {
    /// Asks as this client, at the endpoint that the metadata names. The client must have a secret: RFC 7662 s2.1 does
    /// not let anybody ask.
    #[must_use]
    pub fn new(client: Client) -> Introspection {
        Introspection {
            client,
            url: None,
            cache_for: CACHE_FOR,
            shared: Arc::new(Shared {
                permits: Arc::new(Semaphore::new(AT_A_TIME)),
                strangers: Arc::new(Semaphore::new(STRANGERS_AT_A_TIME)),
                flights: Mutex::default(),
                inactive: Recently::new(MOST_INACTIVE),
                known: Recently::new(MOST_KNOWN),
            }),
        }
    }

    /// Asks here, and nothing of the metadata.
    #[must_use]
    pub fn at(self, url: HttpsUrl) -> Introspection {
        Introspection { url: Some(url), ..self }
    }

    /// How long an answer counts, in seconds: 60 by default, 0 to ask on every request. Within it the provider's own
    /// revocation of a token is not seen.
    #[must_use]
    pub fn cache_for(self, seconds: i64) -> Introspection {
        let cache_for = seconds.max(0);
        Introspection { cache_for, ..self }
    }

    /// The provider that is asked.
    #[must_use]
    pub fn provider(&self) -> &Provider {
        self.client.provider()
    }

    /// How long an answer counts, in seconds.
    #[must_use]
    pub fn lifetime(&self) -> i64 {
        self.cache_for
    }

    /// What the provider says of a token: its claims, or `None` where it is not active. Waits 5 s at most; those who
    /// ask about the same token at the same time share one answer.
    ///
    /// The claims are the provider's word and nothing more: [`check_introspected`] has the rules.
    ///
    /// # Errors
    /// The provider could not be asked, or did not answer as RFC 7662 says. Then nobody knows whether the token is good.
    pub async fn claims(&self, token: &str) -> Result<Option<Verified<Claims>>, ProviderError> {
        let hash = sha256(token.as_bytes());
        if self.shared.inactive.has(&hash, self.provider().now()) {
            return Ok(None);
        }
        let landing = self.flight_of(hash).join(|| {
            let permits = self.shared.admit(&hash, self.provider().now())?;
            let (asking, token) = (self.clone(), Secret::new(token));
            Some(async move {
                let answer = asking.ask(&token).await;
                drop(permits);
                lock(&asking.shared.flights).remove(&hash);
                let now = asking.provider().now();
                match &answer {
                    Ok(None) => asking.shared.inactive.add(hash, INACTIVE_FOR, now),
                    Ok(Some(_)) => asking.shared.known.add(hash, KNOWN_FOR, now),
                    Err(_) => {}
                }
                answer
            })
        });
        let Some(landing) = landing else {
            lock(&self.shared.flights).remove(&hash);
            return Err(unreachable("too many tokens are asked about at once".into()));
        };
        let late = |_| ProviderError::Unreachable {
            endpoint: ENDPOINT,
            error: HttpError::TimedOut(PATIENCE.as_secs()),
        };
        let landed = tokio::time::timeout(PATIENCE, landing.wait()).await.map_err(late)?;
        let answer = landed.unwrap_or_else(|| Err(unreachable("the program is ending".into())))?;
        // The endpoint was the provider's, over TLS, asked about this very token; `read` saw `"active": true`.
        Ok(answer.map(|answer| danger::vouched_by_introspection(answer, hash)))
    }

    fn flight_of(&self, hash: [u8; 32]) -> Flight<Answer> {
        lock(&self.shared.flights).entry(hash).or_default().clone()
    }

    async fn ask(&self, token: &Secret) -> Answer {
        let response = self.client.introspect(self.url.as_ref(), token).await?;
        let answer = read(&response)?;
        answer.map(|answer| self.with_issuer(answer)).transpose()
    }

    /// The issuer may be left out (RFC 7662 s2.2): whose token it is was decided by asking. Everything that comes after
    /// goes by the claim.
    fn with_issuer(&self, answer: Object) -> Result<Object, ProviderError> {
        let rule = self.provider().issuer_rule();
        if answer.get("iss").is_some() || rule.is_template() {
            return Ok(answer);
        }
        let mut members = answer.to_json();
        if let Some(members) = members.as_object_mut() {
            members.insert("iss".into(), rule.as_str().into());
        }
        object(members.to_string().as_bytes())
    }
}

impl fmt::Debug for Introspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Introspection")
            .field("client", &self.client)
            .field("url", &self.url)
            .field("cache_for", &self.cache_for)
            .finish_non_exhaustive()
    }
}

impl Shared {
    /// A place among those that are asked about, which ends when it is dropped.
    fn admit(&self, hash: &[u8; 32], now: UnixTime) -> Option<[Option<OwnedSemaphorePermit>; 2]> {
        let take = |places: &Arc<Semaphore>| Arc::clone(places).try_acquire_owned().ok();
        let stranger = match self.known.has(hash, now) {
            true => None,
            false => Some(take(&self.strangers)?),
        };
        Some([Some(take(&self.permits)?), stranger])
    }
}

impl Recently {
    fn new(most: usize) -> Recently {
        Recently {
            most,
            tokens: Mutex::default(),
        }
    }

    fn has(&self, hash: &[u8; 32], now: UnixTime) -> bool {
        lock(&self.tokens).get(hash).is_some_and(|until| now < *until)
    }

    fn add(&self, hash: [u8; 32], seconds: i64, now: UnixTime) {
        let mut tokens = lock(&self.tokens);
        if tokens.len() >= self.most {
            tokens.retain(|_, until| now < *until);
        }
        if tokens.len() < self.most || tokens.contains_key(&hash) {
            tokens.insert(hash, now.plus(seconds));
        }
    }
}

/// The rules on the claims of a token that its provider was asked about: those of a JWT, but for what a JWT shows of
/// itself. `aud` and `exp` are as mandatory here as there, although RFC 7662 lets a provider leave them out: without
/// them a token for any other API would be taken, and forever.
///
/// # Errors
/// The first rule that is broken.
pub fn check_introspected(
    claims: &Verified<Claims>,
    rules: &AccessTokenRules,
    now: UnixTime,
) -> Result<Binding, Refusal> {
    check_access_token(claims, &introspected_rules(rules), now)?;
    introspected_binding(claims)
}

/// What the token is bound to. One that is said to be of the kind `DPoP` (RFC 9449 s5) is bound to a key also where the
/// answer does not name it as RFC 9449 s6.2 demands, and nobody can prove to have that one.
///
/// # Errors
/// [`Refusal::BindingRequired`] where the key is not named, or `cnf` cannot be read.
pub fn introspected_binding(claims: &Verified<Claims>) -> Result<Binding, Refusal> {
    let binding = Binding::of(claims)?;
    let mut kinds = ["token_type", "typ"]
        .into_iter()
        .filter_map(|member| claims.str(member));
    if binding.jkt().is_none() && kinds.any(|kind| kind.eq_ignore_ascii_case("dpop")) {
        return Err(Refusal::BindingRequired { method: "jkt".into() });
    }
    Ok(binding)
}

/// The rules of an API as they hold for an answer of the provider's, which has no `typ` header, and perhaps no `iat`.
#[must_use]
pub fn introspected_rules(rules: &AccessTokenRules) -> AccessTokenRules {
    let mut rules = rules.clone();
    rules.token_type = TokenType::Any;
    rules.require_iat = false;
    rules
}

/// Judges an answer (RFC 7662 s2.2). What is not exactly as it should be says nothing about the token.
fn read(response: &http::Response<Bytes>) -> Answer {
    if response.status() != StatusCode::OK {
        return Err(token_response::parse_failure(
            ENDPOINT,
            response.status(),
            response.body(),
        ));
    }
    let json = response.headers().get(CONTENT_TYPE).is_some_and(|kind| {
        let kind = kind.as_bytes();
        let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default();
        kind.trim_ascii().eq_ignore_ascii_case(b"application/json")
    });
    if !json {
        return Err(bad("it is not application/json"));
    }
    let answer = object(response.body())?;
    match answer.get("active") {
        Some(Value::Bool(true)) => Ok(Some(answer)),
        Some(Value::Bool(false)) => Ok(None),
        _ => Err(bad("its member active is neither true nor false")),
    }
}

fn object(text: &[u8]) -> Result<Object, ProviderError> {
    Object::parse(text, "introspection answer", &Limits::default()).map_err(|refusal| bad(&refusal.to_string()))
}

fn bad(why: &str) -> ProviderError {
    ProviderError::BadAnswer {
        endpoint: ENDPOINT,
        why: why.to_owned(),
    }
}

fn unreachable(why: String) -> ProviderError {
    ProviderError::Unreachable {
        endpoint: ENDPOINT,
        error: HttpError::Unreachable(why),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "introspection_tests.rs"]
mod tests;
