//! Times in the past, as people name them.

use crate::ids::Time;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// Reads `2d`, `12h` or `30m` (so long ago), `today` and `yesterday` (the beginning of that day, UTC), a day, or an RFC 3339
/// time.
pub(super) fn parse(text: &str, now: Time) -> Result<Time, String> {
    let today = Time(now.0 - now.0.rem_euclid(DAY));
    let ago = |unit: char, length: i64| {
        let count: i64 =
            text.strip_suffix(unit).filter(|it| it.bytes().all(|byte| byte.is_ascii_digit()))?.parse().ok()?;
        Some(Time(now.0.saturating_sub(count.checked_mul(length)?)))
    };
    let named = match text {
        "today" => Some(today),
        "yesterday" => Some(Time(today.0 - DAY)),
        _ => ago('d', DAY).or_else(|| ago('h', HOUR)).or_else(|| ago('m', MINUTE)),
    };
    named.or_else(|| Time::parse(text)).or_else(|| Time::parse(&format!("{text}T00:00:00Z"))).ok_or_else(|| {
        "expected 2d, 12h, 30m, today, yesterday, a day (2026-01-05) or a time (2026-01-05T08:00:00Z)".into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_so_long_ago_a_day_or_a_moment() {
        let now = Time::parse("2026-01-05T08:30:00Z").unwrap();
        let read = |text| parse(text, now).map(Time::rfc3339);
        for (text, time) in [
            ("2d", "2026-01-03T08:30:00Z"),
            ("12h", "2026-01-04T20:30:00Z"),
            ("30m", "2026-01-05T08:00:00Z"),
            ("today", "2026-01-05T00:00:00Z"),
            ("yesterday", "2026-01-04T00:00:00Z"),
            ("2026-01-02", "2026-01-02T00:00:00Z"),
            ("2026-01-05T09:00:00+01:00", "2026-01-05T08:00:00Z"),
        ] {
            assert_eq!(read(text), Ok(time.into()), "{text}");
        }
        for wrong in ["", "d", "2", "-1d", "1.5h", "tomorrow", "2026-13-01", "99999999999999999d"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
