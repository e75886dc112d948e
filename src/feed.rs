//! When a fact happened (contract 4.1). If the payload has a time, that time. Else the time of arrival, if the feed is
//! live. Else the clock of a feed that replays old deliveries.

use crate::ids::{Time, TimeSource};

/// A feed is live while its newest time in a payload is not older than this on arrival…
const BEHIND: i64 = 5 * 60_000;
/// …and not further in the future than this. Times further in the future do not count.
const AHEAD: i64 = 10 * 60_000;

/// How many lags of facts with a time are kept,
const LAGS: usize = 50;
/// how many facts must be heard before their lags say anything about the clocks,
const HEARD: usize = 20;
/// and which of the smallest lags stands for a delivery that came at once. Some payloads have a time later than the
/// fact, so it is not the very smallest.
const FASTEST: usize = 5;
/// A lag between these two is normal travel time, not a wrong clock…
const CLOCK_BEHIND: i64 = -1_000;
const CLOCK_AHEAD: i64 = 5_000;
/// …and a lag greater than this, either way, means a replay of old deliveries.
const DAY: i64 = 86_400_000;

/// What the deliveries of one app have shown so far, over HTTP or in one run of `ingest`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Feed {
    /// The newest time in a payload, and when its delivery arrived, by the vendor's clock.
    pub told: Option<(Time, Time)>,
    /// The newest time in a payload, or the newest floor.
    pub clock: Option<Time>,
    /// For the newest facts with a time, oldest first: the arrival by our clock, minus the time in the payload.
    pub lags: Vec<i64>,
}

/// What a file keeps of the deliveries of one app.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kept {
    pub feed: Feed,
    /// Log position of its newest event, also if that event was deleted since.
    pub newest_seq: i64,
}

/// The time of a fact, as the log keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dated {
    pub occurred_at: Time,
    pub from: TimeSource,
    /// For `arrival` facts: when the fact arrived, by the vendor's clock.
    pub arrived_at: Option<Time>,
    /// For `feed` facts: the newest time in the body (0: none). `None` while the feed has shown no time at all.
    pub floor: Option<Time>,
}

/// What a delivery says about time.
#[derive(Debug, Clone, Copy)]
pub struct Clues {
    pub told: Option<Time>,
    /// The newest timestamp of the entities in the delivery.
    pub newest: Option<Time>,
    /// The fact did not happen before this time.
    pub not_before: Option<Time>,
    pub received_at: Time,
    /// The delivery is known to be old: a body without its time of arrival.
    pub replay: bool,
}

/// Events of ours that tell a time of our clock. Our other events tell times of CometChat.
const OF_OUR_CLOCK: [&str; 2] = ["chatfold.retention", "chatfold.user_erased"];

/// Whether the time that an event in the log tells is CometChat's, and not far ahead of the arrival.
pub fn is_of_vendor(trigger: &str, told: Time, received_at: Time) -> bool {
    !OF_OUR_CLOCK.contains(&trigger) && !is_ahead(told, received_at)
}

fn is_ahead(told: Time, arrived_at: Time) -> bool {
    told.0.saturating_sub(arrived_at.0) > AHEAD
}

fn fresh(at: Time, arrived_at: Time) -> bool {
    (-AHEAD..=BEHIND).contains(&arrived_at.0.saturating_sub(at.0))
}

impl Clues {
    fn floor(&self, arrived_at: Time) -> Option<Time> {
        self.newest.map(|newest| newest.min(arrived_at))
    }
}

impl Feed {
    /// How many milliseconds our clock is ahead of the vendor's. 0 if the difference is too small to count.
    pub fn offset(&self) -> i64 {
        if self.lags.len() < HEARD {
            return 0;
        }
        let mut lags = self.lags.clone();
        let (_, lag, _) = lags.select_nth_unstable(FASTEST - 1);
        let usual = (CLOCK_BEHIND..=CLOCK_AHEAD).contains(lag);
        if usual || !(-DAY..=DAY).contains(lag) { 0 } else { *lag }
    }

    /// When a delivery arrived, by the vendor's clock. A body without its time of arrival says nothing about clocks.
    fn arrived_at(&self, clues: &Clues) -> Time {
        let offset = if clues.replay { 0 } else { self.offset() };
        Time(clues.received_at.0.saturating_sub(offset))
    }

    /// Dates the next fact of this feed.
    pub fn date(&self, clues: &Clues) -> Dated {
        if let Some(told) = clues.told {
            return Dated { occurred_at: told, from: TimeSource::Told, arrived_at: None, floor: None };
        }
        let arrived_at = self.arrived_at(clues);
        let live = match self.told {
            Some((at, arrived_at)) => fresh(at, arrived_at),
            None => clues.newest.is_none_or(|newest| fresh(newest, arrived_at)),
        };
        if live && !clues.replay {
            let second = arrived_at.second();
            let occurred_at = clues.not_before.map_or(second, |not_before| second.max(not_before));
            return Dated { occurred_at, from: TimeSource::Arrival, arrived_at: Some(arrived_at), floor: None };
        }
        let floor = clues.floor(arrived_at);
        let clock = self.clock.max(floor);
        Dated {
            occurred_at: clock.unwrap_or(arrived_at),
            from: TimeSource::Feed,
            arrived_at: None,
            floor: clock.map(|_| floor.unwrap_or_default()),
        }
    }

    /// Takes note of a fact that was appended.
    pub fn show(&mut self, clues: &Clues) {
        if let Some(told) = clues.told.filter(|_| !clues.replay) {
            self.lags.push(clues.received_at.0.saturating_sub(told.0));
            self.lags.drain(..self.lags.len().saturating_sub(LAGS));
        }
        let arrived_at = self.arrived_at(clues);
        let told = clues.told.filter(|told| !is_ahead(*told, arrived_at));
        if let Some(told) = told.filter(|told| self.told.is_none_or(|(newest, _)| *told > newest)) {
            self.told = Some((told, arrived_at));
        }
        self.clock = self.clock.max(told).max(clues.floor(arrived_at));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: i64 = 1_767_614_400_000;

    #[test]
    fn our_clock_and_times_far_ahead_of_their_arrival_do_not_count() {
        assert_eq!(OF_OUR_CLOCK, [crate::retention::TRIGGER, crate::erase::TRIGGER]);
        for (trigger, ahead, counts) in [
            ("message_sent", AHEAD, true),
            ("message_sent", AHEAD + 1, false),
            ("chatfold.user_snapshot", 0, true),
            ("chatfold.kept", -1_000, true),
            ("chatfold.retention", 0, false),
            ("chatfold.user_erased", 0, false),
        ] {
            assert_eq!(is_of_vendor(trigger, Time(NOON + ahead), Time(NOON)), counts, "{trigger} {ahead}");
        }
    }

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
        let (occurred_at, from) = (Time(NOON - 86_400_000), TimeSource::Feed);
        assert_eq!(dated, Dated { occurred_at, from, arrived_at: None, floor: Some(Time(0)) });
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
        let (occurred_at, from) = (Time(NOON), TimeSource::Feed);
        assert_eq!(feed.date(&bare), Dated { occurred_at, from, arrived_at: None, floor: None });
    }

    /// A feed of this many facts with a time, one second apart, all with the same lag.
    fn late(facts: i64, lag: i64) -> Feed {
        let mut feed = Feed::default();
        for n in 0..facts {
            let told = NOON + n * 1_000;
            feed.show(&clues(Some(told), None, told + lag));
        }
        feed
    }

    #[test]
    fn the_fifth_smallest_lag_is_how_far_our_clock_is_off_once_twenty_were_heard() {
        assert_eq!(late(19, 300_000).offset(), 0);
        assert_eq!(late(20, 300_000).offset(), 300_000);
        assert_eq!(late(20, -3_600_000).offset(), -3_600_000);
        let mut feed = late(60, 300_000);
        assert_eq!(feed.lags.len(), 50);
        for lag in [7_000, 8_000, 9_000, 10_000] {
            feed.show(&clues(Some(NOON), None, NOON + lag));
            assert_eq!(feed.offset(), 300_000, "four fast ones may be times ahead of the fact");
        }
        feed.show(&clues(Some(NOON), None, NOON + 11_000));
        assert_eq!(feed.offset(), 11_000);
    }

    #[test]
    fn usual_delays_and_replays_are_no_wrong_clock() {
        for (lag, offset) in [
            (CLOCK_BEHIND, 0),
            (CLOCK_BEHIND - 1, CLOCK_BEHIND - 1),
            (CLOCK_AHEAD, 0),
            (CLOCK_AHEAD + 1, CLOCK_AHEAD + 1),
            (DAY, DAY),
            (DAY + 1, 0),
            (-DAY, -DAY),
            (-DAY - 1, 0),
        ] {
            assert_eq!(late(30, lag).offset(), offset, "{lag}");
        }
    }

    #[test]
    fn an_untimed_fact_is_dated_by_the_vendors_clock_however_wrong_ours_is() {
        for lag in [3_600_000, 300_000, -3_600_000] {
            let feed = late(20, lag);
            let now = NOON + 21_234;
            let dated = feed.date(&clues(None, Some(now - 500), now + lag));
            assert_eq!(dated.from, TimeSource::Arrival, "{lag}: the feed is live");
            assert_eq!((dated.occurred_at, dated.arrived_at), (Time(NOON + 21_000), Some(Time(now))), "{lag}");
        }
    }

    #[test]
    fn bodies_without_an_arrival_say_nothing_of_our_clock() {
        let mut feed = Feed::default();
        for n in 0..30 {
            feed.show(&Clues { replay: true, ..clues(Some(NOON + n * 1_000), None, NOON + 600_000) });
        }
        assert_eq!((feed.offset(), feed.clock), (0, Some(Time(NOON + 29_000))));
    }
}
