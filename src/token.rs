//! Access tokens: made here, shown once, kept as their hash.

use crate::ids::Time;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

/// What every token begins with, so that people and scanners recognise one.
const PREFIX: &str = "cf_";
const LONGEST_NAME: usize = 64;
const DAY: i64 = 24 * 60 * 60 * 1000;
/// A hundred years: more is "never", which is said by leaving it out.
const MOST_DAYS: i64 = 36_500;

/// A new token, of 256 random bits.
pub fn generate() -> anyhow::Result<String> {
    Ok(format!("{PREFIX}{}", random()?))
}

/// 256 random bits as text.
pub fn random() -> anyhow::Result<String> {
    let mut random = [0u8; 32];
    getrandom::fill(&mut random).map_err(|error| anyhow::anyhow!("the system gives no random bytes: {error}"))?;
    Ok(URL_SAFE_NO_PAD.encode(random))
}

/// What is kept of a token or a session. The text is random and long, so that nobody can search for it by its hash.
pub fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// Whether a token may be called so; says why not. Digits alone would be an id.
pub fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() || name.len() > LONGEST_NAME {
        return Err(format!("a token's name must have 1 to {LONGEST_NAME} bytes"));
    }
    if name.contains(char::is_control) {
        return Err("a token's name may contain no control characters".into());
    }
    if name.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("a token's name may not be a number: numbers are ids".into());
    }
    Ok(())
}

/// Reads `90d`, `12h`, a day (its beginning, UTC) or an RFC 3339 time; it must be in the future.
pub fn expiry(text: &str, now: Time) -> Result<Time, String> {
    let expected = "expected days or hours from now (90d, 12h), a day (2027-01-31) or a time (2027-01-31T08:00:00Z)";
    let count = |digits: &str, unit: i64| {
        let count: i64 = digits.parse().ok().filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
        count.checked_mul(unit).filter(|length| *length <= MOST_DAYS * DAY).map(|length| Time(now.0 + length))
    };
    let at = match (text.strip_suffix('d'), text.strip_suffix('h')) {
        (Some(days), _) => count(days, DAY),
        (_, Some(hours)) => count(hours, DAY / 24),
        _ => Time::parse(text).or_else(|| Time::parse(&format!("{text}T00:00:00Z"))),
    };
    match at {
        Some(at) if at > now => Ok(at),
        Some(_) => Err(format!("{text} is not in the future")),
        None => Err(expected.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_differ_and_are_long() {
        let (one, two) = (generate().unwrap(), generate().unwrap());
        assert!(one != two && one.starts_with(PREFIX) && one.len() == PREFIX.len() + 43);
        assert_ne!(hash(&one), hash(&two));
    }

    #[test]
    fn an_expiry_is_a_span_a_day_or_a_time_and_in_the_future() {
        let now = Time::parse("2026-01-05T08:00:00Z").unwrap();
        let read = |text| expiry(text, now).map(|at| at.rfc3339());
        assert_eq!(read("90d"), Ok("2026-04-05T08:00:00Z".into()));
        assert_eq!(read("12h"), Ok("2026-01-05T20:00:00Z".into()));
        assert_eq!(read("2026-02-01"), Ok("2026-02-01T00:00:00Z".into()));
        assert_eq!(read("2026-01-05T09:00:00+00:30"), Ok("2026-01-05T08:30:00Z".into()));
        for wrong in ["", "d", "0d", "-1d", "+1d", "90", "2026-01-05", "2025-01-01", "soon", "99999999999999999d"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_name_is_no_id() {
        for (name, good) in [("ci", true), ("7 dwarfs", true), ("", false), ("12", false), ("a\nb", false)] {
            assert_eq!(check_name(name).is_ok(), good, "{name:?}");
        }
    }
}
