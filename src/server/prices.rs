//! What work costs, and how much of it may be done: the price list.
//!
//! Budgets that count the bytes which came in are no budgets: 24 bytes can ask for a quarter of a megabyte, and
//! 86 can inflate to 64 KiB. So each unit of work that a client can cause has a price here, and what is priced is
//! what the work *makes*.
//!
//! The unit is what it costs the kernel to copy one byte to one receiver, a quarter of a nanosecond: a turn of
//! [`TURN`] takes some 4 ms. Prices were measured on one core of an x86-64 server processor of 2024, release build:
//! `cargo bench -p wsloop-perf` for what happens in memory, a thousand receivers on loopback for what the kernel
//! does. They may be wrong by half and still keep every turn short; that nothing is free is what matters.

/// Work, in quarters of a nanosecond.
pub(super) type Work = usize;

/// A millisecond of the thread.
pub(super) const MILLISECOND: Work = 4_000_000;
/// A byte handed to the kernel for one receiver: 16 MiB to 1,000 receivers in 4.2 ms.
pub(super) const BYTE_COPIED: Work = 1;
/// A byte taken from a socket, unmasked and checked: 64 KiB in 30 µs.
pub(super) const BYTE_READ: Work = 2;
/// A system call that writes to one receiver: 2.6 µs.
pub(super) const WRITE: Work = 10_000;
/// A frame found, and what it says found out and routed: 0.2 to 0.3 µs.
pub(super) const MESSAGE: Work = 1_000;
/// A byte of a message that is looked at again: JSON read, escapes found, copied into what is kept: 1 ns.
pub(super) const BYTE_HANDLED: Work = 4;
/// A message that a room may remember: two allocations, and what goes for it: 0.2 µs.
pub(super) const ENTRY_KEPT: Work = 800;
/// A line of the log: made, and handed to the thread that writes it: 2 µs.
pub(super) const LOG_LINE: Work = 8_000;
/// A byte of an answer or a message as it will be sent, JSON with its escapes: 1 to 2 ns.
pub(super) const BYTE_MADE: Work = 6;
/// A message inflated: a reset and 5 µs.
pub(super) const MESSAGE_INFLATED: Work = 20_000;
/// A byte that came out of it: 117 µs for 65,000.
pub(super) const BYTE_INFLATED: Work = 8;
/// A message deflated, for one window: 14 µs.
pub(super) const MESSAGE_DEFLATED: Work = 56_000;
/// A byte of it: 404 µs for 65,000.
pub(super) const BYTE_DEFLATED: Work = 26;
/// A byte that is inflated, as it came: 2 ns in large blocks, and some ten times as much in the smallest that can
/// be made, each with a table of its own.
pub(super) const BYTE_COMPRESSED: Work = 100;
/// What a name of ASCII looks like found out: 0.2 to 0.8 µs. Names with other characters, 4 to 33 µs, and names
/// checked, 2 to 50 µs, are counted as 32 of it.
pub(super) const NAME: Work = 2_400;
/// A request answered: parsed, logged, its headers written: 20 µs.
pub(super) const REQUEST: Work = 80_000;
/// A report on the server as JSON or for Prometheus: some hundred figures and the buckets of three histograms: half a
/// millisecond to one.
pub(super) const REPORT: Work = 3_000_000;
/// The last hour as JSON: 18,000 figures, 0.4 ms.
pub(super) const HISTORY: Work = 2_000_000;
/// A client or a room that it looks at: 50 ns.
pub(super) const REPORT_ITEM: Work = 200;
/// A system call that reads, whatever it brings: 0.5 µs.
pub(super) const READ: Work = 2_000;
/// The end of a connection that was found while reading: it leaves its room, and its socket is closed: 10 µs.
pub(super) const END: Work = 40_000;
/// A deadline of a client that has passed: a ping, a refusal, a log line: 5 µs.
pub(super) const TIMEOUT: Work = 20_000;

/// A turn: nobody waits longer for the others than some of these. Who is over it is read on in the next turn,
/// within the very bytes that were read.
pub(super) const TURN: Work = 16 * 1024 * 1024;
/// What one client may cause before the others have their turn.
pub(super) const CLIENT: Work = TURN / 4;
/// A client that caused work counts as busy for so many times as long: who takes more than this part of the
/// thread is read after those who take less, and who costs most waits longest.
pub(super) const BUSY_FACTOR: u64 = 200;
/// What a turn makes, in bytes, before it is delivered: it bounds the memory of a turn.
pub(super) const TURN_BYTES_MADE_MAX: usize = 256 * 1024;
/// What one client may send in a turn before the others have theirs.
pub(super) const CLIENT_READ_BYTES: usize = 64 * 1024;
/// What is read in a turn, before it is delivered.
pub(super) const TURN_READ_BYTES: usize = 256 * 1024;
/// Deadlines that are dealt with in a turn whatever else it does, so that none waits for ever.
pub(super) const TURN_TIMEOUTS_MIN: u32 = 64;
/// Answers of the broker that are dealt with in a turn whatever else it does.
pub(super) const TURN_ANSWERS_MIN: u32 = 64;
/// Memory of what has come from all clients and is not whole, or waits to be looked at: over it, what is largest
/// and oldest goes first. Honest messages are whole within milliseconds. Never below four of the largest messages.
const UNFINISHED_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The same, where messages may be so large.
pub(super) fn unfinished_bytes_max(message_bytes_max: usize) -> usize {
    UNFINISHED_BYTES_MAX.max(message_bytes_max.saturating_mul(4))
}

/// What an inflater has done.
pub(super) fn inflated(inflated: crate::websocket::Inflated) -> Work {
    inflated.streams * MESSAGE_INFLATED
        + inflated.compressed_bytes * BYTE_COMPRESSED
        + inflated.bytes * BYTE_INFLATED
}

/// Deflating one message of so many bytes.
pub(super) fn deflated(bytes: usize) -> Work {
    MESSAGE_DEFLATED + bytes * BYTE_DEFLATED
}

/// For how many milliseconds work makes a client count as busy.
pub(super) fn busy_millis(work: Work) -> u64 {
    work as u64 * BUSY_FACTOR / MILLISECOND as u64
}

/// Whether a turn has enough to do. `work` is all but the system calls, `writes` those of all rooms that were
/// spoken in, `largest` those of the largest of them.
///
/// Up to a turn's worth of calls comes on top. Where a single room costs more than that, turns are made worthwhile
/// by more bytes in each: four fifths of what the calls cost, or two turns. Not where others come on top.
pub(super) fn is_turn_full(work: Work, writes: Work, largest: Work) -> bool {
    let left = (2 * TURN).saturating_sub(writes).min(TURN);
    let is_alone = largest > TURN && writes - largest < TURN / 2;
    let worthwhile = if is_alone { (largest / 5 * 4).min(2 * TURN) } else { 0 };
    work >= left.max(worthwhile)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_is_full_by_work_or_by_writes_but_a_large_room_is_worth_more() {
        for (receivers, bytes_a_receiver) in
            [(1, TURN), (100, 167_772), (1_000, 16_777), (2_000, 8_000), (5_000, 6_710), (20_000, 1_677)]
        {
            let writes = receivers * WRITE;
            let fits = (0..).step_by(10).find(|bytes| is_turn_full(bytes * receivers, writes, writes));
            let fits = fits.expect("some time");
            assert!(fits.abs_diff(bytes_a_receiver) <= 10, "{receivers}: {fits}");
        }
        // Many small rooms: their receivers add up.
        assert!(!is_turn_full(0, 3_300 * WRITE, 100 * WRITE));
        assert!(is_turn_full(0, 3_400 * WRITE, 100 * WRITE));
        assert!(is_turn_full(0, 10_000 * WRITE, 2_000 * WRITE), "and large ones");
    }

    #[test]
    fn what_is_made_of_a_few_bytes_is_what_costs() {
        use crate::websocket::Inflated;
        let bomb = inflated(Inflated { streams: 1, compressed_bytes: 86, bytes: 65_536 }) + deflated(65_536);
        assert!(bomb > 86 * BYTE_READ * 10_000 && TURN / bomb < 10, "{bomb}");
        assert_eq!(busy_millis(TURN / 4), 209);
        assert_eq!(busy_millis(MESSAGE), 0, "who says little is never busy");
    }
}
