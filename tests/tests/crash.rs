//! Whether the storage keeps what it acknowledged: outages at every operation, damage at every byte, calls
//! that fail. All on a disk in memory that knows what a real one may forget.

#[path = "crash/damage.rs"]
mod damage;
#[path = "crash/faults.rs"]
mod faults;
#[path = "crash/hang.rs"]
mod hang;
#[path = "crash/model.rs"]
mod model;
#[path = "crash/nonces.rs"]
mod nonces;
#[path = "crash/rotation.rs"]
mod rotation;
#[path = "crash/sweep.rs"]
mod sweep;
#[path = "crash/values.rs"]
mod values;
#[path = "crash/whole.rs"]
mod whole;
