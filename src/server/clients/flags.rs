//! What is true of a client now, in one byte.

/// One thing that may be true of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flag {
    /// It is, or was, a WebSocket.
    Websocket,
    /// A poll said that the peer has ended its direction.
    ReadClosed,
    /// It has a place in `read_queue`.
    Runnable,
    /// It has a place in `flushable`.
    Flushable,
    /// It gets a part of the batch that is handed out, not the whole.
    GetsPart,
    /// A deadline of it has passed and waits until it is read, or written to.
    ReprieveGranted,
    /// That was done. Never together with the one above.
    ReprieveUsed,
}

/// A set of flags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flags(u8);

impl Flags {
    /// Whether it is true.
    #[inline]
    pub(crate) fn contains(self, flag: Flag) -> bool {
        self.0 & flag.bit() != 0
    }

    /// Makes it true. `false`: it was already.
    #[inline]
    pub(crate) fn insert(&mut self, flag: Flag) -> bool {
        let is_news = !self.contains(flag);
        self.0 |= flag.bit();
        is_news
    }

    /// Makes it false. `false`: it was already.
    #[inline]
    pub(crate) fn remove(&mut self, flag: Flag) -> bool {
        let was_there = self.contains(flag);
        self.0 &= !flag.bit();
        was_there
    }
}

impl Flag {
    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_flag_stands_for_itself() {
        const ALL: [Flag; 7] = [
            Flag::Websocket,
            Flag::ReadClosed,
            Flag::Runnable,
            Flag::Flushable,
            Flag::GetsPart,
            Flag::ReprieveGranted,
            Flag::ReprieveUsed,
        ];
        for one in ALL {
            let mut flags = Flags::default();
            assert_eq!((flags.remove(one), flags.insert(one), flags.insert(one)), (false, true, false));
            for other in ALL {
                assert_eq!(flags.contains(other), one == other, "{one:?} and {other:?}");
            }
            let mut others = flags;
            ALL.into_iter().filter(|other| *other != one).for_each(|other| assert!(others.insert(other)));
            assert!(others.remove(one) && !others.contains(one) && flags.contains(one));
        }
    }
}
