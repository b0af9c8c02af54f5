//! `print!` and `println!` of this crate: as those of the standard library, but a reader that goes away ends the program in
//! silence, as it does others in a pipe, and a full disk ends it with words. The standard ones panic.
#![expect(clippy::print_stderr, reason = "it is the command's output")]

use std::fmt::Arguments;
use std::io::{ErrorKind, Write, stdout};
use std::process::exit;

/// What a shell says of a program that a broken pipe has ended: 128 and SIGPIPE.
const BROKEN_PIPE: i32 = 141;

macro_rules! print {
    ($($arg:tt)*) => { $crate::print::print(format_args!($($arg)*)) };
}

macro_rules! println {
    ($($arg:tt)*) => { $crate::print::print(format_args!("{}\n", format_args!($($arg)*))) };
}

pub(crate) fn print(text: Arguments<'_>) {
    let mut out = stdout().lock();
    let Err(error) = out.write_fmt(text).and_then(|()| out.flush()) else {
        return;
    };
    if error.kind() == ErrorKind::BrokenPipe {
        exit(BROKEN_PIPE);
    }
    eprintln!("error: cannot write the output: {error}");
    exit(1)
}
