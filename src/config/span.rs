//! Spans of time, as people write them: `30m`, `6h`, `1d`.

use std::time::Duration;

const LEAST: u64 = 60;
const MOST: u64 = 366 * 24 * 3_600;

/// One minute to 366 days.
pub fn parse(text: &str) -> Result<Duration, String> {
    let of = |unit: char, seconds: u64| {
        let digits = text.strip_suffix(unit).filter(|it| it.bytes().all(|byte| byte.is_ascii_digit()))?;
        digits.parse::<u64>().ok()?.checked_mul(seconds)
    };
    let seconds = of('m', 60).or_else(|| of('h', 3_600)).or_else(|| of('d', 24 * 3_600));
    let within = seconds.filter(|seconds| (LEAST..=MOST).contains(seconds));
    within.map(Duration::from_secs).ok_or_else(|| "expected 30m, 6h or 1d, from 1m to 366d".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minutes_hours_and_days_within_bounds() {
        for (text, minutes) in [("1m", 1), ("30m", 30), ("6h", 360), ("366d", 366 * 24 * 60)] {
            assert_eq!(parse(text), Ok(Duration::from_secs(minutes * 60)), "{text}");
        }
        for wrong in ["", "m", "0m", "6", "6 h", "-1h", "1.5h", "367d", "99999999999999999999d", "1s"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
