//! Scheduled backups: the leader names who makes the next one, that manager makes it, and the cluster keeps what
//! came of it. A file is known under its name only once it is on the disk and was read back.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ring::digest::{Context, Digest, SHA256};
use rustix::fs::Advice;
use tokio::time::sleep;
use vault_core::backups::{Asked, Candidate, Schedule, Step};
use vault_core::command::Action;
use vault_core::id::ClusterId;
use vault_core::node::NodeStatus;
use vault_core::time::Timestamp;
use zeroize::Zeroizing;

use super::{Header, Lock, LockError, SaveError, save, write};
use crate::clock;
use crate::disk::keyring::Keyring;
use crate::manager::Manager;
use crate::raft::View;
use crate::space::RESERVE_BYTES;

/// How often it is looked whether one is due.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// The first line of every file of age.
const AGE: &[u8] = b"age-encryption.org/v1\n";
/// Each recipient has a stanza of this kind.
const STANZA: &[u8] = b"\n-> X25519 ";
/// Bytes in which a file's head, with the stanzas of all recipients, ends.
const HEAD_BYTES_MAX: u64 = 16 << 10;
const NAME_END: &str = ".age";

/// Why a scheduled backup was not made.
#[derive(Debug, thiserror::Error)]
enum MakeError {
    #[error(transparent)]
    Save(#[from] SaveError),
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error("{what} {path}: {source}")]
    Io { what: &'static str, path: String, source: io::Error },
    #[error("others may write in {path}: chmod go-w {path}")]
    Open { path: String },
    #[error("{free} bytes are free in {path}, {needed} are needed")]
    Space { path: String, free: u64, needed: u64 },
    #[error("what was written to {path} does not read back as it was written: suspect the disk")]
    Differs { path: String },
    #[error("making it was given up")]
    GivenUp,
}

/// Runs until consensus ends.
pub(crate) async fn keep_backups(manager: Arc<Manager>) {
    let mut leads = manager.consensus().leads();
    let mut done = None;
    loop {
        let view = manager.consensus().view();
        if *leads.borrow_and_update() {
            name_next(&manager, &view).await;
        }
        let own = manager.node_id();
        if let Some(cluster) = view.state.cluster()
            && let Some(schedule) = &cluster.backups.schedule
            && let Some(asked) = cluster.backups.asked.filter(|asked| asked.node == own)
            && done != Some(asked)
        {
            done = Some(asked);
            answer(&manager, asked, schedule).await;
        }
        tokio::select! {
            changed = leads.changed() => if changed.is_err() { return },
            () = sleep(LOOK_EVERY) => {}
        }
    }
}

/// On the leader: has somebody make the next one, if it is due.
async fn name_next(manager: &Manager, view: &View) {
    let Some(cluster) = view.state.cluster() else { return };
    let own = manager.node_id();
    let heard = |status| matches!(status, NodeStatus::Ready);
    let ready = view.state.managers().filter(|node| node.id == own || heard(node.status));
    let ready: Vec<_> =
        ready.map(|node| Candidate { node: node.id, is_leader: node.id == own }).collect();
    let now = clock::now().max(view.state.clock());
    let Some(maker) = cluster.backups.next(now, &ready) else { return };
    if let Err(error) = manager.act(Action::Backup(Step::Ask(maker))).await {
        tracing::debug!(%error, "a backup waits");
    }
}

/// Makes one, and says what came of it for as long as anybody waits to hear that.
async fn answer(manager: &Manager, asked: Asked, schedule: &Schedule) {
    let outcome = make(manager, schedule).await;
    match &outcome {
        Ok(made) => tracing::info!(file = %made.path.display(), bytes = made.bytes, "backup made"),
        Err(error) => tracing::warn!(%error, "a scheduled backup was not made"),
    }
    let outcome = outcome.map(|made| (made.index, made.bytes)).map_err(|error| error.to_string());
    loop {
        let waits = manager.consensus().view();
        let waits = waits.state.cluster().and_then(|cluster| cluster.backups.asked);
        let report = Action::Backup(Step::Report(asked, outcome.clone()));
        if waits != Some(asked) || manager.act(report).await.is_ok() {
            return;
        }
        sleep(LOOK_EVERY).await;
    }
}

/// A file that was made.
struct Written {
    path: PathBuf,
    index: u64,
    bytes: u64,
}

async fn make(manager: &Manager, schedule: &Schedule) -> Result<Written, MakeError> {
    let lock = Lock::new(&schedule.recipients, &Zeroizing::new(Vec::new()))?;
    let (header, view, ring) = save(manager, false).await?;
    let needed = view.state.memory_bytes().saturating_add(RESERVE_BYTES);
    let schedule = schedule.clone();
    let making = tokio::task::spawn_blocking(move || {
        make_file(&schedule, lock, header, &view, &ring, needed)
    });
    making.await.map_err(|_| MakeError::GivenUp)?
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> MakeError {
    let path = path.display().to_string();
    move |source| MakeError::Io { what, path, source }
}

fn make_file(
    schedule: &Schedule,
    lock: Lock,
    header: Header,
    view: &View,
    ring: &Keyring,
    needed: u64,
) -> Result<Written, MakeError> {
    let dir = Path::new(&schedule.dir);
    prepare(dir, needed)?;
    let path = dir.join(name_of(header.cluster, header.taken_at, header.index));
    // Of this manager alone: others may use the same directory.
    let draft = dir.join(format!(".coffer-{}.part", header.node));
    let made = write_draft(&draft, lock, header, view, ring).and_then(|(bytes, digest)| {
        verify(&draft, bytes, &digest, schedule.recipients.len())?;
        fs::rename(&draft, &path).map_err(failed("renaming to", &path))?;
        let folder = File::open(dir).and_then(|dir| dir.sync_all());
        folder.map_err(failed("flushing", dir))?;
        Ok(bytes)
    });
    let bytes = made.inspect_err(|_| {
        // What is left of it is overwritten the next time.
        fs::remove_file(&draft).ok();
    })?;
    // Only now: the new one is there, whole.
    prune(dir, header.cluster, schedule.keep);
    Ok(Written { path, index: header.index, bytes })
}

fn prepare(dir: &Path, needed: u64) -> Result<(), MakeError> {
    fs::create_dir_all(dir).map_err(failed("making", dir))?;
    let found = fs::metadata(dir).map_err(failed("looking at", dir))?;
    let path = dir.display().to_string();
    if found.permissions().mode() & 0o022 != 0 {
        return Err(MakeError::Open { path });
    }
    let disk = rustix::fs::statvfs(dir).map_err(io::Error::from);
    let disk = disk.map_err(failed("looking at", dir))?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    if free < needed { Err(MakeError::Space { path, free, needed }) } else { Ok(()) }
}

/// Counts and digests what goes through.
struct Counted<W> {
    out: W,
    bytes: u64,
    digest: Context,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.digest.update(&bytes[..written]);
        self.bytes += u64::try_from(written).unwrap_or_default();
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Returns how many bytes were written, and their digest. They are on the disk then.
fn write_draft(
    draft: &Path,
    lock: Lock,
    header: Header,
    view: &View,
    ring: &Keyring,
) -> Result<(u64, Digest), MakeError> {
    match fs::remove_file(draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(failed("removing", draft)(error));
        }
        Err(_) | Ok(()) => {}
    }
    // Whatever stands there now was not made by this: no link is followed.
    let file = File::options().write(true).create_new(true).open(draft);
    let file = file.map_err(failed("making", draft))?;
    let out = BufWriter::new(&file);
    let mut counted = Counted { out, bytes: 0, digest: Context::new(&SHA256) };
    let written = write(&mut counted, lock, header, view, ring).and_then(|()| counted.flush());
    written.map_err(failed("writing", draft))?;
    let (bytes, digest) = (counted.bytes, counted.digest.clone().finish());
    drop(counted);
    file.sync_all().map_err(failed("flushing", draft))?;
    Ok((bytes, digest))
}

/// Reads the file back from the disk: it is what was written, and it is a file of age for so many recipients.
/// Whether their keys open it is not known here: nobody in the cluster has them.
fn verify(draft: &Path, bytes: u64, digest: &Digest, recipients: usize) -> Result<(), MakeError> {
    let file = File::open(draft).map_err(failed("opening", draft))?;
    // What the kernel still has in memory says nothing of the disk.
    rustix::fs::fadvise(&file, 0, None, Advice::DontNeed)
        .map_err(|errno| failed("reading", draft)(errno.into()))?;
    let mut reader = BufReader::with_capacity(1 << 18, file);
    let mut head = Vec::new();
    let read = reader.by_ref().take(HEAD_BYTES_MAX).read_to_end(&mut head);
    read.map_err(failed("reading", draft))?;
    let stanzas = head.windows(STANZA.len()).filter(|window| *window == STANZA).count();
    let mut counted = Counted { out: io::sink(), bytes: 0, digest: Context::new(&SHA256) };
    let copied = counted.write_all(&head).and_then(|()| io::copy(&mut reader, &mut counted));
    copied.map_err(failed("reading", draft))?;
    let is_whole = counted.bytes == bytes && counted.digest.finish().as_ref() == digest.as_ref();
    if is_whole && head.starts_with(AGE) && stanzas >= recipients {
        return Ok(());
    }
    Err(MakeError::Differs { path: draft.display().to_string() })
}

fn name_start(cluster: ClusterId) -> String {
    format!("coffer-{cluster}-")
}

/// Names in their order are files in theirs.
fn name_of(cluster: ClusterId, at: Timestamp, index: u64) -> String {
    format!("{}{}-{index:012}{NAME_END}", name_start(cluster), stamp(at.secs()))
}

/// `20260131T235959Z`
fn stamp(secs: u64) -> String {
    let (days, rest) = (secs / 86_400, secs % 86_400);
    // Years from March on, so that the leap day is the last: in cycles of 400 years.
    let shifted = days + 719_468;
    let (cycle, day) = (shifted / 146_097, shifted % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let date = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = cycle * 400 + year + next;
    let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
    format!("{year:04}{month:02}{date:02}T{hour:02}{minute:02}{second:02}Z")
}

/// Removes the oldest of this cluster's scheduled backups, but for the newest so many.
fn prune(dir: &Path, cluster: ClusterId, keep: u32) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    let start = name_start(cluster);
    let length = name_of(cluster, Timestamp::default(), 0).len();
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let mut ours: Vec<_> = names
        .filter(|name| name.len() == length && name.starts_with(&start) && name.ends_with(NAME_END))
        .collect();
    ours.sort();
    let surplus = ours.len().saturating_sub(usize::try_from(keep).unwrap_or(usize::MAX));
    for name in &ours[..surplus] {
        if let Err(error) = fs::remove_file(dir.join(name)) {
            tracing::warn!(%error, file = name, "an old backup stays");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn a_moment_has_its_date() {
        for (secs, expected) in [
            (0, "19700101T000000Z"),
            (951_782_399, "20000228T235959Z"),
            (951_782_400, "20000229T000000Z"),
            (951_868_800, "20000301T000000Z"),
            (1_798_761_599, "20261231T235959Z"),
            (4_107_542_400, "21000301T000000Z"),
        ] {
            assert_eq!(stamp(secs), expected);
        }
    }

    #[test]
    fn only_the_oldest_of_this_clusters_own_are_removed() {
        let folder = testing::folder();
        let (own, other) = (ClusterId::from_entropy([1; 17]), ClusterId::from_entropy([2; 17]));
        let name = |cluster, n| name_of(cluster, Timestamp::from_nanos(n * 1_000_000_000), n);
        let mut kept: Vec<_> = [3, 4].map(|n| name(own, n)).into();
        kept.extend([name(other, 1), "mine.age".into(), format!("{}note.age", name_start(own))]);
        for name in kept.iter().cloned().chain([1, 2].map(|n| name(own, n))) {
            fs::write(folder.path().join(name), b"x").unwrap();
        }
        prune(folder.path(), own, 2);
        let left = fs::read_dir(folder.path()).unwrap().flatten();
        let mut left: Vec<_> = left.map(|entry| entry.file_name().into_string().unwrap()).collect();
        left.sort();
        kept.sort();
        assert_eq!(left, kept);
    }

    #[test]
    fn a_file_that_reads_back_otherwise_is_refused() {
        let folder = testing::folder();
        let path = folder.path().join("draft");
        let whole = [AGE, b"-> X25519 a\nb", STANZA, b"c\nd\n--- mac\nsealed"].concat();
        let digest = ring::digest::digest(&SHA256, &whole);
        let length = u64::try_from(whole.len()).unwrap();
        let verified = |bytes: &[u8], recipients| {
            fs::write(&path, bytes).unwrap();
            verify(&path, length, &digest, recipients).is_ok()
        };
        assert!(verified(&whole, 2));
        assert!(!verified(&whole, 3), "a recipient is missing");
        assert!(!verified(&whole[..whole.len() - 1], 2), "cut");
        let mut flipped = whole;
        *flipped.last_mut().unwrap() ^= 1;
        assert!(!verified(&flipped, 2));
    }

    #[test]
    fn a_directory_that_others_write_in_or_without_room_is_refused() {
        let folder = testing::folder();
        let dir = folder.path().join("backups");
        prepare(&dir, 0).unwrap();
        let refused = prepare(&dir, u64::MAX).unwrap_err().to_string();
        assert!(refused.contains("are needed"), "{refused}");
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o777)).unwrap();
        let refused = prepare(&dir, 0).unwrap_err().to_string();
        assert!(refused.contains("chmod go-w"), "{refused}");
        assert!(prepare(Path::new("/proc/no"), 0).is_err());
    }
}
