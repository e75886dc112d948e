//! The days, weeks and months of a time zone.

use crate::ids::Time;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, ToSpan};

/// Longest span that is told day by day, in milliseconds: 92 days, and the hour that a change of the clocks adds.
const LONGEST: i64 = (92 * 24 + 1) * 60 * 60 * 1000;
/// How many weeks or months are told of a span.
const MOST: usize = 92;

/// A day, week or month, or the part of it that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Day {
    /// The day, or the first one of the week or month, such as `2026-01-05`.
    pub date: String,
    /// Its first instant that was asked for.
    pub start: Time,
}

/// What a span is told by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Day,
    /// From Monday on, as ISO 8601 has it.
    Week,
    Month,
}

impl Step {
    /// The first day of the one that holds this day.
    fn first(self, day: Date) -> Date {
        match self {
            Self::Day => day,
            Self::Week => day.saturating_sub(i64::from(day.weekday().to_monday_zero_offset()).days()),
            Self::Month => day.first_of_month(),
        }
    }

    fn length(self) -> Span {
        match self {
            Self::Day => 1.day(),
            Self::Week => 1.week(),
            Self::Month => 1.month(),
        }
    }
}

/// Why there are no days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoDays {
    /// No such time zone.
    Zone,
    /// Its end is not behind its start, or too far.
    Span,
}

/// The days from an instant to before another, first to last; the first one begins where the span does.
pub fn days(from: Time, until: Time, zone: &str) -> Result<Vec<Day>, NoDays> {
    periods(from, until, zone, Step::Day)
}

/// The same by another step: at most 92.
pub fn periods(from: Time, until: Time, zone: &str, step: Step) -> Result<Vec<Day>, NoDays> {
    let zone = TimeZone::get(zone).map_err(|_| NoDays::Zone)?;
    if until <= from || (step == Step::Day && until.0.saturating_sub(from.0) > LONGEST) {
        return Err(NoDays::Span);
    }
    let timestamp = jiff::Timestamp::from_millisecond(from.0).map_err(|_| NoDays::Span)?;
    let mut date = step.first(timestamp.to_zoned_datetime(zone.clone()).date());
    let mut all = vec![Day { date: date.to_string(), start: from }];
    loop {
        date = date.checked_add(step.length()).map_err(|_| NoDays::Span)?;
        let midnight =
            date.to_zoned_datetime(zone.clone()).and_then(|day| day.start_of_day()).map_err(|_| NoDays::Span)?;
        let start = Time(midnight.timestamp().as_millisecond());
        if start >= until {
            return Ok(all);
        }
        if step != Step::Day && all.len() == MOST {
            return Err(NoDays::Span);
        }
        all.push(Day { date: date.to_string(), start });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(from: &str, until: &str, zone: &str) -> Vec<String> {
        let time = |text| Time::parse(text).unwrap();
        let days = days(time(from), time(until), zone).unwrap();
        days.into_iter().map(|day| format!("{} {}", day.date, day.start.rfc3339())).collect()
    }

    #[test]
    fn days_begin_at_midnight_of_their_zone() {
        assert_eq!(
            told("2026-03-28T12:00:00Z", "2026-03-30T00:00:00Z", "Europe/Berlin"),
            ["2026-03-28 2026-03-28T12:00:00Z", "2026-03-29 2026-03-28T23:00:00Z", "2026-03-30 2026-03-29T22:00:00Z"],
            "the clocks change on the 29th"
        );
        assert_eq!(
            told("2026-01-05T00:00:00Z", "2026-01-07T00:00:00Z", "UTC"),
            ["2026-01-05 2026-01-05T00:00:00Z", "2026-01-06 2026-01-06T00:00:00Z"]
        );
    }

    #[test]
    fn a_quarter_is_told_and_no_more() {
        let day = 24 * 60 * 60 * 1000;
        assert_eq!(days(Time(0), Time(92 * day), "UTC").map(|days| days.len()), Ok(92));
        assert_eq!(days(Time(0), Time(93 * day), "UTC"), Err(NoDays::Span));
        assert_eq!(days(Time(5), Time(5), "UTC"), Err(NoDays::Span));
        assert_eq!(days(Time(i64::MIN), Time(i64::MAX), "UTC"), Err(NoDays::Span));
        assert_eq!(days(Time(0), Time(day), "Mars/Crater"), Err(NoDays::Zone));
    }

    #[test]
    fn weeks_begin_on_monday_and_months_on_the_first() {
        let told = |from: &str, until: &str, step| {
            let (from, until) = (Time::parse(from).unwrap(), Time::parse(until).unwrap());
            let all = periods(from, until, "Europe/Berlin", step).unwrap();
            all.into_iter().map(|it| format!("{} {}", it.date, it.start.rfc3339())).collect::<Vec<_>>()
        };
        assert_eq!(
            told("2026-01-01T12:00:00Z", "2026-01-11T23:00:00Z", Step::Week),
            ["2025-12-29 2026-01-01T12:00:00Z", "2026-01-05 2026-01-04T23:00:00Z"]
        );
        assert_eq!(
            told("2026-02-28T23:00:00Z", "2026-05-01T00:00:00Z", Step::Month),
            ["2026-03-01 2026-02-28T23:00:00Z", "2026-04-01 2026-03-31T22:00:00Z", "2026-05-01 2026-04-30T22:00:00Z"],
            "the clocks change in March"
        );
        let year = 365 * 24 * 60 * 60 * 1000;
        assert_eq!(periods(Time(0), Time(2 * year), "UTC", Step::Month).map(|all| all.len()), Ok(24));
        assert_eq!(periods(Time(0), Time(2 * year), "UTC", Step::Week), Err(NoDays::Span));
        assert_eq!(periods(Time(0), Time(8 * year), "UTC", Step::Month), Err(NoDays::Span));
    }
}
