//! What stands between managers: a door for each, that others are told of instead of its own, and rules for
//! each direction between two of them. Bytes may wait, come late, or their connection may break; connections
//! overtake each other. Who dials is found in `/proc`: all of them have one source address.

use std::fs;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::scratch::random_number;

/// After what time the kernel sends again what was lost.
const SENT_AGAIN: Duration = Duration::from_millis(200);

/// What happens to the bytes from one manager to another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// They wait, as where packets are dropped and sent again.
    pub is_held: bool,
    /// They come so late, and up to twice as late: each connection by itself.
    pub delay_ms: u64,
    /// So many of a hundred pieces are lost: they come once they have been sent again.
    pub lost_percent: u64,
    /// Connections with another number than this are broken.
    pub breaks: u64,
}

/// Rules by who sends and who receives.
pub type Rules = Vec<Vec<Rule>>;

type Pids = Arc<Mutex<Vec<Option<u32>>>>;

/// The doors of some managers.
pub struct Proxies {
    rules: watch::Sender<Rules>,
    pids: Pids,
    _runtime: Runtime,
}

impl Proxies {
    /// A door at each first address, which leads to the second one.
    pub fn start(doors: &[(String, String)]) -> Self {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).enable_all().build().expect("threads can be had");
        let count = doors.len();
        let rules = watch::Sender::new(vec![vec![Rule::default(); count]; count]);
        let pids: Pids = Arc::new(Mutex::new(vec![None; count]));
        for (to, (door, inner)) in doors.iter().enumerate() {
            let listener = runtime.block_on(TcpListener::bind(door)).expect("the address is ours");
            let (rules, pids, inner) = (rules.subscribe(), Arc::clone(&pids), inner.clone());
            runtime.spawn(serve(listener, inner, to, rules, pids));
        }
        Self { rules, pids, _runtime: runtime }
    }

    /// Says which process a manager is now.
    pub fn runs(&self, manager: usize, pid: Option<u32>) {
        self.pids.lock().unwrap_or_else(PoisonError::into_inner)[manager] = pid;
    }

    /// Changes the rules.
    pub fn change(&self, change: impl FnOnce(&mut Rules)) {
        self.rules.send_modify(change);
    }

    /// Nothing is in the way any more.
    pub fn heal(&self) {
        self.change(|rules| {
            for rule in rules.iter_mut().flatten() {
                *rule = Rule { breaks: rule.breaks, ..Rule::default() };
            }
        });
    }
}

async fn serve(
    listener: TcpListener,
    inner: String,
    to: usize,
    rules: watch::Receiver<Rules>,
    pids: Pids,
) {
    while let Ok((stream, source)) = listener.accept().await {
        let (inner, rules, pids) = (inner.clone(), rules.clone(), Arc::clone(&pids));
        tokio::spawn(async move {
            let door = stream.local_addr().expect("it is connected");
            let known = pids.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let from = tokio::task::spawn_blocking(move || dialer(source, door, &known)).await;
            // Who cannot be told has gone already.
            let Ok(Some(from)) = from else { return };
            let Ok(other) = TcpStream::connect(inner).await else { return };
            stream.set_nodelay(true).ok();
            other.set_nodelay(true).ok();
            let (from_read, from_write) = stream.into_split();
            let (to_read, to_write) = other.into_split();
            tokio::select! {
                () = pass(from_read, to_write, (from, to), rules.clone()) => {}
                () = pass(to_read, from_write, (to, from), rules) => {}
            }
        });
    }
}

/// Passes bytes on in one direction, by its rule, until either side ends or the connection is broken.
async fn pass(
    mut read: OwnedReadHalf,
    mut write: OwnedWriteHalf,
    (from, to): (usize, usize),
    mut rules: watch::Receiver<Rules>,
) {
    let breaks = rules.borrow()[from][to].breaks;
    let mut broken = rules.clone();
    let moving = async {
        let mut bytes = vec![0; 64 << 10];
        loop {
            let Ok(count @ 1..) = read.read(&mut bytes).await else { return };
            if rules.wait_for(|rules| !rules[from][to].is_held).await.is_err() {
                return;
            }
            let Rule { delay_ms: delay, lost_percent, .. } = rules.borrow()[from][to];
            if random_number() % 100 < lost_percent {
                sleep(SENT_AGAIN).await;
            }
            if delay > 0 {
                sleep(Duration::from_millis(delay + random_number() % delay)).await;
            }
            if write.write_all(&bytes[..count]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = moving => {}
        _ = broken.wait_for(|rules| rules[from][to].breaks != breaks) => {}
    }
}

/// Which manager's process has the other end of a connection.
fn dialer(source: SocketAddr, door: SocketAddr, pids: &[Option<u32>]) -> Option<usize> {
    let inode = inode(source, door)?;
    let holds = |pid: u32| {
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
        let name = format!("socket:[{inode}]");
        descriptors.flatten().find(|one| {
            fs::read_link(one.path()).is_ok_and(|target| target.as_os_str() == name.as_str())
        })
    };
    pids.iter().position(|pid| pid.and_then(holds).is_some())
}

/// The socket of a connection, by the kernel's table.
fn inode(source: SocketAddr, door: SocketAddr) -> Option<String> {
    let wanted = [hexadecimal(source)?, hexadecimal(door)?];
    let table = fs::read_to_string("/proc/net/tcp").ok()?;
    table.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let is_it = fields.get(1)? == &wanted[0] && fields.get(2)? == &wanted[1];
        is_it.then(|| fields.get(9).map(|inode| (*inode).to_owned()))?
    })
}

/// An address as the kernel's table has it.
fn hexadecimal(address: SocketAddr) -> Option<String> {
    let SocketAddr::V4(address) = address else { return None };
    Some(format!("{:08X}:{:04X}", u32::from_ne_bytes(address.ip().octets()), address.port()))
}
