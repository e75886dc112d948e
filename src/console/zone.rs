//! The time zone of a page. Every time is shown in it, and its name is shown beside.

use super::view::{self, Html};
use crate::ids::Time;
use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::{AmbiguousOffset, TimeZone};
use std::iter::successors;

/// A time zone of the IANA database; UTC unless the reader chose another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone(TimeZone);

impl Default for Zone {
    fn default() -> Self {
        Self(TimeZone::UTC)
    }
}

impl Zone {
    /// The zone of an IANA name.
    pub fn named(name: &str) -> Option<Self> {
        TimeZone::get(name).ok().map(Self)
    }

    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    pub fn is_utc(&self) -> bool {
        self.0 == TimeZone::UTC
    }

    /// `2026-01-09 13:35:00 EST`, of an RFC 3339 time.
    pub fn words(&self, at: &str) -> String {
        self.parts(at).map_or_else(|| at.to_owned(), |(civil, short)| format!("{civil} {short}"))
    }

    /// The same for a page: the exact UTC in its title.
    pub fn time(&self, at: &str) -> Html {
        let exact = view::escape(at);
        Html(match self.parts(at) {
            Some((civil, short)) => {
                format!("<time datetime=\"{exact}\" title=\"{exact}\">{civil} <small>{short}</small></time>")
            }
            None => format!("<time>{exact}</time>"),
        })
    }

    /// The day that holds an instant: `2026-01-09`, and `Friday, 9 January 2026`.
    pub fn day(&self, at: &str) -> Option<(String, String)> {
        let date = self.civil(Time::parse(at)?).date();
        Some((date.to_string(), date.strftime("%A, %-d %B %Y").to_string()))
    }

    /// The days before the day that holds an instant, newest first: `2026-01-06`, and `Tue 6 Jan`.
    pub fn days_before(&self, at: Time, count: usize) -> Vec<(String, String)> {
        let before = |date: &Date| date.yesterday().ok();
        let days = successors(before(&self.civil(at).date()), before).take(count);
        days.map(|date| (date.to_string(), date.strftime("%a %-d %b").to_string())).collect()
    }

    /// An instant as a form's field of date and time takes it.
    pub fn field(&self, at: Time) -> String {
        self.civil(at).to_string()
    }

    /// What a form's field says, in this zone. A day begins at midnight. Where clocks go back, an hour comes twice:
    /// `later` means the second one. Where they go forward, an hour is left out: the clock went on by then.
    pub fn instant(&self, field: &str, later: bool) -> Option<Time> {
        let civil = field.parse::<DateTime>().ok()?;
        let ambiguous = self.0.to_ambiguous_timestamp(civil);
        let is_twice = matches!(ambiguous.offset(), AmbiguousOffset::Fold { .. });
        let at = if later && is_twice { ambiguous.later() } else { ambiguous.compatible() };
        Some(Time(at.ok()?.as_millisecond()))
    }

    /// The two names of the hour that holds an instant, and whether the instant is in the second one. `None`: the hour
    /// comes once.
    pub fn twice(&self, at: Time) -> Option<([String; 2], bool)> {
        let both = self.0.to_ambiguous_timestamp(self.civil(at));
        let AmbiguousOffset::Fold { .. } = both.offset() else { return None };
        let (first, second) = (both.earlier().ok()?, both.later().ok()?);
        Some(([self.short(first), self.short(second)], at.0 >= second.as_millisecond()))
    }

    fn parts(&self, at: &str) -> Option<(String, String)> {
        let time = Time::parse(at)?;
        // Facts that the vendor dates have whole seconds.
        let pattern = if time.0 % 1_000 == 0 { "%F %T" } else { "%F %T%.3f" };
        Some((self.civil(time).strftime(pattern).to_string(), self.short(timestamp(time))))
    }

    fn civil(&self, at: Time) -> DateTime {
        self.0.to_datetime(timestamp(at))
    }

    /// `EST`; `+05:30` where a zone has no letters.
    fn short(&self, at: Timestamp) -> String {
        let short = self.0.to_offset_info(at).abbreviation().to_owned();
        if short.starts_with(['+', '-']) { format!("UTC{short}") } else { short }
    }
}

fn timestamp(at: Time) -> Timestamp {
    Timestamp::from_millisecond(at.0.clamp(0, Time::MAX.0)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new_york() -> Zone {
        Zone::named("America/New_York").unwrap()
    }

    fn time(text: &str) -> Time {
        Time::parse(text).unwrap()
    }

    #[test]
    fn a_time_is_told_with_its_zone_and_its_exact_utc() {
        assert_eq!(Zone::default().words("2026-01-09T18:35:00Z"), "2026-01-09 18:35:00 UTC");
        assert_eq!(new_york().words("2026-01-09T18:35:00.25Z"), "2026-01-09 13:35:00.250 EST");
        assert_eq!(
            Zone::named("Asia/Kathmandu").unwrap().words("2026-01-09T18:35:00Z"),
            "2026-01-10 00:20:00 UTC+0545"
        );
        let html = new_york().time("2026-07-09T18:35:00Z").0;
        assert!(html.contains("title=\"2026-07-09T18:35:00Z\">2026-07-09 14:35:00 <small>EDT</small>"), "{html}");
        assert_eq!(new_york().day("2026-01-10T04:59:59Z").unwrap().1, "Friday, 9 January 2026");
        assert_eq!(new_york().time("<b>").0, "<time>&lt;b&gt;</time>");
        assert!(Zone::named("Mars/Crater").is_none());
    }

    #[test]
    fn on_a_day_of_25_hours_each_instant_has_its_own_field() {
        let zone = new_york();
        let mut told = std::collections::BTreeSet::new();
        // From midnight of 1 November 2026 to the next, minute by minute.
        let (start, end) = (time("2026-11-01T04:00:00Z").0, time("2026-11-02T05:00:00Z").0);
        for at in (start..end).step_by(60_000).map(Time) {
            let later = zone.twice(at).is_some_and(|(_, later)| later);
            assert_eq!(zone.instant(&zone.field(at), later), Some(at), "{}", at.rfc3339());
            assert!(told.insert(zone.words(&at.rfc3339())), "{}", at.rfc3339());
            assert_eq!(zone.day(&at.rfc3339()).unwrap().0, "2026-11-01");
        }
        assert_eq!(told.len(), 25 * 60);
        let (names, later) = zone.twice(time("2026-11-01T06:30:00Z")).unwrap();
        assert_eq!((names, later), (["EDT".to_owned(), "EST".to_owned()], true));
    }

    #[test]
    fn the_days_before_are_those_of_the_zone() {
        let days = |zone: Zone| zone.days_before(time("2026-03-02T03:00:00Z"), 2);
        let named = |days: [(&str, &str); 2]| days.map(|(date, day)| (date.to_owned(), day.to_owned())).to_vec();
        assert_eq!(days(Zone::default()), named([("2026-03-01", "Sun 1 Mar"), ("2026-02-28", "Sat 28 Feb")]));
        assert_eq!(days(new_york()), named([("2026-02-28", "Sat 28 Feb"), ("2026-02-27", "Fri 27 Feb")]));
    }

    #[test]
    fn an_hour_that_is_left_out_is_read_as_the_clock_goes_on() {
        assert_eq!(new_york().instant("2026-03-08T02:30", false), Some(time("2026-03-08T07:30:00Z")));
        assert_eq!(
            new_york().instant("2026-03-08", false),
            Some(time("2026-03-08T05:00:00Z")),
            "a day is its midnight"
        );
    }
}
