//! Up to when events of a family were cut from the log. A horizon only moves on.

use crate::ids::{Time, id_number};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Horizon {
    pub before: Time,
    /// Of messages: the greatest number among the ids of those sent before the horizon, below the ids of all that stay.
    /// Ids rise with time. -1: not known.
    pub last_id: i64,
}

impl Default for Horizon {
    fn default() -> Self {
        Self { before: Time::default(), last_id: -1 }
    }
}

impl Horizon {
    pub fn move_to(&mut self, other: Self) {
        self.before = self.before.max(other.before);
        self.last_id = self.last_id.max(other.last_id);
    }

    /// Whether a message was sent before the horizon. Where its time is not known, its id decides, or else the time
    /// that an event tells of itself: nobody reads or edits a message before the message is sent.
    pub fn has_passed(&self, message_id: &str, sent_at: Option<Time>, told_at: Option<Time>) -> bool {
        match sent_at {
            Some(sent_at) => sent_at < self.before,
            None => {
                id_number(message_id).is_some_and(|id| id <= self.last_id) || told_at.is_some_and(|at| at < self.before)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HORIZON: Horizon = Horizon { before: Time(100), last_id: 40 };

    #[test]
    fn a_horizon_only_moves_on() {
        let mut horizon = HORIZON;
        horizon.move_to(Horizon { before: Time(50), last_id: 60 });
        assert_eq!(horizon, Horizon { before: Time(100), last_id: 60 });
        horizon.move_to(Horizon::default());
        assert_eq!(horizon, Horizon { before: Time(100), last_id: 60 });
    }

    #[test]
    fn the_time_of_a_message_decides_then_its_id_then_the_time_of_the_event() {
        let passed = |id: &str, sent_at: Option<i64>, told_at: Option<i64>| {
            HORIZON.has_passed(id, sent_at.map(Time), told_at.map(Time))
        };
        assert!(passed("90", Some(99), None));
        assert!(!passed("1", Some(100), Some(1)));
        assert!(passed("40", None, Some(200)));
        assert!(!passed("41", None, Some(200)));
        assert!(passed("41", None, Some(99)));
        assert!(!passed("a text", None, None));
    }
}
