//! Times as people write and read them.

use portcullis_jose::UnixTime;

/// Seconds since 1970, or RFC 3339 in UTC.
pub(super) fn parse(text: &str) -> Result<UnixTime, String> {
    let wrong = || "expected seconds since 1970, or a time such as 2026-01-31T12:00:00Z".to_owned();
    if let Ok(seconds) = text.parse() {
        return Ok(UnixTime::from_secs(seconds));
    }
    // A day alone has no time.
    crate::dates::parse(text)
        .filter(|_| text.contains('T'))
        .ok_or_else(wrong)
}

/// RFC 3339 in UTC.
pub(super) fn shown(time: UnixTime) -> String {
    portcullis_audit::rfc3339(time)
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
