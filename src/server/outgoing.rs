//! What a turn has to send: one batch a room, one for everything private, and who gets which part.

use std::ops::Range;

use super::TURN_COPY_BYTES;
use crate::chat::{ClientId, Effect, Form, RoomId};
use crate::planted::planted;
use crate::websocket::{Batch, BatchBuilder, CloseFrame, Meter};

/// Builders kept for the next turns; more rooms than this rarely speak in one turn.
const SPARE_BUILDERS_MAX: usize = 64;

/// What a turn sends once, before it is delivered: it bounds the memory of a turn.
const TURN_BYTES_MAX: usize = 256 * 1024;
/// A batch may always grow to this: below, a system call costs more than its bytes, and a large room that
/// is flooded would pay for many turns.
const BATCH_BYTES_WORTHWHILE: usize = 8 * 1024;

/// Whose part of the private batch is where.
type PrivatePart = (ClientId, Range<usize>);

/// The messages of one turn.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    /// By room and form.
    rooms: Vec<[RoomTurn; 2]>,
    /// Rooms in which something was said, by form.
    touched: Vec<(RoomId, Form)>,
    private: BatchBuilder,
    private_parts: Vec<PrivatePart>,
    close: Option<(ClientId, CloseFrame)>,
    /// Of all batches since the last turn: encoded once, and counted for each receiver.
    bytes: usize,
    copy_bytes: usize,
    /// It is time to deliver.
    is_full: bool,
    spare: Vec<BatchBuilder>,
    /// Counts the batches that somebody still needs.
    meter: Meter,
}

/// What was said in a room in this turn.
#[derive(Debug, Default)]
pub(super) struct RoomTurn {
    builder: BatchBuilder,
    /// Members who do not get the whole batch, and why.
    changes: Vec<(ClientId, Change)>,
    /// Messages, times those who are to hear them.
    owed: u64,
    is_touched: bool,
}

/// Why a member gets a part only. The numbers are places in the batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Joined here: nothing from before.
    Joined(usize),
    /// Left here: nothing from then on.
    Left(usize),
    /// Does not get his own message.
    Except(Range<usize>),
}

impl Outgoing {
    /// Nothing to send. All batches are measured.
    pub(super) fn new(meter: Meter) -> Outgoing {
        Outgoing { private: BatchBuilder::measured(&meter), meter, ..Outgoing::default() }
    }

    /// Writes down what shall happen. Messages are encoded here, once.
    pub(super) fn apply(&mut self, effect: Effect<'_>) {
        match effect {
            Effect::Join { room, form, client } => self.change(room, form, client, Change::Joined),
            Effect::Leave { room, form, client } => self.change(room, form, client, Change::Left),
            Effect::Publish { room, form, audience, except, kind, parts, seq } => {
                let turn = self.touch(room, form);
                let start = turn.builder.len();
                turn.builder.push_numbered(kind, parts, seq);
                let end = turn.builder.len();
                turn.owed += audience as u64 - u64::from(except.is_some());
                if let Some(client) = except {
                    turn.changes.push((client, Change::Except(start..end)));
                }
                self.bytes += end - start;
                self.copy_bytes += (end - start) * audience;
                let is_worthwhile = end >= BATCH_BYTES_WORTHWHILE;
                self.is_full |=
                    self.bytes >= TURN_BYTES_MAX || (is_worthwhile && self.copy_bytes >= TURN_COPY_BYTES);
            }
            Effect::Send { client, kind, parts } => {
                let start = self.private.len();
                self.private.push(kind, parts);
                let end = self.private.len();
                self.bytes += end - start;
                self.is_full |= self.bytes >= TURN_BYTES_MAX;
                match self.private_parts.last_mut() {
                    Some((last, range)) if *last == client => range.end = end,
                    _ => self.private_parts.push((client, start..end)),
                }
            }
            Effect::Close { client, frame } => self.close = Some((client, frame)),
        }
    }

    /// The close frame that the last message of `client` has led to.
    pub(super) fn take_close(&mut self, client: ClientId) -> Option<CloseFrame> {
        let (whose, frame) = self.close.take()?;
        assert_eq!(whose, client, "a message closes its sender only");
        Some(frame)
    }

    /// Bytes that this turn hands to the kernel so far, counted for each receiver.
    pub(super) fn copy_bytes(&self) -> usize {
        self.copy_bytes
    }

    /// Whether nothing more should be read before this is delivered.
    pub(super) fn is_full(&self) -> bool {
        self.is_full
    }

    /// Whether nothing has to be sent.
    pub(super) fn is_empty(&self) -> bool {
        self.touched.is_empty() && self.private.is_empty() && self.close.is_none()
    }

    /// Ends the private batch, if there is one.
    pub(super) fn seal_private(&mut self) -> Option<(Batch, Vec<PrivatePart>)> {
        (!self.private.is_empty()).then(|| (self.private.seal(), std::mem::take(&mut self.private_parts)))
    }

    /// Gives memory of the private batch back, for the next turn.
    pub(super) fn recycle_private(&mut self, batch: Batch, mut parts: Vec<PrivatePart>) {
        parts.clear();
        self.private_parts = parts;
        self.private.recycle(batch);
    }

    /// Takes a room in which something was said.
    pub(super) fn pop_room(&mut self) -> Option<(RoomId, Form, RoomTurn)> {
        (self.bytes, self.copy_bytes, self.is_full) = (0, 0, false);
        let (room, form) = self.touched.pop()?;
        Some((room, form, std::mem::take(&mut self.rooms[room.index()][form as usize])))
    }

    /// Gives memory of a room's batch back, for whichever room speaks next.
    pub(super) fn recycle_room(&mut self, batch: Batch) {
        if self.spare.len() < SPARE_BUILDERS_MAX {
            let mut builder = BatchBuilder::measured(&self.meter);
            builder.recycle(batch);
            self.spare.push(builder);
        }
    }

    /// Notes that the audience changes here. Before the room's first message there is nothing to
    /// note: a newcomer gets the whole batch, and a leaver none of it.
    fn change(&mut self, room: RoomId, form: Form, client: ClientId, change: fn(usize) -> Change) {
        let turns = self.rooms.get_mut(room.index());
        if let Some(turn) = turns.map(|turns| &mut turns[form as usize]).filter(|turn| turn.is_touched) {
            let place = turn.builder.len();
            turn.changes.push((client, change(place)));
        }
    }

    fn touch(&mut self, room: RoomId, form: Form) -> &mut RoomTurn {
        if self.rooms.len() <= room.index() {
            self.rooms.resize_with(room.index() + 1, Default::default);
        }
        let turn = &mut self.rooms[room.index()][form as usize];
        if !turn.is_touched {
            turn.is_touched = true;
            turn.builder = self.spare.pop().unwrap_or_else(|| BatchBuilder::measured(&self.meter));
            self.touched.push((room, form));
        }
        turn
    }
}

impl RoomTurn {
    /// Messages of the batch, times those who were members when each was accepted.
    pub(super) fn owed(&self) -> u64 {
        self.owed
    }

    /// Ends the room's batch. The changes come sorted by client, each client's in order.
    pub(super) fn seal(mut self) -> (Batch, Vec<(ClientId, Change)>) {
        self.changes.sort_by_key(|(client, _)| *client);
        (self.builder.seal(), self.changes)
    }
}

/// The parts of a batch of `end` bytes that a member with these changes gets, in order.
pub(super) fn parts_of(changes: &[(ClientId, Change)], end: usize) -> impl Iterator<Item = Range<usize>> {
    let mut start = 0;
    let mut has_left = false;
    let mut parts = Vec::with_capacity(changes.len() + 1);
    for (_, change) in changes {
        match change {
            Change::Joined(_) if planted!("newcomer_hears_the_past") => {}
            Change::Joined(place) => start = *place,
            Change::Left(_) if planted!("leaver_hears_the_future") => {}
            Change::Left(place) => {
                parts.push(start..*place);
                has_left = true;
            }
            Change::Except(_) if planted!("sender_hears_itself") => {}
            Change::Except(range) => {
                parts.push(start..range.start);
                start = range.end;
            }
        }
    }
    if !has_left {
        parts.push(start..end);
    }
    parts.into_iter().filter(|part| !part.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::websocket::Kind;

    #[test]
    fn parts() {
        use Change::{Except, Joined, Left};
        let client = ClientId::new(1);
        #[expect(clippy::single_range_in_vec_init, reason = "lists of parts, often of one")]
        let table = [
            (vec![], vec![0..100]),
            (vec![Joined(30)], vec![30..100]),
            (vec![Joined(100)], vec![]),
            (vec![Left(30)], vec![0..30]),
            (vec![Joined(30), Left(40)], vec![30..40]),
            (vec![Joined(30), Left(30)], vec![]),
            (vec![Except(10..20), Except(20..30), Except(90..100)], vec![0..10, 30..90]),
            (vec![Joined(5), Except(10..20), Left(40)], vec![5..10, 20..40]),
        ];
        for (changes, wanted) in table {
            let changes: Vec<_> = changes.into_iter().map(|change| (client, change)).collect();
            assert_eq!(parts_of(&changes, 100).collect::<Vec<_>>(), wanted, "{changes:?}");
        }
    }

    #[test]
    fn a_room_gets_one_batch_a_turn_and_private_parts_are_joined() {
        let mut outgoing = Outgoing::default();
        let (room, alice, bob) = (RoomId::new(2), ClientId::new(1), ClientId::new(0));
        let parts: &[&[u8]] = &[b"x"];
        let (kind, form) = (Kind::Text, Form::Plain);
        outgoing.apply(Effect::Join { room, form, client: bob });
        assert!(outgoing.is_empty(), "a join alone has nothing to send");
        for client in [alice, alice, bob] {
            outgoing.apply(Effect::Send { client, kind, parts });
        }
        outgoing.apply(Effect::Leave { room, form, client: bob });
        outgoing.apply(Effect::Join { room, form, client: alice });
        outgoing.apply(Effect::Publish { room, form, audience: 2, except: Some(alice), kind, parts, seq: 0 });
        outgoing.apply(Effect::Join { room, form, client: bob });
        outgoing.apply(Effect::Publish { room, form, audience: 2, except: None, kind, parts, seq: 0 });
        assert!(!outgoing.is_empty());

        let (batch, private) = outgoing.seal_private().expect("three messages");
        assert_eq!(private, [(alice, 0..6), (bob, 6..9)]);
        outgoing.recycle_private(batch, private);
        let (id, which, turn) = outgoing.pop_room().expect("touched");
        assert_eq!((id, which), (room, form));
        let (batch, changes) = turn.seal();
        assert_eq!(batch.bytes(), b"\x81\x01x\x81\x01x");
        assert_eq!(changes, [(bob, Change::Joined(3)), (alice, Change::Except(0..3))]);
        assert!(outgoing.pop_room().is_none() && outgoing.is_empty());
        outgoing.recycle_room(batch);
        assert_eq!(outgoing.spare.len(), 1);
    }

    #[test]
    fn a_turn_is_full_by_memory_or_by_what_the_kernel_must_copy() {
        let (one, other) = (RoomId::new(0), RoomId::new(1));
        let message = [b'x'; 1000];
        // Audience, messages that still fit: 256 KiB once, 16 MiB in all, but 8 KiB at least.
        for (audience, fits) in [(1, 261), (60, 261), (100, 167), (1000, 16), (10_000, 8), (1_000_000, 8)] {
            let mut outgoing = Outgoing::default();
            let mut count = 0;
            while !outgoing.is_full() {
                outgoing.apply(Effect::Publish {
                    room: one,
                    form: Form::Plain,
                    audience,
                    except: None,
                    kind: Kind::Text,
                    parts: &[&message],
                    seq: 0,
                });
                count += 1;
            }
            assert_eq!(count, fits + 1, "{audience} receivers");
            // Another room has not had its share yet.
            while outgoing.pop_room().is_some() {}
            assert!(!outgoing.is_full());
            let parts: &[&[u8]] = &[&message];
            let say = |room| Effect::Publish {
                room,
                form: Form::Plain,
                audience: 100_000,
                except: None,
                kind: Kind::Text,
                parts,
                seq: 0,
            };
            (0..8).for_each(|_| outgoing.apply(say(one)));
            outgoing.apply(say(other));
            assert!(!outgoing.is_full());
            outgoing.apply(say(one));
            assert!(outgoing.is_full());
        }
    }
}
