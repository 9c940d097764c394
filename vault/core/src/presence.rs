//! Which workers are heard of, as the leader knows it: their sessions, and when each was heard last. Times are what
//! passed since some moment; nothing here knows which.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::id::{NodeId, ObjectId};
use crate::limits::{
    SESSIONS_BEGUN_MAX, SESSIONS_WINDOW, WORKER_BEAT, WORKER_BEAT_SPREAD,
    WORKER_BEATS_MISSED_AT_FIRST, WORKER_BEATS_MISSED_MAX,
};
use crate::node::NodeStatus;

/// A node that begins one session after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("node {id} exceeded rate limit count of registrations")]
pub struct SessionsTooMany {
    id: NodeId,
}

/// One node, as far as it was heard.
#[derive(Debug)]
struct Heard {
    session: ObjectId,
    at: Duration,
    /// Sessions that were begun since the time beside it.
    begun: u32,
    since: Duration,
}

/// What one leader hears, from when it leads on.
#[derive(Debug)]
pub struct Presence {
    leads_since: Duration,
    heard: BTreeMap<NodeId, Heard>,
}

impl Presence {
    /// Nobody was heard yet.
    pub fn from(leads_since: Duration) -> Self {
        Self { leads_since, heard: BTreeMap::new() }
    }

    /// A node begins a session. The one before is none any more.
    pub fn begin(
        &mut self,
        id: NodeId,
        session: ObjectId,
        now: Duration,
    ) -> Result<(), SessionsTooMany> {
        let before = self.heard.get(&id);
        let recent = before.filter(|one| now.saturating_sub(one.since) < SESSIONS_WINDOW);
        let (begun, since) = recent.map_or((0, now), |one| (one.begun, one.since));
        if begun >= SESSIONS_BEGUN_MAX {
            return Err(SessionsTooMany { id });
        }
        self.heard.insert(id, Heard { session, at: now, begun: begun.saturating_add(1), since });
        Ok(())
    }

    /// A node is heard in its session; no if that is not its session.
    pub fn beat(&mut self, id: NodeId, session: ObjectId, now: Duration) -> bool {
        let heard = self.heard.get_mut(&id).filter(|heard| heard.session == session);
        heard.is_some_and(|heard| {
            heard.at = now;
            true
        })
    }

    /// Forgets nodes that are not among these.
    pub fn keep(&mut self, is_kept: impl Fn(NodeId) -> bool) {
        self.heard.retain(|id, _| is_kept(*id));
    }

    /// Of workers with what their records say: those of whom something else is true.
    pub fn changes(
        &self,
        workers: impl Iterator<Item = (NodeId, NodeStatus)>,
        now: Duration,
    ) -> Vec<(NodeId, NodeStatus)> {
        let changed = workers.filter_map(|(id, known)| {
            let is_silent = self.is_silent(id, now);
            match (known, self.heard.contains_key(&id)) {
                (NodeStatus::Ready, _) if is_silent => Some((id, NodeStatus::Down)),
                (NodeStatus::Down | NodeStatus::Unknown, true) if !is_silent => {
                    Some((id, NodeStatus::Ready))
                }
                (NodeStatus::Ready | NodeStatus::Down | NodeStatus::Unknown, _) => None,
            }
        });
        changed.collect()
    }

    /// Whoever has not found this leader yet is given more time.
    fn is_silent(&self, id: NodeId, now: Duration) -> bool {
        let beat = WORKER_BEAT.saturating_add(WORKER_BEAT_SPREAD);
        let (last, missed) = match self.heard.get(&id) {
            Some(heard) => (heard.at, WORKER_BEATS_MISSED_MAX),
            None => (self.leads_since, WORKER_BEATS_MISSED_AT_FIRST),
        };
        now.saturating_sub(last) > beat.saturating_mul(missed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u8) -> NodeId {
        NodeId::from_entropy([n; 17])
    }

    fn session(n: u8) -> ObjectId {
        ObjectId::from_entropy([n; 17])
    }

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn a_worker_is_down_once_it_missed_three_beats_and_ready_when_it_is_heard_again() {
        use NodeStatus::{Down, Ready, Unknown};
        let mut presence = Presence::from(secs(0));
        presence.begin(id(1), session(1), secs(10)).unwrap();
        let changes = |presence: &Presence, known, now| {
            presence.changes([(id(1), known)].into_iter(), secs(now))
        };
        assert_eq!(changes(&presence, Unknown, 10), [(id(1), Ready)]);
        assert_eq!(changes(&presence, Ready, 26), []);
        assert_eq!(changes(&presence, Ready, 27), [(id(1), Down)]);
        assert_eq!(changes(&presence, Down, 27), []);
        assert!(presence.beat(id(1), session(1), secs(40)));
        assert_eq!(changes(&presence, Down, 41), [(id(1), Ready)]);
    }

    #[test]
    fn a_new_leader_waits_twice_as_long_for_those_whom_it_never_heard() {
        let presence = Presence::from(secs(100));
        let changes = |now| presence.changes([(id(1), NodeStatus::Ready)].into_iter(), secs(now));
        assert_eq!(changes(133), []);
        assert_eq!(changes(134), [(id(1), NodeStatus::Down)]);
        let gone = presence.changes([(id(1), NodeStatus::Down)].into_iter(), secs(101));
        assert_eq!(gone, [], "nobody is ready who was not heard");
    }

    #[test]
    fn only_the_latest_session_of_a_node_counts() {
        let mut presence = Presence::from(secs(0));
        presence.begin(id(1), session(1), secs(0)).unwrap();
        presence.begin(id(1), session(2), secs(1)).unwrap();
        assert!(!presence.beat(id(1), session(1), secs(2)));
        assert!(!presence.beat(id(2), session(2), secs(2)));
        assert!(presence.beat(id(1), session(2), secs(2)));
        presence.keep(|known| known != id(1));
        assert!(!presence.beat(id(1), session(2), secs(3)), "it was removed");
    }

    #[test]
    fn a_node_begins_no_more_than_three_sessions_within_eight_seconds() {
        let mut presence = Presence::from(secs(0));
        for (now, may) in [(0, true), (1, true), (7, true), (7, false), (8, true), (9, true)] {
            let begun = presence.begin(id(1), session(1), secs(now));
            assert_eq!(begun.is_ok(), may, "at {now}");
        }
        assert!(presence.begin(id(2), session(1), secs(7)).is_ok(), "each counts alone");
    }
}
