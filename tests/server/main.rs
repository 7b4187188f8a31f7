//! The built binary on real sockets, from the outside: what `--help` and the README promise its users.

#[path = "../support/mod.rs"]
mod support;

mod chat;
mod crowd;
mod descriptors;
mod drain;
mod json;
mod logging;
mod messages;
mod operators;
mod pages;
mod peers;
mod process;
mod rate;
mod refusals;
mod slow;
mod stats;
mod times;
mod violations;
