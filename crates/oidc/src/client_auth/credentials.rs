use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use portcullis_jose::{Secret, SigningKey, UnixTime, sha256};

use super::AuthMethod;
use crate::{BoxFuture, HttpClient, ProviderError};

/// A credential that the provider refused is the last choice for so long, in seconds. Then it is tried again: some
/// providers take minutes until a new secret is known everywhere.
const REFUSED_FOR: i64 = 300;

/// What proves a client.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Proof {
    /// A secret.
    Secret(Secret),
    /// A private key, which signs an assertion for each request.
    Key(SigningKey),
    /// A certificate, shown by this HTTP client.
    Certificate(Arc<dyn HttpClient>),
    /// An assertion that somebody else has signed.
    Assertion(Secret),
}

/// One of the secrets, keys or certificates of a client, and when it is valid.
#[derive(Debug, Clone)]
pub struct Credential {
    label: Arc<str>,
    proof: Proof,
    not_before: Option<UnixTime>,
    expires: Option<UnixTime>,
}

/// Where the credentials of a client come from. It is asked at each request, so an implementation looks at what may
/// have changed as cheaply as it can.
pub trait CredentialSource: Send + Sync + fmt::Debug {
    /// What there is now, in the order of preference. `refused` says that the provider has just refused one: what is
    /// costly to look at should be looked at again.
    fn load(&self, refused: bool) -> BoxFuture<'_, Result<Vec<Credential>, ProviderError>>;
}

/// Something that happened to a credential.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CredentialEvent {
    /// The provider answered `invalid_client` to this one.
    Refused {
        /// Which one.
        credential: Arc<str>,
        /// Which one is tried in its place, if there is another.
        next: Option<Arc<str>>,
    },
}

/// Is told of each [`CredentialEvent`].
pub type CredentialObserver = Arc<dyn Fn(&CredentialEvent) + Send + Sync>;

/// The credentials of a client that has several, or whose one may change. Cheap to clone.
#[derive(Clone)]
pub struct Credentials(Arc<Inner>);

struct Inner {
    method: AuthMethod,
    source: Box<dyn CredentialSource>,
    observer: CredentialObserver,
    marks: Mutex<Marks>,
}

/// What is known of credentials, by their fingerprints.
#[derive(Default)]
struct Marks {
    /// When the provider refused it.
    refused: HashMap<[u8; 32], UnixTime>,
    /// The one that it took last.
    taken: Option<[u8; 32]>,
}

// === impl Credential ===

impl Credential {
    /// A credential that is valid without end. The label names it in events; it is no part of the credential.
    #[must_use]
    pub fn new(label: impl Into<Arc<str>>, proof: Proof) -> Credential {
        Credential {
            label: label.into(),
            proof,
            not_before: None,
            expires: None,
        }
    }

    /// The same, valid from and until these times only.
    #[must_use]
    pub fn valid(self, not_before: Option<UnixTime>, expires: Option<UnixTime>) -> Credential {
        Credential {
            not_before,
            expires,
            ..self
        }
    }

    /// Its name in events.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.label
    }

    /// What it is.
    #[must_use]
    pub fn proof(&self) -> &Proof {
        &self.proof
    }

    /// When it expires, where that is known.
    #[must_use]
    pub fn expires(&self) -> Option<UnixTime> {
        self.expires
    }

    fn has_begun(&self, now: UnixTime) -> bool {
        self.not_before.is_none_or(|from| from <= now)
    }

    fn is_over(&self, now: UnixTime) -> bool {
        self.expires.is_some_and(|until| until <= now)
    }

    /// Tells two of them apart without keeping either.
    fn fingerprint(&self) -> [u8; 32] {
        match &self.proof {
            Proof::Secret(secret) | Proof::Assertion(secret) => sha256(secret.expose().as_bytes()),
            Proof::Key(key) => sha256(format!("{}{}", key.public_key().thumbprint(), key.kid()).as_bytes()),
            Proof::Certificate(http) => sha256(format!("{:p}", Arc::as_ptr(http)).as_bytes()),
        }
    }
}

// === impl Credentials ===

impl Credentials {
    /// Credentials for this method out of this source.
    #[must_use]
    pub fn new(
        method: AuthMethod,
        source: impl CredentialSource + 'static,
        observer: CredentialObserver,
    ) -> Credentials {
        Credentials(Arc::new(Inner {
            method,
            source: Box::new(source),
            observer,
            marks: Mutex::default(),
        }))
    }

    /// The method.
    #[must_use]
    pub fn method(&self) -> AuthMethod {
        self.0.method
    }

    /// What there is now.
    ///
    /// # Errors
    /// [`ProviderError::Credential`]: none of them can be had.
    pub async fn all(&self) -> Result<Vec<Credential>, ProviderError> {
        self.0.source.load(false).await
    }

    /// The best of those that are not in `refused`.
    pub(super) async fn choose(&self, now: UnixTime, refused: &[Credential]) -> Result<Credential, ProviderError> {
        let all = self.0.source.load(false).await?;
        self.best(all, now, refused).ok_or_else(|| ProviderError::Credential {
            why: "none of the client's credentials is valid now".into(),
        })
    }

    /// Remembers that the provider refused this one, and looks for another.
    pub(super) async fn refused(
        &self,
        now: UnixTime,
        credential: &Credential,
        refused: &[Credential],
    ) -> Option<Credential> {
        self.lock().refused.insert(credential.fingerprint(), now);
        // One that cannot be read now is no other.
        let all = self.0.source.load(true).await.unwrap_or_default();
        let next = self.best(all, now, refused);
        (self.0.observer)(&CredentialEvent::Refused {
            credential: credential.label.clone(),
            next: next.as_ref().map(|next| next.label.clone()),
        });
        next
    }

    /// Remembers that the provider knows this one.
    pub(super) fn taken(&self, credential: &Credential) {
        let fingerprint = credential.fingerprint();
        let mut marks = self.lock();
        marks.refused.remove(&fingerprint);
        marks.taken = Some(fingerprint);
    }

    fn best(&self, all: Vec<Credential>, now: UnixTime, refused: &[Credential]) -> Option<Credential> {
        let mut marks = self.lock();
        marks
            .refused
            .retain(|_, since| (0..REFUSED_FOR).contains(&now.since(*since)));
        let just_refused: Vec<[u8; 32]> = refused.iter().map(Credential::fingerprint).collect();
        let mut fit: Vec<(Credential, [u8; 32])> = all
            .into_iter()
            .filter(|credential| credential.has_begun(now))
            .map(|credential| {
                let fingerprint = credential.fingerprint();
                (credential, fingerprint)
            })
            .filter(|(_, fingerprint)| !just_refused.contains(fingerprint))
            .collect();
        // The newest first, but after a refusal the one that is known to work. The sort is stable: where no dates tell,
        // the order of the source does.
        fit.sort_by_key(|(credential, fingerprint)| {
            let begins = credential.not_before.map_or(i64::MIN, UnixTime::as_secs);
            let proven = !just_refused.is_empty() && marks.taken == Some(*fingerprint);
            let refused = marks.refused.contains_key(fingerprint);
            // What has expired may be good all the same, if somebody wrote the wrong date.
            (credential.is_over(now), refused, !proven, std::cmp::Reverse(begins))
        });
        fit.into_iter().next().map(|(credential, _)| credential)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Marks> {
        self.0.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("method", &self.0.method)
            .field("source", &self.0.source)
            .finish_non_exhaustive()
    }
}
