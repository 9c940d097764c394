//! `coffer backup`: bytes go from the daemon to a file, or from a file to the daemon, which seals and opens.

mod key;
mod target;

use std::fs::File;
use std::io;
use std::path::Path;

use serde_json::json;

use crate::args::BackupCommand;
use crate::args::BackupKeyArgs;
use crate::args::SaveBackupArgs;
use crate::client::Client;
use crate::client::SendError;
use crate::commands::lock::unlock_text;
use crate::exit::Failure;
use crate::host::Host;
use crate::human;
use crate::human::os_error;
use crate::limits::BACKUP_START_BYTES;
use crate::objects::BackupHeader;
use crate::objects::Restored;
use crate::out;
use target::Target;

/// Why a backup is not saved, read or restored, as far as that is decided here.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BackupError {
    #[error("{file} is there already; nothing was saved")]
    Exists { file: String },
    #[error("a backup is not text: give a file, or send standard output to one")]
    Terminal,
    #[error("cannot write {file}: {reason}")]
    Write { file: String, reason: String },
    #[error("cannot read {file}: {reason}")]
    Read { file: String, reason: String },
    #[error("{file} is longer than any key or list of recipients")]
    TooLong { file: String },
    #[error("{file} is empty")]
    Empty { file: String },
    #[error("{file} is not text")]
    NotText { file: String },
    #[error("the passphrase is missing: give --passphrase-file, or run this on a terminal")]
    NoPassphrase,
    #[error("standard input can be read once: the backup, or what opens it")]
    StdinTwice,
    #[error("unknown format {0}: 'json' is known, and no --format at all")]
    Format(String),
}

/// Runs one of the verbs.
pub(crate) async fn run(host: &Host, command: BackupCommand) -> Result<(), Failure> {
    match command {
        BackupCommand::Save(args) => save(host, args).await,
        BackupCommand::Inspect { key, format, file } => {
            inspect(host, &key, format.as_deref(), &file).await
        }
        BackupCommand::Verify { key, file } => verify(host, &key, &file).await,
        BackupCommand::Restore { key, advertise_addr, file } => {
            restore(host, &key, advertise_addr, &file).await
        }
    }
}

async fn save(host: &Host, args: SaveBackupArgs) -> Result<(), Failure> {
    let mut target = Target::create(&args.file)?;
    let (recipients, passphrase) = key::lock(&args)?;
    let client = Client::connect(host).await?;
    let (header, mut bytes) = client.save_backup(recipients, passphrase, args.stale).await?;
    let mut length = 0_u64;
    while let Some(piece) = bytes.next().await? {
        length += u64::try_from(piece.len()).unwrap_or(u64::MAX);
        target.write(&piece)?;
    }
    let is_stdout = target.is_stdout();
    let name = target.finish()?;
    let text = format!("{}Written     {length} bytes to {name}", lines(&header));
    if is_stdout {
        out::error_line(text);
        return Ok(());
    }
    Ok(out::line(text)?)
}

async fn inspect(
    host: &Host,
    key: &BackupKeyArgs,
    format: Option<&str>,
    path: &Path,
) -> Result<(), Failure> {
    let is_json = match format {
        None | Some("") => false,
        Some("json") => true,
        Some(other) => return Err(BackupError::Format(other.to_owned()).into()),
    };
    let (key, file) = (key::key(key, path)?, open(path)?);
    let start = io::Read::take(file, BACKUP_START_BYTES);
    let sent = Client::connect(host).await?.inspect_backup(key, start).await;
    let header = sent.map_err(|error| failure(path, error))?;
    Ok(out::text(if is_json { document(&header) } else { lines(&header) })?)
}

async fn verify(host: &Host, key: &BackupKeyArgs, path: &Path) -> Result<(), Failure> {
    let (key, file) = (key::key(key, path)?, open(path)?);
    let sent = Client::connect(host).await?.verify_backup(key, file).await;
    let (header, values) = sent.map_err(|error| failure(path, error))?;
    let text = format!("{}Verified    whole; {values} sealed values opened", lines(&header));
    Ok(out::line(text)?)
}

async fn restore(
    host: &Host,
    key: &BackupKeyArgs,
    advertise_addr: String,
    path: &Path,
) -> Result<(), Failure> {
    let (key, file) = (key::key(key, path)?, open(path)?);
    let client = Client::connect(host).await?;
    let sent = client.restore_backup(key, advertise_addr, file).await;
    let restored = sent.map_err(|error| failure(path, error))?;
    out::line(restored_text(&restored))?;
    if let Some(key) = &restored.unlock_key {
        out::line(format_args!("\nThe unlock key is new as well. {}", unlock_text(key)))?;
        // Shown first: without the key a locked disk is lost.
        client.await_lock().await?;
    }
    Ok(())
}

fn restored_text(restored: &Restored) -> String {
    format!(
        "Swarm restored: current node ({}) is now its only manager.\n\n{}\n\
         The recovery epoch is {}: managers of before are refused. Join tokens are new, and the data key is being\n\
         made anew. Nodes of before have to leave and join again:\n\n    \
         coffer swarm leave --force                (there)\n    \
         coffer swarm join-token manager           (here; then the command that it shows, there)\n\n\
         Never start managers of before again, and never restore the same backup on two nodes.",
        restored.node_id,
        lines(&restored.header),
        restored.recovery_epoch,
    )
}

fn lines(header: &BackupHeader) -> String {
    format!(
        "Cluster     {}\nTaken       {} from manager {}\nIndex       {}, recovery epoch {}\n\
         Holds       {} secrets, {} configs, {} services, {} nodes\n",
        header.cluster_id,
        human::rfc3339(header.taken_at),
        header.node_id,
        header.index,
        header.recovery_epoch,
        header.secrets,
        header.configs,
        header.services,
        header.nodes,
    )
}

fn document(header: &BackupHeader) -> String {
    let whole = json!({
        "ClusterID": header.cluster_id, "NodeID": header.node_id,
        "RecoveryEpoch": header.recovery_epoch, "Index": header.index,
        "TakenAt": human::rfc3339(header.taken_at), "Secrets": header.secrets,
        "Configs": header.configs, "Services": header.services, "Nodes": header.nodes,
    });
    format!("{whole}\n")
}

fn open(path: &Path) -> Result<File, BackupError> {
    key::open(path).map_err(|error| unreadable(path, &error))
}

fn unreadable(path: &Path, error: &io::Error) -> BackupError {
    BackupError::Read { file: path.display().to_string(), reason: os_error(error) }
}

fn failure(path: &Path, error: SendError) -> Failure {
    match error {
        SendError::Call(error) => error.into(),
        SendError::Read(error) => unreadable(path, &error).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> BackupHeader {
        BackupHeader {
            cluster_id: "C".to_owned(),
            node_id: "N".to_owned(),
            recovery_epoch: 1,
            index: 7,
            taken_at: 1_500_000_000,
            secrets: 3,
            configs: 2,
            services: 1,
            nodes: 5,
        }
    }

    #[test]
    fn a_header_is_four_lines() {
        assert_eq!(
            lines(&header()),
            "Cluster     C\nTaken       1970-01-01T00:00:01.5Z from manager N\n\
             Index       7, recovery epoch 1\nHolds       3 secrets, 2 configs, 1 services, 5 nodes\n"
        );
    }

    #[test]
    fn what_came_back_is_told_with_what_to_do_next() {
        let restored = Restored {
            header: header(),
            node_id: "M".to_owned(),
            recovery_epoch: 9,
            unlock_key: None,
        };
        let text = restored_text(&restored);
        for part in ["(M)", "Cluster     C", "epoch is 9", "join-token manager", "leave --force"] {
            assert!(text.contains(part), "{part}");
        }
    }
}
