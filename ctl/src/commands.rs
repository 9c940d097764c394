//! The verbs, each in its file: take what was typed, call the daemon, show the answer.

pub(crate) mod audit;
pub(crate) mod backup;
pub(crate) mod ca;
pub(crate) mod converge;
pub(crate) mod dev;
pub(crate) mod doctor;
pub(crate) mod events;
pub(crate) mod keys;
pub(crate) mod lock;
pub(crate) mod logs;
pub(crate) mod node;
pub(crate) mod root;
pub(crate) mod service;
pub(crate) mod status;
pub(crate) mod swarm;
pub(crate) mod tasks;
pub(crate) mod token;
pub(crate) mod versioned;

use crate::args::AuditCommand;
use crate::args::Cli;
use crate::args::Command;
use crate::args::JoinTokenArgs;
use crate::args::NodeCommand;
use crate::args::ServiceCommand;
use crate::args::SwarmCommand;
use crate::exit::Failure;
use crate::host::Host;
use crate::objects::Class;
use crate::out;

/// Runs one command to its end.
pub(crate) async fn run(cli: Cli) -> Result<(), Failure> {
    let host = || Host::parse(&cli.host);
    match cli.command {
        Command::Swarm(command) => swarm_command(&host()?, command).await,
        Command::Secret(command) => versioned::run(&host()?, Class::Secret, command).await,
        Command::Config(command) => versioned::run(&host()?, Class::Config, command).await,
        Command::Node(command) => node_command(&host()?, command).await,
        Command::Status { format } => status::show(&host()?, format.as_deref()).await,
        Command::Service(command) => service_command(&host()?, command).await,
        Command::Events(args) => events::watch(&host()?, &args).await,
        Command::Audit(AuditCommand::Tail(args)) => audit::tail(&host()?, &args).await,
        Command::Audit(AuditCommand::Verify) => audit::verify(&host()?).await,
        Command::Backup(command) => backup::run(&host()?, command).await,
        Command::Dev(args) => dev::run(&args).await,
        Command::Doctor(args) => doctor::run(&host()?, &args),
        Command::Version => {
            Ok(out::line(format_args!("Client:\n Version:  {}", env!("CARGO_PKG_VERSION")))?)
        }
    }
}

async fn swarm_command(host: &Host, command: SwarmCommand) -> Result<(), Failure> {
    match command {
        SwarmCommand::Init { advertise_addr, autolock, force_new_cluster: false, .. } => {
            swarm::init(host, advertise_addr, autolock).await
        }
        SwarmCommand::Init { yes, .. } => swarm::force_new_cluster(host, yes).await,
        SwarmCommand::Join(args) => swarm::join(host, args).await,
        SwarmCommand::Leave { force } => swarm::leave(host, force).await,
        SwarmCommand::JoinToken(JoinTokenArgs { command: Some(command), .. }) => {
            token::run(host, command).await
        }
        SwarmCommand::JoinToken(JoinTokenArgs { quiet, rotate, role, .. }) => {
            swarm::join_token(host, &role.unwrap_or_default(), rotate, quiet).await
        }
        SwarmCommand::Update(args) => swarm::update(host, args).await,
        SwarmCommand::UnlockKey { quiet, rotate } => lock::unlock_key(host, rotate, quiet).await,
        SwarmCommand::Unlock => lock::unlock(host).await,
        SwarmCommand::Ca(args) => ca::run(host, args).await,
        SwarmCommand::RotateKeys { detach } => keys::rotate(host, detach).await,
    }
}

async fn node_command(host: &Host, command: NodeCommand) -> Result<(), Failure> {
    match command {
        NodeCommand::Ls { list, read } => node::list(&host.reading(read), &list).await,
        NodeCommand::Inspect { format, read, references } => {
            node::inspect(&host.reading(read), format.as_deref(), &references).await
        }
        NodeCommand::Promote { references } => node::promote(host, &references).await,
        NodeCommand::Demote { references } => node::demote(host, &references).await,
        NodeCommand::Update(args) => node::update(host, args).await,
        NodeCommand::Rm { force, references } => node::remove(host, force, &references).await,
    }
}

async fn service_command(host: &Host, command: ServiceCommand) -> Result<(), Failure> {
    match command {
        ServiceCommand::Create(args) => service::create(host, args).await,
        ServiceCommand::Ls { list, read } => service::list(&host.reading(read), &list).await,
        ServiceCommand::Ps { list, read, no_trunc, references } => {
            tasks::list(&host.reading(read), &list, no_trunc, &references).await
        }
        ServiceCommand::Inspect { format, read, references } => {
            service::inspect(&host.reading(read), format.as_deref(), &references).await
        }
        ServiceCommand::Rm { references } => service::remove(host, &references).await,
        ServiceCommand::Logs(args) => logs::show(host, &args).await,
    }
}
