//! `coffer swarm`: the first manager, and the tokens that others would join with.

use crate::client::Client;
use crate::exit::Failure;
use crate::host::Host;
use crate::objects::Initialized;
use crate::out;

/// Why a swarm command is refused before the daemon is asked.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SwarmError {
    #[error(
        "this version runs a single manager: a node cannot join yet; \
         run 'coffer swarm init' to make a cluster of this node"
    )]
    JoinNotYet,
    #[error("unknown role {0}")]
    UnknownRole(String),
}

/// Makes this node the first manager of a cluster.
pub(crate) async fn init(host: &Host, advertise_addr: String) -> Result<(), Failure> {
    let made = Client::connect(host).await?.init(advertise_addr).await?;
    Ok(out::line(init_text(&made))?)
}

fn init_text(made: &Initialized) -> String {
    format!(
        "Swarm initialized: current node ({}) is now a manager.\n\n{}\n\
         To add a manager to this swarm, run 'coffer swarm join-token manager' and follow the instructions.",
        made.node_id,
        join_text("worker", &made.worker_token, &made.address)
    )
}

fn join_text(role: &str, token: &str, address: &str) -> String {
    format!(
        "To add a {role} to this swarm, run the following command:\n\n    \
         coffer swarm join --token {token} {address}\n"
    )
}

pub(crate) fn join() -> Result<(), Failure> {
    Err(SwarmError::JoinNotYet.into())
}

/// Shows a standing token, alone or in the command that uses it.
pub(crate) async fn join_token(host: &Host, role: &str, quiet: bool) -> Result<(), Failure> {
    if !["worker", "manager"].contains(&role) {
        return Err(SwarmError::UnknownRole(role.to_owned()).into());
    }
    let tokens = Client::connect(host).await?.join_tokens().await?;
    let token = if role == "worker" { &tokens.worker } else { &tokens.manager };
    let text = if quiet { token.clone() } else { join_text(role, token, &tokens.address) };
    Ok(out::line(text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_texts_are_swarms() {
        let [node_id, worker_token, address] = ["N", "T", "A"].map(str::to_owned);
        assert_eq!(
            init_text(&Initialized { node_id, worker_token, address }),
            "Swarm initialized: current node (N) is now a manager.\n\n\
             To add a worker to this swarm, run the following command:\n\n    \
             coffer swarm join --token T A\n\n\
             To add a manager to this swarm, run 'coffer swarm join-token manager' and follow the instructions."
        );
    }
}
