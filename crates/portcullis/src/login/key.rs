//! What a kept login is sealed with: a key in the system's keyring, a key file, or a passphrase.

use std::io::{IsTerminal, stdin};
use std::path::{Path, PathBuf};

use argon2::{Algorithm, Argon2, Params, Version};
use portcullis_jose::{Secret, base64url_decode, base64url_encode, random_array, random_token};
use portcullis_store::{KeyRing, SealError, Sealer, SealingKey};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::keyring::{self, Failed};
use super::{Kept, Place, Problem};
use crate::secret_source::{SecretSource, Shape};

const PURPOSE: &str = "login at the command line";
/// RFC 9106 s4, the second recommended option: 64 MiB, three passes, four lanes.
const COST: Cost = Cost {
    memory_kib: 64 * 1024,
    passes: 3,
    lanes: 4,
};

/// How a new login is to be sealed.
#[derive(Debug)]
pub(crate) enum Wanted {
    /// The keyring, or a passphrase where there is none.
    Usual,
    Keyring,
    KeyFile(PathBuf),
    /// A passphrase, out of a file or typed.
    Passphrase(Option<PathBuf>),
}

/// How a kept login is sealed. It stands beside it in the clear.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum Lock {
    Keyring,
    KeyFile {
        path: PathBuf,
    },
    Passphrase {
        salt: String,
        #[serde(flatten)]
        cost: Cost,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Cost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

/// The file.
#[derive(Debug, Serialize, Deserialize)]
struct Envelope {
    portcullis_login: u8,
    key: Lock,
    sealed: String,
}

/// Seals and opens one login.
#[derive(Debug)]
pub(crate) struct Key {
    lock: Lock,
    sealer: Sealer,
}

// === impl Key ===

impl Key {
    /// The key of a login that is kept from now on.
    pub(crate) fn make(wanted: &Wanted, place: &Place) -> Result<Key, Problem> {
        match wanted {
            Wanted::KeyFile(path) => {
                let path = std::path::absolute(path).map_err(|error| unreadable(path, &error.to_string()))?;
                let ring = KeyRing::load_or_create(&path).map_err(|error| Problem::new(error.to_string()))?;
                Key::of(Lock::KeyFile { path }, &ring)
            }
            Wanted::Passphrase(file) => Key::with_new_passphrase(file.as_deref()),
            Wanted::Keyring => Key::in_keyring(place).map_err(|why| {
                Problem::new(format!(
                    "the system's keyring cannot be used: {why}; use --key-file or --passphrase-file"
                ))
            }),
            Wanted::Usual => match Key::in_keyring(place) {
                Ok(key) => Ok(key),
                Err(why) if stdin().is_terminal() => {
                    tell(&format!(
                        "The system's keyring cannot be used ({why}): the login is sealed with a passphrase."
                    ));
                    Key::with_new_passphrase(None)
                }
                Err(why) => Err(Problem::usage(format!(
                    "the system's keyring cannot be used ({why}), and nobody can type a passphrase: name a key file \
                     with --key-file, or a file with a passphrase with --passphrase-file"
                ))),
            },
        }
    }

    /// The key that this login is sealed with.
    pub(super) fn find(lock: &Lock, place: &Place, passphrase: Option<&Path>) -> Result<Key, Problem> {
        match lock {
            Lock::KeyFile { path } => {
                // Where it is gone, a new one would open nothing.
                if !path.exists() {
                    return Err(Problem::new(format!(
                        "the key file {} is not there: without it, sign in again",
                        path.display()
                    )));
                }
                let ring = KeyRing::load_or_create(path).map_err(|error| Problem::new(error.to_string()))?;
                Key::of(lock.clone(), &ring)
            }
            Lock::Keyring => {
                let secret = keyring::find(&place.account()).map_err(|failed| {
                    Problem::new(match failed {
                        Failed::NotFound => {
                            "the system's keyring has no key of this login any more: sign in again".to_owned()
                        }
                        Failed::Absent(why) => {
                            format!("the system's keyring has the key of this login and cannot be used: {why}")
                        }
                    })
                })?;
                Key::of_text(lock.clone(), &secret)
            }
            Lock::Passphrase { salt, cost } => {
                let passphrase = match passphrase {
                    Some(file) => read(file)?,
                    None => ask("Passphrase of the login: ")?,
                };
                let salt = base64url_decode(salt).ok_or_else(damaged)?;
                Key::of_text(lock.clone(), &derive(&passphrase, &salt, *cost)?)
            }
        }
    }

    fn in_keyring(place: &Place) -> Result<Key, String> {
        let account = place.account();
        let secret = Secret::new(base64url_encode(&random_array::<32>()));
        let why = |failed| match failed {
            Failed::Absent(why) => why,
            Failed::NotFound => "what was put in is not there".to_owned(),
        };
        // A login of the same name that is there keeps its key until the new one is sealed with it.
        let secret = match keyring::find(&account) {
            Ok(known) => known,
            Err(_) => {
                keyring::store(&account, &secret).map_err(why)?;
                keyring::find(&account).map_err(why)?
            }
        };
        Key::of_text(Lock::Keyring, &secret).map_err(|problem| problem.why)
    }

    fn with_new_passphrase(file: Option<&Path>) -> Result<Key, Problem> {
        let passphrase = match file {
            Some(file) => read(file)?,
            None => {
                let first = ask("New passphrase for the login: ")?;
                if first != ask("The same again: ")? {
                    return Err(Problem::new("the two are different"));
                }
                first
            }
        };
        let salt = random_token(16);
        let raw = base64url_decode(&salt).ok_or_else(damaged)?;
        let key = derive(&passphrase, &raw, COST)?;
        Key::of_text(Lock::Passphrase { salt, cost: COST }, &key)
    }

    fn of_text(lock: Lock, text: &Secret) -> Result<Key, Problem> {
        let key = SealingKey::parse(text.expose()).map_err(|_| Problem::new("the key of the login is none"))?;
        let ring = KeyRing::from_keys(vec![key]).map_err(|error| Problem::new(error.to_string()))?;
        Key::of(lock, &ring)
    }

    fn of(lock: Lock, ring: &KeyRing) -> Result<Key, Problem> {
        let sealer = Sealer::new(ring, PURPOSE).map_err(|error| Problem::new(error.to_string()))?;
        Ok(Key { lock, sealer })
    }

    /// The file of a login, which is bound to its name and to the way that it is sealed.
    pub(super) fn seal(&self, place: &Place, kept: &Kept) -> Result<Vec<u8>, Problem> {
        let failed = |error: &dyn std::fmt::Display| Problem::new(format!("the login cannot be sealed: {error}"));
        let plain = Zeroizing::new(serde_json::to_vec(kept).map_err(|error| failed(&error))?);
        let sealed = self
            .sealer
            .seal(place.name().as_bytes(), &plain)
            .map_err(|error| failed(&error))?;
        let envelope = Envelope {
            portcullis_login: 1,
            key: self.lock.clone(),
            sealed: base64url_encode(&sealed),
        };
        serde_json::to_vec(&envelope).map_err(|error| failed(&error))
    }

    /// What is in a file of a login.
    pub(super) fn open(&self, place: &Place, file: &[u8]) -> Result<Kept, Problem> {
        let envelope = parse(file)?;
        let sealed = base64url_decode(&envelope.sealed).ok_or_else(damaged)?;
        let opened = self
            .sealer
            .open(place.name().as_bytes(), &sealed)
            .map_err(|error| match (error, &self.lock) {
                (SealError::UnknownKey { .. }, Lock::Passphrase { .. }) => {
                    Problem::new("that is not the passphrase of the login")
                }
                (SealError::UnknownKey { .. }, _) => {
                    Problem::new("the login was sealed with another key: sign in again")
                }
                (error, _) => Problem::new(format!("the login cannot be opened: {error}; sign in again")),
            })?;
        serde_json::from_slice(&opened.plaintext).map_err(|_| damaged())
    }

    /// How it seals.
    pub(super) fn lock(&self) -> &Lock {
        &self.lock
    }

    /// In words.
    pub(crate) fn words(&self) -> String {
        match &self.lock {
            Lock::Keyring => "a key in the system's keyring".to_owned(),
            Lock::KeyFile { path } => format!("the key file {}", path.display()),
            Lock::Passphrase { .. } => "a passphrase".to_owned(),
        }
    }
}

/// How a file is sealed.
pub(super) fn lock_of(file: &[u8]) -> Result<Lock, Problem> {
    Ok(parse(file)?.key)
}

/// What the keyring has of a login that is forgotten.
pub(super) fn forget(lock: &Lock, place: &Place) {
    if *lock == Lock::Keyring {
        // Without the file it is a key that opens nothing.
        let _ = keyring::forget(&place.account());
    }
}

fn parse(file: &[u8]) -> Result<Envelope, Problem> {
    let envelope: Envelope = serde_json::from_slice(file).map_err(|_| damaged())?;
    match envelope.portcullis_login {
        1 => Ok(envelope),
        version => Err(Problem::new(format!(
            "the login is kept in format {version}, this program knows format 1: sign in again"
        ))),
    }
}

/// Argon2id (RFC 9106).
fn derive(passphrase: &Secret, salt: &[u8], cost: Cost) -> Result<Secret, Problem> {
    // The file says how dear it is; one that was tampered with must not take the machine's memory.
    if cost.memory_kib > 1024 * 1024 || cost.passes > 16 || cost.lanes > 16 {
        return Err(damaged());
    }
    let failed = |error: argon2::Error| Problem::new(format!("no key can be made of the passphrase: {error}"));
    let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(32)).map_err(failed)?;
    let mut key = Zeroizing::new([0_u8; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase.expose().as_bytes(), salt, key.as_mut_slice())
        .map_err(failed)?;
    Ok(Secret::new(base64url_encode(key.as_slice())))
}

fn read(file: &Path) -> Result<Secret, Problem> {
    let secret = SecretSource::File(file.to_owned()).read(Shape::Line);
    let secret = secret.map_err(|why| unreadable(file, &why))?;
    secret.ok_or_else(|| unreadable(file, "there is nothing"))
}

fn ask(prompt: &str) -> Result<Secret, Problem> {
    let typed = rpassword::prompt_password(prompt).map_err(|error| {
        Problem::usage(format!(
            "nobody can be asked for the passphrase ({error}): name a file with it with --passphrase-file"
        ))
    })?;
    match typed.is_empty() {
        true => Err(Problem::new("an empty passphrase protects nothing")),
        false => Ok(Secret::new(typed)),
    }
}

#[expect(clippy::print_stderr, reason = "it is the command's output")]
fn tell(text: &str) {
    eprintln!("{text}");
}

fn damaged() -> Problem {
    Problem::new("the file of the login is damaged: sign in again")
}

fn unreadable(path: &Path, why: &str) -> Problem {
    Problem::new(format!("{}: {why}", path.display()))
}
