//! Every bound of the product, in one place, each with its reason. `docs/limits.md` is this file in words.

use std::time::Duration;

/// A secret's value is shorter than this. Swarm's limit, exclusive as there.
pub const SECRET_BYTES_END: usize = 512_000;
/// A config's value is shorter than this. Swarm's limit, exclusive as there.
pub const CONFIG_BYTES_END: usize = 1_024_000;
/// Swarm's limit for the name of a secret or config.
pub const NAME_BYTES_MAX: usize = 64;
/// Swarm's limit for the name of a service: one DNS label.
pub const SERVICE_NAME_BYTES_MAX: usize = 63;
/// All labels of one object together. Swarm has only its transaction size of 1.5 MiB; a page of a list is
/// bounded in bytes besides.
pub const LABEL_BYTES_MAX: usize = 256 * 1024;
/// One request or answer. gRPC's customary limit, and twice the largest value.
pub const REQUEST_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Command, arguments and environment of one service together. The kernel's own limit is 2 MiB; an
/// entry of the log stays well below a request.
pub const COMMAND_BYTES_MAX: usize = 1024 * 1024;
/// Secrets that one service may be granted. A task's directory is listed in one go.
pub const GRANTS_MAX: usize = 1_000;
/// Tasks of one service. A page of one list, ten times over.
pub const REPLICAS_MAX: u64 = 10_000;
/// Objects on one page of a list, when the caller names no number.
pub const PAGE_DEFAULT: usize = 100;
/// Bytes of one page of a list: what a client of gRPC takes by default is twice as much.
pub const PAGE_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Objects on one page of a list at most.
pub const PAGE_MAX: usize = 1_000;
/// A file's name below `/run/secrets`: the file system's own limit.
pub const TARGET_BYTES_MAX: usize = 255;
/// Answers that are remembered, so that a request that is sent again acts once.
pub const REQUESTS_KEPT: usize = 4_096;
/// Ended tasks that are kept for each slot of a service, to be looked at. Swarm's default.
pub const TASK_HISTORY: usize = 5;
/// Versions of a secret or config that are kept, if the user names no number.
pub const VERSIONS_KEPT_DEFAULT: u32 = 5;
/// Versions that can be asked to be kept. A rotation every hour is then kept for four days.
pub const VERSIONS_KEPT_MAX: u32 = 100;
/// Labels that point to versions of one object, the three of our own among them.
pub const VERSION_LABELS_MAX: usize = 32;
/// Objects in one batch: some 4 MiB of the smallest possible requests.
pub const BATCH_MAX: usize = 10_000;
/// Memory that secrets and configs may take, if the operator names no number: what a manager of 2 GiB can
/// hold while a snapshot is being written.
pub const MEMORY_BYTES_DEFAULT: u64 = 1 << 30;
/// Values that are sealed anew with one command while a data key is rotated: a few milliseconds of work.
pub const RESEAL_BATCH_BYTES: usize = 1 << 20;
/// Events that are remembered for watchers who come back.
pub const EVENTS_KEPT: usize = 100_000;
/// Filters of one list.
pub const FILTERS_MAX: usize = 100;
/// A write or flush that has not returned for so long hangs: new writes are refused. Far above what a disk
/// takes that works, and below the patience of most callers.
pub const DISK_HANGS_AFTER: Duration = Duration::from_secs(1);
/// A write or flush that has not returned for so long is given up, and the process with it. A disk over a
/// network often comes back within half a minute.
pub const DISK_LOST_AFTER: Duration = Duration::from_secs(30);
/// How long an ended task waits for its successor. Swarm's default.
pub const RESTART_DELAY_NS: u64 = 5_000_000_000;
/// Task changes in one command: bounds an entry of the log to about 100 KiB.
pub const TASK_CHANGES_MAX: usize = 500;
/// Services that a refusal names as holders of a version: a few lines of a terminal.
pub const HOLDERS_NAMED_MAX: usize = 20;
/// Held versions in one command of reports: some 300 KiB of log.
pub const HELD_REPORTED_MAX: usize = 10_000;
/// Holders that are shown of one object: a tenth of a page of a list.
pub const HOLDERS_SHOWN_MAX: usize = 1_000;
/// A task's last error, as kept in the state.
pub const TASK_ERROR_BYTES_MAX: usize = 1_024;
/// How far a stamp may run ahead of the time that really passed: clocks that are kept in step by NTP differ
/// by less, and are moved by less at once.
pub const STAMP_AHEAD_NS: u64 = 5_000_000_000;
/// How long the clock of a lone manager must keep to a jump before stamps follow it: longer than a
/// correction that is itself corrected.
pub const CLOCK_JUMP_HOLDS_NS: u64 = 10_000_000_000;
/// A clock that is further ahead of the last stamp at a start is named: nobody is down for a year.
pub const CLOCK_AWAY_NS: u64 = 365 * 24 * 3_600 * 1_000_000_000;
/// Milliseconds to reach another node: networks that take longer are broken for Raft anyway.
pub const DIAL_MS_MAX: u64 = 2_000;
/// Milliseconds until somebody who was dialled in vain is dialled again, for each purpose: 50 times a second at most.
pub const DIAL_PAUSE_MS: u64 = 20;
/// Milliseconds for a TLS handshake: half-open connections go after it.
pub const HANDSHAKE_MS_MAX: u64 = 5_000;
/// Milliseconds that a follower waits for the leader's answer before it asks again.
pub const FORWARD_MS_MAX: u64 = 5_000;
/// Bytes of one message between managers: one entry may be as large as a request, and travels whole.
pub const PEER_MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bytes of one piece of a snapshot on its way to another manager.
pub const SNAPSHOT_PIECE_BYTES: usize = 256 * 1024;
/// Bytes of a snapshot that is taken from another manager: far above any memory budget.
pub const SNAPSHOT_FILE_BYTES_MAX: u64 = 64 << 30;
/// Nodes of a cluster, ten times what it is built for.
pub const NODES_MAX: usize = 10_000;
/// Seconds that a removed node is remembered after its last certificate has ended.
pub const REMOVED_KEPT_SECS: u64 = 7 * 24 * 3_600;
/// Certificates whose records stand in the state, the newest of all: of a thousand nodes, those of more than a year.
pub const ISSUED_KEPT: usize = 8_192;
/// Join tokens beside the two standing ones, those that ended lately among them: each joining node looks through
/// all of them.
pub const TOKENS_MAX: usize = 1_000;
/// Seconds that a token is remembered after its end: who lost an answer asks again within minutes, and an operator
/// may look a week back.
pub const TOKENS_KEPT_SECS: u64 = 7 * 86_400;
/// Seconds that a token may be asked to live. Longer is for ever.
pub const TOKEN_TTL_SECS_MAX: u64 = 3_650 * 86_400;
/// Entries that a new manager may be behind when it gets its vote: a moment's work at any rate.
pub const CAUGHT_UP_ENTRIES: u64 = 1_000;
/// Bytes of a host name or a version that a node says of itself.
pub const HOST_BYTES_MAX: usize = 255;
/// Connections to the node port at one time; more wait. A few for each of a thousand nodes.
pub const NODE_CONNECTIONS_MAX: usize = 8_192;
/// Handshakes at one time; more wait. Each is a few milliseconds of work, or one that never comes.
pub const NODE_HANDSHAKES_MAX: usize = 256;
/// Milliseconds of silence after which a manager counts as down.
pub const MANAGER_SILENT_MS: u64 = 3_000;
/// Seconds before a certificate's end from which on it is warned of: renewal should be long done.
pub const CERTIFICATE_WARN_SECS: u64 = 14 * 86_400;
/// After a wrong unlock key, further ones are refused for so long: a key of 256 bits is not guessed, but no
/// caller shall keep a locked manager busy either.
pub const UNLOCK_PAUSE: Duration = Duration::from_secs(1);
/// Calls to a locked manager that are remembered until its audit can be written.
pub const LOCKED_CALLS_KEPT: usize = 1_000;
/// From when autolock went on until a manager locks its disk, unless it is told that the unlock key was
/// handed over: without the key a locked disk is lost.
pub const LOCK_GRACE: Duration = Duration::from_secs(2);
/// How long a command waits for this manager's disk to be locked; it goes on without the command.
pub const LOCK_PATIENCE: Duration = Duration::from_secs(30);
/// Disk keys that one manager remembers: one for each time that autolock went on while the audit still holds
/// records of before.
pub const DISK_KEYS_MAX: u16 = 64;
/// Seconds from a cluster's founding after which it is warned of if no backups are scheduled: time to try things,
/// and less than anybody likes to lose.
pub const BACKUPS_WANTED_AFTER_SECS: u64 = 86_400;
/// Seconds of silence after which a node is not waited for by a rotation of the root: longer than a restart.
pub const ROOT_GRACE_SECS: u64 = 30;
/// Seconds that certificates may be asked to live: as long as a root.
pub const CERTIFICATE_LIFETIME_SECS_MAX: u64 = 3_650 * 86_400;
/// Seconds before the root's end from which on it is warned of.
pub const ROOT_WARN_SECS: u64 = 365 * 86_400;
/// Milliseconds after which a leader that nobody hears counts as none: two elections at their longest.
pub const LEADER_SILENT_MS: u64 = 2_000;
/// Recipients of one backup: a team and its escrow, many times over.
pub const BACKUP_RECIPIENTS_MAX: usize = 100;
/// Bytes of a backup's passphrase at least: whoever guesses it has every secret and the root's key.
pub const PASSPHRASE_BYTES_MIN: usize = 12;
/// Bytes of an identity or a passphrase: many times any of them.
pub const BACKUP_KEY_BYTES_MAX: usize = 64 * 1024;
/// Bytes of one piece of a backup on its way through the socket: age's own pieces, four together.
pub const BACKUP_PIECE_BYTES: usize = 256 * 1024;
/// Backups that are written or read at one time: each may hold a state beside the one in use.
pub const BACKUPS_AT_ONCE: usize = 2;
/// Milliseconds that a backup's next piece may take: a client that stands still would hold a place for ever.
pub const BACKUP_PIECE_MS_MAX: u64 = 60_000;
/// Seconds between two scheduled backups at least: for those who try it out.
pub const BACKUP_EVERY_SECS_MIN: u64 = 2;
/// The same at most: what is older than a month is not missed by anybody who restores.
pub const BACKUP_EVERY_SECS_MAX: u64 = 31 * 86_400;
/// Scheduled backups that are kept, if the operator names no number: a week of one every day.
pub const BACKUP_KEEP_DEFAULT: u32 = 7;
/// Scheduled backups that can be asked to be kept: a month of one every hour.
pub const BACKUP_KEEP_MAX: u32 = 1_000;
/// Bytes of the path of the backups' directory: the kernel's own limit is twice as much.
pub const BACKUP_DIR_BYTES_MAX: usize = 2_048;
/// Bytes of why a backup failed, as kept in the state.
pub const BACKUP_FAILURE_BYTES_MAX: usize = 512;
/// Seconds until a failed backup is tried again; twice as long each time, up to the schedule's own.
pub const BACKUP_RETRY_SECS: u64 = 30;
/// Seconds that a manager may take for one: the largest state over a slow disk, many times over.
pub const BACKUP_TAKES_SECS_MAX: u64 = 1_800;
/// Seconds that the newest may be overdue at least before that is urgent.
pub const BACKUP_LATE_SECS: u64 = 600;
/// How often a manager asks the others for their clocks: well before a clock that runs away is out of bounds.
pub const CLOCK_ASK_EVERY: Duration = Duration::from_secs(5);
/// A clock that was last heard longer ago is not known.
pub const CLOCK_KNOWN_FOR: Duration = Duration::from_secs(30);
/// Nanoseconds from which on a difference of two clocks is warned of: NTP keeps far below.
pub const CLOCK_WARN_NS: u64 = 1_000_000_000;
/// Nanoseconds from which on it is urgent: twice what a stamp may run ahead, and joining is near its refusal.
pub const CLOCK_BAD_NS: u64 = 10_000_000_000;
/// How often a node looks whether its certificate is due, at least: clocks are set, and machines sleep.
pub const RENEW_LOOK_EVERY: Duration = Duration::from_hours(1);
/// After a renewal that failed, or could not be judged yet.
pub const RENEW_RETRY: Duration = Duration::from_secs(5);
/// Nanoseconds by which a clock may be ahead of the others where a certificate is issued: half of what certificates
/// are backdated by.
pub const RENEW_AHEAD_MAX_NS: u64 = 1_800_000_000_000;
/// Seconds by which the clocks of a joining node and of the manager that it asks may differ: as above, for either.
pub const JOIN_CLOCKS_APART_SECS_MAX: u64 = 1_800;

/// How often a worker is to be heard of. Swarm's time.
pub const WORKER_BEAT: Duration = Duration::from_secs(5);
/// A worker asks so much earlier or later, by chance: those that came together do not stay together. Swarm's time.
pub const WORKER_BEAT_SPREAD: Duration = Duration::from_millis(500);
/// A worker that was not heard of for so many times is down. Swarm's number.
pub const WORKER_BEATS_MISSED_MAX: u32 = 3;
/// The same under a new leader, which has to be found first. Swarm's number.
pub const WORKER_BEATS_MISSED_AT_FIRST: u32 = 6;
/// Sessions that a node may begin within `SESSIONS_WINDOW`. Swarm's number.
pub const SESSIONS_BEGUN_MAX: u32 = 3;
/// Swarm's time.
pub const SESSIONS_WINDOW: Duration = Duration::from_secs(8);
/// What a worker may take to begin a session, or to be answered; and a follower to be answered by who leads.
pub const WORKER_CALL_MAX: Duration = Duration::from_secs(5);
/// A worker that finds no manager tries again after this, at first. Swarm's time.
pub const SESSION_RETRY_FIRST: Duration = Duration::from_millis(100);
/// The same at most. Swarm's time.
pub const SESSION_RETRY_MOST: Duration = Duration::from_secs(8);
/// Bytes of the labels that a worker's daemon says of its machine: each record is in every manager's memory.
pub const MACHINE_LABEL_BYTES_MAX: usize = 4 * 1024;
/// Bytes of one message of a node to the managers, and back: certificates and a description are far smaller.
pub const NODE_MESSAGE_BYTES_MAX: usize = 256 * 1024;
/// Bytes that a connection may say before it is known what it asks for: a ClientHello is a tenth of it.
pub const TLS_HELLO_BYTES_MAX: usize = 32 * 1024;
/// Bytes that wait each way of a connection that is handed on to who leads.
pub const SPLICE_BYTES: usize = 4 * 1024;
/// Managers that a worker is told of and remembers.
pub const MANAGERS_TOLD_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    const TOLD: &str = include_str!("../../../docs/limits.md");

    /// In bytes or in seconds.
    fn amount(text: &str) -> u64 {
        let (number, unit) = text.split_once(' ').unwrap();
        let unit = match unit {
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            "days" => 86_400,
            "year" => 31_536_000,
            _ => panic!("{unit}"),
        };
        number.parse::<u64>().unwrap() * unit
    }

    fn bytes(size: usize) -> u64 {
        size.try_into().unwrap()
    }

    #[test]
    fn sizes_and_times_are_what_the_documentation_tells() {
        for (name, value, text) in [
            ("LABEL_BYTES_MAX", bytes(LABEL_BYTES_MAX), "256 KiB"),
            ("REQUEST_BYTES_MAX", bytes(REQUEST_BYTES_MAX), "4 MiB"),
            ("COMMAND_BYTES_MAX", bytes(COMMAND_BYTES_MAX), "1 MiB"),
            ("PAGE_BYTES_MAX", bytes(PAGE_BYTES_MAX), "2 MiB"),
            ("MEMORY_BYTES_DEFAULT", MEMORY_BYTES_DEFAULT, "1 GiB"),
            ("RESEAL_BATCH_BYTES", bytes(RESEAL_BATCH_BYTES), "1 MiB"),
            ("PEER_MESSAGE_BYTES_MAX", bytes(PEER_MESSAGE_BYTES_MAX), "16 MiB"),
            ("SNAPSHOT_PIECE_BYTES", bytes(SNAPSHOT_PIECE_BYTES), "256 KiB"),
            ("SNAPSHOT_FILE_BYTES_MAX", SNAPSHOT_FILE_BYTES_MAX, "64 GiB"),
            ("BACKUP_KEY_BYTES_MAX", bytes(BACKUP_KEY_BYTES_MAX), "64 KiB"),
            ("BACKUP_PIECE_BYTES", bytes(BACKUP_PIECE_BYTES), "256 KiB"),
            ("BACKUP_EVERY_SECS_MAX", BACKUP_EVERY_SECS_MAX, "31 days"),
            ("CERTIFICATE_WARN_SECS", CERTIFICATE_WARN_SECS, "14 days"),
            ("MACHINE_LABEL_BYTES_MAX", bytes(MACHINE_LABEL_BYTES_MAX), "4 KiB"),
            ("TLS_HELLO_BYTES_MAX", bytes(TLS_HELLO_BYTES_MAX), "32 KiB"),
            ("SPLICE_BYTES", bytes(SPLICE_BYTES), "4 KiB"),
            ("NODE_MESSAGE_BYTES_MAX", bytes(NODE_MESSAGE_BYTES_MAX), "256 KiB"),
            ("ROOT_WARN_SECS", ROOT_WARN_SECS, "1 year"),
            ("REMOVED_KEPT_SECS", REMOVED_KEPT_SECS, "7 days"),
            ("TOKENS_KEPT_SECS", TOKENS_KEPT_SECS, "7 days"),
            ("TOKEN_TTL_SECS_MAX", TOKEN_TTL_SECS_MAX, "3650 days"),
            ("CLOCK_AWAY_NS", CLOCK_AWAY_NS / 1_000_000_000, "365 days"),
        ] {
            assert_eq!(value, amount(text), "{name}");
            let row = TOLD.lines().find(|line| line.contains(&format!("`{name}`"))).unwrap();
            assert!(row.contains(text), "{name} is {text}: {row}");
        }
    }
}
