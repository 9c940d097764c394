//! Threads that were sent back from a superseded node to look the name up again.
//!
//! The kernel repeats an open only once. If the version changes again between the second lookup and
//! the second open, the call would fail although the file was there all the time. So what the second
//! lookup finds is held for that thread until its open, which began before the change and may get it.

use std::collections::BTreeMap;
use std::time::Duration;
use std::time::Instant;

use crate::nodeid::Ino;

/// The most threads that are remembered; beyond, an open may fail as stale.
const THREADS_MAX: usize = 1024;

/// How long a thread is remembered. The kernel comes back at once, unless the thread is starved.
const REMEMBERED: Duration = Duration::from_secs(1);

/// How far a thread has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// It was told to look again.
    SentBack,
    /// It has found this node, which is held for it.
    Holds(Ino),
}

/// The threads between the two opens, by number.
#[derive(Default)]
pub(crate) struct Returning {
    threads: BTreeMap<u32, (Step, Instant)>,
}

impl Returning {
    /// A thread was told that the node it opens is superseded.
    pub(crate) fn send_back(&mut self, tid: u32, now: Instant) {
        if self.threads.len() < THREADS_MAX {
            self.threads.insert(tid, (Step::SentBack, now));
        }
    }

    /// True if the thread was sent back a moment ago, so that what it finds now is to be held.
    pub(crate) fn is_sent_back(&self, tid: u32, now: Instant) -> bool {
        self.threads.get(&tid).is_some_and(|(_, since)| !is_over(*since, now))
    }

    /// The thread has found a node, which is held for it now. Gives back the one held before.
    pub(crate) fn hold(&mut self, tid: u32, ino: Ino, now: Instant) -> Option<Ino> {
        held(self.threads.insert(tid, (Step::Holds(ino), now)))
    }

    /// The thread opens, or has lost its way: it is forgotten. Gives back how far it had come; what
    /// it held is the caller's now.
    pub(crate) fn forget(&mut self, tid: u32) -> Option<Step> {
        self.threads.remove(&tid).map(|(step, _)| step)
    }

    /// Forgets everybody who has not come back in time. Gives back the nodes held for them.
    pub(crate) fn sweep(&mut self, now: Instant) -> Vec<Ino> {
        let gone = self.threads.extract_if(.., |_, (_, since)| is_over(*since, now));
        gone.filter_map(|(_, entry)| held(Some(entry))).collect()
    }
}

fn held(entry: Option<(Step, Instant)>) -> Option<Ino> {
    match entry {
        Some((Step::Holds(ino), _)) => Some(ino),
        Some((Step::SentBack, _)) | None => None,
    }
}

fn is_over(since: Instant, now: Instant) -> bool {
    now.saturating_duration_since(since) > REMEMBERED
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_was_sent_back_holds_what_it_finds_until_it_opens() {
        let now = Instant::now();
        let mut returning = Returning::default();
        assert!(!returning.is_sent_back(7, now));
        returning.send_back(7, now);
        assert!(returning.is_sent_back(7, now) && !returning.is_sent_back(8, now));
        assert_eq!(returning.hold(7, Ino(20), now), None);
        assert_eq!(returning.hold(7, Ino(21), now), Some(Ino(20)));
        assert_eq!(returning.forget(7), Some(Step::Holds(Ino(21))));
        assert_eq!(returning.forget(7), None);
    }

    #[test]
    fn a_thread_that_stays_away_is_swept() {
        let now = Instant::now();
        let late = now + Duration::from_secs(2);
        let mut returning = Returning::default();
        returning.send_back(7, now);
        returning.send_back(8, now);
        returning.hold(8, Ino(20), now);
        returning.send_back(9, late);
        assert!(!returning.is_sent_back(7, late));
        assert_eq!(returning.sweep(late), [Ino(20)]);
        assert_eq!(returning.threads.len(), 1);
    }

    #[test]
    fn only_so_many_threads_are_remembered() {
        let now = Instant::now();
        let mut returning = Returning::default();
        for tid in 0..5000 {
            returning.send_back(tid, now);
        }
        assert_eq!(returning.threads.len(), THREADS_MAX);
    }
}
