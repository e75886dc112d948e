//! What of an app went silent, from counts of its deliveries: triggers that stopped against their own rhythm, and those never heard of.

use crate::trigger::Meaning;
use crate::trigger::TRIGGERS;

/// Deliveries that would have come by now, by a trigger's own share, before its silence is told.
const MISSED: f64 = 8.0;
/// Hours without any delivery before an app's silence is told, and how often its usual gap they must be.
const SILENT_HOURS: u64 = 6;
const GAPS: f64 = 10.0;
/// Names that older apps send in place of today's.
pub const OLDER: [&str; 4] =
    ["after_message", "after_connection_status_changed", "user_connection_status_change", "group_member_removed"];

/// How many deliveries of a trigger would have come since its last one: its share of all deliveries, of those that came
/// since. So a night in which nobody writes is no silence. `None`: not so many that its silence says something.
pub fn missed(of_trigger: u64, of_all: u64, since: u64) -> Option<u64> {
    // Its own deliveries ended when the others went on: its share is that of the time before.
    let before = of_all.saturating_sub(since);
    let share = of_trigger as f64 / before.max(1) as f64;
    let missed = share * since as f64;
    (of_trigger > 1 && missed >= MISSED).then_some(missed as u64)
}

/// Whether it is unusual that nothing at all came for so many hours. The counts are those of the hours before.
pub fn is_silent(counts: &[u64], silent: u64) -> bool {
    let all: u64 = counts.iter().sum();
    let gap = counts.len() as f64 / all.max(1) as f64;
    all > 1 && silent >= SILENT_HOURS && silent as f64 > gap * GAPS
}

/// The triggers that fill tables and that no event of the app has.
pub fn unheard<'a>(heard: impl Fn(&str) -> bool + 'a) -> impl Iterator<Item = &'static str> + 'a {
    let projected =
        TRIGGERS.iter().filter(|(_, meaning)| matches!(meaning, Meaning::Projected(_))).map(|(name, _)| *name);
    projected.filter(move |name| !OLDER.contains(name) && !heard(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trigger_is_missed_by_its_share_of_what_came_since() {
        assert_eq!(missed(100, 300, 100), Some(50), "half of 200, of 100 more");
        assert_eq!(missed(100, 200, 0), None, "nothing came since: a quiet night");
        assert_eq!(missed(10, 1_000, 100), None, "one of a hundred");
        assert_eq!(missed(1, 101, 100), None, "one delivery is no rhythm");
    }

    #[test]
    fn an_app_is_silent_against_its_own_gaps() {
        assert!(is_silent(&[5; 48], 7));
        assert!(!is_silent(&[5; 48], 5), "a short night");
        assert!(is_silent(&[5; 48], 10_000), "a silence that lasts");
        let seldom: Vec<u64> = (0..48).map(|hour| u64::from(hour == 20 || hour == 47)).collect();
        assert!(!is_silent(&seldom, 60) && is_silent(&seldom, 300), "two in two days are missed after ten days");
        assert!(!is_silent(&[0; 48], 48));
    }

    #[test]
    fn only_what_fills_tables_is_missed() {
        let all: Vec<&str> = unheard(|_| false).collect();
        assert!(all.contains(&"message_sent") && !all.contains(&"before_message") && !all.contains(&"after_message"));
        assert_eq!(unheard(|_| true).count(), 0);
    }
}
