//! How many connections each address has, where that is limited.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Refused connections of one address that are let in to read why; further ones are closed at once.
const REFUSED_MAX: u32 = 8;

/// Connections by address. As many entries as there are connections at most, and none without a limit.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    counts: HashMap<IpAddr, u32>,
}

/// Whether an address may have one more connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Welcome,
    /// It has enough, and may be told so.
    Refused,
    /// It has been told so often enough.
    Ignored,
}

impl Addresses {
    /// Counts a connection, unless it is ignored.
    pub(super) fn arrive(&mut self, address: SocketAddr, connections_max: Option<u32>) -> Verdict {
        let Some(most) = connections_max else { return Verdict::Welcome };
        let count = self.counts.entry(key(address)).or_default();
        if *count >= most.saturating_add(REFUSED_MAX) {
            return Verdict::Ignored;
        }
        *count += 1;
        if *count > most { Verdict::Refused } else { Verdict::Welcome }
    }

    /// A connection that was counted is gone.
    pub(super) fn leave(&mut self, address: SocketAddr) {
        let key = key(address);
        if let Some(count) = self.counts.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&key);
            }
        }
    }
}

/// Who counts as one: an IPv4 address, or a network of 64 bits, which is what one customer has in IPv6
/// (RFC 6177) and can choose addresses from at will.
fn key(address: SocketAddr) -> IpAddr {
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
        let mut addresses = Addresses::default();
        let mut arrive = |address: &str| addresses.arrive(at(address), Some(2));
        assert_eq!([arrive("192.0.2.1"), arrive("192.0.2.1")], [Verdict::Welcome; 2]);
        for _ in 0..REFUSED_MAX {
            assert_eq!(arrive("192.0.2.1"), Verdict::Refused);
        }
        assert_eq!(arrive("192.0.2.1"), Verdict::Ignored);
        assert_eq!(arrive("192.0.2.2"), Verdict::Welcome, "somebody else");
        for _ in 0..=REFUSED_MAX {
            addresses.leave(at("192.0.2.1"));
        }
        assert_eq!(addresses.arrive(at("192.0.2.1"), Some(2)), Verdict::Welcome);
        (0..2).for_each(|_| addresses.leave(at("192.0.2.1")));
        addresses.leave(at("192.0.2.2"));
        assert!(addresses.counts.is_empty(), "nothing is kept of who has gone");
    }

    #[test]
    fn without_a_limit_nothing_is_counted() {
        let mut addresses = Addresses::default();
        assert_eq!(addresses.arrive(at("192.0.2.1"), None), Verdict::Welcome);
        addresses.leave(at("192.0.2.1"));
        assert!(addresses.counts.is_empty());
    }
}
