//! The command `portcullis`.

use std::process::ExitCode;

/// Each call takes some hundred small pieces of memory and gives them back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    portcullis::cli::run()
}
