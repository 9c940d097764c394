//! The process runner: starts one task as a command in mount, PID and IPC namespaces of its own, as
//! a user of its own, with `/run/secrets` and nothing else of the host's `/run`, and ends all of it
//! together. It decides nothing about which task runs, reads no secret, and restarts nothing.
//!
//! Three processes stand behind a task: this daemon, a helper (`cofferd launch`), and the first
//! process of the task's PID namespace. Each ends when the one above it does, however that one
//! ended.

mod channel;
mod control;
mod driver;
mod error;
pub mod launch;
mod limits;
pub mod output;
mod spec;
mod task;
mod wire;

pub use error::{LaunchError, Step};
pub use limits::SPEC_BYTES_MAX;
pub use spec::{LaunchSpec, SpecError, TaskUser};
pub use task::{Prepared, RunningTask, StopError, StopHandle, TaskExit, TaskOutput, launch};
pub use wire::DecodeError;
