//! What proves a client, read again when it changes: nothing is restarted for a new secret.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use portcullis_audit::{Audit, Event};
use portcullis_jose::{Algorithm, Clock, Secret, UnixTime};
use portcullis_oidc::client_auth::{
    AssertionFile, AuthMethod, Credential, CredentialEvent, CredentialObserver, CredentialSource, Credentials, Proof,
};
use portcullis_oidc::{BoxFuture, ClientAuth, HyperClient, Provider, ProviderError};

use crate::client_key;
use crate::config::{self, ClientSecret, SecretSource};
use crate::secret_source::{Shape, Stamp};

/// A program that gives a secret is run again after so many seconds.
const COMMAND_EVERY: i64 = 300;
/// What stood in a file before stays the second choice for so many seconds: who writes the new secret first and tells
/// the provider later loses no login by it.
const FORMER_FOR: i64 = 3_600;

/// The credentials of a client of the configuration.
pub(super) fn client_auth(
    name: &str,
    configured: &config::ClientAuth,
    ca_file: Option<&Path>,
    audit: &Audit,
    provider: &Provider,
) -> Result<ClientAuth, String> {
    let clock = provider.clock();
    let (method, parts) = match configured {
        // Keys of our own come from elsewhere.
        config::ClientAuth::None | config::ClientAuth::OwnKeys(_) => return Ok(ClientAuth::None),
        config::ClientAuth::AssertionFile(path) => return Ok(ClientAuth::Assertion(AssertionFile::new(path))),
        config::ClientAuth::Basic(secrets) => (AuthMethod::Basic, of_secrets(secrets, "secret", &Kind::Secret)),
        config::ClientAuth::Post(secrets) => (AuthMethod::Post, of_secrets(secrets, "secret", &Kind::Secret)),
        config::ClientAuth::PrivateKeyJwt { keys, algorithm } => {
            let parts = of_secrets(keys, "private key", &Kind::Key(*algorithm));
            (AuthMethod::PrivateKeyJwt, parts)
        }
        config::ClientAuth::Tls { cert, key, self_signed } => {
            let method = match self_signed {
                true => AuthMethod::SelfSignedTls,
                false => AuthMethod::Tls,
            };
            let kind = Kind::Certificate {
                cert: cert.clone(),
                ca: ca_file.map(Path::to_owned),
                hosts: provider.settings().hosts(),
            };
            let part = Part::new("certificate".into(), SecretSource::File(key.clone()), kind);
            (method, vec![part])
        }
    };
    let mut watched = Vec::new();
    for (part, first) in parts.into_iter().zip(first_values(configured)) {
        let loaded = Loaded {
            stamp: part.stamp(),
            current: Some(part.proof(first)?),
            former: None,
            read: clock.now(),
        };
        watched.push((part, loaded));
    }
    let source = Watched {
        client: name.to_owned(),
        parts: Mutex::new(watched),
        audit: audit.clone(),
        clock: clock.clone(),
    };
    Ok(ClientAuth::Rotating(Credentials::new(
        method,
        source,
        observer(name, audit),
    )))
}

/// Tells of refusals.
pub(super) fn observer(name: &str, audit: &Audit) -> CredentialObserver {
    let (audit, client) = (audit.clone(), name.to_owned());
    Arc::new(move |event: &CredentialEvent| {
        if let CredentialEvent::Refused { credential, next } = event {
            let event = Event::ClientCredentialRefused {
                client: client.clone(),
                credential: credential.to_string(),
                next: next.as_deref().map(str::to_owned),
            };
            audit.emit(None, event);
        }
    })
}

/// What the configuration has read of each part.
fn first_values(configured: &config::ClientAuth) -> Vec<Option<&Secret>> {
    match configured {
        config::ClientAuth::Basic(all) | config::ClientAuth::Post(all) => {
            all.iter().map(|secret| Some(&secret.value)).collect()
        }
        config::ClientAuth::PrivateKeyJwt { keys, .. } => keys.iter().map(|key| Some(&key.value)).collect(),
        _ => vec![None],
    }
}

fn of_secrets(secrets: &[ClientSecret], word: &str, kind: &Kind) -> Vec<Part> {
    let many = secrets.len() > 1;
    let parts = secrets.iter().enumerate().map(|(at, secret)| {
        let number = if many { format!(" {}", at + 1) } else { String::new() };
        let label = format!("{word}{number} ({})", secret.source);
        Part {
            not_before: secret.not_before,
            expires: secret.expires,
            ..Part::new(label, secret.source.clone(), kind.clone())
        }
    });
    parts.collect()
}

/// A secret, key or certificate of the configuration.
#[derive(Debug)]
struct Part {
    label: Arc<str>,
    source: SecretSource,
    kind: Kind,
    not_before: Option<UnixTime>,
    expires: Option<UnixTime>,
}

#[derive(Clone, Debug)]
enum Kind {
    Secret,
    Key(Option<Algorithm>),
    /// The private key is the source.
    Certificate {
        cert: PathBuf,
        ca: Option<PathBuf>,
        /// Those of the provider that may be inside the network.
        hosts: Vec<String>,
    },
}

/// What was last read of a part.
struct Loaded {
    stamp: Stamp,
    current: Option<(Proof, [u8; 32])>,
    former: Option<(Proof, UnixTime)>,
    read: UnixTime,
}

/// Looks at each part again when it is asked.
struct Watched {
    client: String,
    parts: Mutex<Vec<(Part, Loaded)>>,
    audit: Audit,
    clock: Arc<dyn Clock>,
}

// === impl Part ===

impl Part {
    fn new(label: String, source: SecretSource, kind: Kind) -> Part {
        Part {
            label: label.into(),
            source,
            kind,
            not_before: None,
            expires: None,
        }
    }

    fn stamp(&self) -> Stamp {
        let cert = match &self.kind {
            Kind::Certificate { cert, .. } => Some(cert.as_path()),
            _ => None,
        };
        Stamp::of(self.source.file().into_iter().chain(cert))
    }

    fn shape(&self) -> Shape {
        match self.kind {
            Kind::Secret => Shape::Line,
            _ => Shape::Key,
        }
    }

    /// The proof, and by what it is told from another. `given` is what was read already.
    fn proof(&self, given: Option<&Secret>) -> Result<(Proof, [u8; 32]), String> {
        let secret = match given {
            Some(secret) => secret.clone(),
            None => self.source.read(self.shape())?.ok_or("there is nothing")?,
        };
        let mut hash = portcullis_jose::sha256(secret.expose().as_bytes());
        let proof = match &self.kind {
            Kind::Secret => Proof::Secret(secret),
            Kind::Key(algorithm) => {
                Proof::Key(client_key::parse(&secret, *algorithm).map_err(|error| error.to_string())?)
            }
            Kind::Certificate { cert, ca, hosts } => {
                let read = |path: &PathBuf| std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()));
                let certificate = read(cert)?;
                let ca = ca.as_ref().map(read).transpose()?;
                hash = portcullis_jose::sha256(&[&hash[..], &certificate].concat());
                let http = HyperClient::with_certificate(ca.as_deref(), &certificate, &secret);
                let http = http.map_err(|error| error.to_string())?;
                Proof::Certificate(Arc::new(http.beside(hosts)))
            }
        };
        Ok((proof, hash))
    }

    fn credential(&self, label: Arc<str>, proof: &Proof) -> Credential {
        Credential::new(label, proof.clone()).valid(self.not_before, self.expires)
    }
}

// === impl Loaded ===

impl Loaded {
    /// Whether it must be read again, by what can be seen from outside.
    fn is_due(&self, part: &Part, stamp: &Stamp, refused: bool, now: UnixTime) -> bool {
        match &part.source {
            SecretSource::File(_) => *stamp != self.stamp,
            SecretSource::Env(_) => true,
            SecretSource::Command { .. } => refused || now.since(self.read) >= COMMAND_EVERY,
            SecretSource::Written => false,
        }
    }

    fn take(&mut self, proof: Proof, hash: [u8; 32], now: UnixTime) {
        if self.current.as_ref().is_some_and(|(_, known)| *known == hash) {
            return;
        }
        let former = self.current.replace((proof, hash));
        self.former = former.map(|(proof, _)| (proof, now.plus(FORMER_FOR)));
    }
}

// === impl Watched ===

impl Watched {
    /// Files and variables are looked at here, since that takes no time.
    fn look(&self, refused: bool) {
        let now = self.clock.now();
        for (part, loaded) in self.lock().iter_mut() {
            let stamp = part.stamp();
            if matches!(part.source, SecretSource::Command { .. }) || !loaded.is_due(part, &stamp, refused, now) {
                continue;
            }
            if matches!(part.source, SecretSource::Env(_)) && !matches!(part.source.read(part.shape()), Ok(Some(_))) {
                continue;
            }
            // Also where it cannot be used: that is told once for each change.
            loaded.stamp = stamp;
            loaded.read = now;
            match part.proof(None) {
                Ok((proof, hash)) => loaded.take(proof, hash, now),
                Err(why) => self.unreadable(part, why),
            }
        }
    }

    /// Programs are run apart, since they may take seconds.
    async fn run(&self, refused: bool) {
        let now = self.clock.now();
        let due: Vec<(Arc<str>, SecretSource, Shape)> = {
            let mut parts = self.lock();
            let due = parts.iter_mut().filter(|(part, loaded)| {
                let is_command = matches!(part.source, SecretSource::Command { .. });
                is_command && loaded.is_due(part, &loaded.stamp, refused, now)
            });
            due.map(|(part, loaded)| {
                // Whoever asks meanwhile does not start it a second time.
                loaded.read = now;
                (part.label.clone(), part.source.clone(), part.shape())
            })
            .collect()
        };
        for (label, source, shape) in due {
            let output = tokio::task::spawn_blocking(move || source.read(shape)).await;
            let output = output.unwrap_or_else(|_| Err("it was interrupted".to_owned()));
            for (part, loaded) in self.lock().iter_mut().filter(|(part, _)| part.label == label) {
                let proof = output.clone().and_then(|secret| part.proof(secret.as_ref()));
                match proof {
                    Ok((proof, hash)) => loaded.take(proof, hash, now),
                    Err(why) => self.unreadable(part, why),
                }
            }
        }
    }

    fn unreadable(&self, part: &Part, reason: String) {
        let event = Event::ClientCredentialUnreadable {
            client: self.client.clone(),
            credential: part.label.to_string(),
            reason,
        };
        self.audit.emit(None, event);
    }

    fn all(&self) -> Vec<Credential> {
        let now = self.clock.now();
        let parts = self.lock();
        let current = parts.iter().filter_map(|(part, loaded)| {
            let (proof, _) = loaded.current.as_ref()?;
            Some(part.credential(part.label.clone(), proof))
        });
        let former = parts.iter().filter_map(|(part, loaded)| {
            let (proof, until) = loaded.former.as_ref()?;
            let label = format!("{}, as it was before", part.label);
            (now < *until).then(|| part.credential(label.into(), proof))
        });
        current.chain(former).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(Part, Loaded)>> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CredentialSource for Watched {
    fn load(&self, refused: bool) -> BoxFuture<'_, Result<Vec<Credential>, ProviderError>> {
        Box::pin(async move {
            self.look(refused);
            self.run(refused).await;
            Ok(self.all())
        })
    }
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched")
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}
