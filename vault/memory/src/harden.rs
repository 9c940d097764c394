//! What a process does once, at its start, so that its memory is not written anywhere.

use std::io;

/// One thing that was asked of the platform, and refused.
#[derive(Debug)]
pub struct Shortfall {
    /// What is missing, in words for the log.
    pub what: &'static str,
    /// What the operator can do.
    pub cure: &'static str,
    /// The kernel's answer.
    pub source: io::Error,
}

/// What `harden` could and could not get.
#[derive(Debug, Default)]
pub struct Hardening {
    /// Empty when everything was granted.
    pub shortfalls: Vec<Shortfall>,
}

/// Turns core dumps off, makes the process non-dumpable (no ptrace by equals, no `/proc/PID/mem`),
/// and finds out whether memory can be locked.
pub fn harden() -> Hardening {
    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: a plain system call on a value of ours.
    let core = unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const none) };
    let core = Shortfall {
        what: "core dumps could not be turned off",
        cure: "start the daemon with a core limit of 0",
        source: answer(core),
    };
    // SAFETY: a plain system call without pointers.
    let dumpable = unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) };
    let dumpable = Shortfall {
        what: "the process stays readable by other processes of its user",
        cure: "run the daemon as a user of its own",
        source: answer(dumpable),
    };
    let locked = crate::Guarded::filled(1, |_| ()).is_ok_and(|probe| probe.is_locked());
    let lock = Shortfall {
        what: "memory cannot be locked, so keys might be swapped",
        cure: "raise the memlock limit (LimitMEMLOCK=infinity in the unit) or turn swap off",
        source: if locked { answer(0) } else { io::ErrorKind::PermissionDenied.into() },
    };
    let refused = [core, dumpable, lock].into_iter();
    let refused = refused.filter(|s| s.source.raw_os_error() != Some(0));
    Hardening { shortfalls: refused.collect() }
}

/// The error of a call that returned `code`; "no error" for success.
fn answer(code: libc::c_int) -> io::Error {
    if code == 0 { io::Error::from_raw_os_error(0) } else { io::Error::last_os_error() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_37_a_hardened_process_has_no_core_limit_left() {
        let hardening = harden();
        let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
        let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        assert!(core.split_whitespace().nth(4) == Some("0"), "{core}");
        for shortfall in hardening.shortfalls {
            assert_ne!(shortfall.what, "core dumps could not be turned off");
        }
    }
}
