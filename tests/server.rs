//! The built binary on real sockets, from the outside: what `--help` and the README promise its users.

mod support;

#[path = "server/chat.rs"]
mod chat;
#[path = "server/crowd.rs"]
mod crowd;
#[path = "server/descriptors.rs"]
mod descriptors;
#[path = "server/drain.rs"]
mod drain;
#[path = "server/json.rs"]
mod json;
#[path = "server/logging.rs"]
mod logging;
#[path = "server/messages.rs"]
mod messages;
#[path = "server/operators.rs"]
mod operators;
#[path = "server/pages.rs"]
mod pages;
#[path = "server/peers.rs"]
mod peers;
#[path = "server/process.rs"]
mod process;
#[path = "server/rate.rs"]
mod rate;
#[path = "server/refusals.rs"]
mod refusals;
#[path = "server/slow.rs"]
mod slow;
#[path = "server/stats.rs"]
mod stats;
#[path = "server/times.rs"]
mod times;
#[path = "server/violations.rs"]
mod violations;
