//! What the machine and single processes used, by the kernel's count in /proc.

use std::fs;
use std::time::Duration;

/// The CPU time of a process and of the children it has waited for, in the kernel's ticks.
fn ticks_of(process: &str) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The name in parentheses may hold anything; fields are counted from behind it.
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let field = |place: usize| fields.get(place).and_then(|text| text.parse::<u64>().ok());
    field(11).unwrap_or(0) + field(12).unwrap_or(0)
}

/// Ticks that all CPUs were busy, and ticks in all.
fn machine_ticks() -> (u64, u64) {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let first = stat.lines().next().unwrap_or_default();
    let fields: Vec<u64> = first.split_whitespace().filter_map(|text| text.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal; guests are counted within the first two.
    let total: u64 = fields.iter().take(8).sum();
    let idle = fields.get(3).unwrap_or(&0) + fields.get(4).unwrap_or(&0);
    (total - idle, total)
}

/// A moment, to measure from.
pub struct Meter {
    servers: Vec<(u32, u64)>,
    own: u64,
    busy: u64,
    total: u64,
}

/// What was used since that moment.
#[derive(Clone, Debug, Default)]
pub struct Used {
    /// CPU time of each server.
    pub servers: Vec<Duration>,
    /// CPU time of this process.
    pub own: Duration,
    /// The share of all CPUs that others used, 0 to 1.
    pub neighbours: f64,
}

impl Meter {
    pub fn start(servers: &[u32]) -> Self {
        let servers = servers.iter().map(|pid| (*pid, ticks_of(&pid.to_string()))).collect();
        let (busy, total) = machine_ticks();
        Self { servers, own: ticks_of("self"), busy, total }
    }

    pub fn used(&self) -> Used {
        let (busy, total) = machine_ticks();
        let now = |pid: &u32| ticks_of(&pid.to_string());
        let servers: Vec<u64> =
            self.servers.iter().map(|(pid, then)| now(pid).saturating_sub(*then)).collect();
        let own = ticks_of("self").saturating_sub(self.own);
        let ours = own + servers.iter().sum::<u64>();
        let others = (busy - self.busy).saturating_sub(ours);
        let tick = 1.0 / rustix::param::clock_ticks_per_second() as f64;
        let time = |ticks: u64| Duration::from_secs_f64(ticks as f64 * tick);
        Used {
            servers: servers.into_iter().map(time).collect(),
            own: time(own),
            neighbours: others as f64 / (total - self.total).max(1) as f64,
        }
    }
}
