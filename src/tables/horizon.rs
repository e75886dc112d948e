//! Up to when events of a family were cut from the log. A horizon only moves on.

use crate::ids::Time;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Horizon {
    pub before: Time,
}

impl Horizon {
    pub fn move_to(&mut self, before: Time) {
        self.before = self.before.max(before);
    }
}
