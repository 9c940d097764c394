//! On the leader: raises the cluster's feature level once every manager can follow.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use vault_core::command::{Action, RaiseLevel};
use vault_core::feature::{Level, next_level};

use crate::manager::{CallError, Manager};
use crate::raft::ProposeError;

/// After a failed proposal.
const RETRY: Duration = Duration::from_secs(1);

/// Runs until consensus ends.
pub(crate) async fn follow_members(manager: Arc<Manager>) {
    let mut views = manager.consensus().views();
    let mut leads = manager.consensus().leads();
    loop {
        let view = views.borrow_and_update().clone();
        if *leads.borrow_and_update() {
            let members: Vec<_> = view.state.managers().map(|node| node.level).collect();
            match raise(&manager, &members, env!("CARGO_PKG_VERSION")).await {
                Ok(()) => {}
                Err(CallError::Propose(ProposeError::Stopped)) => return,
                Err(error) => {
                    tracing::debug!(%error, "the feature level waits");
                    sleep(RETRY).await;
                    continue;
                }
            }
        }
        let seen = view.state.workload_index();
        let changed = views.wait_for(|view| view.state.workload_index() != seen);
        tokio::select! {
            changed = changed => if changed.is_err() { return },
            changed = leads.changed() => if changed.is_err() { return },
        }
    }
}

/// Goes up to what all of these members know, if that is a step.
async fn raise(manager: &Manager, members: &[Level], version: &str) -> Result<(), CallError> {
    let current = manager.read().await?.state.level();
    let level = next_level(current, members);
    if level > current {
        let version = version.to_owned();
        manager.act(Action::RaiseLevel(RaiseLevel { level, version })).await?;
        tracing::info!(%level, "the cluster's feature level rose");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::log;
    use crate::manager::{Founding, Limits, found};
    use crate::space::Space;
    use crate::testing;

    fn limits(path: &std::path::Path) -> Limits {
        let space = Space::watch(path.to_owned()).unwrap();
        let log = log::Options {
            segment_bytes: 256 << 10,
            batch_bytes: 64 << 10,
            ..log::Options::default()
        };
        Limits { memory_budget: 1 << 20, space, log, meters: Arc::default() }
    }

    #[tokio::test]
    async fn case_40_49_a_program_that_cannot_follow_does_not_start_and_says_which_version_can() {
        let folder = testing::folder();
        let founding =
            Founding { hostname: "h".into(), addr: "192.0.2.1:2377".into(), autolock: false };
        let manager = found(folder.path(), founding, limits(folder.path())).await.unwrap();
        raise(&manager, &[Level::FIRST], "0.1.0").await.unwrap();
        let view = manager.read().await.unwrap();
        assert_eq!((view.state.level(), view.state.index()), (Level::FIRST, view.state.index()));
        // As a newer program does it: this one writes and applies what it was built for, and more.
        raise(&manager, &[Level(4), Level(3)], "0.9.0").await.unwrap();
        assert_eq!(manager.read().await.unwrap().state.level(), Level(3));
        manager.consensus().stop().await;
        drop(manager);
        let opened = Manager::open(folder.path(), limits(folder.path())).await;
        let Err(error) = opened else { panic!("it started") };
        let mut said = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(next) = cause {
            said = format!("{said}: {next}");
            cause = next.source();
        }
        assert!(said.contains("log entry"), "{said}");
        assert!(said.contains("feature level 3 of cofferd 0.9.0"), "{said}");
    }
}
