//! Connections that are open at the node port, by what their other sides proved: those of a node that was removed or
//! demoted end with that, on every manager, and not with their next call.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use pki::identity::Claim;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};
use vault_core::access::Caller;
use vault_core::state::State;

use super::node_gate::caller;
use crate::clock;
use crate::manager::Manager;

/// How often is looked for certificates that ended, even if nothing changes.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// The same while a connection is over and not closed yet.
const LOOK_SOON: Duration = Duration::from_millis(50);
/// How long an answer may be on its way still: of a manager that demotes itself, say. New calls are refused meanwhile.
const ANSWERS_GO_FOR: Duration = Duration::from_millis(300);

/// All that are open.
#[derive(Default)]
pub(super) struct Open(Mutex<Vec<One>>);

struct One {
    claim: Claim,
    /// The most that it was: it stays open only as that.
    was: Standing,
    /// Since when it is less.
    over: Option<Instant>,
    end: oneshot::Sender<()>,
}

/// Tells a connection that it is over.
pub(super) enum End {
    Never,
    Awaited(oneshot::Receiver<()>),
    Come,
}

impl End {
    /// Never.
    pub(super) fn never() -> Self {
        Self::Never
    }

    /// Fails once the connection is over, and from then on; else whoever asks is woken then.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if let Self::Awaited(end) = self {
            match Pin::new(end).poll(context) {
                Poll::Pending => {}
                Poll::Ready(Ok(())) => *self = Self::Come,
                // Nobody looks any more: this manager ends.
                Poll::Ready(Err(_)) => *self = Self::Never,
            }
        }
        match self {
            Self::Never | Self::Awaited(_) => Ok(()),
            Self::Come => Err(io::ErrorKind::ConnectionAborted.into()),
        }
    }
}

impl Open {
    fn all(&self) -> MutexGuard<'_, Vec<One>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection is open from now on. One that is nobody's stays: its calls are refused in words.
    pub(super) fn add(&self, claim: Claim, state: &State) -> End {
        let (end, over) = oneshot::channel();
        let was = standing(&claim, state, clock::now().secs());
        self.all().push(One { claim, was, over: None, end });
        End::Awaited(over)
    }

    /// Ends those that are over. Gives when to look again.
    fn look(&self, state: &State, now_secs: u64) -> Duration {
        let mut all = self.all();
        let looked = std::mem::take(&mut *all).into_iter().filter_map(|mut one| {
            if one.end.is_closed() {
                return None;
            }
            let now = standing(&one.claim, state, now_secs);
            if now >= one.was {
                (one.was, one.over) = (now, None);
            } else if one.over.get_or_insert_with(Instant::now).elapsed() >= ANSWERS_GO_FOR {
                let node = one.claim.node;
                tracing::info!(node, "a connection is closed: the node may no more what it might");
                one.end.send(()).ok();
                return None;
            }
            Some(one)
        });
        *all = looked.collect();
        let is_over = all.iter().any(|one| one.over.is_some());
        if is_over { LOOK_SOON } else { LOOK_EVERY }
    }

    /// Looks whenever something about nodes changes, until consensus ends.
    pub(super) async fn keep(&self, manager: Arc<Manager>) {
        let mut views = manager.consensus().views();
        loop {
            let view = views.borrow_and_update().clone();
            let pause = self.look(&view.state, clock::now().secs());
            let seen = view.state.workload_index();
            drop(view);
            let changed = views.wait_for(|view| view.state.workload_index() != seen);
            tokio::select! {
                changed = changed => if changed.is_err() { return },
                () = sleep(pause) => {}
            }
        }
    }
}

/// What a connection's other side may do, least first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    Stranger,
    Worker,
    Manager,
}

fn standing(claim: &Claim, state: &State, now_secs: u64) -> Standing {
    match caller(Some(claim), state, now_secs) {
        Caller::Manager => Standing::Manager,
        Caller::Worker => Standing::Worker,
        Caller::Stranger | Caller::Root | Caller::Operator => Standing::Stranger,
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    /// HTTP/2 asks again after a failure, and while a server ends.
    #[test]
    fn an_end_can_be_asked_for_again_and_again() {
        let mut context = Context::from_waker(Waker::noop());
        let mut asked = |end: &mut End| end.poll(&mut context).is_err();
        let (told, over) = oneshot::channel();
        let mut end = End::Awaited(over);
        assert!(!asked(&mut end));
        told.send(()).unwrap();
        assert!(asked(&mut end) && asked(&mut end));
        let (gone, over) = oneshot::channel();
        let mut end = End::Awaited(over);
        drop(gone);
        assert!(!asked(&mut end) && !asked(&mut end));
        let mut never = End::never();
        assert!(!asked(&mut never) && !asked(&mut never));
    }
}
