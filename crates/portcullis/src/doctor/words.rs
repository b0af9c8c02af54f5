//! Times and bars for people.

use portcullis_jose::UnixTime;

const UNITS: [(i64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];

/// How long, in its two largest units: `4 min 59 s`.
pub(crate) fn duration(seconds: i64) -> String {
    let mut left = seconds.unsigned_abs();
    let mut parts = Vec::new();
    for (size, unit) in UNITS {
        let size = size.unsigned_abs();
        let many = left / size;
        left %= size;
        if many > 0 {
            parts.push(format!("{many} {unit}"));
        } else if !parts.is_empty() {
            // `1 d 5 s` would pretend to know more than `1 d`.
            break;
        }
        if parts.len() == 2 {
            break;
        }
    }
    if parts.is_empty() {
        "0 s".to_owned()
    } else {
        parts.join(" ")
    }
}

/// Where a time is seen from now: `in 5 min`, `2 h ago`, `now`.
pub(crate) fn relative(time: UnixTime, now: UnixTime) -> String {
    match time.since(now) {
        0 => "now".to_owned(),
        ahead if ahead > 0 => format!("in {}", duration(ahead)),
        ago => format!("{} ago", duration(ago)),
    }
}

/// A time as a date and seen from now; `None` beyond the years that people write.
pub(crate) fn time(seconds: i64, now: UnixTime) -> Option<String> {
    const YEAR_9999: i64 = 253_402_300_799;
    if !(0..=YEAR_9999).contains(&seconds) {
        return None;
    }
    let time = UnixTime::from_secs(seconds);
    Some(format!("{}, {}", portcullis_audit::rfc3339(time), relative(time, now)))
}

/// How much of a lifetime is used, as a bar of this width.
pub(crate) fn bar(from: i64, until: i64, now: UnixTime, width: usize) -> String {
    let whole = until.saturating_sub(from).max(1);
    let used = now.as_secs().saturating_sub(from).clamp(0, whole);
    let width_i64 = i64::try_from(width).unwrap_or(i64::MAX);
    let filled = usize::try_from(used.saturating_mul(width_i64) / whole)
        .unwrap_or(width)
        .min(width);
    format!("[{}{}]", "#".repeat(filled), "-".repeat(width - filled))
}

/// Breaks a text into lines of this width, at spaces.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.split('\n') {
        let mut line = String::new();
        for word in paragraph.split(' ') {
            let longer = line.chars().count() + 1 + word.chars().count();
            if !line.is_empty() && longer > width {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    lines
}

/// What came from outside, safe to print: no control characters, and not endless.
pub(crate) fn tidy(text: &str) -> String {
    shortened(text, 300)
}

/// The same for a sentence with something from outside in it.
pub(crate) fn tidy_long(text: &str) -> String {
    shortened(text, 1_000)
}

fn shortened(text: &str, longest: usize) -> String {
    let mut out: String = text
        .chars()
        .take(longest)
        .map(|character| if is_plain(character) { character } else { '\u{fffd}' })
        .collect();
    if text.chars().nth(longest).is_some() {
        out.push_str("...");
    }
    out
}

/// Control characters can rewrite a terminal, and marks of direction can show another text than there is.
fn is_plain(character: char) -> bool {
    let turns =
        matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
    !character.is_control() && !turns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_two_units_at_most() {
        for (seconds, words) in [
            (0, "0 s"),
            (1, "1 s"),
            (59, "59 s"),
            (60, "1 min"),
            (299, "4 min 59 s"),
            (3_600, "1 h"),
            (3_605, "1 h"),
            (90_000, "1 d 1 h"),
            (-61, "1 min 1 s"),
            (i64::MIN, "106751991167300 d 15 h"),
        ] {
            assert_eq!(duration(seconds), words, "{seconds}");
        }
    }

    #[test]
    fn times_are_seen_from_now() {
        let now = UnixTime::from_secs(1_000_000);
        assert_eq!(relative(now, now), "now");
        assert_eq!(relative(now.plus(60), now), "in 1 min");
        assert_eq!(relative(now.plus(-60), now), "1 min ago");
        assert_eq!(time(1_000_000, now).unwrap(), "1970-01-12T13:46:40Z, now");
        assert_eq!(time(-1, now), None);
        assert_eq!(time(i64::MAX, now), None);
    }

    #[test]
    fn a_bar_fills_with_time_and_never_over() {
        let now = UnixTime::from_secs(50);
        assert_eq!(bar(0, 100, now, 10), "[#####-----]");
        assert_eq!(bar(60, 100, now, 4), "[----]");
        assert_eq!(bar(0, 10, now, 4), "[####]");
        assert_eq!(bar(i64::MIN, i64::MAX, now, 4).len(), 6);
        assert_eq!(bar(10, 0, now, 4), "[####]");
    }

    #[test]
    fn lines_break_at_spaces_and_nothing_is_lost() {
        assert_eq!(wrap("a bb ccc", 4), ["a bb", "ccc"]);
        assert_eq!(wrap("aaaaaaaa b", 4), ["aaaaaaaa", "b"]);
        assert_eq!(wrap("", 4), [""]);
    }

    #[test]
    fn nothing_from_outside_steers_the_terminal() {
        assert_eq!(tidy("a\u{1b}[31mb\n\u{202e}c"), "a\u{fffd}[31mb\u{fffd}\u{fffd}c");
        assert_eq!(tidy(&"x".repeat(400)).len(), 303);
    }
}
