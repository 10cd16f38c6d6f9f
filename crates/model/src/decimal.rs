//! Exact decimals: from text to table without a float.

use std::fmt;
use std::str::FromStr;

/// A decimal number with up to 38 digits, 18 of them after the point: ClickHouse's `Decimal(38, 18)`.
///
/// Text is converted exactly or refused; nothing is ever rounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Decimal(i128);

/// Why a text is not a decimal that can be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecimalError {
    /// The text holds something else than digits, a sign, a point and an exponent.
    #[error("not a decimal number")]
    Syntax,
    /// More than 18 digits after the point (ClickHouse would cut the 19th silently).
    #[error("more than 18 decimals")]
    TooPrecise,
    /// More than 20 digits before the point, or an exponent outside ±18.
    #[error("out of range for Decimal(38, 18)")]
    OutOfRange,
}

/// Digits after the point.
const SCALE: u32 = 18;
/// Digits after the point of a quotient, which seldom is exact.
const QUOTIENT_PLACES: u32 = 12;
/// Largest absolute value of a `Decimal(38, …)` in units of 10⁻¹⁸.
const LIMIT: i128 = 10_i128.pow(38) - 1;

impl Decimal {
    /// Zero.
    pub const ZERO: Self = Self(0);

    /// Returns the decimal of this many units of 10⁻¹⁸, or `None` where it has more than 38 digits.
    pub fn from_scaled(units: i128) -> Option<Self> {
        (-LIMIT..=LIMIT).contains(&units).then_some(Self(units))
    }

    /// Returns the value in units of 10⁻¹⁸: what a `Decimal(38, 18)` column holds.
    pub fn scaled(self) -> i128 {
        self.0
    }

    /// Returns whether the value is above zero.
    pub fn is_positive(self) -> bool {
        self.0 > 0
    }

    /// Returns the exact product, or `None` where it has no exact place in the type.
    pub fn times(self, other: Self) -> Option<Self> {
        let ((a, a_places), (b, b_places)) = (self.shortest(), other.shortest());
        let product = a.checked_mul(b)?;
        if product == 0 {
            return Some(Self::ZERO);
        }
        let shift = SCALE as i32 - (a_places + b_places) as i32;
        let power = 10_i128.checked_pow(shift.unsigned_abs())?;
        let units = if shift >= 0 {
            product.checked_mul(power)?
        } else {
            (product % power == 0).then(|| product / power)?
        };
        Self::from_scaled(units)
    }

    /// Returns the quotient with [`QUOTIENT_PLACES`] places, rounded half to even, or `None` where it is out of range or the
    /// divisor is zero.
    pub fn divided_by(self, divisor: Self) -> Option<Self> {
        let ((a, a_places), (b, b_places)) = (self.shortest(), divisor.shortest());
        let is_negative = (a < 0) != (b < 0);
        let (mut rest, mut divisor) = (a.unsigned_abs(), b.unsigned_abs());
        if divisor == 0 {
            return None;
        }
        // a · 10^-ap / (b · 10^-bp) in units of 10^-12: the shift goes to whichever side keeps both whole.
        let shift = QUOTIENT_PLACES as i32 + b_places as i32 - a_places as i32;
        if shift < 0 {
            divisor = divisor.checked_mul(10_u128.checked_pow(shift.unsigned_abs())?)?;
        }
        let whole = u32::try_from(shift.max(0))
            .ok()
            .and_then(|shift| 10_u128.checked_pow(shift));
        let mut quotient;
        if let Some(shifted) = whole.and_then(|power| rest.checked_mul(power)) {
            (quotient, rest) = (shifted / divisor, shifted % divisor);
        } else {
            // Digit by digit, so that nothing but the quotient itself can be out of range.
            (quotient, rest) = (rest / divisor, rest % divisor);
            for _ in 0..shift.max(0) {
                rest = rest.checked_mul(10)?;
                quotient = quotient.checked_mul(10)?.checked_add(rest / divisor)?;
                rest %= divisor;
            }
        }
        let half = rest.checked_mul(2)?.cmp(&divisor);
        if half.is_gt() || (half.is_eq() && quotient % 2 == 1) {
            quotient += 1;
        }
        let units = i128::try_from(quotient).ok()?;
        let units = units.checked_mul(10_i128.pow(SCALE - QUOTIENT_PLACES))?;
        Self::from_scaled(if is_negative { -units } else { units })
    }

    /// Returns digits and places without superfluous zeros.
    fn shortest(self) -> (i128, u32) {
        let (mut digits, mut places) = (self.0, SCALE);
        if digits == 0 {
            return (0, 0);
        }
        // Nearly every number has few places: half of the zeros go at once, and the rest fits 64 bits.
        if digits % HALF_SCALE == 0 {
            digits /= HALF_SCALE;
            places -= SCALE / 2;
        }
        if let Ok(mut short) = i64::try_from(digits) {
            while places > 0 && short % 10 == 0 {
                short /= 10;
                places -= 1;
            }
            return (short.into(), places);
        }
        while places > 0 && digits % 10 == 0 {
            digits /= 10;
            places -= 1;
        }
        (digits, places)
    }
}

/// Ten to the power of half the scale.
const HALF_SCALE: i128 = 10_i128.pow(SCALE / 2);

/// Digits that fit 64 bits, whatever they are.
const SHORT_DIGITS: usize = 19;

/// Powers of ten up to the scale.
const POWERS: [i128; SCALE as usize + 1] = {
    let mut powers = [1; SCALE as usize + 1];
    let mut exponent = 1;
    while exponent < powers.len() {
        powers[exponent] = powers[exponent - 1] * 10;
        exponent += 1;
    }
    powers
};

/// Reads what nearly every number of a venue is: few digits and at most one point between them, which takes no arithmetic of
/// 128 bits. `None` says nothing about any other text.
fn short(bytes: &[u8]) -> Option<Decimal> {
    if bytes.len() > SHORT_DIGITS + 1 {
        return None;
    }
    let (mut units, mut point) = (0_u64, None);
    for (at, &byte) in bytes.iter().enumerate() {
        match byte {
            // With the point 19 digits at most, without it 20: the last may be too many.
            b'0'..=b'9' => units = units.checked_mul(10)?.checked_add(u64::from(byte - b'0'))?,
            b'.' if point.is_none() && at > 0 => point = Some(at),
            _ => return None,
        }
    }
    let places = match point {
        Some(at) => bytes.len() - at - 1,
        None => 0,
    };
    let is_whole = !bytes.is_empty() && (point.is_none() || places > 0);
    let power = POWERS.get((SCALE as usize).checked_sub(places)?)?;
    is_whole.then(|| Decimal(i128::from(units) * power))
}

impl FromStr for Decimal {
    type Err = DecimalError;

    fn from_str(text: &str) -> Result<Self, DecimalError> {
        let bytes = text.as_bytes();
        if let Some(decimal) = short(bytes) {
            return Ok(decimal);
        }
        let (negative, bytes) = match bytes.split_first() {
            Some((b'-', rest)) => (true, rest),
            _ => (false, bytes),
        };
        let (mantissa, exponent) = match bytes.iter().position(|b| matches!(b, b'e' | b'E')) {
            Some(at) => (&bytes[..at], parse_exponent(&bytes[at + 1..])?),
            None => (bytes, 0),
        };
        let mut units: i128 = 0;
        let mut decimals: i32 = 0;
        let mut digits = 0;
        let mut point = false;
        for &byte in mantissa {
            match byte {
                b'0'..=b'9' => {
                    digits += 1;
                    units = units
                        .checked_mul(10)
                        .and_then(|u| u.checked_add(i128::from(byte - b'0')))
                        .ok_or(DecimalError::OutOfRange)?;
                    decimals += i32::from(point);
                }
                b'.' if !point && digits > 0 => point = true,
                _ => return Err(DecimalError::Syntax),
            }
        }
        if digits == 0 || mantissa.last() == Some(&b'.') {
            return Err(DecimalError::Syntax);
        }
        let shift = SCALE as i32 - decimals + exponent;
        let scaled = if units == 0 {
            0
        } else if shift >= 0 {
            10_i128
                .checked_pow(shift as u32)
                .and_then(|p| units.checked_mul(p))
                .ok_or(DecimalError::OutOfRange)?
        } else {
            drop_zeros(units, shift.unsigned_abs())?
        };
        Self::from_scaled(if negative { -scaled } else { scaled }).ok_or(DecimalError::OutOfRange)
    }
}

/// Divides by 10^`places`, refusing to lose a digit: `1.0000000000000000000` is exact, `…01` is not.
fn drop_zeros(units: i128, places: u32) -> Result<i128, DecimalError> {
    let power = 10_i128.checked_pow(places).ok_or(DecimalError::TooPrecise)?;
    if units % power == 0 {
        Ok(units / power)
    } else {
        Err(DecimalError::TooPrecise)
    }
}

fn parse_exponent(bytes: &[u8]) -> Result<i32, DecimalError> {
    let (negative, digits) = match bytes.split_first() {
        Some((b'-', rest)) => (true, rest),
        Some((b'+', rest)) => (false, rest),
        _ => (false, bytes),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(DecimalError::Syntax);
    }
    let value = digits.iter().try_fold(0_i32, |n, d| {
        let n = n * 10 + i32::from(d - b'0');
        (n <= 18).then_some(n).ok_or(DecimalError::OutOfRange)
    })?;
    Ok(if negative { -value } else { value })
}

impl fmt::Display for Decimal {
    /// Writes the shortest plain text of the value: no exponent, no trailing zeros. Equal values give equal text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (digits, places) = self.shortest();
        let sign = if digits < 0 { "-" } else { "" };
        let digits = digits.unsigned_abs();
        if places == 0 {
            return write!(f, "{sign}{digits}");
        }
        let power = 10_u128.pow(places);
        let (whole, fraction) = (digits / power, digits % power);
        let width = places as usize;
        write!(f, "{sign}{whole}.{fraction:0width$}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn text_is_exact_or_refused() {
        let cases: [(&str, Result<&str, DecimalError>); 18] = [
            ("61837.63000000", Ok("61837.63")),
            ("0.00000001", Ok("0.00000001")),
            ("-0", Ok("0")),
            ("1E-7", Ok("0.0000001")),
            ("1.5e3", Ok("1500")),
            ("1.0000000000000000000", Ok("1")),
            ("1.0000000000000000001", Err(DecimalError::TooPrecise)),
            ("99999999999999999999", Ok("99999999999999999999")),
            ("100000000000000000000", Err(DecimalError::OutOfRange)),
            ("1e19", Err(DecimalError::OutOfRange)),
            ("1e400", Err(DecimalError::OutOfRange)),
            ("NaN", Err(DecimalError::Syntax)),
            ("", Err(DecimalError::Syntax)),
            (".5", Err(DecimalError::Syntax)),
            ("5.", Err(DecimalError::Syntax)),
            ("1.2.3", Err(DecimalError::Syntax)),
            ("1e", Err(DecimalError::Syntax)),
            ("+1", Err(DecimalError::Syntax)),
        ];
        for (text, expected) in cases {
            let got = text.parse::<Decimal>().map(|d| d.to_string());
            assert_eq!(got.as_deref().map_err(|e| *e), expected, "{text}");
        }
    }

    #[test]
    fn contracts_become_base_currency() {
        let number = |text: &str| text.parse::<Decimal>().expect("valid");
        let product = |a, b| number(a).times(number(b)).map(|d| d.to_string());
        assert_eq!(product("310.5", "0.01").as_deref(), Some("3.105"));
        assert_eq!(
            product("-2", "0.000000000000000001").as_deref(),
            Some("-0.000000000000000002")
        );
        assert_eq!(product("0.1", "0.000000000000000001"), None, "no exact place");
        assert_eq!(product("99999999999999999999", "99999999999999999999"), None);
        let quotient = |a, b| number(a).divided_by(number(b)).map(|d| d.to_string());
        assert_eq!(quotient("5000.0", "64000.0").as_deref(), Some("0.078125"));
        assert_eq!(quotient("6400", "64000").as_deref(), Some("0.1"));
        assert_eq!(quotient("10", "3").as_deref(), Some("3.333333333333"));
        assert_eq!(quotient("20", "3").as_deref(), Some("6.666666666667"));
        assert_eq!(quotient("-1", "2000000000000").as_deref(), Some("0"), "half to even");
        assert_eq!(quotient("3", "2000000000000").as_deref(), Some("0.000000000002"));
        assert_eq!(quotient("1", "0"), None);
    }

    proptest! {
        #[test]
        fn no_arithmetic_panics(a in -LIMIT..=LIMIT, b in -LIMIT..=LIMIT) {
            let (a, b) = (Decimal(a), Decimal(b));
            let _ = (a.times(b), a.divided_by(b));
        }

        #[test]
        fn text_and_value_are_one(units in -LIMIT..=LIMIT) {
            let decimal = Decimal::from_scaled(units).expect("in range");
            prop_assert_eq!(decimal.to_string().parse::<Decimal>(), Ok(decimal));
        }

        #[test]
        fn a_plain_text_is_read_as_with_an_exponent(text in "-?[0-9]{0,21}[.]?[0-9]{0,20}") {
            prop_assert_eq!(text.parse::<Decimal>(), format!("{text}e0").parse::<Decimal>());
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,48}") {
            let _ = text.parse::<Decimal>();
        }
    }
}
