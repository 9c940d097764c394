//! What happened lately, for those who watch: a bounded ring by log index.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use vault_core::event::Event;
use vault_core::limits::EVENTS_KEPT;

/// Events that are no longer remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "events up to index {gone} are no longer remembered: list the objects anew, and go on from the list's index"
)]
pub struct EventsGone {
    pub gone: u64,
}

struct Ring {
    events: VecDeque<Event>,
    /// Events up to this index may be missing.
    gone: u64,
}

/// The remembered events. Copies are the same ones.
#[derive(Clone)]
pub struct Events {
    ring: Arc<Mutex<Ring>>,
    /// The last index that was applied.
    applied: Arc<watch::Sender<u64>>,
}

impl Events {
    /// Nothing is remembered of what came up to `index`.
    pub fn after(index: u64) -> Self {
        let ring = Ring { events: VecDeque::new(), gone: index };
        let applied = watch::Sender::new(index);
        Self { ring: Arc::new(Mutex::new(ring)), applied: Arc::new(applied) }
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        // The ring is whole after each of its calls.
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers events, all of one index together, and that everything up to `index` was applied.
    pub fn push(&self, index: u64, events: Vec<Event>) {
        let mut ring = self.ring();
        ring.events.extend(events);
        while ring.events.len() > EVENTS_KEPT {
            // What happened together is forgotten together.
            let Some(oldest) = ring.events.front().map(|event| event.index) else { break };
            ring.gone = oldest;
            while ring.events.front().is_some_and(|event| event.index == oldest) {
                ring.events.pop_front();
            }
        }
        drop(ring);
        self.applied.send_replace(index);
    }

    /// Starts anew behind an index, as a snapshot that was installed does.
    pub fn restart(&self, index: u64) {
        *self.ring() = Ring { events: VecDeque::new(), gone: index };
        self.applied.send_replace(index);
    }

    /// Told of every index that was applied.
    pub fn applied(&self) -> watch::Receiver<u64> {
        self.applied.subscribe()
    }

    /// The oldest index from which one can go on.
    pub fn oldest(&self) -> u64 {
        self.ring().gone
    }

    /// Up to `limit` events behind an index, in order; those of one index are never cut apart.
    pub fn since(&self, index: u64, limit: usize) -> Result<Vec<Event>, EventsGone> {
        let ring = self.ring();
        if index < ring.gone {
            return Err(EventsGone { gone: ring.gone });
        }
        let start = ring.events.partition_point(|event| event.index <= index);
        let rest = ring.events.range(start..);
        let last = rest.clone().nth(limit.saturating_sub(1)).map(|event| event.index);
        let wanted = rest.take_while(|event| last.is_none_or(|last| event.index <= last));
        Ok(wanted.cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vault_core::command::ObjectKind;
    use vault_core::event::EventAction;
    use vault_core::id::ObjectId;
    use vault_core::time::Timestamp;

    fn event(index: u64) -> Event {
        Event {
            index,
            at: Timestamp::default(),
            kind: ObjectKind::Secret,
            action: EventAction::Create,
            id: ObjectId::from_entropy([1; 17]),
            name: "a".into(),
        }
    }

    fn indexes(events: &Events, since: u64, limit: usize) -> Vec<u64> {
        events.since(since, limit).unwrap().iter().map(|event| event.index).collect()
    }

    #[test]
    fn a_watcher_goes_on_where_it_was() {
        let events = Events::after(10);
        events.push(11, vec![event(11)]);
        events.push(13, vec![event(13), event(13)]);
        assert_eq!(indexes(&events, 10, 100), [11, 13, 13]);
        assert_eq!(indexes(&events, 11, 100), [13, 13]);
        assert_eq!(indexes(&events, 10, 2), [11, 13, 13], "what happened together stays so");
        assert_eq!(indexes(&events, 13, 100), [0_u64; 0]);
        assert_eq!(events.since(9, 100), Err(EventsGone { gone: 10 }));
    }

    #[test]
    fn the_oldest_events_are_forgotten_past_the_bound() {
        let events = Events::after(0);
        let count = u64::try_from(EVENTS_KEPT).unwrap() + 5;
        for index in 1..=count {
            events.push(index, vec![event(index)]);
        }
        assert_eq!(events.since(0, 1), Err(EventsGone { gone: 5 }));
        assert_eq!(indexes(&events, 5, 1), [6]);
    }
}
