//! `coffer swarm`: the first manager, and the tokens that others would join with.

use std::io::IsTerminal;
use std::io::Read;

use crate::args::JoinArgs;
use crate::args::UpdateSwarmArgs;
use crate::client::Client;
use crate::commands::lock;
use crate::commands::lock::unlock_text;
use crate::commands::versioned::confirm;
use crate::exit::Failure;
use crate::host::Host;
use crate::objects::Initialized;
use crate::objects::Status;
use crate::out;

/// A token has 85 characters.
const TOKEN_BYTES_MAX: u64 = 1_024;

/// Why a swarm command is refused before the daemon is asked.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SwarmError {
    #[error("unknown role {0}")]
    UnknownRole(String),
    #[error("a token is needed: take the command that 'coffer swarm join-token manager' shows")]
    NoToken,
    #[error("the token on standard input is longer than any token")]
    LongToken,
    #[error(
        "forcing a new cluster asks first, and standard input is not a terminal; give -y (--yes) if it is meant"
    )]
    NobodyToAsk,
    #[error("nothing is to be changed: see coffer swarm update --help")]
    NoChange,
    #[error("invalid availability {0}: active, pause and drain are known")]
    Availability(String),
}

/// Makes this node the first manager of a cluster.
pub(crate) async fn init(
    host: &Host,
    advertise_addr: String,
    autolock: bool,
) -> Result<(), Failure> {
    let made = Client::connect(host).await?.init(advertise_addr, autolock).await?;
    out::line(init_text(&made))?;
    match &made.unlock_key {
        Some(key) => Ok(out::line(format_args!("\n{}", unlock_text(key)))?),
        None => Ok(()),
    }
}

/// Makes a cluster of what this manager holds, after showing what that is.
pub(crate) async fn force_new_cluster(host: &Host, is_sure: bool) -> Result<(), Failure> {
    let client = Client::connect(host).await?;
    let mut status = client.status().await?;
    if status.is_locked {
        // What it holds cannot be read without the key. Unlocking waits for no other manager.
        lock::open(&client).await?;
        status = client.status().await?;
    }
    out::line(remains_text(&status))?;
    if !is_sure {
        if !std::io::stdin().is_terminal() {
            return Err(SwarmError::NobodyToAsk.into());
        }
        confirm::ask("Go on?")?;
    }
    let made = client.force_new_cluster().await?;
    Ok(out::line(init_text(&made))?)
}

fn remains_text(status: &Status) -> String {
    let others = status.managers.iter().filter(|manager| manager.node_id != status.node_id);
    let others: Vec<_> = others.map(|one| format!("  {}  {}", one.node_id, one.addr)).collect();
    format!(
        "This manager holds cluster {} up to entry {} of term {}: {} secrets, {} configs, {} services.\n\
         What other managers acknowledged after that is lost. These are fenced off for ever, and join \
         again as new nodes:\n{}",
        status.cluster_id,
        status.last,
        status.term,
        status.secrets,
        status.configs,
        status.services,
        if others.is_empty() { "  none".to_owned() } else { others.join("\n") }
    )
}

fn init_text(made: &Initialized) -> String {
    format!(
        "Swarm initialized: current node ({}) is now a manager.\n\n{}\n\
         To add a manager to this swarm, run 'coffer swarm join-token manager' and follow the instructions.",
        made.node_id,
        join_text("worker", &made.worker_token, &made.address)
    )
}

pub(crate) fn join_text(role: &str, token: &str, address: &str) -> String {
    format!(
        "To add a {role} to this swarm, run the following command:\n\n    \
         coffer swarm join --token {token} {address}\n"
    )
}

/// Makes this node one of a cluster's.
pub(crate) async fn join(host: &Host, args: JoinArgs) -> Result<(), Failure> {
    if !["active", "pause", "drain"].contains(&args.availability.as_str()) {
        return Err(SwarmError::Availability(args.availability).into());
    }
    let token = match args.token.as_str() {
        "" => return Err(SwarmError::NoToken.into()),
        "-" => typed_token()?,
        token => token.to_owned(),
    };
    let client = Client::connect(host).await?;
    let joined = client.join(args.remote, token, args.advertise_addr, &args.availability).await?;
    if !joined.is_done {
        return Ok(out::line(
            "Timeout was reached before node joined. The attempt to join the swarm will continue in the \
             background. Use the \"coffer status\" command to see the current swarm status of your node.",
        )?);
    }
    Ok(out::line(format_args!("This node joined a swarm as a {}.", joined.role))?)
}

fn typed_token() -> Result<String, Failure> {
    let mut token = String::new();
    std::io::stdin().take(TOKEN_BYTES_MAX).read_to_string(&mut token).map_err(Failure::Stdin)?;
    if u64::try_from(token.len()).is_ok_and(|length| length == TOKEN_BYTES_MAX) {
        return Err(SwarmError::LongToken.into());
    }
    Ok(token.trim().to_owned())
}

/// This node forgets the cluster.
pub(crate) async fn leave(host: &Host, force: bool) -> Result<(), Failure> {
    Client::connect(host).await?.leave(force).await?;
    Ok(out::line("Node left the swarm.")?)
}

/// Shows a standing token, alone or in the command that uses it.
pub(crate) async fn join_token(
    host: &Host,
    role: &str,
    rotate: bool,
    quiet: bool,
) -> Result<(), Failure> {
    if !["worker", "manager"].contains(&role) {
        return Err(SwarmError::UnknownRole(role.to_owned()).into());
    }
    let client = Client::connect(host).await?;
    let tokens =
        if rotate { client.rotate_token(role).await? } else { client.join_tokens().await? };
    let token = if role == "worker" { &tokens.worker } else { &tokens.manager };
    if quiet {
        return Ok(out::line(token)?);
    }
    if rotate {
        out::line(format_args!("Successfully rotated {role} join token.\n"))?;
    }
    Ok(out::line(join_text(role, token, &tokens.address))?)
}

/// Changes what holds for the whole cluster. Backups first: what they ask for may be refused.
pub(crate) async fn update(host: &Host, args: UpdateSwarmArgs) -> Result<(), Failure> {
    if args.autolock.is_none() && !args.is_about_backups() {
        return Err(SwarmError::NoChange.into());
    }
    let client = Client::connect(host).await?;
    let autolock = args.autolock;
    if args.is_about_backups() {
        client.schedule_backups(args).await?;
    }
    out::line("Swarm updated.")?;
    match autolock {
        Some(autolock) => lock::set(&client, autolock).await,
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_texts_are_swarms() {
        let [node_id, worker_token, address] = ["N", "T", "A"].map(str::to_owned);
        assert_eq!(
            init_text(&Initialized { node_id, worker_token, address, unlock_key: None }),
            "Swarm initialized: current node (N) is now a manager.\n\n\
             To add a worker to this swarm, run the following command:\n\n    \
             coffer swarm join --token T A\n\n\
             To add a manager to this swarm, run 'coffer swarm join-token manager' and follow the instructions."
        );
    }
}
