//! Who stands out of all clients: for whom most waits, and who makes the server busy.

use crate::id::ClientId;

/// Clients of each kind that are told of.
const LISTED_MAX: usize = 10;
/// Who takes less of the thread than this is not worth a line.
const SHARE_MIN: f64 = 0.0005;

/// A client for which something waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Laggard {
    pub(crate) queued_bytes: usize,
    pub(crate) queued_messages: u32,
    pub(crate) id: ClientId,
}

/// A client that causes work.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Talker {
    pub(crate) share: f64,
    pub(crate) id: ClientId,
}

/// Those who stand out, and what waits for all.
#[derive(Debug, Default)]
pub(crate) struct Standouts {
    /// Bytes that wait, once for each client.
    pub(crate) queued_bytes: usize,
    laggards: Vec<Laggard>,
    talkers: Vec<Talker>,
}

impl Standouts {
    /// Looks at a client.
    pub(crate) fn note(&mut self, id: ClientId, queued_bytes: usize, queued_messages: u32, share: f64) {
        self.queued_bytes += queued_bytes;
        if queued_bytes > 0 {
            self.laggards.push(Laggard { queued_bytes, queued_messages, id });
        }
        if share >= SHARE_MIN {
            self.talkers.push(Talker { share, id });
        }
    }

    /// The most that waits for one of them.
    pub(crate) fn largest_queue(&self) -> usize {
        self.laggards.iter().map(|laggard| laggard.queued_bytes).max().unwrap_or(0)
    }

    /// Those for whom most waits, and those who cause most work; the first ones of each.
    pub(crate) fn into_lists(self) -> (Vec<Laggard>, Vec<Talker>) {
        let Standouts { mut laggards, mut talkers, .. } = self;
        laggards.sort_unstable_by(|one, other| other.cmp(one));
        laggards.truncate(LISTED_MAX);
        talkers.sort_unstable_by(|one, other| other.share.total_cmp(&one.share));
        talkers.truncate(LISTED_MAX);
        (laggards, talkers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ten_of_each_kind_that_stand_out_most() {
        let mut standouts = Standouts::default();
        for number in 0..100 {
            let id = ClientId::new(number);
            standouts.note(id, number * 10, u32::from(number > 0), 0.00001 * (100 - number) as f64);
        }
        assert_eq!((standouts.queued_bytes, standouts.largest_queue()), (49_500, 990));
        let (laggards, talkers) = standouts.into_lists();
        let laggards: Vec<_> = laggards.iter().map(|laggard| laggard.id.index()).collect();
        let talkers: Vec<_> = talkers.iter().map(|talker| talker.id.index()).collect();
        assert_eq!(laggards, (90..100).rev().collect::<Vec<_>>());
        assert_eq!(talkers, (0..10).collect::<Vec<_>>());
    }
}
