//! `portcullis completions` and `portcullis man`: what shells and `man` want to know of the command.

use std::io::{Write, stdout};
use std::path::Path;
use std::process::ExitCode;

use clap::{Command, CommandFactory};
use clap_complete::Shell;

use super::{Cli, finish};

/// What `man` puts below the options of each page.
const STATUS: &str = "EXIT STATUS\n0: success. 1: a failure at run time, or a token that is refused; of doctor, \
                      warnings. 2: a wrong command line or a faulty configuration; of doctor, something is broken.";

pub(super) fn completions(shell: Shell) -> ExitCode {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "portcullis", &mut text);
    finish(put(&text), false)
}

/// One page on stdout, or all of them as files in a directory.
pub(super) fn man(page: Option<&str>, directory: Option<&Path>) -> ExitCode {
    let result = match directory {
        Some(directory) => write_all(directory),
        None => one(page),
    };
    finish(result, false)
}

fn one(page: Option<&str>) -> Result<(), String> {
    let mut whole = Cli::command();
    whole.build();
    let command = match page {
        None => &whole,
        Some(name) => visible(&whole)
            .find(|command| command.get_name() == name)
            .ok_or_else(|| format!("there is no command {name}"))?,
    };
    put(&rendered(command)?)
}

fn write_all(directory: &Path) -> Result<(), String> {
    let mut whole = Cli::command();
    whole.build();
    std::fs::create_dir_all(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    for command in std::iter::once(&whole).chain(visible(&whole)) {
        let name = command.get_display_name().unwrap_or("portcullis");
        let path = directory.join(format!("{name}.1"));
        std::fs::write(&path, rendered(command)?).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

fn visible(whole: &Command) -> impl Iterator<Item = &Command> {
    whole.get_subcommands().filter(|command| !command.is_hide_set())
}

fn rendered(command: &Command) -> Result<Vec<u8>, String> {
    let mut page = Vec::new();
    let title = command.get_display_name().unwrap_or("portcullis").to_owned();
    clap_mangen::Man::new(command.clone().after_help(STATUS))
        .title(title)
        .render(&mut page)
        .map_err(|error| error.to_string())?;
    Ok(page)
}

/// A reader that has seen enough, such as `head`, is no failure.
fn put(text: &[u8]) -> Result<(), String> {
    match stdout().write_all(text) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.to_string()),
        _ => Ok(()),
    }
}
