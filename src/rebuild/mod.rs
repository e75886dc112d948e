//! The tables made anew from the log: aside, to compare them with those that are there ([`verify`]), or to take their
//! place ([`run`]). Always beside, never in place.

mod aside;
mod verify;

pub use aside::Aside;
pub use verify::{Verified, verify};

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    pub phase: Phase,
    pub done: u64,
    /// 0 where it is not known.
    pub total: u64,
}

/// What is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Events of the log are folded aside.
    Fold,
    /// Rows are compared with those of the file.
    Compare,
}
