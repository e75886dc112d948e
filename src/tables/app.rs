//! An app: its region, and counts and times of its events.

use crate::ids::TimeSource;
use crate::merge::Fact;

/// The events without which the row of an app would say something else.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pillars {
    /// Log position of the first event.
    pub first: Option<i64>,
    /// Log position of an event that tells the region that is shown.
    pub region: Option<i64>,
    /// `first_seen_at` and `last_event_at` of the row.
    pub seen: Option<(i64, i64)>,
}

impl Pillars {
    pub fn has(&self, seq: i64, received_at: i64) -> bool {
        let is_seen = self.seen.is_some_and(|(first, last)| received_at == first || received_at == last);
        is_seen || [self.first, self.region].contains(&Some(seq))
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct App {
    /// The region of the newest event that has a region and a time.
    pub region: Option<String>,
    /// The time of that event. 0: no event had both.
    pub region_at: i64,
    pub first_seen_at: i64,
    pub last_event_at: i64,
    pub events_count: i64,
}

impl App {
    /// Counts an event. Of two regions, the one with the later time is shown; of equal times, the greater region. Only
    /// times in payloads count, because other times differ between servers.
    pub fn apply(&mut self, region: Option<&str>, fact: &Fact) {
        let received_at = fact.received_at.0;
        if let Some(region) = region {
            let at = if fact.occurred_from == TimeSource::Told { fact.occurred_at.0 } else { 0 };
            if self.region.as_deref().is_none_or(|known| (at, region) > (self.region_at, known)) {
                self.region = Some(region.to_owned());
            }
            self.region_at = self.region_at.max(at);
        }
        self.first_seen_at = if self.events_count == 0 { received_at } else { self.first_seen_at.min(received_at) };
        self.last_event_at = self.last_event_at.max(received_at);
        self.events_count += 1;
    }

    /// Counts an event no more, which a later one replaces.
    pub fn forget_event(&mut self) {
        self.events_count -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::fact;
    use super::*;
    use crate::ids::TimeSource::{Arrival, Told};

    #[test]
    fn the_region_told_last_is_shown_whatever_the_order_of_arrival() {
        let events = [(Some("eu"), 5, Told), (Some("us"), 9, Told), (Some("in"), 50, Arrival), (None, 60, Told)];
        let fold = |order: [usize; 4]| {
            let mut app = App::default();
            for (seq, place) in (1..).zip(order) {
                let (region, at, from) = events[place];
                app.apply(region, &fact(seq, at, from));
            }
            app
        };
        let app = fold([0, 1, 2, 3]);
        assert_eq!((app.region.as_deref(), app.region_at), (Some("us"), 9));
        assert_eq!((app.first_seen_at, app.last_event_at, app.events_count), (5, 60, 4));
        assert_eq!(fold([3, 2, 1, 0]), app);
        assert_eq!(fold([2, 1, 3, 0]), app);
    }

    #[test]
    fn of_two_regions_of_one_time_the_greater_is_shown() {
        for regions in [["eu", "us"], ["us", "eu"]] {
            let mut app = App::default();
            regions.iter().for_each(|region| app.apply(Some(region), &fact(1, 5, Told)));
            assert_eq!(app.region.as_deref(), Some("us"));
        }
    }

    #[test]
    fn the_first_event_and_those_that_give_the_row_its_region_or_times_are_pillars() {
        let pillars = Pillars { first: Some(1), region: Some(7), seen: Some((100, 900)) };
        for (seq, received_at) in [(1, 500), (7, 500), (5, 100), (5, 900)] {
            assert!(pillars.has(seq, received_at), "{seq} {received_at}");
        }
        assert!(!pillars.has(5, 500));
        assert!(!Pillars::default().has(5, 500));
    }
}
