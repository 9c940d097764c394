//! Judging: what was seen in, a grade and a cure out. Looks at nothing itself.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use super::Finding;
use super::look::Entry;
use super::look::Hidden;
use super::look::Limit;
use super::look::Port;

/// From this kernel on a part of a detached mount can be cloned: all tasks share one file system.
const KERNEL_SHARED: (u32, u32) = (6, 15);
/// From this one on tmpfs can be kept out of swap.
const KERNEL_NOSWAP: (u32, u32) = (6, 4);
/// Bytes that the daemon locks at most: keys and delivered values.
const LOCKED_BYTES: u64 = 64 << 20;
/// Descriptors for all connections of the node port, the socket's, and files.
const DESCRIPTORS: u64 = 16_384;
/// Below these many free bytes the daemon refuses writes.
const SPACE_RESERVE: u64 = 160 << 20;
/// Room for the log, the audit, and two snapshots of a small cluster.
const SPACE_ENOUGH: u64 = 1 << 30;
/// 2025: no machine that runs this is older.
const CLOCK_LEAST_SECS: i64 = 1_735_689_600;
const FLUSH_SLOW: Duration = Duration::from_millis(20);
const FLUSH_BAD: Duration = Duration::from_millis(500);

/// The first two numbers of a kernel's release.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

pub(super) fn kernel(release: &str) -> Finding {
    let what = "kernel";
    match version(release) {
        Some(version) if version >= KERNEL_SHARED => Finding::fine(what, release),
        Some(version) if version >= KERNEL_NOSWAP => Finding::poor(
            what,
            format!(
                "{release}: secrets are files in memory, and a running task gets no new version"
            ),
            "Linux 6.15 or newer has what live changes need",
        ),
        Some(_) => Finding::poor(
            what,
            format!("{release}: secrets are files in memory that may be swapped, or in a ramfs"),
            "Linux 6.15 or newer; 6.4 at least",
        ),
        None => Finding::poor(what, format!("{release}: not understood"), "Linux 6.15 or newer"),
    }
}

pub(super) fn fuse(opened: Result<(), Hidden>) -> Finding {
    let what = "FUSE";
    match opened {
        Ok(()) => Finding::fine(what, "/dev/fuse opens"),
        Err(Hidden::NotAllowed) => Finding::poor(
            what,
            "/dev/fuse does not open for this user",
            "as root it should; for a rootless daemon: chmod 0666 /dev/fuse",
        ),
        Err(Hidden::NotThere) => Finding::poor(
            what,
            "there is no /dev/fuse: secrets are files in memory",
            "modprobe fuse; in a container, give it the device",
        ),
        Err(Hidden::Failed(error)) => Finding::poor(
            what,
            format!("/dev/fuse does not open: {error}"),
            "modprobe fuse; in a container, give it the device",
        ),
    }
}

/// Asked by whoever is not root.
pub(super) fn user_namespaces(allowed: u64) -> Finding {
    let what = "namespaces";
    if allowed > 0 {
        return Finding::fine(what, "this user may make user namespaces: cofferd --rootless runs");
    }
    Finding::poor(
        what,
        "this user may not make user namespaces: cofferd --rootless does not run",
        "run cofferd as root, or allow them: sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns",
    )
}

fn whose(limit: Limit) -> &'static str {
    if limit.is_daemons { "cofferd" } else { "this shell" }
}

pub(super) fn locked_memory((limit, is_root): (Limit, bool)) -> Finding {
    let what = "locked memory";
    match limit.value {
        None => Finding::fine(what, format!("not limited, for {}", whose(limit))),
        Some(bytes) if is_root => {
            Finding::fine(what, format!("{} KiB; root is not bound by it", bytes >> 10))
        }
        Some(bytes) if bytes >= LOCKED_BYTES => {
            Finding::fine(what, format!("{} MiB, for {}", bytes >> 20, whose(limit)))
        }
        Some(bytes) => Finding::poor(
            what,
            format!(
                "{} KiB, for {}: what does not fit might be swapped",
                bytes >> 10,
                whose(limit)
            ),
            "LimitMEMLOCK=infinity in the unit, or ulimit -l; or no swap",
        ),
    }
}

pub(super) fn descriptors(limit: Limit) -> Finding {
    let what = "descriptors";
    match limit.value {
        Some(count) if count < DESCRIPTORS => Finding::poor(
            what,
            format!("{count}, for {}: fewer than connections may come", whose(limit)),
            "LimitNOFILE=65536 in the unit, or ulimit -n",
        ),
        Some(count) => Finding::fine(what, format!("{count}, for {}", whose(limit))),
        None => Finding::fine(what, "not limited"),
    }
}

pub(super) fn swap(places: Option<&[String]>) -> Finding {
    let what = "swap";
    match places {
        None => Finding::unseen(what, "/proc/swaps does not read"),
        Some([]) => Finding::fine(what, "none"),
        Some(places) => Finding::poor(
            what,
            format!("{}: keys are locked, what libraries copy is not", places.join(", ")),
            "swapoff, or swap to an encrypted device",
        ),
    }
}

pub(super) fn core_dumps(pattern: Option<&str>) -> Finding {
    let what = "core dumps";
    match pattern {
        None => Finding::unseen(what, "/proc/sys/kernel/core_pattern does not read"),
        Some(pattern) if pattern.starts_with('|') => {
            Finding::fine(what, "go to a program; cofferd makes none: it is not dumpable")
        }
        Some(_) => Finding::fine(what, "cofferd makes none: it is not dumpable"),
    }
}

pub(super) fn clock((is_kept, now_secs): (Option<bool>, i64)) -> Finding {
    let (what, cure) = ("clock", "run chrony or systemd-timesyncd: timedatectl set-ntp true");
    if now_secs < CLOCK_LEAST_SECS {
        let found = format!("it says {now_secs} s since 1970, which is long past");
        return Finding::bad(what, found, cure);
    }
    match is_kept {
        Some(true) => Finding::fine(what, "kept in step"),
        Some(false) => Finding::poor(what, "nothing keeps it in step, by the kernel's word", cure),
        None => Finding::unseen(what, "the kernel does not say whether it is kept in step"),
    }
}

fn hidden(what: &'static str, why: Hidden) -> Finding {
    match why {
        Hidden::NotAllowed => Finding::unseen(what, "not for this user"),
        Hidden::NotThere => Finding::unseen(what, "there is nothing there"),
        Hidden::Failed(error) => Finding::unseen(what, error),
    }
}

pub(super) fn space(free: Result<u64, Hidden>) -> Finding {
    let (what, cure) = ("disk space", "make room, or give the state directory a disk of its own");
    match free {
        Err(why) => hidden(what, why),
        Ok(free) if free < SPACE_RESERVE => Finding::bad(
            what,
            format!(
                "{} MiB free: below {} MiB writes are refused",
                free >> 20,
                SPACE_RESERVE >> 20
            ),
            cure,
        ),
        Ok(free) if free < SPACE_ENOUGH => {
            Finding::poor(what, format!("{} MiB free", free >> 20), cure)
        }
        Ok(free) => Finding::fine(what, format!("{} MiB free", free >> 20)),
    }
}

pub(super) fn file_system(kind: Option<&str>) -> Finding {
    let what = "file system";
    let cure = "put the state directory on a disk of this machine: ext4, xfs, btrfs";
    match kind {
        None => Finding::unseen(what, "its kind is not known"),
        Some(kind @ ("tmpfs" | "ramfs" | "devtmpfs")) => {
            Finding::bad(what, format!("{kind}: it forgets everything at a restart"), cure)
        }
        Some(kind)
            if ["nfs", "cifs", "smb", "9p", "fuse"].iter().any(|net| kind.starts_with(net)) =>
        {
            let found =
                format!("{kind}: whether a flush reaches a disk is not this machine's to say");
            Finding::poor(what, found, cure)
        }
        Some("overlay") => {
            Finding::poor(what, "overlay: a container's layer goes with the container", cure)
        }
        Some(kind) => Finding::fine(what, kind),
    }
}

pub(super) fn flush(took: Result<(Duration, Duration), Hidden>) -> Finding {
    let (what, cure) = ("flush", "each write waits for it: use a disk of its own, an SSD at best");
    let (half, longest) = match took {
        Err(why) => return hidden(what, why),
        Ok(took) => took,
    };
    let found = format!("half of them take {half:.1?} or less, the longest took {longest:.1?}");
    if half >= FLUSH_BAD {
        Finding::bad(what, found, cure)
    } else if half >= FLUSH_SLOW {
        Finding::poor(what, found, cure)
    } else {
        Finding::fine(what, found)
    }
}

pub(super) fn port(port: Port, addr: SocketAddr) -> Finding {
    let what = "node port";
    match port {
        Port::Free => Finding::fine(what, format!("{addr} is free")),
        Port::Daemons(pid) => {
            Finding::fine(what, format!("{addr} is taken; cofferd runs as {pid}"))
        }
        Port::Taken => Finding::bad(
            what,
            format!("{addr} is taken, and no cofferd runs"),
            format!(
                "see who has it: ss -ltnp 'sport = :{}'; a Docker swarm uses the same port",
                addr.port()
            ),
        ),
        Port::NoSuchAddress(error) => Finding::bad(
            what,
            format!("nothing can listen at {addr}: {error}"),
            "give cofferd an address of this machine: --listen-addr",
        ),
    }
}

pub(super) fn state_dir(path: &Path, entry: Result<Entry, Hidden>) -> Finding {
    let (what, name) = ("state", path.display());
    let entry = match entry {
        Ok(entry) => entry,
        Err(Hidden::NotThere) => {
            return Finding::fine(what, format!("{name} is not there yet: cofferd makes it"));
        }
        Err(why) => return hidden(what, why),
    };
    if entry.is_link {
        let cure = "name the directory itself: --state-dir";
        return Finding::bad(what, format!("{name} is a link: cofferd refuses it"), cure);
    }
    if entry.mode & 0o077 != 0 {
        let found = format!("{name} is open to others ({:04o}): cofferd refuses it", entry.mode);
        return Finding::bad(what, found, format!("chmod 0700 {name}"));
    }
    if entry.uid != 0 && !entry.is_own {
        let found = format!("{name} belongs to user {}", entry.uid);
        return Finding::bad(what, found, format!("chown root: {name}"));
    }
    Finding::fine(what, format!("{name}, {:04o}", entry.mode))
}

pub(super) fn socket(
    path: &Path,
    entry: Result<Entry, Hidden>,
    connected: Result<(), Hidden>,
) -> Finding {
    let (what, name) = ("socket", path.display());
    let entry = match entry {
        Ok(entry) => entry,
        Err(Hidden::NotThere) => {
            return Finding::fine(what, format!("{name} is not there: no cofferd serves it"));
        }
        Err(why) => return hidden(what, why),
    };
    if entry.mode & 0o007 != 0 {
        let found = format!("everybody may use {name} ({:04o})", entry.mode);
        return Finding::bad(
            what,
            found,
            format!("chmod o= {name}: who gets in commands the cluster"),
        );
    }
    match connected {
        Ok(()) => Finding::fine(what, format!("{name}, {:04o}, answers", entry.mode)),
        Err(Hidden::NotAllowed) => Finding {
            cure: "root may, and members of the group coffer: they command the cluster".to_owned(),
            ..Finding::unseen(what, format!("{name} is not for this user"))
        },
        Err(Hidden::NotThere | Hidden::Failed(_)) => Finding::bad(
            what,
            format!("nobody answers at {name}"),
            "start cofferd: systemctl start cofferd; then see its log",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Grade;
    use super::*;

    #[track_caller]
    fn judged(finding: Finding, grade: Grade, text: &str) {
        assert_eq!(finding.grade, grade, "{finding:?}");
        assert!(finding.found.contains(text), "{finding:?}");
        assert_eq!(
            finding.cure.is_empty(),
            grade == Grade::Fine,
            "a cure where one is due: {finding:?}"
        );
    }

    #[test]
    fn a_kernel_is_judged_by_what_live_secrets_need() {
        for (release, grade) in [
            ("6.15.0", Grade::Fine),
            ("6.18.44-generic", Grade::Fine),
            ("7.0", Grade::Fine),
            ("6.8.0-40-generic", Grade::Poor),
            ("5.15.0", Grade::Poor),
            ("strange", Grade::Poor),
        ] {
            judged(kernel(release), grade, release);
        }
    }

    #[test]
    fn limits_are_judged_by_what_the_daemon_takes() {
        let limit = |value| Limit { value, is_daemons: true };
        judged(locked_memory((limit(None), false)), Grade::Fine, "not limited");
        judged(locked_memory((limit(Some(8 << 20)), true)), Grade::Fine, "root");
        judged(locked_memory((limit(Some(8 << 20)), false)), Grade::Poor, "8192 KiB, for cofferd");
        judged(locked_memory((limit(Some(128 << 20)), false)), Grade::Fine, "128 MiB");
        judged(descriptors(limit(Some(1_024))), Grade::Poor, "1024, for cofferd");
        judged(descriptors(Limit { value: Some(65_536), is_daemons: false }), Grade::Fine, "shell");
        judged(swap(Some(&[])), Grade::Fine, "none");
        judged(swap(Some(&["/dev/sda2".to_owned()])), Grade::Poor, "/dev/sda2");
        judged(swap(None), Grade::Unseen, "/proc/swaps");
        judged(user_namespaces(0), Grade::Poor, "may not");
        judged(user_namespaces(9), Grade::Fine, "may make");
        judged(core_dumps(Some("|/usr/lib/x")), Grade::Fine, "program");
    }

    #[test]
    fn a_clock_is_right_when_it_is_kept_and_not_long_past() {
        let now = CLOCK_LEAST_SECS + 1;
        judged(clock((Some(true), now)), Grade::Fine, "kept");
        judged(clock((Some(false), now)), Grade::Poor, "nothing keeps it");
        judged(clock((None, now)), Grade::Unseen, "does not say");
        judged(clock((Some(true), 86_400)), Grade::Bad, "long past");
    }

    #[test]
    fn a_disk_is_judged_by_room_kind_and_speed() {
        judged(space(Ok(1 << 40)), Grade::Fine, "MiB free");
        judged(space(Ok(500 << 20)), Grade::Poor, "500 MiB");
        judged(space(Ok(1 << 20)), Grade::Bad, "writes are refused");
        judged(space(Err(Hidden::NotAllowed)), Grade::Unseen, "not for this user");
        for (kind, grade) in [
            ("ext4", Grade::Fine),
            ("tmpfs", Grade::Bad),
            ("nfs4", Grade::Poor),
            ("fuse.sshfs", Grade::Poor),
            ("overlay", Grade::Poor),
        ] {
            judged(file_system(Some(kind)), grade, kind);
        }
        let took = |ms| Ok((Duration::from_millis(ms), Duration::from_millis(ms)));
        judged(flush(took(1)), Grade::Fine, "1.0ms");
        judged(flush(took(30)), Grade::Poor, "30.0ms");
        judged(flush(took(900)), Grade::Bad, "900.0ms");
    }

    #[test]
    fn a_port_and_paths_are_judged_by_who_has_them() {
        let addr = "0.0.0.0:2377".parse().unwrap();
        judged(port(Port::Free, addr), Grade::Fine, "free");
        judged(port(Port::Daemons(7), addr), Grade::Fine, "runs as 7");
        judged(port(Port::Taken, addr), Grade::Bad, "no cofferd runs");
        judged(port(Port::NoSuchAddress("x".into()), addr), Grade::Bad, "nothing can listen");
        let path = Path::new("/p");
        let entry = |mode, uid, is_own| Ok(Entry { mode, uid, is_link: false, is_own });
        judged(state_dir(path, entry(0o700, 0, true)), Grade::Fine, "/p, 0700");
        judged(state_dir(path, entry(0o750, 0, true)), Grade::Bad, "open to others (0750)");
        judged(state_dir(path, entry(0o700, 33, false)), Grade::Bad, "user 33");
        judged(state_dir(path, Err(Hidden::NotThere)), Grade::Fine, "not there yet");
        judged(state_dir(path, Err(Hidden::NotAllowed)), Grade::Unseen, "this user");
        let link = Entry { mode: 0o777, uid: 0, is_link: true, is_own: true };
        judged(state_dir(path, Ok(link)), Grade::Bad, "a link");
        judged(socket(path, entry(0o660, 0, true), Ok(())), Grade::Fine, "answers");
        judged(socket(path, entry(0o666, 0, true), Ok(())), Grade::Bad, "everybody");
        judged(
            socket(path, entry(0o660, 0, true), Err(Hidden::NotAllowed)),
            Grade::Unseen,
            "not for",
        );
        let failed = Err(Hidden::Failed("refused".into()));
        judged(socket(path, entry(0o600, 0, true), failed), Grade::Bad, "nobody answers");
        judged(socket(path, Err(Hidden::NotThere), Ok(())), Grade::Fine, "not there");
    }
}
