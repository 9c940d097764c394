//! Backups: bytes stream through. What carries a key or a passphrase is wiped once it is encoded.

use std::fs::File;
use std::io;
use std::io::Read;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use futures_util::stream;
use proto::bound::Bounded;
use proto::v1;
use tonic::Request;
use tonic::Status;
use tonic::codegen::http::uri::PathAndQuery;
use zeroize::Zeroize;
use zeroize::Zeroizing;

use super::Answers;
use super::CallError;
use super::Client;
use super::not_understood;
use crate::args::UpdateSwarmArgs;
use crate::codec::Wipe;
use crate::codec::Wiped;
use crate::codec::WipingCodec;
use crate::limits::BACKUP_DEADLINE;
use crate::limits::BACKUP_PIECE_BYTES;
use crate::objects::BackupHeader;
use crate::objects::Restored;

/// What a backup is opened with: one of them is not empty.
pub(crate) struct BackupKey {
    pub(crate) identity: Zeroizing<Vec<u8>>,
    pub(crate) passphrase: Zeroizing<Vec<u8>>,
}

/// A backup's bytes, as they come.
pub(crate) struct BackupBytes(Answers<v1::SaveBackupResponse, v1::SaveBackupResponse>);

impl BackupBytes {
    /// The next ones; none at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<u8>>, CallError> {
        Ok(self.0.next().await?.map(|piece| piece.data))
    }
}

impl Wipe for v1::SaveBackupRequest {
    fn wipe(&mut self) {
        self.passphrase.zeroize();
    }
}

impl Wipe for v1::BackupPiece {
    fn wipe(&mut self) {
        self.identity.zeroize();
        self.passphrase.zeroize();
    }
}

/// The pieces of a file; the first one brings the key. A failure ends them early, which the daemon takes for a
/// file that was cut, and is told from here.
struct Pieces {
    first: Option<v1::BackupPiece>,
    file: Box<dyn Read + Send + Sync>,
    failed: Failed,
}

type Failed = Arc<Mutex<Option<io::Error>>>;

impl Iterator for Pieces {
    type Item = Wiped<v1::BackupPiece>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(first) = self.first.take() {
            return Some(Wiped(first));
        }
        let mut data = Vec::new();
        let most = u64::try_from(BACKUP_PIECE_BYTES).unwrap_or(u64::MAX);
        match self.file.by_ref().take(most).read_to_end(&mut data) {
            Ok(0) => None,
            Ok(_) => Some(Wiped(v1::BackupPiece { data, ..v1::BackupPiece::default() })),
            Err(error) => {
                *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                None
            }
        }
    }
}

impl Client {
    /// Has backups made regularly; what is not named stays as it is.
    pub(crate) async fn schedule_backups(&self, args: UpdateSwarmArgs) -> Result<(), CallError> {
        let request = v1::ScheduleBackupsRequest {
            every_secs: args.backup_every,
            keep: args.backup_keep,
            recipients: args.backup_recipient,
            dir: args.backup_dir,
        };
        let mut backups = v1::backup_client::BackupClient::new(self.channel.clone());
        self.ask(backups.schedule(request)).await?;
        Ok(())
    }

    /// Has a backup sealed; its header first, then its bytes.
    pub(crate) async fn save_backup(
        &self,
        recipients: Vec<String>,
        mut passphrase: Zeroizing<Vec<u8>>,
        stale: bool,
    ) -> Result<(BackupHeader, BackupBytes), CallError> {
        let passphrase = std::mem::take(&mut *passphrase);
        let request = Wiped(v1::SaveBackupRequest { recipients, passphrase, stale });
        let path = PathAndQuery::from_static("/coffer.v1.Backup/Save");
        let mut caller = tonic::client::Grpc::new(self.channel.clone());
        let call = async {
            caller.ready().await.map_err(|error| Status::from_error(error.into()))?;
            let codec = WipingCodec::<_, v1::SaveBackupResponse>::new();
            caller.server_streaming(Request::new(request), path, codec).await
        };
        let mut answers = Answers::new(&self.host, self.ask(call).await?, false, Ok);
        let first = answers.next().await?.ok_or_else(|| not_understood("it is empty"))?;
        Ok((header(first.header)?, BackupBytes(answers)))
    }

    /// What a backup says of itself.
    pub(crate) async fn inspect_backup(
        &self,
        key: BackupKey,
        file: impl Read + Send + Sync + 'static,
    ) -> Result<BackupHeader, SendError> {
        let answer: v1::InspectBackupResponse =
            self.send_file("Inspect", key, String::new(), Box::new(file)).await?;
        Ok(header(answer.header)?)
    }

    /// Has all of a backup read. Gives its header and how many values were opened.
    pub(crate) async fn verify_backup(
        &self,
        key: BackupKey,
        file: File,
    ) -> Result<(BackupHeader, u64), SendError> {
        let answer: v1::InspectBackupResponse =
            self.send_file("Verify", key, String::new(), Box::new(file)).await?;
        Ok((header(answer.header)?, answer.values))
    }

    /// Has the cluster brought back on this node.
    pub(crate) async fn restore_backup(
        &self,
        key: BackupKey,
        advertise_addr: String,
        file: File,
    ) -> Result<Restored, SendError> {
        let answer: v1::RestoreBackupResponse =
            self.send_file("Restore", key, advertise_addr, Box::new(file)).await?;
        let v1::RestoreBackupResponse { header: found, node_id, recovery_epoch, unlock_key } =
            answer;
        let unlock_key = (!unlock_key.is_empty()).then(|| Zeroizing::new(unlock_key));
        Ok(Restored { header: header(found)?, node_id, recovery_epoch, unlock_key })
    }

    /// Sends a file with its key.
    async fn send_file<R: prost::Message + Bounded + Default + 'static>(
        &self,
        call: &str,
        mut key: BackupKey,
        advertise_addr: String,
        file: Box<dyn Read + Send + Sync>,
    ) -> Result<R, SendError> {
        let first = v1::BackupPiece {
            identity: std::mem::take(&mut *key.identity),
            passphrase: std::mem::take(&mut *key.passphrase),
            advertise_addr,
            data: Vec::new(),
        };
        let failed = Failed::default();
        let pieces = Pieces { first: Some(first), file, failed: Arc::clone(&failed) };
        let path = PathAndQuery::try_from(format!("/coffer.v1.Backup/{call}"))
            .expect("letters, dots and slashes make a path");
        let mut caller = tonic::client::Grpc::new(self.channel.clone());
        let answer = async {
            caller.ready().await.map_err(|error| Status::from_error(error.into()))?;
            let codec = WipingCodec::<v1::BackupPiece, R>::new();
            caller.client_streaming(Request::new(stream::iter(pieces)), path, codec).await
        };
        let answer = self.ask_within(BACKUP_DEADLINE, answer).await;
        let failed = failed.lock().unwrap_or_else(PoisonError::into_inner).take();
        failed.map_or_else(|| Ok(answer?), |error| Err(SendError::Read(error)))
    }
}

/// Why a file got no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("the file cannot be read to its end")]
    Read(io::Error),
}

fn header(wire: Option<v1::BackupHeader>) -> Result<BackupHeader, CallError> {
    let wire = wire.ok_or_else(|| not_understood("the backup's header is missing"))?;
    Ok(BackupHeader {
        cluster_id: super::filled(wire.cluster_id, "the cluster's ID")?,
        node_id: wire.node_id,
        recovery_epoch: wire.recovery_epoch,
        index: wire.index,
        taken_at: wire.taken_at,
        secrets: wire.secrets,
        configs: wire.configs,
        services: wire.services,
        nodes: wire.nodes,
    })
}
