//! Which known name somebody probably meant.

/// The codes that `given` may have meant, the likeliest first: a slip in the code, or in what stands behind its dot, with
/// another or no word before that.
pub(crate) fn nearest_codes<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    const AT_MOST: usize = 3;
    let behind = |code: &'a str| code.split_once('.').map_or(code, |(_, behind)| behind);
    let own = given.split_once('.').map_or(given, |(_, behind)| behind);
    let mut found: Vec<(usize, &str)> = known
        .into_iter()
        .filter_map(|code| {
            // Another first word is one slip more.
            let other = near(own, behind(code)).map(|distance| distance + 1);
            Some((near(given, code).into_iter().chain(other).min()?, code))
        })
        .collect();
    found.sort_unstable();
    found.dedup();
    found.into_iter().take(AT_MOST).map(|(_, code)| code).collect()
}

/// The known name that `given` looks like a slip of, if there is one.
pub(crate) fn nearest<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let near = known.into_iter().filter_map(|name| Some((near(given, name)?, name)));
    near.min().map(|(_, name)| name)
}

/// How many slips lie between the two, if they are few.
fn near(given: &str, name: &str) -> Option<usize> {
    let given = plain(given);
    let allowed = match given.len() {
        0 | 1 => return None,
        2..=4 => 1,
        5..=7 => 2,
        _ => 3,
    };
    Some(distance(&given, &plain(name))).filter(|distance| *distance <= allowed)
}

/// Case and the kind of dash are slips of their own; they cost nothing.
fn plain(name: &str) -> Vec<char> {
    name.chars()
        .map(|c| if c == '-' { '_' } else { c.to_ascii_lowercase() })
        .collect()
}

/// Edit distance that counts two swapped neighbours as one step (optimal string alignment).
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    let mut a_last = None;
    for (i, &in_a) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        let mut b_last = None;
        for (j, &in_b) in b.iter().enumerate() {
            let cell = |row: &[usize], at: usize| row.get(at).copied().unwrap_or(usize::MAX - 1);
            let mut best = (cell(&last, j) + usize::from(in_a != in_b))
                .min(cell(&last, j + 1) + 1)
                .min(cell(&row, j) + 1);
            if j > 0 && Some(in_b) == a_last && Some(in_a) == b_last {
                best = best.min(cell(&before, j - 1) + 1);
            }
            row.push(best);
            b_last = Some(in_b);
        }
        a_last = Some(in_a);
        before = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 5] = ["path", "upstream", "audience", "policy", "public_url"];

    #[test]
    fn slips_are_recognised() {
        for (given, meant) in [
            ("audiance", "audience"),
            ("upsteam", "upstream"),
            ("apth", "path"),
            ("Policy", "policy"),
            ("public-url", "public_url"),
            ("publicurl", "public_url"),
        ] {
            assert_eq!(nearest(given, KNOWN), Some(meant), "{given}");
        }
    }

    #[test]
    fn other_words_are_not() {
        for given in ["", "p", "colour", "timeout", "au"] {
            assert_eq!(nearest(given, KNOWN), None, "{given}");
        }
    }

    #[test]
    fn codes_are_found_by_what_stands_behind_the_dot() {
        let known = [
            "token.expired",
            "session.expired",
            "token.audience_mismatch",
            "dpop.missing",
        ];
        for (given, meant) in [
            ("token.expird", &["token.expired", "session.expired"][..]),
            ("expired", &["session.expired", "token.expired"]),
            ("tokens.audience_mismatch", &["token.audience_mismatch"]),
            ("guard.audiance-mismatch", &["token.audience_mismatch"]),
            ("nothing_like_it", &[]),
            ("", &[]),
            (".", &[]),
        ] {
            assert_eq!(nearest_codes(given, known), meant, "{given}");
        }
    }

    #[test]
    fn swapped_neighbours_cost_one_step() {
        let chars = |s: &str| s.chars().collect::<Vec<_>>();
        assert_eq!(distance(&chars("scope"), &chars("socpe")), 1);
        assert_eq!(distance(&chars("kitten"), &chars("sitting")), 3);
        assert_eq!(distance(&chars(""), &chars("abc")), 3);
    }
}
