//! Whether a group's number of members differs from what CometChat says (contract 4.3): pure functions.
//!
//! Deliveries that describe a group carry `membersCount`. The newest of these numbers belongs to a time. It is compared
//! with the members at that time, not with those of now.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Other facts about members this close to a reported number may be in it or not: arrivals are late, times are in
/// seconds, and a number may have been read before the change that it comes with.
pub const NEAR: i64 = 60_000;

/// A number of members that CometChat told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    pub count: i64,
    /// The time that the number belongs to.
    pub at: i64,
    /// Log position of the event that told it.
    pub seq: i64,
}

/// A difference between two counts of members.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Drift {
    /// What CometChat says.
    pub expected: i64,
    /// What the events come to.
    pub counted: i64,
    /// When the counts began to differ.
    pub since: i64,
}

/// What is kept of a group to find drift.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tally {
    /// The newest order time of a fact about members.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heard_at: Option<i64>,
    /// Members at the time of the newest report. `None`: not counted, because a complete list is newer than the report.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub then: Option<i64>,
    /// Time of the report with which the counts began to differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unlisted: Option<Unlisted>,
}

/// Joins that contradict the newest list read from CometChat: they are older than the list and arrived after it, and the
/// list does not name the person. The list counts, and has to be read again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unlisted {
    /// Time of the list.
    pub list: i64,
    /// Time of the join by uid.
    pub joins: BTreeMap<String, i64>,
}

impl Tally {
    /// Compares the report with the members at its time. `near` tells whether at least so many other facts about members
    /// are near the report.
    pub fn compare<E>(
        &mut self,
        report: Report,
        then: i64,
        near: impl FnOnce(i64) -> Result<bool, E>,
    ) -> Result<(), E> {
        let difference = report.count.abs_diff(then).cast_signed();
        let differs = difference > 0 && !near(difference)?;
        self.then = Some(then);
        self.since = differs.then(|| self.since.map_or(report.at, |since| since.min(report.at)));
        Ok(())
    }

    /// A complete list is newer than the report, or there is none: nothing can be compared.
    pub fn settle(&mut self) {
        (self.then, self.since) = (None, None);
    }

    /// Keeps a join that the list of this time contradicts.
    pub fn contradict(&mut self, list: i64, uid: &str, at: i64) {
        let unlisted = self.unlisted.get_or_insert_default();
        if unlisted.list != list {
            *unlisted = Unlisted { list, joins: BTreeMap::new() };
        }
        unlisted.joins.insert(uid.to_owned(), at);
    }

    /// Forgets the joins that an older list contradicted, and that of a person of whom newer facts are known.
    pub fn agree(&mut self, list: Option<i64>, uid: Option<&str>) {
        if let Some(unlisted) = &mut self.unlisted {
            unlisted.joins.retain(|joined, _| Some(joined.as_str()) != uid);
        }
        self.unlisted.take_if(|unlisted| unlisted.joins.is_empty() || list != Some(unlisted.list));
    }

    /// The difference, if there is one. `members`: the members now.
    pub fn drift(&self, report: Option<Report>, members: i64) -> Option<Drift> {
        if let (Some(report), Some(counted), Some(since)) = (report, self.then, self.since) {
            return Some(Drift { expected: report.count, counted, since });
        }
        let joins = &self.unlisted.as_ref()?.joins;
        let since = joins.values().min().copied()?;
        Some(Drift { expected: members + joins.len() as i64, counted: members, since })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    fn report(count: i64, at: i64) -> Report {
        Report { count, at, seq: 1 }
    }

    fn compare(tally: &mut Tally, report: Report, then: i64, near: i64) -> Option<i64> {
        tally.compare(report, then, |wanted| Ok::<_, Infallible>(near >= wanted)).unwrap();
        tally.drift(Some(report), then).map(|drift| drift.since)
    }

    #[test]
    fn drift_begins_with_the_first_report_that_differs_and_ends_with_one_that_agrees() {
        let mut tally = Tally::default();
        assert_eq!(compare(&mut tally, report(3, 10), 3, 0), None);
        assert_eq!(compare(&mut tally, report(3, 20), 4, 0), Some(20));
        assert_eq!(compare(&mut tally, report(2, 30), 4, 0), Some(20), "it began before");
        assert_eq!(compare(&mut tally, report(4, 40), 4, 0), None);
        assert_eq!(compare(&mut tally, report(5, 50), 4, 0), Some(50));
    }

    #[test]
    fn a_difference_within_the_changes_near_the_report_is_no_drift() {
        let mut tally = Tally::default();
        assert_eq!(compare(&mut tally, report(3, 10), 5, 2), None);
        assert_eq!(compare(&mut tally, report(3, 10), 6, 2), Some(10));
    }

    #[test]
    fn a_contradicted_join_counts_until_another_list_or_news_of_the_person() {
        let mut tally = Tally::default();
        tally.contradict(100, "ann", 90);
        tally.contradict(100, "bob", 80);
        let drift = Drift { expected: 7, counted: 5, since: 80 };
        assert_eq!(tally.drift(None, 5), Some(drift));
        tally.agree(Some(100), Some("bob"));
        assert_eq!(tally.drift(None, 5), Some(Drift { expected: 6, since: 90, ..drift }));
        tally.agree(Some(200), None);
        assert_eq!(tally, Tally::default());
    }
}
