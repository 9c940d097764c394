//! The real `coffer`, run as a user runs it: against nothing, strangers, and a small fake daemon.

mod dev;
mod doctor;
mod fake;
mod nodes;
mod refusals;
mod streams;
mod support;
mod tokens;
mod values;
mod verbs;
