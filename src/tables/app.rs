//! An app: its region, and counts and times of its events.

use crate::ids::TimeSource;
use crate::merge::Fact;

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
