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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{ConversationKey, TimeSource};

    #[test]
    fn of_several_times_the_earliest_told_counts() {
        let at = |from, at| Some(Dated { from, at: Time(at) });
        let tellings = [at(TimeSource::Arrival, 5), at(TimeSource::Told, 9), at(TimeSource::Told, 8), None];
        for order in [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]] {
            let mut receipt = Receipt::default();
            for place in order {
                let (message_id, uid) = ("7".to_owned(), "ann".to_owned());
                receipt.apply(&change::Receipt { message_id, uid, delivered: tellings[place], read: None });
            }
            assert_eq!(receipt, Receipt { delivered: at(TimeSource::Told, 8), read: None });
        }
    }

    #[test]
    fn a_marker_never_goes_back_and_of_one_message_the_earliest_time_counts() {
        let told = |message_id: &str, at: Option<i64>| change::ReadMarker {
            conversation: ConversationKey::between("ann", crate::ids::ReceiverType::User, "bob"),
            uid: "ann".into(),
            message_id: message_id.into(),
            at: at.map(Time),
        };
        let tellings = [told("10", Some(50)), told("9", Some(90)), told("10", Some(40)), told("10", None)];
        for order in [[0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2]] {
            let mut marker = ReadMarker::default();
            order.iter().for_each(|place| marker.apply(&tellings[*place]));
            assert_eq!((marker.message_id.as_str(), marker.at), ("10", Some(40)), "{order:?}");
        }
    }
}
