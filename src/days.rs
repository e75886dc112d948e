//! The days of a time zone.

use crate::ids::Time;
use jiff::tz::TimeZone;

/// Longest span that is told day by day, in milliseconds: 92 days, and the hour that a change of the clocks adds.
const LONGEST: i64 = (92 * 24 + 1) * 60 * 60 * 1000;

/// A day, or the part of it that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Day {
    /// Such as `2026-01-05`.
    pub date: String,
    /// Its first instant.
    pub start: Time,
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
    let zone = TimeZone::get(zone).map_err(|_| NoDays::Zone)?;
    if until <= from || until.0.saturating_sub(from.0) > LONGEST {
        return Err(NoDays::Span);
    }
    let timestamp = jiff::Timestamp::from_millisecond(from.0).map_err(|_| NoDays::Span)?;
    let mut day = timestamp.to_zoned_datetime(zone);
    let mut days = vec![Day { date: day.date().to_string(), start: from }];
    loop {
        day = day.tomorrow().and_then(|day| day.start_of_day()).map_err(|_| NoDays::Span)?;
        let start = Time(day.timestamp().as_millisecond());
        if start >= until {
            return Ok(days);
        }
        days.push(Day { date: day.date().to_string(), start });
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
}
