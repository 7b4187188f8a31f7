//! What a turn has to send: one batch a channel and form, one for everything private, and who gets which part.

use std::num::NonZeroU64;
use std::ops::Range;
use std::rc::Rc;

use super::prices::{self, Work};
use crate::chat::{Audience, Chore, Effect, Reply, RoomEvent};
use crate::delivery::{Batch, BatchBuilder, Meter};
use crate::forms::{Forms, Rendered};
use crate::id::{ChannelId, ClientId, FormId};
use crate::websocket::{CloseFrame, Kind, encode};

/// Builders kept for the next turns; more channels than this rarely speak in one turn.
const SPARE_BUILDERS_MAX: usize = 64;
/// Of a batch's bytes and of each part of its table, so much is kept for the next turns; the rest is given back.
const KEPT_BYTES_MAX: usize = 64 * 1024;
/// The same, of all channels' batches but one: the ones that many channels make are small.
const KEPT_BYTES_MAX_OF_OTHERS: usize = 4 * 1024;

/// The windows that can be agreed on (RFC 7692 §7.1.2).
const WINDOWS: u8 = 8;

/// Whose part of the private batch is where.
#[derive(Clone, Debug)]
pub(super) struct PrivatePart {
    pub(super) client: ClientId,
    pub(super) range: Range<usize>,
    /// Whether a slow reader may have to do without.
    pub(super) droppable: bool,
}

/// Messages of a channel that take the place of those of the same numbers, where these wait.
#[derive(Debug)]
pub(super) struct Replacement {
    pub(super) channel: ChannelId,
    pub(super) form: FormId,
    pub(super) pieces: Vec<(NonZeroU64, Batch)>,
}

/// The messages of one turn.
#[derive(Debug)]
pub(super) struct Outgoing {
    /// How they look.
    forms: Rc<Forms>,
    /// By channel, and there by form.
    channels: Vec<Vec<FormTurn>>,
    /// Channels in which something was said, by form.
    touched: Vec<(ChannelId, FormId)>,
    private: BatchBuilder,
    private_parts: Vec<PrivatePart>,
    /// What takes the place of messages that wait, the last channel's last.
    replacements: Vec<Replacement>,
    /// Conversations that end.
    closes: Vec<(ClientId, CloseFrame)>,
    /// Clients that are read again.
    resumed: Vec<ClientId>,
    /// Since the last delivery: bytes that were made; work without the system calls of channels, and these, of all
    /// channels and of the largest.
    bytes: usize,
    work: Work,
    writes: Work,
    largest: Work,
    /// Whoever is served now has its messages deflated.
    is_deflating: bool,
    compress_bytes_min: usize,
    spare: Vec<BatchBuilder>,
    /// Where a form writes.
    scratch: Vec<u8>,
    /// Counts the batches that somebody still needs.
    meter: Meter,
}

/// What is told in one form of a channel.
#[derive(Debug)]
struct FormTurn {
    form: FormId,
    turn: ChannelTurn,
    /// For how many windows the last batch was deflated; and one more for each who has come since.
    windows: u8,
}

/// What was said in a channel in this turn, in one form.
#[derive(Debug, Default)]
pub(super) struct ChannelTurn {
    builder: BatchBuilder,
    /// Members who do not get the whole batch, and why.
    changes: Vec<(ClientId, AudienceChange)>,
    /// Messages, times those who are to hear them.
    owed: u64,
    is_touched: bool,
}

/// Why a member gets a part only. The numbers are places in the batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum AudienceChange {
    /// Joined here: nothing from before.
    Joined(usize),
    /// Left here: nothing from then on.
    Left(usize),
    /// Does not get its own message.
    Except(Range<usize>),
}

impl Outgoing {
    /// Nothing to send. All batches are measured.
    pub(super) fn new(forms: Rc<Forms>, meter: Meter, compress_bytes_min: usize) -> Outgoing {
        Outgoing {
            forms,
            channels: Vec::new(),
            touched: Vec::new(),
            private: BatchBuilder::measured(&meter),
            private_parts: Vec::new(),
            replacements: Vec::new(),
            closes: Vec::new(),
            resumed: Vec::new(),
            bytes: 0,
            work: 0,
            writes: 0,
            largest: 0,
            is_deflating: false,
            compress_bytes_min,
            spare: Vec::new(),
            scratch: Vec::new(),
            meter,
        }
    }

    /// Writes down what shall happen. Messages are rendered and encoded here, once a form.
    pub(super) fn apply(&mut self, effect: Effect<'_>) {
        match effect {
            Effect::Join { channel, form, client } => {
                // It may have agreed on a window that nobody else has.
                let windows = self.windows_of(channel, form);
                self.note_windows(channel, form, usize::from(windows) + 1);
                self.change(channel, form, client, AudienceChange::Joined);
            }
            Effect::Leave { channel, form, client } => {
                self.change(channel, form, client, AudienceChange::Left);
            }
            Effect::Tell { channel, audience, except, number, event } => {
                self.tell(channel, audience, except, number, event);
            }
            Effect::Replace { channel, audience, number, event } => {
                self.replace(channel, audience, number, event);
            }
            Effect::Send { client, form, reply, droppable } => {
                let forms = Rc::clone(&self.forms);
                let mut scratch = std::mem::take(&mut self.scratch);
                if let Some(Rendered { kind, payload }) = forms.form(form).render_reply(reply, &mut scratch) {
                    self.send(client, kind, payload, droppable);
                }
                self.keep_scratch(scratch);
            }
            Effect::Return { client, kind, payload } => self.send(client, kind, payload, true),
            Effect::Worked(Chore::NamesCompared(count)) => self.work += count * prices::NAME,
            Effect::Worked(Chore::ItemsWalked(count)) => self.work += count * prices::REPORT_ITEM,
            Effect::Close { client, frame } => self.closes.push((client, frame)),
            Effect::Resume { client } => self.resumed.push(client),
        }
    }

    /// Writes a message down that takes the place of one that waits, in each form that tells numbers: the others do
    /// not say which of their messages it is.
    fn replace(
        &mut self,
        channel: ChannelId,
        audience: Audience<'_>,
        number: NonZeroU64,
        event: &RoomEvent<'_>,
    ) {
        let forms = Rc::clone(&self.forms);
        for (form, count) in audience.by_form().filter(|(form, _)| forms.form(*form).has_numbers()) {
            let mut scratch = Vec::new();
            let Some(Rendered { kind, payload }) = forms.form(form).render(event, &mut scratch) else {
                continue;
            };
            let mut builder = BatchBuilder::measured(&self.meter);
            encode::push_message(&mut builder, kind, &[payload], Some(number));
            self.work += builder.len() * prices::BYTE_MADE + count * prices::REPORT_ITEM;
            let piece = (number, builder.seal());
            match self.replacements.last_mut() {
                Some(last) if (last.channel, last.form) == (channel, form) => last.pieces.push(piece),
                _ => self.replacements.push(Replacement { channel, form, pieces: vec![piece] }),
            }
        }
    }

    /// Writes a room's event down, in each form in which somebody hears it.
    fn tell(
        &mut self,
        channel: ChannelId,
        audience: Audience<'_>,
        except: Option<(FormId, ClientId)>,
        number: Option<NonZeroU64>,
        event: &RoomEvent<'_>,
    ) {
        let forms = Rc::clone(&self.forms);
        let mut scratch = std::mem::take(&mut self.scratch);
        for (form, count) in audience.by_form() {
            scratch.clear();
            let Some(rendered) = forms.form(form).render(event, &mut scratch) else { continue };
            let number = number.filter(|_| forms.form(form).has_numbers());
            let except = except.filter(|(of, _)| *of == form).map(|(_, client)| client);
            self.publish(channel, form, count, except, number, rendered);
        }
        self.keep_scratch(scratch);
    }

    fn publish(
        &mut self,
        channel: ChannelId,
        form: FormId,
        audience: usize,
        except: Option<ClientId>,
        number: Option<NonZeroU64>,
        Rendered { kind, payload }: Rendered<'_>,
    ) {
        let entry = self.touch(channel, form, audience);
        let (turn, windows) = (&mut entry.turn, entry.windows);
        let start = turn.builder.len();
        encode::push_message(&mut turn.builder, kind, &[payload], number);
        let end = turn.builder.len();
        turn.owed += audience as u64 - u64::from(except.is_some());
        if let Some(client) = except {
            turn.changes.push((client, AudienceChange::Except(start..end)));
        }
        let bytes = end - start;
        self.bytes += bytes;
        self.work += bytes * prices::BYTE_MADE + bytes * audience * prices::BYTE_COPIED;
        if windows > 0 && bytes >= self.compress_bytes_min {
            self.work += usize::from(windows) * prices::deflated(bytes);
        }
    }

    fn send(&mut self, client: ClientId, kind: Kind, payload: &[u8], droppable: bool) {
        let start = self.private.len();
        encode::push_message(&mut self.private, kind, &[payload], None);
        let end = self.private.len();
        let bytes = end - start;
        self.bytes += bytes;
        self.work += bytes * (prices::BYTE_MADE + prices::BYTE_COPIED);
        if self.is_deflating && bytes >= self.compress_bytes_min {
            self.work += prices::deflated(bytes);
        }
        match self.private_parts.last_mut() {
            Some(last) if last.client == client && last.droppable == droppable => last.range.end = end,
            _ => {
                self.work += prices::WRITE;
                self.private_parts.push(PrivatePart { client, range: start..end, droppable });
            }
        }
    }

    fn keep_scratch(&mut self, mut scratch: Vec<u8>) {
        scratch.clear();
        scratch.shrink_to(KEPT_BYTES_MAX);
        self.scratch = scratch;
    }

    /// The forms that are spoken.
    pub(super) fn forms(&self) -> &Forms {
        &self.forms
    }

    /// How a client is told something in its form, outside a turn's batches; if it is told at all.
    pub(super) fn render(&self, form: FormId, reply: &Reply<'_>) -> Option<(Kind, Vec<u8>)> {
        let mut scratch = Vec::new();
        let Rendered { kind, payload } = self.forms.form(form).render_reply(reply, &mut scratch)?;
        Some((kind, payload.to_vec()))
    }

    /// Takes what is to take the place of messages that wait.
    pub(super) fn take_replacements(&mut self) -> Vec<Replacement> {
        std::mem::take(&mut self.replacements)
    }

    /// The next conversation that is to end.
    pub(super) fn pop_close(&mut self) -> Option<(ClientId, CloseFrame)> {
        self.closes.pop()
    }

    /// The next client that is to be read again.
    pub(super) fn pop_resumed(&mut self) -> Option<ClientId> {
        self.resumed.pop()
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

    /// Notes for how many windows a channel's batch was deflated: so many its next one will be.
    pub(super) fn note_windows(&mut self, channel: ChannelId, form: FormId, count: usize) {
        if count == 0 && self.windows_of(channel, form) == 0 {
            return;
        }
        let windows = u8::try_from(count).map_or(WINDOWS, |count| count.min(WINDOWS));
        self.entry(channel, form).windows = windows;
    }

    fn windows_of(&self, channel: ChannelId, form: FormId) -> u8 {
        let forms = self.channels.get(channel.index()).map_or(&[][..], Vec::as_slice);
        forms.iter().find(|entry| entry.form == form).map_or(0, |entry| entry.windows)
    }

    /// Whether nothing has to be sent.
    pub(super) fn is_empty(&self) -> bool {
        self.touched.is_empty()
            && self.private.is_empty()
            && self.closes.is_empty()
            && self.resumed.is_empty()
    }

    /// Ends the private batch, if there is one.
    pub(super) fn seal_private(&mut self) -> Option<(Batch, Vec<PrivatePart>)> {
        (!self.private.is_empty()).then(|| (self.private.seal(), std::mem::take(&mut self.private_parts)))
    }

    /// Gives memory of the private batch back, for the next turn.
    pub(super) fn recycle_private(&mut self, batch: Batch, mut parts: Vec<PrivatePart>) {
        parts.clear();
        parts.shrink_to(KEPT_BYTES_MAX / size_of::<PrivatePart>());
        self.private_parts = parts;
        self.private.recycle(batch, KEPT_BYTES_MAX);
    }

    /// Takes a channel in which something was said.
    pub(super) fn pop_channel(&mut self) -> Option<(ChannelId, FormId, ChannelTurn)> {
        let (channel, form) = self.touched.pop()?;
        Some((channel, form, std::mem::take(&mut self.entry(channel, form).turn)))
    }

    /// Gives memory of a channel's batch back, for whichever channel speaks next.
    pub(super) fn recycle_channel(&mut self, batch: Batch) {
        if self.spare.len() < SPARE_BUILDERS_MAX {
            let mut builder = BatchBuilder::measured(&self.meter);
            let is_first = self.spare.is_empty();
            builder.recycle(batch, if is_first { KEPT_BYTES_MAX } else { KEPT_BYTES_MAX_OF_OTHERS });
            self.spare.push(builder);
        }
    }

    /// Notes that the audience changes here. Before the channel's first message there is nothing to
    /// note: a newcomer gets the whole batch, and a leaver none of it.
    fn change(
        &mut self,
        channel: ChannelId,
        form: FormId,
        client: ClientId,
        change: fn(usize) -> AudienceChange,
    ) {
        let forms = self.channels.get_mut(channel.index()).into_iter().flatten();
        for FormTurn { turn, .. } in forms.filter(|entry| entry.form == form && entry.turn.is_touched) {
            let place = turn.builder.len();
            turn.changes.push((client, change(place)));
        }
    }

    fn touch(&mut self, channel: ChannelId, form: FormId, audience: usize) -> &mut FormTurn {
        if !self.entry(channel, form).turn.is_touched {
            let builder = self.spare.pop().unwrap_or_else(|| BatchBuilder::measured(&self.meter));
            self.touched.push((channel, form));
            self.writes += audience * prices::WRITE;
            self.largest = self.largest.max(audience * prices::WRITE);
            let turn = &mut self.entry(channel, form).turn;
            (turn.is_touched, turn.builder) = (true, builder);
        }
        self.entry(channel, form)
    }

    /// What is told in a form of a channel. The forms in use are few, and nearly always one.
    fn entry(&mut self, channel: ChannelId, form: FormId) -> &mut FormTurn {
        if self.channels.len() <= channel.index() {
            self.channels.resize_with(channel.index() + 1, Vec::new);
        }
        let forms = &mut self.channels[channel.index()];
        let index = forms.iter().position(|entry| entry.form == form).unwrap_or_else(|| {
            forms.reserve_exact(1);
            forms.push(FormTurn { form, turn: ChannelTurn::default(), windows: 0 });
            forms.len() - 1
        });
        &mut forms[index]
    }
}

impl ChannelTurn {
    /// Messages of the batch, times those who were members when each was accepted.
    pub(super) fn owed(&self) -> u64 {
        self.owed
    }

    /// Ends the channel's batch. The changes come sorted by client, each client's in order.
    pub(super) fn seal(mut self) -> (Batch, Vec<(ClientId, AudienceChange)>) {
        self.changes.sort_by_key(|(client, _)| *client);
        (self.builder.seal(), self.changes)
    }
}

/// The parts of a batch of `end` bytes that a member with these changes gets, in order.
pub(super) fn parts_of(
    changes: &[(ClientId, AudienceChange)],
    end: usize,
) -> impl Iterator<Item = Range<usize>> {
    let mut start = 0;
    let mut has_left = false;
    let mut parts = Vec::with_capacity(changes.len() + 1);
    for (_, change) in changes {
        match change {
            AudienceChange::Joined(place) => start = *place,
            AudienceChange::Left(place) => {
                parts.push(start..*place);
                has_left = true;
            }
            AudienceChange::Except(range) => {
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
    use crate::chat::FakeAudience;
    use crate::websocket::Kind;

    #[test]
    fn parts() {
        use AudienceChange::{Except, Joined, Left};
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

    const TEXT: FormId = FormId(0);
    const X: RoomEvent<'static> = RoomEvent::Passed { kind: Kind::Text, payload: b"x" };

    fn outgoing() -> Outgoing {
        Outgoing::new(Rc::new(Forms::standard(jiff::tz::TimeZone::UTC)), Meter::default(), 128)
    }

    #[test]
    fn a_channel_gets_one_batch_a_turn_and_private_parts_are_joined() {
        let mut outgoing = outgoing();
        let (channel, alice, bob) = (ChannelId::new(2), ClientId::new(1), ClientId::new(0));
        let (kind, form) = (Kind::Text, TEXT);
        let two = FakeAudience::new(form, 2);
        let tell = |except: Option<ClientId>| {
            let (audience, except) = (two.audience(), except.map(|client| (form, client)));
            Effect::Tell { channel, audience, except, number: None, event: &X }
        };
        outgoing.apply(Effect::Join { channel, form, client: bob });
        assert!(outgoing.is_empty(), "a join alone has nothing to send");
        for client in [alice, alice, bob] {
            outgoing.apply(Effect::Return { client, kind, payload: b"x" });
        }
        let reply = &Reply::Event(X);
        outgoing.apply(Effect::Send { client: bob, form, reply, droppable: false });
        outgoing.apply(Effect::Leave { channel, form, client: bob });
        outgoing.apply(Effect::Join { channel, form, client: alice });
        outgoing.apply(tell(Some(alice)));
        outgoing.apply(Effect::Join { channel, form, client: bob });
        outgoing.apply(tell(None));
        assert!(!outgoing.is_empty());

        let (batch, private) = outgoing.seal_private().expect("four messages");
        let parts: Vec<_> =
            private.iter().map(|part| (part.client, part.range.clone(), part.droppable)).collect();
        assert_eq!(parts, [(alice, 0..6, true), (bob, 6..9, true), (bob, 9..12, false)]);
        outgoing.recycle_private(batch, private);
        let (id, which, turn) = outgoing.pop_channel().expect("touched");
        assert_eq!((id, which), (channel, form));
        let (batch, changes) = turn.seal();
        assert_eq!(batch.bytes(), b"\x81\x01x\x81\x01x");
        assert_eq!(changes, [(bob, AudienceChange::Joined(3)), (alice, AudienceChange::Except(0..3))]);
        assert!(outgoing.pop_channel().is_none() && outgoing.is_empty());
        outgoing.recycle_channel(batch);
        assert_eq!(outgoing.spare.len(), 1);
    }

    #[test]
    fn whoever_does_not_hear_itself_is_left_out_in_its_own_form_only() {
        let mut outgoing = outgoing();
        let (channel, client) = (ChannelId::new(0), ClientId::new(1));
        for form in [TEXT, FormId(1)] {
            let (crowd, except) = (FakeAudience::new(form, 3), Some((TEXT, client)));
            let audience = crowd.audience();
            outgoing.apply(Effect::Tell { channel, audience, except, number: None, event: &X });
        }
        let mut owed: Vec<_> = std::iter::from_fn(|| outgoing.pop_channel())
            .map(|(_, form, turn)| (form, turn.owed(), turn.seal().1.len()))
            .collect();
        owed.sort_unstable();
        assert_eq!(owed, [(TEXT, 2, 1), (FormId(1), 3, 0)]);
    }

    #[test]
    fn a_turn_is_full_by_memory_or_by_what_it_makes() {
        let (one, other) = (ChannelId::new(0), ChannelId::new(1));
        let message = [b'x'; 1000];
        let event = &RoomEvent::Passed { kind: Kind::Text, payload: &message };
        let say = |outgoing: &mut Outgoing, channel, crowd: &FakeAudience| {
            let audience = crowd.audience();
            outgoing.apply(Effect::Tell { channel, audience, except: None, number: None, event });
        };
        // Audience, messages that still fit: 256 KiB once, or some 4 ms of work; for large channels a few KiB.
        for (audience, fits) in [(1, 261), (10, 261), (100, 157), (1000, 16), (10_000, 3), (1_000_000, 0)] {
            let (mut outgoing, crowd) = (outgoing(), FakeAudience::new(TEXT, audience));
            let mut count = 0;
            while !outgoing.is_full() {
                say(&mut outgoing, one, &crowd);
                count += 1;
            }
            assert_eq!(count, fits + 1, "{audience} receivers");
            while outgoing.pop_channel().is_some() {}
            outgoing.begin_delivery();
            assert!(!outgoing.is_full());
        }
        // Messages for one client alone, as they are or deflated for 40 us each; and of a channel whose members
        // agreed on three windows.
        let ten = FakeAudience::new(TEXT, 10);
        let send = |outgoing: &mut Outgoing| {
            let (client, kind) = (ClientId::new(7), Kind::Text);
            outgoing.apply(Effect::Return { client, kind, payload: &message });
        };
        let rename = |outgoing: &mut Outgoing| outgoing.apply(Effect::Worked(Chore::NamesCompared(64)));
        let walk = |outgoing: &mut Outgoing| outgoing.apply(Effect::Worked(Chore::ItemsWalked(1000)));
        let tell = |outgoing: &mut Outgoing| say(outgoing, other, &ten);
        type Act<'a> = &'a dyn Fn(&mut Outgoing);
        let table: [(bool, usize, Act<'_>, usize); 5] = [
            (false, 0, &rename, 109),
            (false, 0, &walk, 83),
            (false, 0, &send, 261),
            (true, 0, &send, 188),
            (false, 3, &tell, 63),
        ];
        for (is_deflating, windows, act, fits) in table {
            let mut outgoing = outgoing();
            outgoing.set_deflating(is_deflating);
            outgoing.note_windows(other, TEXT, windows);
            let mut count = 0;
            while !outgoing.is_full() {
                act(&mut outgoing);
                count += 1;
            }
            let what = format!("deflated for itself: {is_deflating}, for {windows} windows of a channel");
            assert_eq!(count, fits + 1, "{what}");
        }
    }
}
