//! `cofferd`: reads its arguments, hardens itself, serves until it is told to end.

use std::process::ExitCode;

use vault::runner;
use vault_memory::WipingAllocator;

#[global_allocator]
static ALLOCATOR: WipingAllocator = WipingAllocator;

fn main() -> ExitCode {
    // The helper of a task: no thread may be started before it.
    if std::env::args_os().nth(1).is_some_and(|first| first == "launch") {
        return runner::launch::main();
    }
    vault_memory::sys::keep_little_memory();
    vault::start::main()
}
