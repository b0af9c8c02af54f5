//! Days of the calendar as times, and back from texts.

use portcullis_jose::UnixTime;
use toml::value::{Datetime, Offset};

/// A day (`2027-05-01`, which begins at midnight UTC) or a time in UTC (`2027-05-01T12:00:00Z`).
pub(crate) fn parse(text: &str) -> Option<UnixTime> {
    let parsed: Datetime = text.parse().ok()?;
    let date = parsed.date?;
    let second = match (parsed.time, parsed.offset) {
        (None, None) => 0,
        (Some(time), Some(Offset::Z)) => {
            i64::from(time.hour) * 3_600 + i64::from(time.minute) * 60 + i64::from(time.second.unwrap_or(0))
        }
        _ => return None,
    };
    let days = days(i64::from(date.year), i64::from(date.month), i64::from(date.day));
    Some(UnixTime::from_secs(days * 86_400 + second))
}

/// Days from 1970-01-01 to a date of the Gregorian calendar. Years begin with March, so that the leap day is the last.
const fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_times_in_utc() {
        for (text, seconds) in [
            ("1970-01-01", 0),
            ("2026-01-31", 1_769_817_600),
            ("2026-01-31T12:00:00Z", 1_769_860_800),
            ("2000-02-29T23:59:59Z", 951_868_799),
        ] {
            assert_eq!(parse(text), Some(UnixTime::from_secs(seconds)), "{text}");
        }
        for text in [
            "",
            "soon",
            "2026-02-30",
            "12:00:00",
            "2026-01-31T12:00:00",
            "2026-01-31T12:00:00+01:00",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
