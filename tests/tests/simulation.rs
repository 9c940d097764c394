//! Whole managers in one thread: a simulated network, disk, clock and chance, and faults, all by one seed. The
//! code of the managers is the real one, TLS among it. The same seed gives the same run.
//!
//! `COFFER_SIM_SEED=17 cargo test -p tests --test simulation one_seed -- --nocapture`
//! `COFFER_SIM_SEEDS=500 cargo test -p tests --test simulation many_seeds -- --nocapture`
//!
//! Every seed runs in a process of its own: libraries count things in globals.

#[path = "simulation/clients.rs"]
mod clients;
#[path = "simulation/disk.rs"]
mod disk;
#[path = "faults/history.rs"]
mod history;
#[path = "simulation/net.rs"]
mod net;
#[path = "simulation/node.rs"]
mod node;
#[path = "faults/order.rs"]
mod order;
#[path = "simulation/run.rs"]
mod run;
#[path = "simulation/seeds.rs"]
mod seeds;
#[path = "simulation/stage.rs"]
mod stage;
#[path = "simulation/trouble.rs"]
mod trouble;
#[path = "faults/wgl.rs"]
mod wgl;
