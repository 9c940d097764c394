//! Rules about the source itself that neither rustc nor clippy can check.

#[path = "structure/attacks.rs"]
mod attacks;
#[path = "structure/calls.rs"]
mod calls;
#[path = "structure/lock.rs"]
mod lock;
#[path = "structure/manifests.rs"]
mod manifests;
#[path = "structure/places.rs"]
mod places;
#[path = "structure/source.rs"]
mod source;
#[path = "structure/tree.rs"]
mod tree;
