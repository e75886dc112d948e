//! Stays over time as bars and marks, in per cent of the width they are drawn in.

use super::zone::Zone;
use crate::ids::Time;

/// The time that is drawn.
#[derive(Debug, Clone, Copy)]
pub struct Bars {
    pub start: Time,
    pub end: Time,
}

/// Parts that an axis has.
const PARTS: i64 = 4;
/// A longer time, in milliseconds, is told by its days alone.
const DAYS: i64 = 4 * 24 * 60 * 60 * 1000;

/// A place of an axis, and its text.
#[derive(Debug, Clone, PartialEq)]
pub struct Tick {
    pub left: f64,
    /// How the text lies to its place.
    pub anchor: &'static str,
    pub text: String,
}

/// A stay.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    pub left: f64,
    pub width: f64,
    pub class: String,
    pub title: String,
}

/// An instant.
#[derive(Debug, Clone, PartialEq)]
pub struct Mark {
    pub left: f64,
    pub class: String,
    pub title: String,
    /// Where it leads to.
    pub href: Option<String>,
}

impl Bars {
    /// Where an instant lies; what is outside lies at the edge.
    pub fn at(&self, time: Time) -> f64 {
        let length = (self.end.0 - self.start.0).max(1) as f64;
        let at = (time.0 - self.start.0) as f64 / length * 100.0;
        (at.clamp(0.0, 100.0) * 1000.0).round() / 1000.0
    }

    /// The axis, in a zone.
    pub fn ticks(&self, zone: &Zone) -> Vec<Tick> {
        let length = self.end.0 - self.start.0;
        // `2026-01-09`, `2026-01-09 13:35` where days are long, `2026-01-09 13:35:07` where minutes are.
        let letters = if length > DAYS {
            10
        } else if length >= PARTS * 60_000 {
            16
        } else {
            19
        };
        let tick = |part: i64| Tick {
            left: part as f64 * 100.0 / PARTS as f64,
            anchor: if part == 0 {
                "start"
            } else if part == PARTS {
                "end"
            } else {
                "middle"
            },
            text: zone.words(&Time(self.start.0 + length / PARTS * part).rfc3339()).chars().take(letters).collect(),
        };
        (0..=PARTS).map(tick).collect()
    }

    /// A stay; one without a beginning begins with the drawing, one without an end lasts.
    pub fn span(&self, from: Option<&str>, until: Option<&str>, class: String, title: String) -> Span {
        let time = |told: Option<&str>, or: Time| self.at(told.and_then(Time::parse).unwrap_or(or));
        let (left, right) = (time(from, self.start), time(until, self.end));
        // A stay of a moment is seen, too.
        Span { left, width: (right - left).max(0.2), class, title }
    }

    pub fn mark(&self, at: &str, class: String, title: String, href: Option<String>) -> Mark {
        Mark { left: self.at(Time::parse(at).unwrap_or(self.start)), class, title, href }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stay_lies_where_it_was() {
        let time = |text: &str| Time::parse(text).unwrap();
        let bars = Bars { start: time("2026-01-01T00:00:00Z"), end: time("2026-01-11T00:00:00Z") };
        let span = |from, until| {
            let span = bars.span(from, until, String::new(), String::new());
            (span.left, span.width)
        };
        assert_eq!(span(Some("2026-01-02T00:00:00Z"), Some("2026-01-04T00:00:00Z")), (10.0, 20.0));
        assert_eq!(span(None, Some("2026-01-04T00:00:00Z")), (0.0, 30.0));
        assert_eq!(span(Some("2026-01-06T00:00:00Z"), None), (50.0, 50.0));
        assert_eq!(span(Some("2026-01-06T00:00:00Z"), Some("2026-01-06T00:00:00Z")), (50.0, 0.2));
        assert_eq!(bars.at(time("2027-01-01T00:00:00Z")), 100.0);
    }

    #[test]
    fn an_axis_tells_its_dates_in_the_zone() {
        let time = |text: &str| Time::parse(text).unwrap();
        let texts = |end: &str| {
            let bars = Bars { start: time("2026-01-01T00:00:00Z"), end: time(end) };
            let zone = Zone::named("America/New_York").unwrap();
            bars.ticks(&zone).into_iter().map(|tick| tick.text).collect::<Vec<_>>()
        };
        let days = ["2025-12-31", "2026-01-02", "2026-01-04", "2026-01-06", "2026-01-08"];
        assert_eq!(texts("2026-01-09T00:00:00Z"), days);
        assert_eq!(texts("2026-01-02T00:00:00Z")[1], "2026-01-01 01:00");
        assert_eq!(texts("2026-01-01T00:01:00Z")[1], "2025-12-31 19:00:15", "each place of the axis has its own text");
    }
}
