//! What a person types: `cargo xtask test`, `bench`, `ci`, `fmt`, `docs`, `fuzz`, `soak`.
//!
//! It drives other programs (cargo, npm, apt, wrk) and holds no logic of the product. `cargo xtask --help` lists
//! the commands; `.ci/run` is `cargo xtask ci`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool")]

mod bench;
mod ci;
mod docs;
mod fuzz;
mod keycloak;
mod links;
mod node;
mod packages;
mod sh;
mod soak;
mod tally;
mod test;

use std::process::ExitCode;

use sh::Failure;

const HELP: &str = "\
Usage: cargo xtask COMMAND

Commands:
  test            Rust tests, doc tests and the browser walk; ends in `N passed, N failed, N skipped`
  ci [STEP...]    what must be green; ends in the same line. Steps: fmt, clippy, test, rustdoc, pages,
                  links, manual, deny, advisories
  bench gateway   the same load on nginx, HAProxy and Portcullis: requests per second, CPU per request
  bench sessions  calls with 10,000 sessions on Portcullis, Apache mod_auth_openidc and oauth2-proxy
  bench start     time to ready, resident memory, size of the binary
  bench jose      token validation beside raw aws-lc-rs and the jsonwebtoken crate
  fuzz [--seconds N] [TARGET]
                  one fuzz target or each of them, for N seconds (30)
  soak [--seconds N] [--sessions N]
                  two gateways on one Redis under load, with tokens of 5 s and a restart of Redis in the
                  middle, for N seconds (1800) with N sessions (200): none is lost, none refreshed twice
  fmt [--check]   format the code, or say what is not formatted
  docs [--check]  write the generated pages of docs/, or say which of them is out of date

On Debian and Ubuntu, `test`, `soak` and `bench` install the packages that they miss through apt.
";

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
enum Command {
    Test,
    Ci { steps: Vec<String> },
    Bench(bench::Which),
    Fuzz(fuzz::Fuzz),
    Soak(soak::Soak),
    Fmt { check: bool },
    Docs { check: bool },
    Help,
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let command = match parse(&args) {
        Ok(command) => command,
        Err(Failure(text)) => {
            eprintln!("error: {text}\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    let done = match command {
        Command::Help => {
            print!("{HELP}");
            Ok(())
        }
        Command::Test => test::command(),
        Command::Ci { steps } => ci::command(&steps),
        Command::Bench(which) => bench::command(which),
        Command::Fuzz(fuzz) => fuzz.run(),
        Command::Soak(soak) => soak.run(),
        Command::Fmt { check } => ci::fmt(check),
        Command::Docs { check } => docs::command(check),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // `test` and `ci` end with their plain line; what failed was said before it.
        Err(Failure(text)) if text.is_empty() => ExitCode::FAILURE,
        Err(Failure(text)) => {
            eprintln!("error: {text}");
            ExitCode::FAILURE
        }
    }
}

fn parse(args: &[&str]) -> Result<Command, Failure> {
    if args.iter().any(|arg| matches!(*arg, "-h" | "--help" | "help")) {
        return Ok(Command::Help);
    }
    match args {
        ["test"] => Ok(Command::Test),
        ["ci", steps @ ..] => match steps.iter().find(|step| !ci::knows(step)) {
            None => Ok(Command::Ci {
                steps: steps.iter().map(|step| (*step).to_owned()).collect(),
            }),
            Some(other) => Err(Failure(format!("`ci` has no step `{other}`: {}", ci::names()))),
        },
        ["bench", which] => bench::Which::from_name(which).map(Command::Bench).ok_or_else(|| {
            Failure(format!(
                "there is no benchmark `{which}`: gateway, sessions, start or jose"
            ))
        }),
        ["bench"] => Err(Failure::new("`bench` needs a name: gateway, sessions, start or jose")),
        ["fuzz", rest @ ..] => fuzz::Fuzz::from_args(rest).map(Command::Fuzz),
        ["soak", rest @ ..] => soak::Soak::from_args(rest).map(Command::Soak),
        ["fmt"] => Ok(Command::Fmt { check: false }),
        ["fmt", "--check"] => Ok(Command::Fmt { check: true }),
        ["docs"] => Ok(Command::Docs { check: false }),
        ["docs", "--check"] => Ok(Command::Docs { check: true }),
        [] => Err(Failure::new("a command is missing")),
        [first @ ("test" | "fmt" | "docs" | "bench"), rest @ ..] => {
            Err(Failure(format!("`{first}` does not understand `{}`", rest.join(" "))))
        }
        [other, ..] => Err(Failure(format!("there is no command `{other}`"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_understood() {
        assert_eq!(parse(&["test"]), Ok(Command::Test));
        assert_eq!(parse(&["bench", "start"]), Ok(Command::Bench(bench::Which::Start)));
        assert_eq!(parse(&["fmt", "--check"]), Ok(Command::Fmt { check: true }));
        assert_eq!(parse(&["docs"]), Ok(Command::Docs { check: false }));
        assert_eq!(parse(&["ci", "--help"]), Ok(Command::Help));
        assert_eq!(parse(&["ci"]), Ok(Command::Ci { steps: vec![] }));
        assert_eq!(
            parse(&["ci", "links"]),
            Ok(Command::Ci {
                steps: vec!["links".to_owned()]
            })
        );
    }

    #[test]
    fn the_help_lists_every_step() {
        let help: String = HELP.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(help.contains(&format!("Steps: {}", ci::names())), "{help}");
    }

    #[test]
    fn what_is_not_understood_is_named() {
        let text = |args: &[&str]| parse(args).unwrap_err().0;
        assert_eq!(text(&["tset"]), "there is no command `tset`");
        assert_eq!(
            text(&["bench", "idp"]),
            "there is no benchmark `idp`: gateway, sessions, start or jose"
        );
        assert_eq!(text(&["test", "--fast"]), "`test` does not understand `--fast`");
        assert_eq!(text(&[]), "a command is missing");
        assert!(text(&["ci", "lint"]).starts_with("`ci` has no step `lint`: fmt, clippy, test,"));
    }
}
