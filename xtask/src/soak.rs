//! `cargo xtask soak`: replicas under load for a long time, tokens that expire all the while, Redis restarted midway.

use crate::packages;
use crate::sh::{self, Failure, Outcome};

const TEST: &str = "gateway::fleet::soak::on_redis_no_session_is_lost_and_no_refresh_token_used_twice";

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Soak {
    seconds: u64,
    sessions: u64,
}

impl Soak {
    /// `[--seconds N] [--sessions N]`
    pub(crate) fn from_args(args: &[&str]) -> Outcome<Self> {
        let mut soak = Self {
            seconds: 30 * 60,
            sessions: 200,
        };
        let mut rest = args;
        while let [name, value, others @ ..] = rest {
            let number = value
                .parse()
                .ok()
                .filter(|number| *number > 0)
                .ok_or_else(|| Failure(format!("`{value}` is no number of {}", name.trim_start_matches('-'))))?;
            match *name {
                "--seconds" => soak.seconds = number,
                "--sessions" => soak.sessions = number,
                other => return Err(Failure(format!("`soak` does not understand `{other}`"))),
            }
            rest = others;
        }
        match rest {
            [] => Ok(soak),
            [name, ..] => Err(Failure(format!(
                "`soak` does not understand `{name}`, or its number is missing"
            ))),
        }
    }

    /// The test that `cargo xtask test` runs for some seconds, for longer, and with what it counted.
    pub(crate) fn run(&self) -> Outcome {
        packages::databases()?;
        let mut command = sh::cargo();
        command
            .args([
                "test",
                "--release",
                "--locked",
                "--package",
                "portcullis-tests",
                "--test",
                "system",
                "--",
            ])
            .args([TEST, "--exact", "--nocapture"])
            .env("PORTCULLIS_SOAK_SECONDS", self.seconds.to_string())
            .env("PORTCULLIS_SOAK_SESSIONS", self.sessions.to_string());
        sh::run(&mut command)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_understood() {
        let long = Soak {
            seconds: 1_800,
            sessions: 200,
        };
        assert_eq!(Soak::from_args(&[]), Ok(long));
        let short = Soak {
            seconds: 60,
            sessions: 5,
        };
        assert_eq!(Soak::from_args(&["--sessions", "5", "--seconds", "60"]), Ok(short));
        for wrong in [
            &["--seconds"][..],
            &["--seconds", "0"],
            &["--seconds", "x"],
            &["now"],
            &["--for", "5"],
        ] {
            assert!(Soak::from_args(wrong).is_err(), "{wrong:?}");
        }
    }
}
