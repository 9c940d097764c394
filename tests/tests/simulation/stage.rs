//! What the nodes stand on: who runs now, each one's disk and clock, and the trace of all that happened.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use tests::disk::FaultyDisk;
use vault::daemon::Daemon;
use vault::manager::Manager;
use vault_core::id::NodeId;
use vault_core::node::Role;

use crate::history::Call;

/// How many managers there are at most.
pub const NODES_MAX: usize = 5;
/// Dials in one simulated second by one node to another: 50 for each purpose, of which there are four, and some for
/// what comes and goes. A manager that is not there is asked again after a moment.
const DIALS_MAX: u64 = 220;
/// Nobody runs: the world itself does something.
const NOBODY: usize = usize::MAX;

/// One node, across its lives.
pub struct Spot {
    pub disk: Mutex<FaultyDisk>,
    /// Whether its disk is empty: it founds or joins.
    pub is_new: AtomicBool,
    /// The daemon that lives now, once it serves.
    pub daemon: Mutex<Option<Arc<Daemon>>>,
    /// Its process ended by itself.
    pub has_ended: AtomicBool,
    /// Its machine is up, and nobody listens there.
    pub is_away: AtomicBool,
    /// Whether something was done to its disk that may keep it from starting.
    pub is_disk_bad: AtomicBool,
    /// Milliseconds that a flush takes at most.
    pub flush_ms: AtomicU64,
    /// Nanoseconds by which its wall clock is off.
    pub off: AtomicI64,
}

/// What an operator does.
#[derive(Clone, Copy)]
pub enum Order {
    /// Makes a worker of a manager.
    Demote(NodeId),
    /// Asks for a new data key.
    RotateKeys,
}

/// How often a node dialled an address.
type Dials = BTreeMap<(Option<usize>, SocketAddr), u64>;

/// Everything.
pub struct Stage {
    current: AtomicUsize,
    pub spots: [Spot; NODES_MAX],
    /// How many managers this run has.
    count: AtomicUsize,
    pub calls: Mutex<Vec<Call>>,
    /// What must not be.
    pub wrong: Mutex<Vec<String>>,
    /// What a new manager joins with.
    pub token: Mutex<Option<String>>,
    /// Counts all that clients see: their clock.
    moments: AtomicU64,
    pub values: AtomicU64,
    /// How many writes were acknowledged.
    pub acknowledged: AtomicU64,
    /// Whether clients go on.
    pub is_over: AtomicBool,
    /// The simulated second, and how often who dialled whom in it.
    dials: Mutex<(u64, Dials)>,
    /// What operators have to do, and at which node.
    orders: Mutex<Vec<(usize, Order)>>,
    /// Who is being demoted: the spot, by whom, and which node it was. It may take until long after the trouble.
    pub going: Mutex<Vec<(usize, usize, NodeId)>>,
    trace: Mutex<Trace>,
    is_told: bool,
}

#[derive(Default)]
struct Trace {
    hasher: DefaultHasher,
    lines: u64,
}

static STAGE: OnceLock<Stage> = OnceLock::new();

/// The stage of this process.
pub fn stage() -> &'static Stage {
    STAGE.get_or_init(|| Stage {
        current: AtomicUsize::new(NOBODY),
        spots: std::array::from_fn(|_| Spot {
            disk: Mutex::default(),
            is_new: AtomicBool::new(true),
            daemon: Mutex::default(),
            has_ended: AtomicBool::new(false),
            is_away: AtomicBool::new(false),
            is_disk_bad: AtomicBool::new(false),
            flush_ms: AtomicU64::new(2),
            off: AtomicI64::new(0),
        }),
        count: AtomicUsize::new(3),
        calls: Mutex::default(),
        wrong: Mutex::default(),
        token: Mutex::default(),
        moments: AtomicU64::new(0),
        values: AtomicU64::new(1),
        acknowledged: AtomicU64::new(0),
        is_over: AtomicBool::new(false),
        dials: Mutex::default(),
        orders: Mutex::default(),
        going: Mutex::default(),
        trace: Mutex::default(),
        is_told: std::env::var_os("COFFER_SIM_TELL").is_some(),
    })
}

/// A lock that no panic leaves in the lurch: there is one thread, and its panic ends the run.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nobody panics")
}

impl Stage {
    /// This node runs from here on, or nobody.
    pub fn enter(&self, node: Option<usize>) {
        self.current.store(node.unwrap_or(NOBODY), Ordering::Relaxed);
        let off = node.map_or(0, |node| self.spots[node].off.load(Ordering::Relaxed));
        fate::set_off(off);
    }

    /// This run has so many managers.
    pub fn set_count(&self, count: usize) {
        assert!(count <= NODES_MAX, "there are no more spots");
        self.count.store(count, Ordering::Relaxed);
    }

    /// How many managers this run has.
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// All of them.
    pub fn nodes(&self) -> std::ops::Range<usize> {
        0..self.count()
    }

    /// The next one in a circle.
    pub fn after(&self, node: usize) -> usize {
        (node + 1) % self.count()
    }

    /// Any one of them.
    pub fn any(&self) -> usize {
        usize::try_from(below(self.count() as u64)).expect("it is small")
    }

    /// Who runs now.
    pub fn current(&self) -> Option<usize> {
        Some(self.current.load(Ordering::Relaxed)).filter(|node| *node != NOBODY)
    }

    /// Notes what happened, by whom and when: the trace of two runs of one seed is the same.
    pub fn note(&self, what: impl FnOnce() -> String) {
        let line = format!(
            "{:>9} {} {}",
            fate::now() / 1_000,
            self.current().map_or_else(|| "-".to_owned(), |node| node.to_string()),
            what()
        );
        self.tell(&line);
        let mut trace = lock(&self.trace);
        line.hash(&mut trace.hasher);
        trace.lines += 1;
    }

    /// Shows a line to whoever wants to see all, and keeps it out of the trace.
    pub fn tell(&self, line: &str) {
        if self.is_told {
            println!("{line}");
        }
    }

    /// The trace in one number, and how many lines it has.
    pub fn digest(&self) -> (u64, u64) {
        let trace = lock(&self.trace);
        (trace.hasher.finish(), trace.lines)
    }

    /// Something that must not be.
    pub fn wrong(&self, what: String) {
        self.note(|| format!("WRONG: {what}"));
        lock(&self.wrong).push(what);
    }

    /// Counts a dial. Says no, and that it must not be, where somebody dials without a pause.
    pub fn may_dial(&self, addr: SocketAddr) -> bool {
        let second = fate::now() / 1_000_000_000;
        let mut dials = lock(&self.dials);
        if dials.0 != second {
            *dials = (second, BTreeMap::new());
        }
        let count = dials.1.entry((self.current(), addr)).or_default();
        *count += 1;
        if *count == DIALS_MAX {
            self.wrong(format!("{DIALS_MAX} dials to {addr} in second {second}"));
        }
        *count < DIALS_MAX
    }

    /// The next moment of the clients' clock.
    pub fn moment(&self) -> u64 {
        self.moments.fetch_add(1, Ordering::Relaxed)
    }

    /// The manager that lives at a spot.
    pub fn manager(&self, node: usize) -> Option<Arc<Manager>> {
        lock(&self.spots[node].daemon).as_ref()?.manager().ok()
    }

    /// Has an operator at one node do something.
    pub fn order(&self, by: usize, order: Order) {
        lock(&self.orders).push((by, order));
    }

    /// What the operator at a node has to do next.
    pub fn next_order(&self, by: usize) -> Option<Order> {
        let mut orders = lock(&self.orders);
        let at = orders.iter().position(|(at, _)| *at == by)?;
        Some(orders.remove(at).1)
    }

    /// Whether a manager knows that a node was demoted, and that Raft goes without it.
    pub fn is_demoted(&self, by: usize, gone: NodeId) -> bool {
        let Some(manager) = self.manager(by) else { return false };
        let view = manager.consensus().view();
        let is_worker = view.state.node(gone).is_some_and(|node| node.role == Role::Worker);
        is_worker && manager.consensus().standing().of_node(gone.as_str()).is_none()
    }

    /// Who leads, as far as one knows of itself.
    pub fn leader(&self) -> Option<usize> {
        self.nodes().find(|node| {
            self.manager(*node).is_some_and(|manager| *manager.consensus().leads().borrow())
        })
    }
}

/// A number of the seed below a bound.
pub fn below(bound: u64) -> u64 {
    fate::number() % bound
}

/// True once in so many times.
pub fn once_in(times: u64) -> bool {
    below(times) == 0
}

/// What bytes come to, for the trace.
pub fn digest_of(bytes: &[u8]) -> u32 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    u32::try_from(hasher.finish() >> 32).expect("half of it is left")
}
