//! `cofferd` with bugs that are built in on purpose, one of which is chosen when it starts. Without
//! `--cfg planted` it is nothing: `tests/planted-rustc` is the compiler that sets it.

#[cfg(planted)]
#[global_allocator]
static ALLOCATOR: vault_memory::WipingAllocator = vault_memory::WipingAllocator;

#[cfg(planted)]
fn main() -> std::process::ExitCode {
    if std::env::args_os().nth(1).is_some_and(|first| first == "launch") {
        return vault::runner::launch::main();
    }
    vault_memory::sys::keep_little_memory();
    vault::start::main()
}

#[cfg(not(planted))]
fn main() -> std::process::ExitCode {
    std::process::ExitCode::FAILURE
}
