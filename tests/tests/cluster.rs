//! Several managers as real processes: joining, any manager takes any request, managers that are killed,
//! stopped, demoted, away, and keys that change meanwhile.

#[path = "cluster/away.rs"]
mod away;
#[path = "cluster/forced.rs"]
mod forced;
#[path = "cluster/joining.rs"]
mod joining;
#[path = "cluster/keys.rs"]
mod keys;
#[path = "cluster/leaders.rs"]
mod leaders;
#[path = "cluster/learner.rs"]
mod learner;
#[path = "cluster/members.rs"]
mod members;
#[path = "cluster/moved.rs"]
mod moved;
#[path = "cluster/renewal.rs"]
mod renewal;
#[path = "cluster/roots.rs"]
mod roots;
#[path = "cluster/serving.rs"]
mod serving;
#[path = "cluster/workers.rs"]
mod workers;
