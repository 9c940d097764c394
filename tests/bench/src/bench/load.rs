//! Clients that ask one server, each again as soon as it has its answer.

use std::time::{Duration, Instant};

use tonic::Status;

use crate::figures::Latencies;
use crate::machine::Meter;

/// Asked before anything is counted.
const WARM: Duration = Duration::from_millis(300);

/// One client with one request under way at a time.
pub trait Client: Send + 'static {
    fn ask(&mut self) -> impl Future<Output = Result<(), Status>> + Send;
}

/// One cell of one round.
pub struct Cell {
    pub per_second: f64,
    /// p50 and p99 in microseconds.
    pub latencies: [f64; 2],
    /// CPU time of the server for one request, in microseconds.
    pub server_us: f64,
    /// The share of all CPUs that others used, 0 to 1.
    pub neighbours: f64,
}

/// Connections for a number of clients.
pub fn connections(clients: usize) -> usize {
    clients.min(16)
}

/// Has all clients ask for some time. All of a cluster's processes are one server; those of the other
/// cluster of the run are idle, and no neighbours.
pub async fn load<C: Client>(
    clients: Vec<C>,
    secs: Duration,
    server: &[u32],
    idle: &[u32],
) -> Result<Cell, Status> {
    let from = Instant::now() + WARM;
    let until = from + secs;
    let asking: Vec<_> =
        clients.into_iter().map(|client| tokio::spawn(ask(client, from, until))).collect();
    tokio::time::sleep_until(from.into()).await;
    let pids: Vec<u32> = server.iter().chain(idle).copied().collect();
    let meter = Meter::start(&pids);
    tokio::time::sleep_until(until.into()).await;
    let used = meter.used();
    let mut latencies = Latencies::default();
    for asked in asking {
        latencies.merge(asked.await.expect("a client does not panic")?);
    }
    let count = latencies.count() as f64;
    Ok(Cell {
        per_second: count / secs.as_secs_f64(),
        latencies: latencies.percentiles([0.5, 0.99]),
        server_us: used.servers[..server.len()].iter().sum::<Duration>().as_secs_f64() * 1e6
            / count.max(1.0),
        neighbours: used.neighbours,
    })
}

/// What was answered between two moments.
async fn ask<C: Client>(mut client: C, from: Instant, until: Instant) -> Result<Latencies, Status> {
    let mut latencies = Latencies::default();
    loop {
        let asked = Instant::now();
        if asked >= until {
            return Ok(latencies);
        }
        client.ask().await?;
        let answered = Instant::now();
        if answered >= from && answered < until {
            latencies.push(answered - asked);
        }
    }
}
