//! What a turn has to send: one batch a room, one for everything private, and who gets which part.

use std::num::NonZeroU64;
use std::ops::Range;

use super::prices::{self, Work};
use crate::chat::{Effect, Form};
use crate::delivery::{Batch, BatchBuilder, Meter};
use crate::id::{ChannelId, ClientId};
use crate::planted::planted;
use crate::websocket::{CloseFrame, encode};

/// Builders kept for the next turns; more rooms than this rarely speak in one turn.
const SPARE_BUILDERS_MAX: usize = 64;

/// The windows that can be agreed on (RFC 7692 §7.1.2).
const WINDOWS: u8 = 8;

/// Whose part of the private batch is where.
type PrivatePart = (ClientId, Range<usize>);

/// The messages of one turn.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    /// By room and form.
    rooms: Vec<[RoomTurn; 2]>,
    /// Rooms in which something was said, by form.
    touched: Vec<(ChannelId, Form)>,
    private: BatchBuilder,
    private_parts: Vec<PrivatePart>,
    close: Option<(ClientId, CloseFrame)>,
    /// Since the last delivery: bytes that were made; work without the system calls of rooms, and these, of all
    /// rooms and of the largest.
    bytes: usize,
    work: Work,
    writes: Work,
    largest: Work,
    /// For how many windows each room's last batch was deflated, by form; and one more for each who has come since.
    windows: Vec<[u8; 2]>,
    /// Whoever is served now has its messages deflated.
    is_deflating: bool,
    compress_bytes_min: usize,
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
    /// Does not get its own message.
    Except(Range<usize>),
}

impl Outgoing {
    /// Nothing to send. All batches are measured.
    pub(super) fn new(meter: Meter, compress_bytes_min: usize) -> Outgoing {
        Outgoing { private: BatchBuilder::measured(&meter), meter, compress_bytes_min, ..Outgoing::default() }
    }

    /// Writes down what shall happen. Messages are encoded here, once.
    pub(super) fn apply(&mut self, effect: Effect<'_>) {
        match effect {
            Effect::Join { room, form, client } => {
                // It may have agreed on a window that nobody else has.
                let windows = self.windows_of(room)[form as usize];
                self.note_windows(room, form, usize::from(windows) + 1);
                self.change(room, form, client, Change::Joined);
            }
            Effect::Leave { room, form, client } => self.change(room, form, client, Change::Left),
            Effect::Publish { room, form, audience, except, kind, parts, seq } => {
                let turn = self.touch(room, form, audience);
                let start = turn.builder.len();
                encode::push_message(&mut turn.builder, kind, parts, NonZeroU64::new(seq));
                let end = turn.builder.len();
                turn.owed += audience as u64 - u64::from(except.is_some());
                if let Some(client) = except {
                    turn.changes.push((client, Change::Except(start..end)));
                }
                let bytes = end - start;
                self.bytes += bytes;
                self.work += bytes * prices::BYTE_MADE + bytes * audience * prices::BYTE_COPIED;
                let windows = self.windows_of(room)[form as usize];
                if windows > 0 && bytes >= self.compress_bytes_min {
                    self.work += usize::from(windows) * prices::deflated(bytes);
                }
            }
            Effect::Send { client, kind, parts } => {
                let start = self.private.len();
                encode::push_message(&mut self.private, kind, parts, None);
                let end = self.private.len();
                let bytes = end - start;
                self.bytes += bytes;
                self.work += bytes * (prices::BYTE_MADE + prices::BYTE_COPIED);
                if self.is_deflating && bytes >= self.compress_bytes_min {
                    self.work += prices::deflated(bytes);
                }
                match self.private_parts.last_mut() {
                    Some((last, range)) if *last == client => range.end = end,
                    _ => {
                        self.work += prices::WRITE;
                        self.private_parts.push((client, start..end));
                    }
                }
            }
            Effect::NamesCompared { count } => self.work += count * prices::NAME,
            Effect::Close { client, frame } => self.close = Some((client, frame)),
        }
    }

    /// The close frame that the last message of `client` has led to.
    pub(super) fn take_close(&mut self, client: ClientId) -> Option<CloseFrame> {
        let (whose, frame) = self.close.take()?;
        assert_eq!(whose, client, "a message closes its sender only");
        Some(frame)
    }

    /// Notes work that was done, or that is still to be done in this turn.
    pub(super) fn charge(&mut self, work: Work) {
        self.work += work;
    }

    /// Whose messages are looked at: whether what it alone gets is deflated.
    pub(super) fn set_deflating(&mut self, is_deflating: bool) {
        self.is_deflating = is_deflating;
    }

    /// The work of this turn so far.
    pub(super) fn work(&self) -> Work {
        self.work
    }

    /// The same, with the system calls of the rooms that were spoken in.
    pub(super) fn work_with_writes(&self) -> Work {
        self.work + self.writes
    }

    /// Whether nothing more should be read before this is delivered.
    pub(super) fn is_full(&self) -> bool {
        self.bytes >= prices::TURN_BYTES_MADE_MAX
            || prices::is_turn_full(self.work, self.writes, self.largest)
    }

    /// Begins to count anew: what is here is delivered now.
    pub(super) fn begin_delivery(&mut self) {
        (self.bytes, self.work, self.writes, self.largest) = (0, 0, 0, 0);
    }

    /// Notes for how many windows a room's batch was deflated: so many its next one will be.
    pub(super) fn note_windows(&mut self, room: ChannelId, form: Form, count: usize) {
        if count == 0 && self.windows.len() <= room.index() {
            return;
        }
        if self.windows.len() <= room.index() {
            self.windows.resize(room.index() + 1, [0; 2]);
        }
        self.windows[room.index()][form as usize] =
            u8::try_from(count).map_or(WINDOWS, |count| count.min(WINDOWS));
    }

    fn windows_of(&self, room: ChannelId) -> [u8; 2] {
        self.windows.get(room.index()).copied().unwrap_or_default()
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
    pub(super) fn pop_room(&mut self) -> Option<(ChannelId, Form, RoomTurn)> {
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
    fn change(&mut self, room: ChannelId, form: Form, client: ClientId, change: fn(usize) -> Change) {
        let turns = self.rooms.get_mut(room.index());
        if let Some(turn) = turns.map(|turns| &mut turns[form as usize]).filter(|turn| turn.is_touched) {
            let place = turn.builder.len();
            turn.changes.push((client, change(place)));
        }
    }

    fn touch(&mut self, room: ChannelId, form: Form, audience: usize) -> &mut RoomTurn {
        if self.rooms.len() <= room.index() {
            self.rooms.resize_with(room.index() + 1, Default::default);
        }
        let turn = &mut self.rooms[room.index()][form as usize];
        if !turn.is_touched {
            turn.is_touched = true;
            turn.builder = self.spare.pop().unwrap_or_else(|| BatchBuilder::measured(&self.meter));
            self.touched.push((room, form));
            self.writes += audience * prices::WRITE;
            self.largest = self.largest.max(audience * prices::WRITE);
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
        let (room, alice, bob) = (ChannelId::new(2), ClientId::new(1), ClientId::new(0));
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
    fn a_turn_is_full_by_memory_or_by_what_it_makes() {
        let (one, other) = (ChannelId::new(0), ChannelId::new(1));
        let message = [b'x'; 1000];
        let parts: &[&[u8]] = &[&message];
        let form = Form::Plain;
        let say = |room, audience| Effect::Publish {
            room,
            form,
            audience,
            except: None,
            kind: Kind::Text,
            parts,
            seq: 0,
        };
        // Audience, messages that still fit: 256 KiB once, or some 4 ms of work; for large rooms a few KiB.
        for (audience, fits) in [(1, 261), (10, 261), (100, 157), (1000, 16), (10_000, 3), (1_000_000, 0)] {
            let mut outgoing = Outgoing::default();
            let mut count = 0;
            while !outgoing.is_full() {
                outgoing.apply(say(one, audience));
                count += 1;
            }
            assert_eq!(count, fits + 1, "{audience} receivers");
            while outgoing.pop_room().is_some() {}
            outgoing.begin_delivery();
            assert!(!outgoing.is_full());
        }
        // Messages for one client alone, as they are or deflated for 40 us each; and of a room whose members
        // agreed on three windows.
        let send = Effect::Send { client: ClientId::new(7), kind: Kind::Text, parts };
        let renamed = Effect::NamesCompared { count: 64 };
        for (is_deflating, windows, effect, fits) in [
            (false, 0, &renamed, 109),
            (false, 0, &send, 261),
            (true, 0, &send, 188),
            (false, 3, &say(other, 10), 63),
        ] {
            let mut outgoing = Outgoing::new(Meter::new(), 128);
            outgoing.set_deflating(is_deflating);
            outgoing.note_windows(other, form, windows);
            let mut count = 0;
            while !outgoing.is_full() {
                outgoing.apply(again(effect));
                count += 1;
            }
            assert_eq!(
                count,
                fits + 1,
                "deflated for itself: {is_deflating}, for {windows} windows of a room"
            );
        }
    }

    fn again<'a>(effect: &Effect<'a>) -> Effect<'a> {
        match *effect {
            Effect::Send { client, kind, parts } => Effect::Send { client, kind, parts },
            Effect::Publish { room, form, audience, except, kind, parts, seq } => {
                Effect::Publish { room, form, audience, except, kind, parts, seq }
            }
            Effect::NamesCompared { count } => Effect::NamesCompared { count },
            _ => unreachable!("no other is repeated"),
        }
    }
}
