//! Receipts and read markers. Both can only grow.

use crate::change::{self, Dated};
use crate::ids::{Time, id_order};

/// Delivery time and read time of one message and reader: the earliest time in an event, else the earliest arrival.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Receipt {
    pub delivered: Option<Dated>,
    pub read: Option<Dated>,
}

impl Receipt {
    pub fn apply(&mut self, told: &change::Receipt) {
        self.delivered = self.delivered.into_iter().chain(told.delivered).min();
        self.read = self.read.into_iter().chain(told.read).min();
    }
}

/// The greatest message id that a person has read in a conversation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadMarker {
    pub message_no: i64,
    pub message_id: String,
    /// Of receipts with the same id, the earliest time in an event.
    pub at: Option<i64>,
}

impl ReadMarker {
    pub fn apply(&mut self, told: &change::ReadMarker) {
        let at = told.at.map(|Time(ms)| ms);
        let new = (id_order(&told.message_id), &told.message_id);
        match new.cmp(&(self.message_no, &self.message_id)) {
            std::cmp::Ordering::Less => {}
            std::cmp::Ordering::Equal => self.at = self.at.into_iter().chain(at).min(),
            std::cmp::Ordering::Greater => *self = Self { message_no: new.0, message_id: new.1.clone(), at },
        }
    }
}
