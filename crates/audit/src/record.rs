use portcullis_jose::UnixTime;
use serde::{Serialize, Serializer};

use crate::event::Event;
use crate::request_id::RequestId;

/// An event with its place in the stream.
///
/// Serialised it is one flat JSON object:
/// `{"seq":1,"time":"2026-01-01T00:00:00.000Z","request_id":"...","event":"call_refused",...}`.
#[derive(Debug)]
#[non_exhaustive]
pub struct Record {
    /// Counts up by one from 1 at the program's start, without gaps.
    pub seq: u64,
    /// When it happened, in whole seconds.
    pub time: UnixTime,
    /// The thousandths of the second.
    pub millis: u16,
    /// The request that it belongs to.
    pub request_id: Option<RequestId>,
    /// What happened.
    pub event: Event,
}

impl Record {
    pub(crate) const fn new(
        seq: u64,
        (time, millis): (UnixTime, u16),
        request_id: Option<RequestId>,
        event: Event,
    ) -> Self {
        Self {
            seq,
            time,
            millis,
            request_id,
            event,
        }
    }

    /// The record as one line of JSON, without the line's end.
    #[must_use]
    pub fn json(&self) -> String {
        // It cannot fail: every member is a number, a string or a list of strings, and every name is a string.
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl Serialize for Record {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Flat<'a> {
            seq: u64,
            time: String,
            #[serde(skip_serializing_if = "Option::is_none")]
            request_id: Option<&'a RequestId>,
            #[serde(flatten)]
            event: &'a Event,
        }
        let time = timestamp(self.time, Some(self.millis));
        Flat {
            seq: self.seq,
            time,
            request_id: self.request_id.as_ref(),
            event: &self.event,
        }
        .serialize(serializer)
    }
}

/// A point in time as RFC 3339 text in a member of an event.
pub(crate) fn serialize_rfc3339<S: Serializer>(time: &UnixTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&timestamp(*time, None))
}

/// A time in the form of RFC 3339, as events have it: `2026-01-01T00:00:00Z`.
#[must_use]
pub fn rfc3339(time: UnixTime) -> String {
    timestamp(time, None)
}

/// RFC 3339 s5.6: `2026-01-01T00:00:00.000Z`; years outside 0000 to 9999 are clamped, because the format has no others.
fn timestamp(time: UnixTime, millis: Option<u16>) -> String {
    const FIRST: i64 = -62_167_219_200;
    const LAST: i64 = 253_402_300_799;
    let seconds = time.as_secs().clamp(FIRST, LAST);
    let (days, second_of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil_date(days);
    let (hour, minute, second) = (second_of_day / 3_600, second_of_day / 60 % 60, second_of_day % 60);
    match millis {
        Some(millis) => {
            format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
        }
        None => format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"),
    }
}

/// Year, month and day of a count of days since 1970-01-01, in the proleptic Gregorian calendar.
///
/// Counted from the 1st of March, so that the leap day is the last of its year, in eras of 400 years (146,097 days).
const fn civil_date(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Credential;
    use crate::refused::Refused;

    fn at(seconds: i64, millis: u16, event: Event) -> Record {
        Record::new(
            7,
            (UnixTime::from_secs(seconds), millis),
            RequestId::accept("req-12345678"),
            event,
        )
    }

    #[test]
    fn the_record_is_one_flat_object() {
        let refused = Refused::new("token.audience_mismatch")
            .expected("api://orders")
            .found("api://billing");
        let record = at(
            1_767_225_600,
            5,
            Event::CallRefused {
                route: Some("orders".into()),
                method: "GET".into(),
                path: "/api/orders".into(),
                credential: Credential::Bearer,
                subject: None,
                client: None,
                status: 401,
                checks: Vec::new(),
                refused: refused.clone(),
            },
        );
        let json: serde_json::Value = serde_json::from_str(&record.json()).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "seq": 7, "time": "2026-01-01T00:00:00.005Z", "request_id": "req-12345678", "event": "call_refused",
                "route": "orders", "method": "GET", "path": "/api/orders", "credential": "bearer", "status": 401,
                "code": "token.audience_mismatch", "reason": "aud_mismatch", "cause": refused.cause, "fix": refused.fix,
                "expected": "api://orders", "found": "api://billing",
            })
        );
        assert!(record.json().starts_with(
            r#"{"seq":7,"time":"2026-01-01T00:00:00.005Z","request_id":"req-12345678","event":"call_refused","#
        ));
    }

    #[test]
    fn absent_members_are_left_out() {
        let record = Record::new(
            1,
            (UnixTime::from_secs(0), 0),
            None,
            Event::StoreRecovered { store: "sqlite" },
        );
        assert_eq!(
            record.json(),
            r#"{"seq":1,"time":"1970-01-01T00:00:00.000Z","event":"store_recovered","store":"sqlite"}"#
        );
    }

    #[test]
    fn dates_are_right() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_164_800, "2024-02-29T00:00:00Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (i64::MAX, "9999-12-31T23:59:59Z"),
            (i64::MIN, "0000-01-01T00:00:00Z"),
        ] {
            assert_eq!(timestamp(UnixTime::from_secs(seconds), None), text);
        }
    }
}
