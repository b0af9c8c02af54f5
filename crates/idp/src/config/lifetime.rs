use std::fmt;

use serde::Deserializer;
use serde::de::{Error, Visitor};

const LONGEST: i64 = 366 * 24 * 3600;

/// Reads a lifetime: a number of seconds, or a number with `s`, `m`, `h` or `d`.
pub(super) fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    struct Lifetime;

    impl Visitor<'_> for Lifetime {
        type Value = i64;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("seconds, or a text such as \"90s\", \"5m\", \"12h\" or \"30d\"; from one second to a year")
        }

        fn visit_i64<E: Error>(self, value: i64) -> Result<i64, E> {
            in_range(value).ok_or_else(|| E::invalid_value(serde::de::Unexpected::Signed(value), &self))
        }

        fn visit_u64<E: Error>(self, value: u64) -> Result<i64, E> {
            let seconds = i64::try_from(value).ok().and_then(in_range);
            seconds.ok_or_else(|| E::invalid_value(serde::de::Unexpected::Unsigned(value), &self))
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<i64, E> {
            parse(text).ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(text), &self))
        }
    }

    deserializer.deserialize_any(Lifetime)
}

fn parse(text: &str) -> Option<i64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let factor = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 24 * 3600,
        _ => return None,
    };
    number.parse::<i64>().ok()?.checked_mul(factor).and_then(in_range)
}

fn in_range(seconds: i64) -> Option<i64> {
    (1..=LONGEST).contains(&seconds).then_some(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units() {
        assert_eq!(parse("90s"), Some(90));
        assert_eq!(parse("5m"), Some(300));
        assert_eq!(parse("12h"), Some(43_200));
        assert_eq!(parse("30d"), Some(2_592_000));
        for wrong in [
            "",
            "m",
            "5",
            "-5m",
            "5 m",
            "5M",
            "0m",
            "99999999999999999999s",
            "400d",
            "1.5h",
        ] {
            assert_eq!(parse(wrong), None, "{wrong:?}");
        }
    }
}
