//! How many WebSockets each address has, where that is limited, and other connections beside them.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Connections of one address that are no WebSockets, or not yet, beyond those that may become one: pages and
/// their files, probes, reports. (Browsers have six at once.)
const PLAIN_MAX: u32 = 32;
/// Refused connections of one address that are let in to read why; further ones are closed at once.
const REFUSED_MAX: u32 = 8;

/// Connections by address. As many entries as there are connections at most, and none without a limit.
#[derive(Debug, Default)]
pub(super) struct AddressCounts {
    counts: HashMap<IpAddr, AddressCount>,
}

#[derive(Clone, Copy, Debug, Default)]
struct AddressCount {
    /// All, WebSockets among them.
    connections: u32,
    websockets: u32,
}

/// Whether an address may have one more connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Welcome,
    /// It has enough, and may be told so.
    Refused,
    /// It has been told so often enough.
    Ignored,
}

impl AddressCounts {
    /// What becomes of one more connection.
    pub(super) fn judge(&self, address: SocketAddr, websockets_max: Option<u32>) -> Verdict {
        let Some(most) = websockets_max else { return Verdict::Welcome };
        let most = most.saturating_add(PLAIN_MAX);
        let count = self.counts.get(&key(address)).map_or(0, |count| count.connections);
        match count {
            _ if count < most => Verdict::Welcome,
            _ if count < most.saturating_add(REFUSED_MAX) => Verdict::Refused,
            _ => Verdict::Ignored,
        }
    }

    /// Counts a connection, unless it is ignored.
    pub(super) fn arrive(&mut self, address: SocketAddr, websockets_max: Option<u32>) -> Verdict {
        let verdict = self.judge(address, websockets_max);
        if websockets_max.is_some() && verdict != Verdict::Ignored {
            self.counts.entry(key(address)).or_default().connections += 1;
        }
        verdict
    }

    /// Whether a connection that was counted may become a WebSocket.
    pub(super) fn may_open(&self, address: SocketAddr, websockets_max: Option<u32>) -> bool {
        let count = || self.counts.get(&key(address));
        websockets_max.is_none_or(|most| count().is_some_and(|count| count.websockets < most))
    }

    /// The same; then it is counted as one.
    pub(super) fn open(&mut self, address: SocketAddr, websockets_max: Option<u32>) -> bool {
        let Some(most) = websockets_max else { return true };
        let Some(count) = self.counts.get_mut(&key(address)) else { return false };
        let is_allowed = count.websockets < most;
        count.websockets += u32::from(is_allowed);
        is_allowed
    }

    /// A connection that was counted is gone.
    pub(super) fn leave(&mut self, address: SocketAddr, is_websocket: bool) {
        let key = key(address);
        if let Some(count) = self.counts.get_mut(&key) {
            count.connections -= 1;
            count.websockets -= u32::from(is_websocket);
            if count.connections == 0 {
                self.counts.remove(&key);
            }
        }
    }

    /// Connections, and WebSockets among them.
    pub(super) fn total(&self) -> (usize, usize) {
        let sum = |of: fn(&AddressCount) -> u32| self.counts.values().map(|count| of(count) as usize).sum();
        (sum(|count| count.connections), sum(|count| count.websockets))
    }
}

/// Who counts as one: an IPv4 address, or a network of 64 bits, which is what one customer has in IPv6
/// (RFC 6177) and can choose addresses from at will.
pub(super) fn key(address: SocketAddr) -> IpAddr {
    match address.ip().to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(address: &str) -> SocketAddr {
        SocketAddr::new(address.parse().expect("an address"), 4242)
    }

    #[test]
    fn who_counts_as_one() {
        for (one, other, is_same) in [
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", true),
            ("2001:db8:1:2::1", "2001:db8:1:3::1", false),
            ("::1", "127.0.0.1", false),
        ] {
            assert_eq!(key(at(one)) == key(at(other)), is_same, "{one} and {other}");
        }
    }

    #[test]
    fn some_are_welcome_some_are_told_and_the_rest_is_ignored() {
        let mut addresses = AddressCounts::default();
        let (one, other, most) = (at("192.0.2.1"), at("192.0.2.2"), Some(2));
        let all = 2 + PLAIN_MAX + REFUSED_MAX;
        for number in 0..all {
            let wanted = if number < 2 + PLAIN_MAX { Verdict::Welcome } else { Verdict::Refused };
            assert_eq!(addresses.arrive(one, most), wanted, "{number}");
        }
        assert_eq!(addresses.arrive(one, most), Verdict::Ignored);
        assert_eq!(addresses.arrive(other, most), Verdict::Welcome, "somebody else");
        assert_eq!([0; 3].map(|_| addresses.open(one, most)), [true, true, false]);
        assert_eq!(addresses.total(), (all as usize + 1, 2));
        addresses.leave(one, true);
        assert!(addresses.open(one, most), "another takes its place");
        (0..2).for_each(|_| addresses.leave(one, true));
        (3..all).for_each(|_| addresses.leave(one, false));
        addresses.leave(other, false);
        assert!(addresses.counts.is_empty(), "nothing is kept of who has gone");
    }

    #[test]
    fn without_a_limit_nothing_is_counted() {
        let mut addresses = AddressCounts::default();
        assert_eq!(addresses.arrive(at("192.0.2.1"), None), Verdict::Welcome);
        assert!(addresses.open(at("192.0.2.1"), None));
        addresses.leave(at("192.0.2.1"), true);
        assert!(addresses.counts.is_empty());
    }
}
