//! Times as people write and read them.

use portcullis_jose::UnixTime;

/// Seconds since 1970, or RFC 3339 in UTC.
pub(super) fn parse(text: &str) -> Result<UnixTime, String> {
    let wrong = || "expected seconds since 1970, or a time such as 2026-01-31T12:00:00Z".to_owned();
    if let Ok(seconds) = text.parse() {
        return Ok(UnixTime::from_secs(seconds));
    }
    let parsed: toml::value::Datetime = text.parse().map_err(|_| wrong())?;
    let (Some(date), Some(time), Some(toml::value::Offset::Z)) = (parsed.date, parsed.time, parsed.offset) else {
        return Err(wrong());
    };
    let days = days(i64::from(date.year), i64::from(date.month), i64::from(date.day));
    let second = i64::from(time.hour) * 3_600 + i64::from(time.minute) * 60 + i64::from(time.second.unwrap_or(0));
    Ok(UnixTime::from_secs(days * 86_400 + second))
}

/// RFC 3339 in UTC.
pub(super) fn shown(time: UnixTime) -> String {
    portcullis_audit::rfc3339(time)
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
    fn what_is_shown_can_be_written() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T23:59:59Z", 951_868_799),
            ("2026-01-31T12:00:00Z", 1_769_860_800),
            ("2100-03-01T00:00:00Z", 4_107_542_400),
        ] {
            assert_eq!(parse(text), Ok(UnixTime::from_secs(seconds)), "{text}");
            assert_eq!(parse(&seconds.to_string()), Ok(UnixTime::from_secs(seconds)));
            assert_eq!(shown(UnixTime::from_secs(seconds)), text);
        }
        for text in [
            "",
            "yesterday",
            "2026-01-31",
            "12:00:00",
            "2026-01-31T12:00:00",
            "2026-01-31T12:00:00+01:00",
            "1e9",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
