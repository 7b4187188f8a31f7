//! How much memory is taken by what was sent and is still needed.

use std::cell::Cell;
use std::rc::Rc;

/// Counts the memory of all batches that were made with it and are still alive, and of what refers to them.
#[derive(Clone, Debug, Default)]
pub struct Meter(Option<Rc<Cell<usize>>>);

impl Meter {
    /// A meter that shows zero. The default one measures nothing.
    pub fn new() -> Meter {
        Meter(Some(Rc::default()))
    }

    /// Bytes in use.
    pub fn bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |bytes| bytes.get())
    }

    pub(super) fn add(&self, more: usize) {
        if let Some(bytes) = &self.0 {
            bytes.set(bytes.get() + more);
        }
    }

    pub(super) fn remove(&self, less: usize) {
        if let Some(bytes) = &self.0 {
            bytes.set(bytes.get() - less);
        }
    }
}
