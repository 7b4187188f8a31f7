//! What memory takes, as budgets count it.

/// What an allocation of so many bytes takes: with its head, in steps of sixteen.
pub(super) const fn allocation(bytes: usize) -> usize {
    match bytes {
        0 => 0,
        1..=24 => 32,
        _ => (bytes + 8).next_multiple_of(16),
    }
}
