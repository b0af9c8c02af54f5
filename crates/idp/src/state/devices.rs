//! Devices that wait for a person (RFC 8628).

use std::collections::BTreeSet;

use portcullis_jose::{UnixTime, random_array, random_token};

use super::{Digest, Grant, State, digest};

/// RFC 8628 s6.1: no vowels, so no words, and nothing that looks like something else.
const ALPHABET: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
/// RFC 8628 s3.5: `slow_down` adds so many seconds.
const SLOWER: i64 = 5;
/// RFC 8628 s5.1: so many wrong codes in a minute, from whomever, and no more are looked at. Of twenty thousand million
/// codes that leaves a guesser one in a hundred million in the life of a code.
const GUESSES: usize = 30;
const WINDOW: i64 = 60;

/// A device, and what it wants.
#[derive(Debug, Clone)]
pub(crate) struct Device {
    pub(crate) client_id: String,
    pub(crate) scopes: BTreeSet<String>,
    pub(crate) resources: Vec<String>,
    /// As it is shown, with its hyphen.
    pub(crate) user_code: String,
    expires: UnixTime,
    interval: i64,
    asked: Option<UnixTime>,
    status: Status,
}

#[derive(Debug, Clone)]
enum Status {
    Waiting,
    Allowed(Box<Grant>),
    Denied,
}

/// What a device that asks is told.
#[derive(Debug)]
pub(crate) enum DeviceAnswer {
    Granted(Box<Grant>),
    Pending,
    SlowDown,
    Denied,
    Expired,
    Unknown,
}

/// What an entered code leads to.
#[derive(Debug)]
pub(crate) enum Entered {
    /// A device that waits, by the digest of its code.
    Waiting(Digest, Box<Device>),
    Wrong,
    /// Too many wrong ones: wait.
    TooMany,
}

impl State {
    /// A device that waits from now on: its code, and the one for the person.
    pub(crate) fn open_device(
        &mut self,
        client_id: &str,
        scopes: BTreeSet<String>,
        resources: Vec<String>,
        (lifetime, interval): (i64, i64),
        now: UnixTime,
    ) -> (String, String) {
        let code = random_token(32);
        let mut user_code = fresh_user_code();
        while self.user_codes.get(&plain(&user_code)).is_some() {
            user_code = fresh_user_code();
        }
        let key = digest(&code);
        self.user_codes.insert(plain(&user_code), key);
        let device = Device {
            client_id: client_id.to_owned(),
            scopes,
            resources,
            user_code: user_code.clone(),
            expires: now.plus(lifetime),
            interval,
            asked: None,
            status: Status::Waiting,
        };
        self.devices.insert(key, device);
        (code, user_code)
    }

    /// The device of a code that somebody has typed, however it is written.
    pub(crate) fn enter_user_code(&mut self, typed: &str, now: UnixTime) -> Entered {
        self.wrong_codes.retain(|at| now.since(*at) < WINDOW);
        if self.wrong_codes.len() >= GUESSES {
            return Entered::TooMany;
        }
        let key = self.user_codes.get(&plain(typed)).copied();
        match key.and_then(|key| Some((key, self.waiting_device(&key, now)?.clone()))) {
            Some((key, device)) => Entered::Waiting(key, Box::new(device)),
            None => {
                self.wrong_codes.push(now);
                Entered::Wrong
            }
        }
    }

    /// The device, if nobody has answered for it yet.
    pub(crate) fn waiting_device(&self, key: &Digest, now: UnixTime) -> Option<&Device> {
        let device = self.devices.get(key)?;
        (now < device.expires && matches!(device.status, Status::Waiting)).then_some(device)
    }

    /// What the person said; once. Says whether the device was still waiting.
    pub(crate) fn answer_device(&mut self, key: &Digest, grant: Option<Grant>, now: UnixTime) -> bool {
        if self.waiting_device(key, now).is_none() {
            return false;
        }
        let Some(device) = self.devices.get_mut(key) else {
            return false;
        };
        device.status = grant.map_or(Status::Denied, |grant| Status::Allowed(Box::new(grant)));
        let user_code = plain(&device.user_code);
        self.user_codes.remove(&user_code);
        true
    }

    /// A device of this client asks (RFC 8628 s3.4). What is granted is granted once.
    pub(crate) fn ask_device(&mut self, code: &str, client_id: &str, now: UnixTime) -> DeviceAnswer {
        let key = digest(code);
        let Some(device) = self
            .devices
            .get_mut(&key)
            .filter(|device| device.client_id == client_id)
        else {
            return DeviceAnswer::Unknown;
        };
        if now >= device.expires {
            return DeviceAnswer::Expired;
        }
        match &device.status {
            Status::Waiting => {
                let hasty = device.asked.is_some_and(|asked| now.since(asked) < device.interval);
                device.asked = Some(now);
                if hasty {
                    device.interval += SLOWER;
                    return DeviceAnswer::SlowDown;
                }
                DeviceAnswer::Pending
            }
            Status::Denied => DeviceAnswer::Denied,
            Status::Allowed(grant) => {
                let grant = grant.clone();
                self.devices.remove(&key);
                DeviceAnswer::Granted(grant)
            }
        }
    }
}

/// Letters alone, as they are compared: people leave the hyphen out, and write small letters (RFC 8628 s6.1).
fn plain(code: &str) -> String {
    let letters = code.chars().filter(char::is_ascii_alphanumeric).take(16);
    letters.map(|letter| letter.to_ascii_uppercase()).collect()
}

/// Eight letters with a hyphen in the middle: 20^8 codes.
fn fresh_user_code() -> String {
    let mut code = String::new();
    while code.len() < 9 {
        if code.len() == 4 {
            code.push('-');
        }
        // Bytes that would favour some letters are thrown away.
        let bytes = random_array::<16>();
        let letters = bytes
            .iter()
            .filter(|byte| **byte < 240)
            .filter_map(|byte| ALPHABET.get(usize::from(*byte) % 20));
        let room = if code.len() < 4 { 4 - code.len() } else { 9 - code.len() };
        code.extend(letters.take(room).map(|letter| char::from(*letter)));
    }
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_eight_letters_that_nobody_confuses() {
        for _ in 0..200 {
            let code = fresh_user_code();
            let (left, right) = code.split_once('-').unwrap();
            assert_eq!((left.len(), right.len()), (4, 4), "{code}");
            assert!(plain(&code).bytes().all(|letter| ALPHABET.contains(&letter)), "{code}");
        }
        assert_ne!(fresh_user_code(), fresh_user_code());
        assert_eq!(plain(" wdjb mjht"), plain("WDJB-MJHT"));
    }
}
