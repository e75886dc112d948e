//! Decimal numbers without floats: a float that is printed and read again may be another.

/// The number that a text holds, times ten to the power of `places`, rounded to the nearest whole number (halves away
/// from zero); and whether nothing was lost by that. `None` for what is no decimal number, or beyond 64 bits.
pub fn scaled(text: &str, places: i32) -> Option<(i64, bool)> {
    let (number, exponent) = match text.split_once(['e', 'E']) {
        Some((number, exponent)) => (number, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (is_negative, number) = match number.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, number.strip_prefix('+').unwrap_or(number)),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = [whole, fraction].concat();
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    // How many of the digits stand before the point, once it is moved.
    let before = i64::try_from(whole.len()).ok()? + i64::from(exponent) + i64::from(places);
    let kept = usize::try_from(before.max(0)).ok()?.min(digits.len());
    let (head, tail) = digits.split_at(kept);
    let value =
        head.bytes().try_fold(0_i64, |value, digit| value.checked_mul(10)?.checked_add(i64::from(digit - b'0')))?;
    let missing = u32::try_from((before - i64::try_from(digits.len()).ok()?).max(0)).ok()?;
    let value = if value == 0 { 0 } else { value.checked_mul(10_i64.checked_pow(missing)?)? };
    let rounds_up = before >= 0 && tail.bytes().next().is_some_and(|digit| digit >= b'5');
    let value = value.checked_add(i64::from(rounds_up))?;
    let is_exact = tail.bytes().all(|digit| digit == b'0');
    Some((if is_negative { -value } else { value }, is_exact))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_read_exactly_and_halves_go_away_from_zero() {
        let thousandths = |text: &str| scaled(text, 3);
        assert_eq!(thousandths("8.5"), Some((8_500, true)));
        assert_eq!(thousandths("-8.0005"), Some((-8_001, false)));
        assert_eq!(thousandths("8.0004999"), Some((8_000, false)));
        assert_eq!(thousandths("1.25e2"), Some((125_000, true)));
        assert_eq!(thousandths("125e-2"), Some((1_250, true)));
        assert_eq!(thousandths("5e-4"), Some((1, false)));
        assert_eq!(thousandths("5e-5"), Some((0, false)));
        assert_eq!(thousandths("0e999"), Some((0, true)));
        assert_eq!(thousandths(".5"), Some((500, true)));
        assert_eq!(thousandths("7."), Some((7_000, true)));
        assert_eq!(scaled("9223372036854775807", 0), Some((i64::MAX, true)));
        for wrong in ["", ".", "-", "1e", "1e999", "9223372036854775808", "1.2.3", "inf", "NaN", "0x1", "1 "] {
            assert_eq!(scaled(wrong, 0), None, "{wrong}");
        }
    }
}
