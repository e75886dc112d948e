//! Scalars.

use crate::ids::Time;
use async_graphql::{InputValueError, InputValueResult, Scalar, ScalarType, Value};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DateTime(pub Time);

/// A time in the format of RFC 3339, such as `2026-01-05T09:30:00Z`. Answers are in UTC, with a fraction only if the
/// source has one. Input may have any offset.
#[Scalar(name = "DateTime", specified_by_url = "https://www.rfc-editor.org/rfc/rfc3339")]
impl ScalarType for DateTime {
    fn parse(value: Value) -> InputValueResult<Self> {
        let Value::String(text) = &value else {
            return Err(InputValueError::expected_type(value));
        };
        Time::parse(text).filter(|_| is_rfc3339(text)).map(Self).ok_or_else(|| {
            InputValueError::custom(
                "expected a time such as 2026-01-05T09:30:00Z (RFC 3339, with an offset or Z, to the millisecond)",
            )
        })
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.rfc3339())
    }
}

/// The grammar of RFC 3339. Parsers of times accept more than it. Times finer than a millisecond are refused, because
/// all times here are in milliseconds, and a time cut off would answer another question.
fn is_rfc3339(text: &str) -> bool {
    let Some((seconds, rest)) = text.split_at_checked(19) else { return false };
    let shape = seconds.bytes().zip("0000-00-00T00:00:00".bytes()).all(|(byte, wanted)| match wanted {
        b'0' => byte.is_ascii_digit(),
        b'T' => matches!(byte, b'T' | b't' | b' '),
        _ => byte == wanted,
    });
    let (fraction, zone) = match rest.strip_prefix('.') {
        Some(rest) => rest.split_at(rest.find(|it: char| !it.is_ascii_digit()).unwrap_or(rest.len())),
        None => ("0", rest),
    };
    let zoned = match zone.as_bytes() {
        [b'Z' | b'z'] => true,
        [b'+' | b'-', hours @ .., b':', _, _] => hours.len() == 2,
        _ => false,
    };
    shape && !fraction.is_empty() && fraction.bytes().skip(3).all(|digit| digit == b'0') && zoned
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BigInt(pub i64);

/// A whole number of up to 64 bits. Answers give a string of digits. Input may be a string or a number.
#[Scalar(name = "BigInt")]
impl ScalarType for BigInt {
    fn parse(value: Value) -> InputValueResult<Self> {
        let number = match &value {
            Value::String(text) => text.parse().ok(),
            Value::Number(number) => number.as_i64(),
            _ => return Err(InputValueError::expected_type(value)),
        };
        number.map(Self).ok_or_else(|| InputValueError::custom("expected a whole number of up to 64 bits"))
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.to_string())
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Json(pub Value);

/// Any JSON value, as CometChat sent it.
#[Scalar(name = "JSON")]
impl ScalarType for Json {
    fn parse(value: Value) -> InputValueResult<Self> {
        Ok(Self(value))
    }

    fn to_value(&self) -> Value {
        self.0.clone()
    }
}

/// A count as GraphQL's `Int`.
pub fn int(count: i64) -> i32 {
    i32::try_from(count).unwrap_or(if count < 0 { i32::MIN } else { i32::MAX })
}

#[cfg(test)]
mod tests {
    use super::is_rfc3339;

    #[test]
    fn a_time_is_rfc_3339_to_the_millisecond() {
        for text in ["2026-01-05T09:30:00Z", "2026-01-05t09:30:00.250z", "2026-01-05 09:30:00.2500+02:00"] {
            assert!(is_rfc3339(text), "{text}");
        }
        for text in [
            "2026-01-05",
            "2026-01-05T09:30Z",
            "2026-01-05T09:30:00",
            "2026-01-05T09:30:00+0200",
            "2026-01-05T09:30:00.0001Z",
            "2026-01-05T09:30:00.Z",
            "2026-01-05T09:30:00é",
        ] {
            assert!(!is_rfc3339(text), "{text}");
        }
    }
}
