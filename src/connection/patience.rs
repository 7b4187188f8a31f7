//! How long a peer is waited for that takes nothing.

use std::time::Duration;

/// Who reads at least so fast is not stalled. A kernel takes a hundred KiB for it at once and then, while they
/// are read, often nothing: Linux gives room back by whole buffers, and 31 s were measured between two steps.
const SLOW_READER_BYTES_PER_SECOND: u64 = 4 * 1024;
/// No peer is given more time for what it took, whatever its kernel holds.
const UNREAD_MILLIS_MAX: u16 = 30_000;

/// How long a slow reader takes to read what was taken, in milliseconds from when the last of it was; and in the
/// highest bit, whether that time is waited for before the peer counts as stalled. Two bytes, since every client
/// has them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Patience(u16);

impl Patience {
    const IS_EXTENDED: u16 = 1 << 15;

    fn unread_millis(self) -> u16 {
        self.0 & !Patience::IS_EXTENDED
    }

    pub(super) fn is_extended(self) -> bool {
        self.0 & Patience::IS_EXTENDED > 0
    }

    /// That time. In whole seconds: a few messages are nothing.
    pub(super) fn unread(self) -> Duration {
        Duration::from_secs((self.unread_millis() / 1000).into())
    }

    /// The same, waited for.
    pub(super) fn extended(self) -> Patience {
        Patience(self.0 | Patience::IS_EXTENDED)
    }

    /// So many milliseconds later, when more was taken: what was waited for has come.
    #[inline(always)]
    pub(super) fn after(self, millis: u64, bytes: usize) -> Patience {
        let taken = bytes as u64 * 1000 / SLOW_READER_BYTES_PER_SECOND;
        let unread = u64::from(self.unread_millis()).saturating_sub(millis) + taken;
        Patience(u16::try_from(unread).unwrap_or(u16::MAX).min(UNREAD_MILLIS_MAX))
    }
}
