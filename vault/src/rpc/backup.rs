//! `Backup`: saving, reading and restoring backups. Bytes stream through; sealing and opening are on threads of
//! their own, since scrypt and large states take their time.

use std::io::{self, BufWriter, Read, Write};
use std::pin::Pin;
use std::time::Duration;

use futures_util::Stream;
use proto::v1;
use proto::v1::backup_server::Backup;
use tokio::sync::{Semaphore, SemaphorePermit, mpsc};
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};
use vault_core::backups::{Schedule, Step};
use vault_core::command::Action;
use vault_core::limits::{
    BACKUP_KEEP_DEFAULT, BACKUP_KEY_BYTES_MAX, BACKUP_PIECE_BYTES, BACKUP_PIECE_MS_MAX,
    BACKUPS_AT_ONCE,
};
use zeroize::Zeroizing;

use super::convert::asked;
use super::status;
use crate::backup::{self, Header, Key, Lock};
use crate::daemon::{Daemon, InitError};

/// Pieces on their way between the socket and the thread that seals or opens.
const PIECES_WAITING_MAX: usize = 4;
const PIECE_PATIENCE: Duration = Duration::from_millis(BACKUP_PIECE_MS_MAX);

static PLACES: Semaphore = Semaphore::const_new(BACKUPS_AT_ONCE);

type Pieces = mpsc::Sender<Result<v1::SaveBackupResponse, Status>>;

fn place() -> Result<SemaphorePermit<'static>, Status> {
    let busy = |_| Status::resource_exhausted("other backups are at work: try again later");
    PLACES.try_acquire().map_err(busy)
}

#[tonic::async_trait]
impl Backup for Daemon {
    type SaveStream = Pin<Box<dyn Stream<Item = Result<v1::SaveBackupResponse, Status>> + Send>>;

    async fn save(
        &self,
        request: Request<v1::SaveBackupRequest>,
    ) -> Result<Response<Self::SaveStream>, Status> {
        let v1::SaveBackupRequest { recipients, passphrase, stale } = request.into_inner();
        let passphrase = Zeroizing::new(passphrase);
        let lock = Lock::new(&recipients, &passphrase);
        let lock = lock.map_err(|error| Status::invalid_argument(error.to_string()))?;
        let place = place()?;
        let manager = self.manager().map_err(|error| status::of_call(&error))?;
        let saved = backup::save(&manager, stale).await;
        let (header, view, ring) = saved.map_err(|error| status::of_save(&error))?;
        let (sender, waiting) = mpsc::channel(PIECES_WAITING_MAX);
        let first = v1::SaveBackupResponse { header: Some(to_message(&header)), data: Vec::new() };
        sender.try_send(Ok(first)).map_err(|_| Status::internal("nobody reads the answer"))?;
        spawn_blocking(move || {
            let _place = place;
            let out = BufWriter::with_capacity(BACKUP_PIECE_BYTES, ToPeer(sender.clone()));
            if let Err(error) = backup::write(out, lock, header, &view, &ring) {
                tracing::warn!(%error, "a backup was not written to its end");
                // Nobody can be told who is gone.
                sender.blocking_send(Err(Status::internal(error.to_string()))).ok();
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(waiting))))
    }

    async fn inspect(
        &self,
        request: Request<Streaming<v1::BackupPiece>>,
    ) -> Result<Response<v1::InspectBackupResponse>, Status> {
        let (header, _) = read(request.into_inner(), |file, key| {
            backup::read_header(file, key).map_err(|error| status::of_backup(&error))
        })
        .await?;
        let header = Some(to_message(&header));
        Ok(Response::new(v1::InspectBackupResponse { header, values: 0 }))
    }

    async fn verify(
        &self,
        request: Request<Streaming<v1::BackupPiece>>,
    ) -> Result<Response<v1::InspectBackupResponse>, Status> {
        let (contents, _) = read(request.into_inner(), |file, key| {
            backup::open(file, key).map_err(|error| status::of_backup(&error))
        })
        .await?;
        let header = Some(to_message(&contents.header));
        Ok(Response::new(v1::InspectBackupResponse { header, values: contents.values }))
    }

    async fn restore(
        &self,
        request: Request<Streaming<v1::BackupPiece>>,
    ) -> Result<Response<v1::RestoreBackupResponse>, Status> {
        if self.manager().is_ok() {
            return Err(status::of_init(&InitError::Exists));
        }
        let (contents, advertise) = read(request.into_inner(), |file, key| {
            backup::open(file, key).map_err(|error| status::of_backup(&error))
        })
        .await?;
        let restored = Box::pin(self.restore(contents, &advertise)).await;
        let restored = restored.map_err(|error| status::of_init(&error))?;
        Ok(Response::new(v1::RestoreBackupResponse {
            header: Some(to_message(&restored.header)),
            node_id: restored.node_id.to_string(),
            recovery_epoch: restored.recovery_epoch,
            unlock_key: restored
                .locked
                .map_or_else(String::new, |locked| locked.key.to_text().to_string()),
        }))
    }

    async fn schedule(
        &self,
        request: Request<v1::ScheduleBackupsRequest>,
    ) -> Result<Response<v1::ScheduleBackupsResponse>, Status> {
        let asked = asked(&request, &[]).map_err(|error| status::of_request(&error))?;
        let (manager, view) = self.view().await.map_err(|error| status::of_call(&error))?;
        let before = view.state.cluster().and_then(|cluster| cluster.backups.schedule.clone());
        let schedule = schedule_from(request.into_inner(), before)?;
        let set = manager.act_for(asked, Action::Backup(Step::Set(schedule))).await;
        let index = set.map_err(|error| status::of_call(&error.into()))?.index;
        Ok(Response::new(v1::ScheduleBackupsResponse { index }))
    }
}

/// What is to hold from now on; what the request does not name stays as it was before.
fn schedule_from(
    wire: v1::ScheduleBackupsRequest,
    before: Option<Schedule>,
) -> Result<Option<Schedule>, Status> {
    let v1::ScheduleBackupsRequest { every_secs, keep, recipients, dir } = wire;
    if every_secs == Some(0) {
        return Ok(None);
    }
    let nothing = || {
        Status::invalid_argument("no backups are scheduled yet: say how often, with --backup-every")
    };
    let every_secs =
        every_secs.or_else(|| before.as_ref().map(|one| one.every_secs)).ok_or_else(nothing)?;
    let (kept, named, placed) = match before {
        Some(Schedule { keep, recipients, dir, .. }) => (keep, recipients, dir),
        None => (BACKUP_KEEP_DEFAULT, Vec::new(), String::new()),
    };
    let schedule = Schedule {
        every_secs,
        keep: keep.unwrap_or(kept),
        recipients: if recipients.is_empty() { named } else { recipients },
        dir: dir.unwrap_or(placed),
    };
    let schedule = schedule.parse().map_err(|error| Status::invalid_argument(error.to_string()))?;
    let lock = Lock::new(&schedule.recipients, &Zeroizing::new(Vec::new()));
    lock.map_err(|error| Status::invalid_argument(error.to_string()))?;
    Ok(Some(schedule))
}

fn to_message(header: &Header) -> v1::BackupHeader {
    v1::BackupHeader {
        cluster_id: header.cluster.to_string(),
        node_id: header.node.to_string(),
        recovery_epoch: header.recovery_epoch,
        index: header.index,
        taken_at: i64::try_from(header.taken_at.nanos()).unwrap_or(i64::MAX),
        secrets: header.secrets,
        configs: header.configs,
        services: header.services,
        nodes: header.nodes,
    }
}

/// Reads a file that comes piece by piece, with the key that came with its first piece. Returns what the
/// reading gave, and the address that came along.
async fn read<T: Send + 'static>(
    mut pieces: Streaming<v1::BackupPiece>,
    reading: impl FnOnce(FromPeer, Key) -> Result<T, Status> + Send + 'static,
) -> Result<(T, String), Status> {
    let first = next(&mut pieces).await?;
    let first = first.ok_or_else(|| Status::invalid_argument("the backup is missing"))?;
    let v1::BackupPiece { identity, passphrase, advertise_addr, data } = first;
    let (identity, passphrase) = (Zeroizing::new(identity), Zeroizing::new(passphrase));
    if identity.len().max(passphrase.len()) > BACKUP_KEY_BYTES_MAX {
        return Err(Status::invalid_argument("the key is longer than any key"));
    }
    let key = Key::new(&identity, &passphrase);
    let key = key.map_err(|error| Status::invalid_argument(error.to_string()))?;
    drop((identity, passphrase));
    let place = place()?;
    let (sender, waiting) = mpsc::channel(PIECES_WAITING_MAX);
    let file = FromPeer { waiting, piece: data, at: 0 };
    let reading = spawn_blocking(move || {
        let _place = place;
        reading(file, key)
    });
    let mut failed = None;
    loop {
        match next(&mut pieces).await {
            // A file that is refused early is still taken to its end: its sender hears why only then.
            Ok(Some(piece)) => drop(sender.send(Ok(piece.data)).await),
            Ok(None) => break,
            Err(status) => {
                // The reading must not take this for the file's end.
                sender.send(Err(io::ErrorKind::ConnectionAborted.into())).await.ok();
                failed = Some(status);
                break;
            }
        }
    }
    drop(sender);
    let read = reading.await.map_err(|error| Status::internal(error.to_string()))?;
    match failed {
        Some(status) => Err(status),
        None => Ok((read?, advertise_addr)),
    }
}

async fn next(pieces: &mut Streaming<v1::BackupPiece>) -> Result<Option<v1::BackupPiece>, Status> {
    let late = |_| Status::deadline_exceeded("the next piece of the backup did not come in time");
    timeout(PIECE_PATIENCE, pieces.message()).await.map_err(late)?
}

/// What is written goes to whoever asked.
struct ToPeer(Pieces);

impl Write for ToPeer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let piece = v1::SaveBackupResponse { header: None, data: bytes.to_vec() };
        let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        self.0.blocking_send(Ok(piece)).map_err(gone)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What comes from whoever called.
struct FromPeer {
    waiting: mpsc::Receiver<io::Result<Vec<u8>>>,
    piece: Vec<u8>,
    at: usize,
}

impl Read for FromPeer {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.at == self.piece.len() {
            match self.waiting.blocking_recv() {
                None => return Ok(0),
                Some(piece) => (self.piece, self.at) = (piece?, 0),
            }
        }
        let rest = &self.piece[self.at..];
        let count = rest.len().min(into.len());
        into[..count].copy_from_slice(&rest[..count]);
        self.at += count;
        Ok(count)
    }
}
