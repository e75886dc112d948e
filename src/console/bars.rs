//! Stays over time as bars and marks, in per cent of the width they are drawn in.

use crate::ids::Time;

/// The time that is drawn.
#[derive(Debug, Clone, Copy)]
pub struct Bars {
    pub start: Time,
    pub end: Time,
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
}
