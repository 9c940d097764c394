//! `coffer`: the command line of a Coffer cluster. It holds no key and opens no envelope.

mod args;
mod base64;
mod chance;
mod client;
mod clock;
mod codec;
mod commands;
mod exit;
mod folder;
mod grant;
mod host;
mod human;
mod inspect;
mod limits;
mod lines;
mod listing;
mod natural;
mod objects;
mod out;
mod plaintext;
mod prompt;
mod signals;
mod table;
mod template;

use std::process::ExitCode;

use crate::exit::Failure;

fn main() -> ExitCode {
    let cli = match args::parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(error) => return exit::usage(&error),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    exit::report(match runtime {
        Ok(runtime) => runtime.block_on(commands::run(cli)),
        Err(error) => Err(Failure::Runtime(error)),
    })
}
