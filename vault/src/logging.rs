//! The structured log on standard error.

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::args::{LogFormat, LogLevel};
use crate::raft;

/// Starts logging. To be called once.
pub(crate) fn start(format: LogFormat, level: LogLevel) {
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    // The libraries below speak of every step at "info"; their warnings are wanted, the rest is not.
    let below = level.min(LevelFilter::WARN);
    // Raft's library calls its own clean end an error, and the election of a lone voter a warning. What
    // matters of it reaches us by its state; the rest is for those who debug.
    let below_raft = if level >= LevelFilter::DEBUG { level } else { LevelFilter::OFF };
    let targets = Targets::new()
        .with_default(below)
        .with_target(raft::LOG_TARGET, below_raft)
        .with_targets([("vault", level), ("cofferd", level), ("fusefs", level)]);
    let registry = tracing_subscriber::registry().with(targets);
    match format {
        LogFormat::Text => {
            let plain = fmt::layer().with_writer(std::io::stderr).with_ansi(false);
            registry.with(plain.with_target(false)).init();
        }
        LogFormat::Json => {
            registry.with(fmt::layer().json().with_writer(std::io::stderr)).init();
        }
    }
}
