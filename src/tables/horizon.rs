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

    /// Finds `last_id`. `least_kept` is the least number among the ids of messages that stay. `greatest_gone` gives the
    /// greatest number below another among the ids of messages sent before the horizon. If no message stays,
    /// the ids of the next messages are not known, and `last_id` says nothing.
    pub fn find_last_id<E>(
        least_kept: Option<i64>,
        greatest_gone: impl FnOnce(i64) -> Result<Option<i64>, E>,
    ) -> Result<i64, E> {
        let last_id = least_kept.map(greatest_gone).transpose()?.flatten();
        Ok(last_id.unwrap_or(Self::default().last_id))
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
    use std::convert::Infallible;

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
    fn the_last_id_lies_below_the_ids_of_all_messages_that_stay() {
        let last_id = |gone: &[i64], kept: &[i64]| {
            let below = |limit| Ok::<_, Infallible>(gone.iter().copied().filter(|id| *id < limit).max());
            Horizon::find_last_id(kept.iter().copied().min(), below)
        };
        assert_eq!(last_id(&[1, 2], &[4, 3]), Ok(2));
        assert_eq!(last_id(&[1, 2, 50], &[41, 46, 51]), Ok(2), "ids that do not rise with time");
        assert_eq!(last_id(&[50], &[41]), Ok(-1));
        assert_eq!(last_id(&[1, 2], &[]), Ok(-1));
        assert_eq!(last_id(&[], &[3]), Ok(-1));
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
