//! Times of the token, and clocks that differ.

use portcullis_guard::Check;

use super::{Case, Entry, Judged, Sign};
use crate::doctor::words::{duration, relative};
use portcullis_jose::UnixTime;

/// The year 2100 in seconds: a time beyond is none in seconds.
const YEAR_2100: i64 = 4_102_444_800;
/// The longest lifetime that the guard takes, in seconds.
const DAY: i64 = 86_400;
/// Clocks that differ by less are not worth a word, in seconds.
const NOTABLE: i64 = 5;

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        name: "cause.milliseconds",
        title: "A time is in milliseconds",
        cause: "Times of a JWT are seconds since 1970 (RFC 7519 s2). JavaScript's `Date.now()` and Java's `currentTimeMillis()` give milliseconds.",
        fix: "Divide by 1000 where the token is made: `Math.floor(Date.now() / 1000)`.",
        on_its_face: true,
        recognise: milliseconds,
    },
    Entry {
        name: "cause.time_as_text",
        title: "A time is a text",
        cause: "`exp`, `nbf` or `iat` is in quotes; it has to be a number (RFC 7519 s4.1.4).",
        fix: "Write it as a number where the token is made, or set the JSON type of the provider's mapper.",
        on_its_face: true,
        recognise: as_text,
    },
    Entry {
        name: "cause.expiry_missing",
        title: "The token never expires",
        cause: "There is no `exp`. Such a token would be good for ever, also when it is stolen.",
        fix: "Set a lifetime of access tokens at the provider; minutes rather than hours.",
        on_its_face: true,
        recognise: |case| missing(case, "exp"),
    },
    Entry {
        name: "cause.issue_time_missing",
        title: "The token does not say when it was issued",
        cause: "There is no `iat`, which RFC 9068 s2.2 demands: nobody could say for how long its revocation must be kept.",
        fix: "Let the provider write `iat`; all known ones do. A token without is often home-made.",
        on_its_face: true,
        recognise: |case| missing(case, "iat"),
    },
    Entry {
        name: "cause.clock_ahead",
        title: "The clock of this machine is ahead of the provider's",
        cause: "By the provider's clock the token is alive; by this machine's it has expired.",
        fix: "Set the clock: turn NTP on (`timedatectl set-ntp true`), and look at virtual machines that slept. `leeway` of the provider allows a known difference of up to five minutes.",
        on_its_face: false,
        recognise: ahead,
    },
    Entry {
        name: "cause.clock_behind",
        title: "The clock of this machine is behind the provider's",
        cause: "By the provider's clock the token is valid already; by this machine's it was issued in the future.",
        fix: "Set the clock: turn NTP on (`timedatectl set-ntp true`), and look at virtual machines that slept. `leeway` of the provider allows a known difference of up to five minutes.",
        on_its_face: false,
        recognise: behind,
    },
    Entry {
        name: "cause.expired",
        title: "The token has expired",
        cause: "Its `exp` has passed. It was kept instead of renewed, or copied some time ago.",
        fix: "Get a new one: by the refresh token, or by repeating the client-credentials request, some time before `expires_in` is over.",
        on_its_face: true,
        recognise: expired,
    },
    Entry {
        name: "cause.not_yet_valid",
        title: "The token is not valid yet",
        cause: "Its `nbf` or `iat` is in the future, though the clocks agree: the provider issues tokens ahead of their time, or the issuing machine's clock is wrong.",
        fix: "Wait until then, or correct the clock of the machine that issues them.",
        on_its_face: true,
        recognise: not_yet,
    },
    Entry {
        name: "cause.lifetime_too_long",
        title: "The token lives for too long",
        cause: "From `iat` to `exp` it is more than a day. A token that is stolen is good for all of that time.",
        fix: "Shorten the lifetime of access tokens at the provider, to an hour or less; clients renew them.",
        on_its_face: true,
        recognise: too_long,
    },
];

fn milliseconds(case: &Case<'_>) -> Option<Sign> {
    let name = ["exp", "iat", "nbf"].into_iter().find(|name| {
        case.token
            .time(name)
            .is_some_and(|time| time > YEAR_2100 && time / 1000 < YEAR_2100)
    })?;
    let time = case.token.time(name)?;
    Sign::found(format!("{name} is {time}; in seconds {}", time / 1000))
}

fn as_text(case: &Case<'_>) -> Option<Sign> {
    let name = ["exp", "iat", "nbf"]
        .into_iter()
        .find(|name| case.token.str(name).is_some())?;
    Sign::found(format!("{name} is a text"))
}

fn missing(case: &Case<'_>, name: &str) -> Option<Sign> {
    let token = case.token;
    (!token.claims.is_empty() && !token.has(name)).then(|| Sign::found(format!("there is no claim {name}")))?
}

/// The guard's leeway, in seconds.
fn leeway(case: &Case<'_>, judged: &Judged<'_>) -> i64 {
    let leeway = judged
        .provider(case.token)
        .map(|(_, provider)| provider.leeway.as_secs());
    leeway.and_then(|seconds| i64::try_from(seconds).ok()).unwrap_or(0)
}

/// The provider's time, where it differs from ours by more than the samples can err.
fn their_time(case: &Case<'_>, judged: &Judged<'_>) -> Option<(i64, UnixTime)> {
    let ahead = judged.clock_ahead(case.token).filter(|ahead| ahead.abs() >= NOTABLE)?;
    Some((ahead, case.now.plus(-ahead)))
}

fn ahead(case: &Case<'_>) -> Option<Sign> {
    let judged = case.refused("token.expired")?;
    let (ahead, theirs) = their_time(case, judged).filter(|(ahead, _)| *ahead > 0)?;
    let alive = case.token.time("exp")?.saturating_add(leeway(case, judged)) > theirs.as_secs();
    let (name, _) = judged.provider(case.token)?;
    alive.then(|| {
        Sign::at(
            format!("this clock is {} ahead of provider {name}", duration(ahead)),
            ["provider", name, "leeway"],
        )
    })?
}

fn behind(case: &Case<'_>) -> Option<Sign> {
    let judged = case.refused("token.not_yet_valid")?;
    let (ahead, theirs) = their_time(case, judged).filter(|(ahead, _)| *ahead < 0)?;
    let leeway = leeway(case, judged);
    let times = ["nbf", "iat"].into_iter().filter_map(|name| case.token.time(name));
    let valid = times.max()? <= theirs.as_secs() + leeway;
    let (name, _) = judged.provider(case.token)?;
    valid.then(|| {
        Sign::at(
            format!("this clock is {} behind provider {name}", duration(ahead)),
            ["provider", name, "leeway"],
        )
    })?
}

fn expired(case: &Case<'_>) -> Option<Sign> {
    let exp = case.token.time("exp")?;
    // The guard's word counts where there is one: it knows the leeway.
    let over = match &case.judged {
        Some(_) => case.refused("token.expired").is_some() || case.failed_unreached(exp),
        None => exp <= case.now.as_secs(),
    };
    over.then(|| Sign::found(format!("exp was {}", relative(UnixTime::from_secs(exp), case.now))))?
}

fn not_yet(case: &Case<'_>) -> Option<Sign> {
    let name = ["nbf", "iat"].into_iter().find(|name| {
        case.token
            .time(name)
            .is_some_and(|time| time > case.now.as_secs() && time < YEAR_2100)
    })?;
    if case.judged.is_some() {
        case.refused("token.not_yet_valid")?;
    } else if case.token.time(name)? <= case.now.as_secs() + 30 {
        // The usual leeway of clocks.
        return None;
    }
    let time = UnixTime::from_secs(case.token.time(name)?);
    Sign::found(format!("{name} is {}", relative(time, case.now)))
}

fn too_long(case: &Case<'_>) -> Option<Sign> {
    let (iat, exp) = (case.token.time("iat")?, case.token.time("exp")?);
    let lifetime = exp.saturating_sub(iat);
    (lifetime > DAY && exp < YEAR_2100 && iat > 0).then(|| {
        Sign::found(format!(
            "it lives for {}, accepted is {}",
            duration(lifetime),
            duration(DAY)
        ))
    })?
}

impl Case<'_> {
    /// Whether it has expired, where the guard stopped before it looked at times.
    fn failed_unreached(&self, exp: i64) -> bool {
        let unreached = |judged: &Judged<'_>| {
            let check = judged.explanation.check(Check::Time);
            check.is_some_and(|check| check.outcome == portcullis_guard::Outcome::NotReached)
        };
        self.judged.as_ref().is_some_and(unreached) && exp <= self.now.as_secs()
    }
}
