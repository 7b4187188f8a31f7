//! Many clients in one room: one order for all, and joins as counts.

use std::sync::Barrier;
use std::thread;

use crate::support::client::{Client, split_time, without_time};
use crate::support::raw::PATIENCE;
use crate::support::server::Wsloop;

/// A room with more members than this is told counts.
const MEMBERS_NAMED_MAX: usize = 100;

#[test]
fn two_hundred_clients_see_a_thousand_messages_in_one_order() {
    const CLIENTS: usize = 200;
    const SENDERS: usize = 20;
    const MESSAGES_EACH: usize = 50;

    let server = Wsloop::start(&[]);
    let clients: Vec<Client> = (0..CLIENTS).map(|_| Client::join(&server, "/")).collect();
    let start = Barrier::new(CLIENTS);
    let seen: Vec<Vec<String>> = thread::scope(|scope| {
        let readers: Vec<_> = clients
            .into_iter()
            .enumerate()
            .map(|(number, mut client)| {
                let start = &start;
                scope.spawn(move || {
                    start.wait();
                    if number < SENDERS {
                        for message in 0..MESSAGES_EACH {
                            client.send_text(&format!("{number} {message}"));
                        }
                    }
                    (0..SENDERS * MESSAGES_EACH).map(|_| client.read_said()).collect()
                })
            })
            .collect();
        readers.into_iter().map(|reader| reader.join().expect("the client saw every line")).collect()
    });

    for lines in &seen[1..] {
        assert_eq!(lines.len(), seen[0].len());
        let differs = lines.iter().zip(&seen[0]).position(|(one, other)| one != other);
        assert_eq!(differs, None, "the first line that another client saw differently");
    }
    // Nothing twice, nothing lost, and each sender's own order is kept.
    for sender in 0..SENDERS {
        let own: Vec<&str> = seen[0]
            .iter()
            .filter_map(|line| line.split_once(" say: "))
            .filter_map(|(_, text)| text.strip_prefix(&format!("{sender} ")))
            .collect();
        let sent: Vec<String> = (0..MESSAGES_EACH).map(|number| number.to_string()).collect();
        assert_eq!(own, sent, "of sender {sender}");
    }
}

#[test]
fn a_large_room_is_told_counts_at_most_once_a_second() {
    const JOINERS: usize = 119;

    let server = Wsloop::start(&[]);
    let mut observer = Client::join(&server, "/");
    // Each newcomer gets a welcome at once, however large the room: `join` waits for it.
    let mut joiners: Vec<Client> = (0..JOINERS).map(|_| Client::join(&server, "/")).collect();
    let mut told = Told::default();
    while told.here != JOINERS + 1 {
        told.read(&mut observer);
    }
    assert_eq!(told.welcomes + told.joined, JOINERS, "each join is told once: {told:?}");
    assert_eq!(told.welcomes, MEMBERS_NAMED_MAX - 1, "up to the hundredth member");
    assert_eq!(told.left, 0);

    joiners.truncate(JOINERS - 5);
    while told.left < 5 {
        told.read(&mut observer);
    }
    let mut late = Client::join(&server, "/?name=late");
    while told.here != JOINERS + 1 - 5 + 1 {
        told.read(&mut observer);
    }
    assert_eq!(told.joined, JOINERS - (MEMBERS_NAMED_MAX - 1) + 1, "{told:?}");
    assert_eq!(told.left, 5, "{told:?}");
    // A second apart, two lines never show the same second.
    let mut times = told.count_times.clone();
    times.dedup();
    assert_eq!(times, told.count_times, "at most one count a second");
    // Messages are not held back by any of this.
    late.send_text("hello");
    assert_eq!(without_time(&observer.read_said()), "late say: hello");
}

#[test]
fn a_room_of_a_hundred_is_told_each_join_and_leave() {
    let server = Wsloop::start(&[]);
    let mut observer = Client::join(&server, "/");
    let joiners: Vec<Client> =
        (1..MEMBERS_NAMED_MAX).map(|number| Client::join(&server, &format!("/?name=n{number}"))).collect();
    for number in 1..MEMBERS_NAMED_MAX {
        assert_eq!(observer.read_text(), format!("Welcome n{number} !"));
    }
    drop(joiners);
    let mut left: Vec<String> =
        (1..MEMBERS_NAMED_MAX).map(|_| without_time(&observer.read_text()).to_string()).collect();
    left.sort();
    let mut named: Vec<String> =
        (1..MEMBERS_NAMED_MAX).map(|number| format!("n{number} say: n{number} Logout")).collect();
    named.sort();
    assert_eq!(left, named);
}

/// What an observer was told about who is in the room.
#[derive(Debug, Default)]
struct Told {
    welcomes: usize,
    joined: usize,
    left: usize,
    /// As the last count line said.
    here: usize,
    count_times: Vec<String>,
}

impl Told {
    fn read(&mut self, observer: &mut Client) {
        let line = observer
            .read_within(PATIENCE)
            .unwrap_or_else(|| panic!("nothing more is told after {self:?}"))
            .to_string();
        if line == "Welcome 127.0.0.1 !" {
            assert!(self.count_times.is_empty(), "a welcome after a count: {self:?}");
            self.welcomes += 1;
            return;
        }
        // `HH:MM:SS 3 joined, 2 left, 117 here`
        let (time, counts) = split_time(&line);
        let counts: Vec<(&str, &str)> = counts.split(", ").filter_map(|part| part.split_once(' ')).collect();
        let [(joined, "joined"), (left, "left"), (here, "here")] = counts[..] else {
            panic!("neither a welcome nor counts: {line:?}");
        };
        self.joined += joined.parse::<usize>().expect("a count is a number");
        self.left += left.parse::<usize>().expect("a count is a number");
        self.here = here.parse().expect("a count is a number");
        self.count_times.push(time.to_string());
    }
}
