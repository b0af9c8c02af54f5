//! Logins on another device (RFC 8628): what the provider says of one, and how often it may be asked, without I/O.
//!
//! [`Client::begin_device_login`](crate::Client::begin_device_login) begins one, and
//! [`Client::await_device_login`](crate::Client::await_device_login) waits for its end.

use std::time::Duration;

use portcullis_jose::Secret;
use serde::Deserialize;

use crate::{HttpsUrl, ProviderError};

/// RFC 8628 s3.4
pub(crate) const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:device_code";
const ENDPOINT: &str = "device authorization endpoint";
/// RFC 8628 s3.2: where the provider names no interval.
const INTERVAL: Duration = Duration::from_secs(5);
/// RFC 8628 s3.5: `slow_down` adds so much, for good.
const SLOWER: Duration = Duration::from_secs(5);
/// A code that people are to type is shorter than this.
const LONGEST_CODE: usize = 64;
const DAY: u64 = 24 * 60 * 60;

/// A login that waits for a person at another device (RFC 8628 s3.2).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DeviceAuthorization {
    /// What we ask with. It is a secret, and shown to nobody.
    pub device_code: Secret,
    /// What the person types there.
    pub user_code: String,
    /// Where the person types it.
    pub verification_uri: HttpsUrl,
    /// The same with the code in it, for a QR code.
    pub verification_uri_complete: Option<HttpsUrl>,
    /// How long both codes live.
    pub expires_in: Duration,
    /// How long to wait between two questions.
    pub interval: Duration,
}

/// Why a login on another device came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// The person said no.
    #[error("the login was refused on the other device")]
    Denied,
    /// Nobody answered in time.
    #[error("the code has expired before anybody entered it")]
    Expired,
    /// The provider's refusal, or an answer that is none.
    #[error(transparent)]
    Provider(#[from] ProviderError),
}

/// How often the provider is asked (RFC 8628 s3.5).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace(Duration);

#[derive(Deserialize)]
struct Answer {
    device_code: Secret,
    user_code: String,
    verification_uri: String,
    verification_uri_complete: Option<String>,
    expires_in: u64,
    interval: Option<u64>,
}

// === impl DeviceAuthorization ===

impl DeviceAuthorization {
    /// Judges an answer of the device authorization endpoint.
    ///
    /// # Errors
    /// When it is no such answer, or would send the person to a place that is not `https` (loopback excepted).
    pub fn parse(body: &[u8]) -> Result<DeviceAuthorization, ProviderError> {
        let bad = |why: &str| ProviderError::BadAnswer {
            endpoint: ENDPOINT,
            why: why.into(),
        };
        // serde_json's own text could quote what it read.
        let answer: Answer = serde_json::from_slice(body).map_err(|_| {
            bad("not a JSON object with device_code, user_code, verification_uri and a number in expires_in")
        })?;
        if answer.device_code.is_empty() {
            return Err(bad("the device code is empty"));
        }
        // It is shown in a terminal, which control characters could steer.
        let code = &answer.user_code;
        if code.is_empty() || code.len() > LONGEST_CODE || !code.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
            return Err(bad("the user code is not 1 to 64 printable ASCII characters"));
        }
        if !(1..=DAY).contains(&answer.expires_in) {
            return Err(bad("expires_in is not between 1 second and a day"));
        }
        let url =
            |what: &'static str, text: &str| HttpsUrl::parse(text).map_err(|error| ProviderError::Url { what, error });
        let complete = answer.verification_uri_complete.as_deref();
        let complete = complete
            .map(|text| url("verification_uri_complete", text))
            .transpose()?;
        Ok(DeviceAuthorization {
            verification_uri: url("verification_uri", &answer.verification_uri)?,
            verification_uri_complete: complete,
            device_code: answer.device_code,
            user_code: answer.user_code,
            expires_in: Duration::from_secs(answer.expires_in),
            // Of a day and more nothing would be asked at all.
            interval: answer
                .interval
                .map_or(INTERVAL, |seconds| Duration::from_secs(seconds.clamp(1, DAY))),
        })
    }
}

// === impl DeviceError ===

impl DeviceError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            DeviceError::Denied => "login.access_denied",
            DeviceError::Expired => "login.attempt_expired",
            DeviceError::Provider(error) => error.code(),
        }
    }
}

// === impl Pace ===

impl Pace {
    pub(crate) fn new(interval: Duration) -> Pace {
        Pace(interval)
    }

    pub(crate) fn interval(self) -> Duration {
        self.0
    }

    /// What an answer without tokens means: go on, at which pace, or give up.
    pub(crate) fn after(&mut self, error: ProviderError) -> Result<(), DeviceError> {
        let code = match &error {
            ProviderError::OAuth(error) => error.error.as_str(),
            _ => "",
        };
        match code {
            "authorization_pending" => {}
            "slow_down" => self.0 = self.0.saturating_add(SLOWER),
            "access_denied" => return Err(DeviceError::Denied),
            "expired_token" => return Err(DeviceError::Expired),
            // RFC 8628 s3.5: after a time-out the pace is halved each time.
            _ if error.is_temporary() => self.0 = self.0.saturating_mul(2),
            _ => return Err(error.into()),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(change: impl Fn(&mut serde_json::Value)) -> Result<DeviceAuthorization, ProviderError> {
        let mut answer = json!({
            "device_code": "d", "user_code": "WDJB-MJHT", "verification_uri": "https://a.example/device",
            "verification_uri_complete": "https://a.example/device?user_code=WDJB-MJHT", "expires_in": 600, "interval": 7,
        });
        change(&mut answer);
        DeviceAuthorization::parse(answer.to_string().as_bytes())
    }

    #[test]
    fn reads_an_answer() {
        let device = parse(|_| ()).unwrap();
        assert_eq!(device.user_code, "WDJB-MJHT");
        assert_eq!(device.interval, Duration::from_secs(7));
        assert_eq!(device.expires_in, Duration::from_secs(600));
        let plain = parse(|answer| {
            answer.as_object_mut().unwrap().remove("interval");
            answer.as_object_mut().unwrap().remove("verification_uri_complete");
        });
        let plain = plain.unwrap();
        assert_eq!((plain.interval, plain.verification_uri_complete), (INTERVAL, None));
        assert!(!format!("{device:?}").contains("\"d\""));
    }

    #[test]
    fn refuses_hostile_answers() {
        for (member, value, code) in [
            ("device_code", json!(""), "provider.bad_answer"),
            ("device_code", json!(7), "provider.bad_answer"),
            ("user_code", json!(""), "provider.bad_answer"),
            ("user_code", json!("\u{1b}[2J"), "provider.bad_answer"),
            ("user_code", json!("x".repeat(65)), "provider.bad_answer"),
            ("expires_in", json!(0), "provider.bad_answer"),
            ("expires_in", json!(-1), "provider.bad_answer"),
            ("expires_in", json!(1e12), "provider.bad_answer"),
            (
                "verification_uri",
                json!("javascript:alert(1)"),
                "provider.endpoint_missing",
            ),
            (
                "verification_uri",
                json!("http://a.example/device"),
                "provider.endpoint_missing",
            ),
            (
                "verification_uri_complete",
                json!("file:///etc/passwd"),
                "provider.endpoint_missing",
            ),
        ] {
            let error = parse(|answer| answer[member] = value.clone()).unwrap_err();
            assert_eq!(error.code(), code, "{member} {value}");
        }
        assert!(DeviceAuthorization::parse(b"[]").is_err());
    }
}
