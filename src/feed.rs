//! When a fact happened (contract 4.1): as its payload says; else when it arrived, while the feed is live; else by the
//! clock of a feed that replays old deliveries.

use crate::ids::{Time, TimeSource};

/// A feed is live while its newest told time is not older than this on arrival…
const BEHIND: i64 = 5 * 60_000;
/// …and not further ahead than this; times further ahead do not count.
const AHEAD: i64 = 10 * 60_000;

/// What one app's deliveries have shown so far, over HTTP or in one run of `ingest`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Feed {
    /// The newest told time, and when the delivery that told it arrived.
    pub told: Option<(Time, Time)>,
    /// The newest told time or floor.
    pub clock: Option<Time>,
}

/// The time of a fact, as the log keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dated {
    pub occurred_at: Time,
    pub from: TimeSource,
    /// `feed` facts: the newest time in the body (0: none); `None` while the feed has shown no time at all.
    pub floor: Option<Time>,
}

/// What a delivery says about time.
#[derive(Debug, Clone, Copy)]
pub struct Clues {
    pub told: Option<Time>,
    /// Newest timestamp of the entities in it.
    pub newest: Option<Time>,
    /// It did not happen before this.
    pub not_before: Option<Time>,
    pub received_at: Time,
    /// Known to be old: a body without its time of arrival.
    pub replay: bool,
}

fn fresh(at: Time, received_at: Time) -> bool {
    (-AHEAD..=BEHIND).contains(&(received_at.0 - at.0))
}

impl Clues {
    fn floor(&self) -> Option<Time> {
        self.newest.map(|newest| newest.min(self.received_at))
    }
}

impl Feed {
    /// Dates a fact that comes next in this feed.
    pub fn date(&self, clues: &Clues) -> Dated {
        if let Some(told) = clues.told {
            return Dated { occurred_at: told, from: TimeSource::Told, floor: None };
        }
        let live = match self.told {
            Some((at, received_at)) => fresh(at, received_at),
            None => clues.newest.is_none_or(|newest| fresh(newest, clues.received_at)),
        };
        if live && !clues.replay {
            let arrived = clues.received_at.second();
            let occurred_at = clues.not_before.map_or(arrived, |not_before| arrived.max(not_before));
            return Dated { occurred_at, from: TimeSource::Arrival, floor: None };
        }
        let floor = clues.floor();
        let clock = self.clock.max(floor);
        Dated {
            occurred_at: clock.unwrap_or(clues.received_at),
            from: TimeSource::Feed,
            floor: clock.map(|_| floor.unwrap_or_default()),
        }
    }

    /// Takes note of a fact that was appended.
    pub fn show(&mut self, clues: &Clues) {
        let told = clues.told.filter(|told| told.0 - clues.received_at.0 <= AHEAD);
        if let Some(told) = told.filter(|told| self.told.is_none_or(|(newest, _)| *told > newest)) {
            self.told = Some((told, clues.received_at));
        }
        self.clock = self.clock.max(told).max(clues.floor());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: i64 = 1_767_614_400_000;

    fn clues(told: Option<i64>, newest: Option<i64>, received_at: i64) -> Clues {
        Clues {
            told: told.map(Time),
            newest: newest.map(Time),
            not_before: None,
            received_at: Time(received_at),
            replay: false,
        }
    }

    fn after(told: i64, received_at: i64) -> Feed {
        let mut feed = Feed::default();
        feed.show(&clues(Some(told), None, received_at));
        feed
    }

    #[test]
    fn an_untimed_fact_of_a_live_feed_happened_when_it_arrived() {
        let feed = after(NOON - 60_000, NOON - 59_000);
        let dated = feed.date(&clues(None, None, NOON + 1_234));
        assert_eq!((dated.occurred_at, dated.from), (Time(NOON + 1_000), TimeSource::Arrival));
        let created = Clues { not_before: Some(Time(NOON + 5_000)), ..clues(None, None, NOON) };
        assert_eq!(feed.date(&created).occurred_at, Time(NOON + 5_000), "not before the group was made");
    }

    #[test]
    fn an_untimed_fact_of_a_replay_is_dated_by_the_feed() {
        let feed = after(NOON - 86_400_000, NOON);
        let dated = feed.date(&clues(None, None, NOON + 10));
        assert_eq!(dated, Dated { occurred_at: Time(NOON - 86_400_000), from: TimeSource::Feed, floor: Some(Time(0)) });
        let later = feed.date(&clues(None, Some(NOON - 80_000_000), NOON + 10));
        assert_eq!(
            (later.occurred_at, later.floor),
            (Time(NOON - 80_000_000), Some(Time(NOON - 80_000_000))),
            "its own floor included"
        );
    }

    #[test]
    fn five_minutes_behind_is_live_and_a_time_far_ahead_does_not_count() {
        assert_eq!(after(NOON - BEHIND, NOON).date(&clues(None, None, NOON)).from, TimeSource::Arrival);
        assert_eq!(after(NOON - BEHIND - 1, NOON).date(&clues(None, None, NOON)).from, TimeSource::Feed);
        assert_eq!(after(NOON + AHEAD + 1, NOON).told, None);
    }

    #[test]
    fn with_nothing_told_the_payload_itself_shows_how_old_it_is() {
        let feed = Feed::default();
        assert_eq!(feed.date(&clues(None, None, NOON)).from, TimeSource::Arrival);
        assert_eq!(feed.date(&clues(None, Some(NOON - 1_000), NOON)).from, TimeSource::Arrival);
        assert_eq!(feed.date(&clues(None, Some(NOON - 1_000_000), NOON)).from, TimeSource::Feed);
        let bare = Clues { replay: true, ..clues(None, None, NOON) };
        assert_eq!(feed.date(&bare), Dated { occurred_at: Time(NOON), from: TimeSource::Feed, floor: None });
    }
}
