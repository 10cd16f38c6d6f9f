//! Numbers as a venue wrote them: compact, exact, and readable back to the letter.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Decimal, DecimalError};

/// Most digits after the point: what a `Decimal(38, 18)` column holds.
const PLACES_MAX: u8 = 18;

/// Powers of ten that a scale can ask for.
const POWERS: [u64; 19] = {
    let mut powers = [1_u64; 19];
    let mut exponent = 1;
    while exponent < powers.len() {
        powers[exponent] = powers[exponent - 1] * 10;
        exponent += 1;
    }
    powers
};

/// A number of zero or more, as its digits and how many of them stand after the point: `64000.10` is 6400010 and 2.
///
/// Sixteen bytes instead of a text, and it reads back to the same text. Order and equality are by value: `1.5` equals `1.50`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Written {
    digits: u64,
    places: u8,
}

impl Written {
    /// Zero, written without a point.
    pub const ZERO: Self = Self { digits: 0, places: 0 };

    /// Reads a plain text: digits, and a point with more digits behind it.
    ///
    /// # Errors
    /// Where the text has a sign, an exponent, a superfluous leading zero or anything else that would not read back the same,
    /// more than 18 places, or digits beyond 2⁶⁴.
    pub fn new(text: &str) -> Result<Self, DecimalError> {
        let bytes = text.as_bytes();
        let (mut digits, mut point) = (0_u64, None);
        for (at, &byte) in bytes.iter().enumerate() {
            match byte {
                b'0'..=b'9' => {
                    let grown = digits.checked_mul(10);
                    let grown = grown.and_then(|grown| grown.checked_add(u64::from(byte - b'0')));
                    digits = grown.ok_or(DecimalError::OutOfRange)?;
                }
                b'.' if point.is_none() && at > 0 => point = Some(at),
                _ => return Err(DecimalError::Syntax),
            }
        }
        let whole = point.unwrap_or(bytes.len());
        let places = bytes.len() - point.map_or(bytes.len(), |at| at + 1);
        let is_canonical = whole == 1 || (whole > 1 && bytes[0] != b'0');
        if !is_canonical || (point.is_some() && places == 0) {
            return Err(DecimalError::Syntax);
        }
        match u8::try_from(places) {
            Ok(places) if places <= PLACES_MAX => Ok(Self { digits, places }),
            _ => Err(DecimalError::TooPrecise),
        }
    }

    /// Reads a JSON number of zero or more: a plain one to the letter, one with an exponent by its value.
    ///
    /// # Errors
    /// As [`Written::new`], and where it is negative.
    pub fn from_json(text: &str) -> Result<Self, DecimalError> {
        match text.contains(['e', 'E']) {
            true => Self::shortest(text.parse()?).ok_or(DecimalError::OutOfRange),
            false => Self::new(text),
        }
    }

    /// Writes a value as short as it is; `None` where it is negative or its digits are too many.
    pub fn shortest(value: Decimal) -> Option<Self> {
        let (mut digits, mut places) = (value.scaled(), PLACES_MAX);
        while places > 0 && digits % 10 == 0 {
            digits /= 10;
            places -= 1;
        }
        let digits = u64::try_from(digits).ok()?;
        Some(Self { digits, places })
    }

    /// Returns whether the value is zero, however it is written.
    pub fn is_zero(self) -> bool {
        self.digits == 0
    }

    /// Returns the exact value.
    pub fn decimal(self) -> Decimal {
        Decimal::from_scaled(i128::from(self.digits) * i128::from(POWERS[usize::from(PLACES_MAX - self.places)]))
            .expect("2^64 times 10^18 has 38 digits")
    }

    /// Appends the text it was read from.
    pub fn write(self, out: &mut Vec<u8>) {
        let mut buffer = [b'0'; 21];
        let mut at = buffer.len();
        let mut rest = self.digits;
        let places = usize::from(self.places);
        let mut count = 0;
        while rest > 0 || count <= places {
            if count == places && places > 0 {
                at -= 1;
                buffer[at] = b'.';
            }
            at -= 1;
            buffer[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
            count += 1;
        }
        out.extend_from_slice(&buffer[at..]);
    }
}

impl PartialEq for Written {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Written {}

impl PartialOrd for Written {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Written {
    fn cmp(&self, other: &Self) -> Ordering {
        // A venue writes one instrument's numbers with one number of places, almost always.
        if self.places == other.places {
            return self.digits.cmp(&other.digits);
        }
        let common = self.places.max(other.places);
        let value = |n: &Self| u128::from(n.digits) * u128::from(POWERS[usize::from(common - n.places)]);
        value(self).cmp(&value(other))
    }
}

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::with_capacity(21);
        self.write(&mut text);
        f.pad(std::str::from_utf8(&text).expect("digits are ASCII"))
    }
}

impl Serialize for Written {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl serde::de::Visitor<'_> for Text {
            type Value = Written;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a decimal text")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Written, E> {
                Written::new(text).map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_text_reads_back_to_the_letter_or_is_refused() {
        for text in [
            "0",
            "0.00000000",
            "61837.63000000",
            "1",
            "10",
            "0.1",
            "0.000000000000000001",
            "18446744073709551615",
        ] {
            assert_eq!(Written::new(text).expect("valid").to_string(), text);
        }
        for text in [
            "",
            ".",
            ".5",
            "5.",
            "00",
            "01.5",
            "-1",
            "+1",
            "1e3",
            "NaN",
            "1.2.3",
            " 1",
            "18446744073709551616",
            "0.0000000000000000001",
        ] {
            assert!(Written::new(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_json_number_may_have_an_exponent() {
        for (number, text) in [
            ("64000.0", "64000.0"),
            ("6.55e-6", "0.00000655"),
            ("1E3", "1000"),
            ("0e0", "0"),
        ] {
            assert_eq!(Written::from_json(number).expect("valid").to_string(), text);
        }
        for text in ["", "e", "-1", "-1e-3", "1e19", "1e-19", "1e400", "\"1\"", "null"] {
            assert!(Written::from_json(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn order_is_by_value() {
        let n = |text| Written::new(text).expect("valid");
        assert_eq!(n("1.5"), n("1.50000000"));
        assert!(n("9.99") < n("10") && n("64000.2") > n("64000") && n("0.00") == Written::ZERO);
        assert!(n("18446744073709551615") > n("0.000000000000000001"));
    }

    proptest! {
        #[test]
        fn it_agrees_with_the_decimal(whole in 0_u32.., fraction in proptest::option::of("[0-9]{1,8}")) {
            let text = fraction.map_or(whole.to_string(), |fraction| format!("{whole}.{fraction}"));
            let written = Written::new(&text).expect("valid");
            prop_assert_eq!(written.to_string(), text.clone());
            prop_assert_eq!(written.decimal(), text.parse::<Decimal>().expect("valid"));
        }
    }
}
