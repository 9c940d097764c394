//! What was typed on the command line of `cofferd`, or set in its environment.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::builder::FalseyValueParser;
use clap::{Parser, ValueEnum};
use vault_core::limits::MEMORY_BYTES_DEFAULT;

use crate::metrics;

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

/// How much is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// The daemon of a Coffer node. Every node runs it; `coffer swarm init` makes it a manager.
#[derive(Debug, Parser)]
#[command(
    name = "cofferd",
    version,
    after_help = "Example:\n  cofferd --state-dir /var/lib/coffer --run-dir /run/coffer"
)]
pub struct Args {
    /// Where this node keeps its keys and its log. Made if it is not there; must be closed to others
    #[arg(long, env = "COFFERD_STATE_DIR", value_name = "DIR", default_value = "/var/lib/coffer")]
    pub state_dir: PathBuf,

    /// Where the socket coffer.sock is made
    #[arg(long, env = "COFFERD_RUN_DIR", value_name = "DIR", default_value = "/run/coffer")]
    pub run_dir: PathBuf,

    /// The node port, where the managers of the cluster reach each other
    #[arg(
        long,
        env = "COFFERD_LISTEN_ADDR",
        value_name = "IP:PORT",
        default_value = "0.0.0.0:2377"
    )]
    pub listen_addr: SocketAddr,

    /// Where others reach this node, if it is not what it listens on
    #[arg(long, env = "COFFERD_ADVERTISE_ADDR", value_name = "IP:PORT")]
    pub advertise_addr: Option<SocketAddr>,

    /// Where another manager of this node's cluster is by now, if most of them have moved; may be given again
    #[arg(long, env = "COFFERD_MANAGER_ADDR", value_name = "IP:PORT", value_delimiter = ',')]
    pub manager_addr: Vec<SocketAddr>,

    /// Memory that secrets and configs may take, in bytes; past it writes are refused
    #[arg(long, env = "COFFERD_MEMORY_BUDGET", value_name = "BYTES", default_value_t = MEMORY_BYTES_DEFAULT)]
    pub memory_budget: u64,

    /// Bytes of one file of the log, 65536 to 1073741824. Smaller ones spare a small disk and cost speed
    #[arg(long, env = "COFFERD_LOG_SEGMENT_BYTES", value_name = "BYTES", default_value_t = 33_554_432, value_parser = clap::value_parser!(u64).range(65_536..=1_073_741_824))]
    pub log_segment_bytes: u64,

    /// Serve health, readiness and metrics here, over plain HTTP: a loopback address. Not served if not given
    #[arg(long, env = "COFFERD_METRICS_ADDR", value_name = "IP:PORT", value_parser = metrics::parse_addr)]
    pub metrics_addr: Option<SocketAddr>,

    /// Run as an ordinary user, as root of a user namespace of its own
    #[arg(long, env = "COFFERD_ROOTLESS", value_parser = FalseyValueParser::new())]
    pub rootless: bool,

    /// How the log on standard error is written
    #[arg(long, env = "COFFERD_LOG_FORMAT", value_name = "FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,

    /// How much is logged
    #[arg(long, env = "COFFERD_LOG_LEVEL", value_name = "LEVEL", value_enum, default_value_t = LogLevel::Info)]
    pub log_level: LogLevel,
}
