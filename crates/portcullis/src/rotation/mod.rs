//! A client's secret is replaced by another, so that at no moment a secret is lost or one is in use that nobody takes.
//!
//! What the provider answers is kept in a file of its own before anything else is done with it: a program that is
//! killed, or a disk that is full, leaves it there, and the next run goes on from it.

mod draft;
mod journal;
mod registration;
pub(crate) mod ring;
mod trial;

use std::path::{Path, PathBuf};

use portcullis_jose::{Clock, Secret, SystemClock};

use crate::config::{ClientAuth, ClientSecret, ClientSettings, RegistrationSettings, SecretSource, Settings};
use crate::secret_source::Shape;
use draft::Draft;
use journal::Journal;
use registration::{Asked, Registration};

pub(crate) use trial::{Verdict, try_secret};

/// A client whose secret is replaced.
#[derive(Debug)]
pub(crate) struct Rotation<'s> {
    settings: &'s Settings,
    name: &'s str,
    client: &'s ClientSettings,
    /// The secret that is used first, and its file.
    current: &'s ClientSecret,
    file: &'s Path,
}

/// Why it is not done. What is wrong with the configuration is another matter than what goes wrong.
#[derive(Debug)]
pub(crate) enum Failure {
    Faulty(String),
    Failed(String),
}

/// Hears of each step: its name, and the rest in words.
pub(crate) type Tell<'t> = &'t mut dyn FnMut(&'static str, String);

// === impl Rotation ===

impl<'s> Rotation<'s> {
    /// For the client of this name, whose secret must come from a file.
    pub(crate) fn of(settings: &'s Settings, name: &'s str, client: &'s ClientSettings) -> Result<Self, Failure> {
        let current = secrets(name, client)?.iter().min_by_key(|secret| place(secret));
        let current = current.ok_or_else(|| Failure::Faulty(format!("client {name} has no secret")))?;
        let SecretSource::File(file) = &current.source else {
            return Err(Failure::Faulty(format!(
                "the secret of client {name} comes from {}, where nothing can be written; name a file in its place: \
                 secret = {{ file = \"PATH\" }}",
                current.source
            )));
        };
        Ok(Rotation {
            settings,
            name,
            client,
            current,
            file,
        })
    }

    /// Where the provider lets the registration be changed.
    pub(crate) fn registration(&self) -> Option<&'s RegistrationSettings> {
        self.client.registration.as_ref()
    }

    /// Gets a new secret from the provider (RFC 7592), writes it, and tries it.
    pub(crate) async fn ask(&self, settings: &RegistrationSettings, tell: Tell<'_>) -> Result<(), Failure> {
        let mut journal = Journal::open(&beside(self.file), self.name).map_err(Failure::Failed)?;
        if journal.is_resumed() {
            let path = journal.path().display();
            tell(
                "resumed",
                format!("a rotation that was cut off, by what {path} has kept of it"),
            );
        }
        // Both must be possible before the provider is asked.
        for path in [self.file, &settings.token_file] {
            Draft::begin(path).map_err(|why| Failure::Failed(format!("{why}; the provider was not asked")))?;
        }
        let known = read_token(&settings.token_file)?;
        let secret = match journal.secret().cloned() {
            Some(secret) => secret,
            None => self.received(settings, &known, &mut journal, tell).await?,
        };
        let written = self.write(&secret, tell).and_then(|()| match journal.token() {
            Some(token) if token.expose() != known.expose() => put(&settings.token_file, token, tell),
            _ => Ok(()),
        });
        written.map_err(|why| {
            let path = journal.path().display();
            Failure::Failed(format!(
                "{why}\nnote: the provider's answer is kept in {path}; when it can be written, run the same command: it \
                 goes on from there"
            ))
        })?;
        journal.remove().map_err(Failure::Failed)?;
        match try_secret(self.settings, self.client, &secret)
            .await
            .map_err(Failure::Failed)?
        {
            Verdict::Taken => {
                tell("verified", format!("the provider {} takes it", self.client.provider));
                Ok(())
            }
            Verdict::Refused => Err(Failure::Failed(format!(
                "the provider {} refuses the secret that it has just given out; it may need a moment: try \
                 `portcullis secret check`",
                self.client.provider
            ))),
            Verdict::Unknown(why) => Err(Failure::Failed(format!(
                "the new secret is in place, and whether the provider takes it could not be seen: {why}; try \
                 `portcullis secret check`"
            ))),
        }
    }

    /// Writes a secret that somebody has made at the provider, if the provider takes it.
    pub(crate) async fn take(&self, secret: &Secret, tell: Tell<'_>) -> Result<(), Failure> {
        if secret.expose() == self.current.value.expose() {
            return Err(Failure::Failed("it is the secret that is in use already".to_owned()));
        }
        let provider = &self.client.provider;
        match try_secret(self.settings, self.client, secret)
            .await
            .map_err(Failure::Failed)?
        {
            Verdict::Taken => tell("verified", format!("the provider {provider} takes it")),
            Verdict::Refused => {
                return Err(Failure::Failed(format!(
                    "the provider {provider} refuses it as a secret of {}; nothing was written",
                    self.client.client_id
                )));
            }
            Verdict::Unknown(why) => {
                return Err(Failure::Failed(format!(
                    "whether the provider {provider} takes it cannot be seen: {why}; nothing was written"
                )));
            }
        }
        self.write(secret, tell).map_err(Failure::Failed)
    }

    fn write(&self, secret: &Secret, tell: Tell<'_>) -> Result<(), String> {
        put(self.file, secret, tell)
    }

    /// A new secret, which is in the journal by then.
    async fn received(
        &self,
        settings: &RegistrationSettings,
        token: &Secret,
        journal: &mut Journal,
        tell: Tell<'_>,
    ) -> Result<Secret, Failure> {
        let failed = Failure::Failed;
        let provider = self.settings.providers.get(&self.client.provider);
        let provider = provider.ok_or_else(|| failed(format!("there is no provider {}", self.client.provider)))?;
        let registration = Registration::new(provider, settings, &self.client.client_id).map_err(failed)?;
        let token = journal.token().unwrap_or(token).clone();
        let (known, found) = match registration.read(&token).await {
            Asked::Answered(document, received) => (document, received),
            Asked::Refused { status: 401, why } if journal.was_asked() => {
                return Err(failed(format!(
                    "{why}\nnote: the answer to an earlier request was lost, and may have had another registration access \
                     token; have the provider give out a new one, put it into {}, and run the command again",
                    settings.token_file.display()
                )));
            }
            Asked::Refused { status: 401, why } => {
                return Err(failed(format!(
                    "{why}; is it the registration access token that is in {}?",
                    settings.token_file.display()
                )));
            }
            Asked::Refused { why, .. } | Asked::Unanswered(why) => return Err(failed(why)),
        };
        tell(
            "read",
            format!("the registration of {} at {}", self.client.client_id, settings.uri),
        );
        // RFC 7592 s3: what is new counts from now on, also in an answer to a mere question.
        let token = found.token.clone().unwrap_or(token);
        if found.token.is_some() {
            journal.keep(None, found.token.as_ref()).map_err(failed)?;
        }
        if let Some(secret) = found.secret.filter(|_| journal.was_asked())
            && secret.expose() != self.current.value.expose()
        {
            journal.keep(Some(&secret), None).map_err(failed)?;
            tell("received", "the secret that the earlier request has made".to_owned());
            return Ok(secret);
        }
        journal.begin(SystemClock.now()).map_err(failed)?;
        let received = match registration.replace_secret(known, &token).await {
            Asked::Answered(_, received) => received,
            Asked::Refused { status, why } => {
                // Nothing was sent or changed, unless the provider broke down in the middle of it.
                if (status == 0 || (400..500).contains(&status)) && journal.token().is_none() {
                    journal.remove().map_err(failed)?;
                }
                return Err(failed(why));
            }
            Asked::Unanswered(why) => {
                return Err(failed(format!(
                    "{why}\nnote: the secret may have been replaced all the same; run the same command again, and it asks"
                )));
            }
        };
        // Before it is looked at.
        journal
            .keep(received.secret.as_ref(), received.token.as_ref())
            .map_err(failed)?;
        match received.secret {
            Some(secret) if secret.expose() != self.current.value.expose() => {
                let ends = match received.expires {
                    Some(end) => format!(
                        ", which ends {}; write `expires` beside it",
                        portcullis_audit::rfc3339(end)
                    ),
                    None => String::new(),
                };
                tell("received", format!("a new secret{ends}"));
                if let Some(uri) = received.uri.filter(|uri| uri != settings.uri.as_str()) {
                    tell(
                        "note",
                        format!("the registration is at another address now, {uri}; write it to `registration`"),
                    );
                }
                Ok(secret)
            }
            _ => {
                if let Some(token) = journal.token() {
                    put(&settings.token_file, token, tell).map_err(failed)?;
                }
                journal.remove().map_err(failed)?;
                Err(failed(format!(
                    "the provider {} keeps the secret as it is: it gives out no new ones this way; make one there by hand, \
                     and give it to --new-secret",
                    self.client.provider
                )))
            }
        }
    }
}

/// The secrets of a client.
pub(crate) fn secrets<'c>(name: &str, client: &'c ClientSettings) -> Result<&'c [ClientSecret], Failure> {
    match &client.auth {
        ClientAuth::Basic(secrets) | ClientAuth::Post(secrets) => Ok(secrets),
        ClientAuth::OwnKeys(_) => Err(Failure::Faulty(format!(
            "client {name} has no secret but keys of its own: portcullis keys rotate"
        ))),
        _ => Err(Failure::Faulty(format!(
            "client {name} has no secret in the configuration"
        ))),
    }
}

/// The place of a secret in the order in which the gateway uses them: the lowest is used first.
fn place(secret: &ClientSecret) -> (bool, bool, std::cmp::Reverse<i64>) {
    let now = SystemClock.now();
    let is_over = secret.expires.is_some_and(|end| end <= now);
    let is_early = secret.not_before.is_some_and(|begin| begin > now);
    let begins = secret.not_before.map_or(i64::MIN, |begin| begin.as_secs());
    (is_early, is_over, std::cmp::Reverse(begins))
}

/// Where the provider's answer is kept until it is written where it belongs.
fn beside(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".rotation");
    name.into()
}

fn read_token(file: &Path) -> Result<Secret, Failure> {
    let read = SecretSource::File(file.to_owned()).read(Shape::Line);
    let unreadable = |why: String| Failure::Failed(format!("the registration access token, {}: {why}", file.display()));
    read.and_then(|token| token.ok_or_else(|| "there is nothing".to_owned()))
        .map_err(unreadable)
}

fn put(file: &Path, secret: &Secret, tell: Tell<'_>) -> Result<(), String> {
    Draft::begin(file)?.put(secret)?;
    tell("written", file.display().to_string());
    Ok(())
}
