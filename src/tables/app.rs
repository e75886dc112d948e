//! An app: its region, and what was heard of it.

use crate::ids::TimeSource;
use crate::merge::Fact;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct App {
    /// Of the newest event that tells a region and when it happened.
    pub region: Option<String>,
    /// When that was; 0: no event told both.
    pub region_at: i64,
    pub first_seen_at: i64,
    pub last_event_at: i64,
    pub events_count: i64,
}

impl App {
    /// Counts an event. Of two regions the one told at the later time is shown; of one time, the greater. Times that were
    /// not told differ between servers and do not count.
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
}
