//! From the command line to a daemon that serves, and to its clean end.

use std::error::Error;
use std::ffi::OsString;
use std::io;
use std::net::SocketAddr;
use std::num::NonZero;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use clap::error::ErrorKind;
use tokio::net::{TcpListener, UnixListener};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use crate::agent::Delivery;
use crate::args::Args;
use crate::daemon::{Config, Daemon};
use crate::disk::log;
use crate::home::{HomeError, RunDir, StateDir};
use crate::manager::{self, Limits, ManagerError};
use crate::notify::{self, READY, STOPPING};
use crate::rootless::{self, RootlessError};
use crate::space::Space;
use crate::{logging, metrics, rpc};

/// A command line that does not parse. Docker's code.
const EXIT_USAGE: u8 = 125;
/// How long an ending daemon lets open calls finish.
const DRAIN: Duration = Duration::from_secs(2);

/// Why the daemon ended, or never started.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error("cofferd must be root, or be started with --rootless")]
    NotRoot,
    #[error(transparent)]
    Rootless(#[from] RootlessError),
    #[error(transparent)]
    Home(#[from] HomeError),
    #[error("the current directory is not known")]
    Path(#[source] io::Error),
    #[error("cannot clear what a crash left behind while founding a cluster")]
    Draft(#[source] io::Error),
    #[error("cannot start: {what}")]
    Runtime {
        what: &'static str,
        #[source]
        source: io::Error,
    },
    #[error("cannot deliver secrets")]
    Delivery(#[from] fusefs::StartError),
    #[error(transparent)]
    Manager(#[from] ManagerError),
    #[error("cannot serve metrics at {addr}: choose another --metrics-addr")]
    Metrics {
        addr: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("serving the socket failed")]
    Serve(#[source] tonic::transport::Error),
}

/// Runs the daemon.
pub fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(refused) => {
            let is_help =
                matches!(refused.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            // To a closed terminal nothing can be said.
            refused.print().ok();
            return if is_help { ExitCode::SUCCESS } else { ExitCode::from(EXIT_USAGE) };
        }
    };
    logging::start(args.log_format, args.log_level);
    #[cfg(planted)]
    crate::planted::choose();
    match run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{}", chain(&error));
            ExitCode::FAILURE
        }
    }
}

/// An error and its causes, in one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}

fn run(args: Args) -> Result<(), StartError> {
    let is_root = rustix::process::geteuid().is_root();
    if args.rootless && !is_root {
        rootless::enter()?;
    } else if !is_root {
        return Err(StartError::NotRoot);
    }
    // Whatever the umask of whoever started us: what we make is ours.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    for shortfall in vault_memory::harden().shortfalls {
        tracing::warn!(cure = shortfall.cure, error = %shortfall.source, "{}", shortfall.what);
    }
    // Most of the work is one chain of steps, and whoever calls needs the other half. More threads hand
    // the steps to and fro.
    let cpus = std::thread::available_parallelism().map_or(1, NonZero::get);
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(cpus.div_ceil(2)).enable_all().build();
    let runtime =
        runtime.map_err(|source| StartError::Runtime { what: "the async runtime", source })?;
    runtime.block_on(serve(args, is_root))
}

async fn serve(mut args: Args, is_root: bool) -> Result<(), StartError> {
    let systemd = std::env::var_os("NOTIFY_SOCKET");
    // What tasks must not see is named by absolute paths, wherever this process stands.
    let absolute = |path: &Path| std::path::absolute(path);
    args.state_dir = absolute(&args.state_dir).map_err(StartError::Path)?;
    args.run_dir = absolute(&args.run_dir).map_err(StartError::Path)?;
    let state_dir = StateDir::take(&args.state_dir)?;
    let is_rootless = args.rootless && !is_root;
    let run_dir = RunDir::take(&args.run_dir, is_rootless)?;
    manager::remove_draft(state_dir.path()).map_err(StartError::Draft)?;
    let features = fusefs::features();
    for missing in &features.missing {
        tracing::warn!("{missing}");
    }
    let delivery = Delivery::start(&features)?;
    tracing::info!(
        delivery = delivery.name(),
        kernel = %rustix::system::uname().release().to_string_lossy(),
        "starting"
    );
    let metrics = metrics_listener(args.metrics_addr).await?;
    let space = Space::watch(args.state_dir.clone());
    let space =
        space.map_err(|source| StartError::Runtime { what: "watching the disk", source })?;
    let config = Config {
        state_dir: args.state_dir,
        run_dir: args.run_dir,
        listen: args.listen_addr,
        advertise: args.advertise_addr,
        managers: args.manager_addr,
        limits: Limits {
            memory_budget: args.memory_budget,
            space,
            meters: Arc::default(),
            log: log::Options { segment_bytes: args.log_segment_bytes, ..log::Options::default() },
        },
        is_rootless,
    };
    let daemon = Daemon::start(config, delivery).await?;
    let metrics = metrics.map(|listener| metrics::Serving::start(listener, &daemon));
    let socket = listen(&run_dir)?;
    let told_to_end = end_signal()?;
    notify::notify(systemd.as_deref(), READY);
    tracing::info!(socket = %run_dir.socket().display(), "serving");
    let (draining, drained) = oneshot::channel();
    let ending = Ending { systemd, draining };
    let serving = rpc::serve(socket, Arc::clone(&daemon), ending.wait(told_to_end));
    let served = tokio::select! {
        served = serving => served,
        // Whoever follows logs or events would never hang up by himself.
        () = drain(drained) => Ok(()),
    };
    if let Some(serving) = metrics {
        serving.stop().await;
    }
    daemon.end().await;
    std::fs::remove_file(run_dir.socket()).ok();
    served.map_err(StartError::Serve)
}

/// Where metrics are served, if they are to be.
async fn metrics_listener(addr: Option<SocketAddr>) -> Result<Option<TcpListener>, StartError> {
    let Some(addr) = addr else { return Ok(None) };
    let failed = |source| StartError::Metrics { addr, source };
    Ok(Some(TcpListener::bind(addr).await.map_err(failed)?))
}

/// The socket. A stale one is replaced: the lock of the state directory says that nobody serves it.
fn listen(run_dir: &RunDir) -> Result<UnixListener, StartError> {
    let path = run_dir.socket();
    let failed = |source| StartError::Runtime { what: "the socket", source };
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        Err(_) | Ok(()) => {}
    }
    let socket = UnixListener::bind(&path).map_err(failed)?;
    run_dir.open_socket_to_group()?;
    Ok(socket)
}

/// Done on SIGTERM or SIGINT.
fn end_signal() -> Result<impl Future<Output = ()>, StartError> {
    let failed = |source| StartError::Runtime { what: "signal handling", source };
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut hangup = signal(SignalKind::hangup()).map_err(failed)?;
    Ok(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => return,
                _ = interrupt.recv() => return,
                // Whoever turns logs over sends it by habit: that must not end a vault.
                _ = hangup.recv() => tracing::info!("SIGHUP changes nothing: nothing is read anew"),
            }
        }
    })
}

/// Done some time after the end has begun: calls that are still open are then cut.
async fn drain(begun: oneshot::Receiver<()>) {
    // Without the word that the end has begun, serving ended by itself.
    if begun.await.is_err() {
        std::future::pending::<()>().await;
    }
    tokio::time::sleep(DRAIN).await;
}

struct Ending {
    systemd: Option<OsString>,
    draining: oneshot::Sender<()>,
}

impl Ending {
    async fn wait(self, told: impl Future<Output = ()>) {
        told.await;
        tracing::info!("ending");
        notify::notify(self.systemd.as_deref(), STOPPING);
        // Nobody waits any more if serving has ended meanwhile.
        self.draining.send(()).ok();
    }
}
