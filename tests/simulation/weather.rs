//! How kind the simulated network is.

/// What the network may do to its users.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Weather {
    /// Bytes arrive in pieces.
    pub(crate) splits: bool,
    /// A write takes a part though there is room for more.
    pub(crate) short_writes: bool,
    /// Edges are reported turns later.
    pub(crate) late_edges: bool,
    /// Readiness is reported where there is none.
    pub(crate) false_edges: bool,
    /// System calls are interrupted.
    pub(crate) interrupts: bool,
}
