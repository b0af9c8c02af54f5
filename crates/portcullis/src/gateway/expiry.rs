//! Secrets of clients that expire: told 30, 14, 7 and 1 days ahead, and when it is too late.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use portcullis_audit::{Audit, Event};
use portcullis_console::Check;
use portcullis_jose::{Clock, UnixTime};

use crate::config::{ClientAuth, Settings};

const DAY: i64 = 86_400;
/// Days ahead that are told, and the end itself.
const STEPS: [i64; 5] = [0, 1, 7, 14, 30];
/// Often enough that no day is missed.
const LOOK_EVERY: Duration = Duration::from_secs(600);

/// A secret or key with a known end.
#[derive(Clone, Debug)]
pub(super) struct Expiring {
    client: String,
    credential: String,
    expires: UnixTime,
}

/// All of the configuration.
pub(super) fn expiring(settings: &Settings) -> Vec<Expiring> {
    let mut all = Vec::new();
    for (client, configured) in &settings.clients {
        let (word, secrets) = match &configured.auth {
            ClientAuth::Basic(secrets) | ClientAuth::Post(secrets) => ("secret", secrets),
            ClientAuth::PrivateKeyJwt { keys, .. } => ("private key", keys),
            _ => continue,
        };
        for (at, secret) in secrets.iter().enumerate() {
            let number = if secrets.len() > 1 {
                format!(" {}", at + 1)
            } else {
                String::new()
            };
            all.extend(secret.expires.map(|expires| Expiring {
                client: client.clone(),
                credential: format!("{word}{number} ({})", secret.source),
                expires,
            }));
        }
    }
    all
}

impl Expiring {
    /// The last of the steps that was reached; `None` while there is time.
    fn step(&self, now: UnixTime) -> Option<i64> {
        let left = self.expires.since(now);
        STEPS.into_iter().find(|days| left <= days * DAY)
    }

    /// What `/readyz` says. It is a warning: the process serves all the same.
    fn check(&self, now: UnixTime) -> Option<Check> {
        self.step(now)?;
        let left = self.expires.since(now);
        let until = portcullis_audit::rfc3339(self.expires);
        let mut check = Check::ready(format!("{} of client {}", self.credential, self.client));
        check.detail = match left {
            ..=0 => format!("expired at {until}"),
            _ => format!("expires in {} days, at {until}", left.div_euclid(DAY)),
        };
        Some(check)
    }
}

/// What is to be said of secrets that expire soon.
pub(super) fn checks(all: &[Expiring], now: UnixTime) -> Vec<Check> {
    all.iter().filter_map(|expiring| expiring.check(now)).collect()
}

/// Tells each step once.
pub(super) async fn keep_telling(all: Vec<Expiring>, audit: Audit, clock: Arc<dyn Clock>) {
    for expiring in &all {
        audit
            .metrics()
            .client_credential_expires(&expiring.client, &expiring.credential, expiring.expires);
    }
    let mut told = BTreeMap::new();
    loop {
        tell(&all, &mut told, &audit, clock.now());
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn tell(all: &[Expiring], told: &mut BTreeMap<usize, i64>, audit: &Audit, now: UnixTime) {
    for (at, expiring) in all.iter().enumerate() {
        let Some(step) = expiring.step(now) else { continue };
        if told.insert(at, step) == Some(step) {
            continue;
        }
        let event = Event::ClientCredentialExpiring {
            client: expiring.client.clone(),
            credential: expiring.credential.clone(),
            days: expiring.expires.since(now).div_euclid(DAY).max(0),
            expires: expiring.expires,
        };
        audit.emit(None, event);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_is_told_once() {
        let expires = UnixTime::from_secs(100 * DAY);
        let all = [Expiring {
            client: "web".into(),
            credential: "secret".into(),
            expires,
        }];
        let (audit, mut told) = (Audit::for_tests(), BTreeMap::new());
        let mut days = Vec::new();
        // Every six hours for forty days, and five days more.
        for hour in (0..45 * 24).step_by(6) {
            let now = expires.plus(hour * 3_600 - 40 * DAY);
            tell(&all, &mut told, &audit, now);
            let warned = !checks(&all, now).is_empty();
            assert_eq!(warned, expires.since(now) <= 30 * DAY);
        }
        for record in audit.recent(0) {
            match &record.event {
                Event::ClientCredentialExpiring { days: left, .. } => days.push(*left),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(days, [30, 14, 7, 1, 0]);
        let detail = |now: UnixTime| checks(&all, now).pop().unwrap().detail;
        assert_eq!(
            detail(expires.plus(-2 * DAY)),
            "expires in 2 days, at 1970-04-11T00:00:00Z"
        );
        assert_eq!(detail(expires), "expired at 1970-04-11T00:00:00Z");
        assert!(checks(&all, expires).iter().all(|check| check.ready));
    }
}
