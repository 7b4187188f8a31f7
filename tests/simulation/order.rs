//! Judges what the clients of a run have heard, all together: one order, no loss, no duplicate,
//! nothing changed, nothing from elsewhere.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::client::{Client, Ending, Stage, Wish};
use crate::judge::Message;
use crate::speech;

/// Checks every echo, room and topic of a run. `is_stopped`: the server closed them all.
pub(crate) fn check(clients: &[Client], is_stopped: bool) {
    let mut places: BTreeMap<String, Vec<&Client>> = BTreeMap::new();
    for client in clients {
        if let Some(place) = client.place() {
            places.entry(place).or_default().push(client);
        } else if client.wish == Wish::Echo {
            check_echo(client, is_stopped);
        }
    }
    for (place, members) in places {
        let place = Place { name: &place, members: &members, is_stopped };
        place.check_one_order();
        for member in &members {
            place.check_content(member);
            place.check_runs(member);
            place.check_presence(member);
        }
        place.check_last();
    }
}

fn check_echo(client: &Client, is_stopped: bool) {
    let number = client.number;
    if client.skips {
        let mut sent = client.sent.iter();
        let is_part = client.heard.iter().all(|heard| sent.any(|sent| sent == heard));
        return assert!(is_part, "client {number}: more than skipped");
    }
    assert!(client.sent.starts_with(&client.heard), "client {number}: an echo is not what was sent");
    if client.is_good() && client.is_open && !is_stopped {
        assert_eq!(client.heard.len(), client.sent.len(), "client {number}: echoes are missing");
    }
}

/// A room or a topic, and everybody who was ever there.
struct Place<'a> {
    name: &'a str,
    members: &'a [&'a Client],
    is_stopped: bool,
}

impl Place<'_> {
    fn is_room(&self) -> bool {
        self.name.starts_with("room ")
    }

    /// Each member's messages are a piece of one chain: whoever hears a message and another behind
    /// it agrees with everybody else on what stands between, which is nothing.
    fn check_one_order(&self) {
        let mut numbers: HashMap<&Message, usize> = HashMap::new();
        let mut behind: HashMap<usize, usize> = HashMap::new();
        let mut before: HashMap<usize, usize> = HashMap::new();
        let mut first_hearer = HashMap::new();
        for member in self
            .members
            .iter()
            .filter(|member| member.hears_self() && !self.misses_silently(member) && !member.is_json)
        {
            let mut last = None;
            let mut seen = HashSet::new();
            for (place, message) in member.heard.iter().enumerate() {
                if member.gaps.iter().any(|(gap, _)| *gap == place) {
                    last = None;
                }
                let fresh = numbers.len();
                let number = *numbers.entry(message).or_insert(fresh);
                first_hearer.entry(number).or_insert(member.number);
                assert!(
                    seen.insert(number),
                    "{}: client {} heard {message:?} twice",
                    self.name,
                    member.number
                );
                if let Some(last) = last {
                    let next = *behind.entry(last).or_insert(number);
                    let previous = *before.entry(number).or_insert(last);
                    assert!(
                        next == number && previous == last,
                        "{}: client {} heard {message:?} where client {} heard something else",
                        self.name,
                        member.number,
                        first_hearer[&next],
                    );
                }
                last = Some(number);
            }
        }
        for member in self.members {
            if self.misses_silently(member) || member.is_json {
                self.check_no_step_back(member, &numbers, &behind);
            } else if !member.hears_self() {
                self.check_against_chain(member, &numbers, &behind);
            }
            // In JSON the numbers tell.
            if !member.is_json {
                self.check_gaps(member, &numbers, &behind);
            }
        }
    }

    /// A topic carries nothing but what its users say: who skips is not told.
    fn misses_silently(&self, member: &Client) -> bool {
        member.skips && !self.is_room()
    }

    /// Each gap is as long as it was said to be: in the chain of the others, so many stand between.
    fn check_gaps(
        &self,
        member: &Client,
        numbers: &HashMap<&Message, usize>,
        behind: &HashMap<usize, usize>,
    ) {
        for &(place, count) in &member.gaps {
            let (Some(before), Some(after)) =
                (place.checked_sub(1).and_then(|place| member.heard.get(place)), member.heard.get(place))
            else {
                continue;
            };
            let mut number = numbers[before];
            // Nobody may have heard all of it.
            let is_known = (0..=count).all(|_| behind.get(&number).map(|next| number = *next).is_some());
            assert!(
                !is_known || number == numbers[after],
                "{}: client {} was told of {count} between {before:?} and {after:?}, which is wrong",
                self.name,
                member.number
            );
        }
    }

    /// What is heard of a topic with gaps is still in its order.
    fn check_no_step_back(
        &self,
        member: &Client,
        numbers: &HashMap<&Message, usize>,
        behind: &HashMap<usize, usize>,
    ) {
        for pair in member.heard.windows(2) {
            let (Some(&first), Some(&second)) = (numbers.get(&pair[0]), numbers.get(&pair[1])) else {
                continue;
            };
            let mut number = second;
            while let Some(&next) = behind.get(&number) {
                assert_ne!(next, first, "{}: client {} heard {pair:?}", self.name, member.number);
                number = next;
            }
        }
    }

    /// Who does not hear itself hears the chain without its own.
    fn check_against_chain(
        &self,
        member: &Client,
        numbers: &HashMap<&Message, usize>,
        behind: &HashMap<usize, usize>,
    ) {
        let own: HashSet<usize> =
            member.sent.iter().filter_map(|message| numbers.get(message)).copied().collect();
        // With several such members some messages may be in nobody's chain; then the runs of each
        // author, checked elsewhere, have to do.
        for pair in member.heard.windows(2) {
            let (Some(&first), Some(&second)) = (numbers.get(&pair[0]), numbers.get(&pair[1])) else {
                continue;
            };
            let mut next = behind.get(&first);
            while let Some(number) = next.filter(|number| own.contains(number)) {
                next = behind.get(number);
            }
            if let Some(&next) = next {
                assert_eq!(
                    next, second,
                    "{}: client {} misses something between {pair:?}",
                    self.name, member.number
                );
            }
        }
    }

    /// Every message is one that was sent here, byte for byte, or a line about a member.
    fn check_content(&self, member: &Client) {
        for message in &member.heard {
            let Some((author, count)) = speech::author(&message.payload) else {
                assert!(self.is_room() && message.is_text, "{}: {message:?}", self.name);
                assert!(self.is_presence(message), "{}: {message:?}", self.name);
                continue;
            };
            let author = self.members.iter().find(|other| other.number == author);
            let author = author.unwrap_or_else(|| panic!("{}: {message:?} is from elsewhere", self.name));
            let sent = &author.sent[count];
            assert_eq!(message.is_text, sent.is_text, "{}: the kind has changed", self.name);
            let is_line = self.is_room() && sent.is_text;
            if is_line {
                // A line is one line, whatever was sent.
                let text = String::from_utf8_lossy(&sent.payload).replace('\n', " ⏎ ");
                let line = format!(" {} say: {text}", author.who_and_name().0);
                assert_eq!(message.payload[8..], *line.as_bytes(), "{}: the line has changed", self.name);
                assert_time(&message.payload[..8]);
            } else {
                assert_eq!(message.payload, sent.payload, "{}: the bytes have changed", self.name);
            }
        }
    }

    fn is_presence(&self, message: &Message) -> bool {
        let line = String::from_utf8_lossy(&message.payload).into_owned();
        self.members.iter().any(|member| line == welcome(member) || line.ends_with(&logout(member)))
    }

    /// Each author's messages come one by one, from one that was sent before the hearer had
    /// certainly joined, and up to the last.
    fn check_runs(&self, member: &Client) {
        let mut next: HashMap<usize, usize> = HashMap::new();
        let mut first: HashMap<usize, usize> = HashMap::new();
        for (author, count) in member.heard.iter().filter_map(|message| speech::author(&message.payload)) {
            assert!(author != member.number || member.hears_self(), "{}: {author} hears itself", self.name);
            let wanted = next.get(&author).copied().unwrap_or(count);
            let may_miss = self.misses_silently(member) || !member.gaps.is_empty();
            assert!(
                count == wanted || may_miss && count > wanted,
                "{}: client {} misses some of {author}: {count} instead of {wanted}",
                self.name,
                member.number
            );
            first.entry(author).or_insert(count);
            next.insert(author, count + 1);
        }
        let stays = member.ending == Ending::Stay && member.is_good() && !member.skips;
        if !stays || !member.is_open || self.is_stopped {
            return;
        }
        for author in self.members.iter().filter(|author| author.is_good() && author.is_open) {
            if author.number == member.number && !member.hears_self() {
                continue;
            }
            let joined_at = member.sent_by_others.get(author.number).copied().unwrap_or(0);
            let expects = author.sent.len() > joined_at;
            let (first, next) = (first.get(&author.number), next.get(&author.number));
            assert!(!expects || first.is_some_and(|first| *first <= joined_at), "{}: the first", self.name);
            assert!(
                !expects || next == Some(&author.sent.len()),
                "{}: client {} misses the last of {}",
                self.name,
                member.number,
                author.number
            );
        }
    }

    /// In a room of lines: the newcomer's first message is its own welcome, and who stays hears of
    /// each later join and of its end, once.
    fn check_presence(&self, member: &Client) {
        if !self.is_room() || !member.is_open || !member.gaps.is_empty() || member.is_json {
            return;
        }
        let lines: Vec<String> = member
            .heard
            .iter()
            .map(|message| String::from_utf8_lossy(&message.payload).into_owned())
            .collect();
        if let Some(first) = lines.first() {
            assert_eq!(*first, welcome(member), "{}: client {}", self.name, member.number);
        }
        if member.ending == Ending::Quit && member.is_good() && member.closed.is_some() && !self.is_stopped {
            let last = lines.last().expect("at least its own welcome");
            assert!(last.ends_with(&logout(member)), "who quits hears it, at last: {last}");
        }
        if member.ending != Ending::Stay || !member.is_good() || self.is_stopped {
            return;
        }
        for other in self.members.iter().filter(|other| other.number != member.number) {
            let has_joined = lines.iter().filter(|line| **line == welcome(other)).count();
            let has_left = lines.iter().filter(|line| line.ends_with(&logout(other))).count();
            assert!(has_joined <= 1 && has_left <= 1, "{}: {} comes and goes once", self.name, other.number);
            let is_gone = other.stage == Stage::Gone;
            if has_joined == 1 {
                assert_eq!(
                    has_left,
                    usize::from(is_gone),
                    "{}: {:?} of {}",
                    self.name,
                    other.ending,
                    other.number
                );
            }
        }
    }

    /// Whoever is there until the end has heard the same last message.
    fn check_last(&self) {
        let mut lasts = self.members.iter().filter(|member| {
            let stays = member.ending == Ending::Stay
                && member.is_good()
                && member.hears_self()
                && !member.skips
                && !member.is_json;
            // Who came to a topic after the last message has heard nothing.
            stays && !member.heard.is_empty() && !self.is_stopped
        });
        let Some(one) = lasts.next() else { return };
        for other in lasts {
            assert_eq!(
                one.heard.last(),
                other.heard.last(),
                "{}: the last that clients {} and {} heard",
                self.name,
                one.number,
                other.number
            );
        }
    }
}

fn welcome(member: &Client) -> String {
    format!("Welcome {} !", member.who_and_name().1)
}

fn logout(member: &Client) -> String {
    let (who, name) = member.who_and_name();
    format!(" {who} say: {name} Logout")
}

fn assert_time(time: &[u8]) {
    let is_time = time
        .iter()
        .enumerate()
        .all(|(index, byte)| if index % 3 == 2 { *byte == b':' } else { byte.is_ascii_digit() });
    assert!(is_time, "HH:MM:SS: {time:x?}");
}
