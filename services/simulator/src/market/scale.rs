//! Ticks and lots as the venues write them.

/// How a venue's numbers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// Always so many decimals.
    Places(u8),
    /// No trailing zero, and no point without decimals.
    Shortest,
    /// As a JSON number with a fraction: `64000.0`.
    Number,
}

/// The units of an instrument: prices are counted in ticks, quantities in lots.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    /// Price step in units of the last price decimal.
    pub(crate) tick: u32,
    pub(crate) price_decimals: u8,
    /// Quantity step in units of the last quantity decimal.
    pub(crate) lot: u32,
    pub(crate) quantity_decimals: u8,
    pub(crate) price_style: Style,
    pub(crate) quantity_style: Style,
}

impl Scale {
    /// Returns how many ticks a whole unit of the quote currency has.
    pub(crate) fn ticks_per_unit(&self) -> u32 {
        10_u32.pow(self.price_decimals.into()) / self.tick
    }

    pub(crate) fn push_price(&self, out: &mut Vec<u8>, ticks: u32) {
        let units = u64::from(ticks) * u64::from(self.tick);
        push_decimal(out, units, self.price_decimals, self.price_style);
    }

    pub(crate) fn push_quantity(&self, out: &mut Vec<u8>, lots: u32) {
        let units = u64::from(lots) * u64::from(self.lot);
        push_decimal(out, units, self.quantity_decimals, self.quantity_style);
    }

    /// Appends `["price","quantity"]` for each level, with commas between.
    pub(crate) fn push_levels(&self, out: &mut Vec<u8>, levels: &[(u32, u32)]) {
        for (position, (price, quantity)) in levels.iter().enumerate() {
            out.extend_from_slice(if position == 0 { b"[\"" } else { b",[\"" });
            self.push_price(out, *price);
            out.extend_from_slice(b"\",\"");
            self.push_quantity(out, *quantity);
            out.extend_from_slice(b"\"]");
        }
    }

    /// Returns a price as text.
    pub(crate) fn price(&self, ticks: u32) -> String {
        let mut out = Vec::new();
        self.push_price(&mut out, ticks);
        String::from_utf8(out).unwrap_or_default()
    }

    /// Returns a quantity as text.
    pub(crate) fn quantity(&self, lots: u32) -> String {
        let mut out = Vec::new();
        self.push_quantity(&mut out, lots);
        String::from_utf8(out).unwrap_or_default()
    }

    /// Returns a quantity as text that may be larger than any order.
    pub(crate) fn quantity_of(&self, lots: u64) -> String {
        let mut out = Vec::new();
        push_decimal(
            &mut out,
            lots * u64::from(self.lot),
            self.quantity_decimals,
            self.quantity_style,
        );
        String::from_utf8(out).unwrap_or_default()
    }

    /// Appends `price * quantity` in full.
    ///
    /// With fixed decimals it has as many as both factors together, or as the style says where that is more.
    pub(crate) fn push_notional(&self, out: &mut Vec<u8>, ticks: u32, lots: u32) {
        let price = u128::from(ticks) * u128::from(self.tick);
        let product = price * u128::from(lots) * u128::from(self.lot);
        let decimals = self.price_decimals + self.quantity_decimals;
        // 32 bits of ticks and of lots with small steps stay below 2⁶⁴ for every instrument there is.
        let style = match self.price_style {
            Style::Places(places) => Style::Places(places.max(decimals)),
            style => style,
        };
        push_decimal(out, u64::try_from(product).unwrap_or(u64::MAX), decimals, style);
    }
}

/// Appends `units` of 10^-`decimals`.
fn push_decimal(out: &mut Vec<u8>, units: u64, decimals: u8, style: Style) {
    let one = 10_u64.pow(decimals.into());
    push_integer(out, units / one);
    let point = out.len();
    out.push(b'.');
    let mut rest = units % one;
    for _ in 0..decimals {
        rest *= 10;
        out.push(b'0' + (rest / one) as u8);
        rest %= one;
    }
    match style {
        Style::Places(places) => {
            let end = point + 1 + usize::from(places);
            out.resize(end, b'0');
            if places == 0 {
                out.truncate(point);
            }
        }
        Style::Shortest | Style::Number => {
            while out.last() == Some(&b'0') {
                out.pop();
            }
            if out.last() == Some(&b'.') {
                match style {
                    Style::Number => out.push(b'0'),
                    _ => out.truncate(point),
                }
            }
        }
    }
}

pub(crate) fn push_integer(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0_u8; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_the_venues_do() {
        for (units, decimals, style, text) in [
            (6_400_010, 2, Style::Places(8), "64000.10000000"),
            (1, 8, Style::Places(8), "0.00000001"),
            (0, 5, Style::Places(8), "0.00000000"),
            (12_300, 3, Style::Places(3), "12.300"),
            (640_001, 1, Style::Shortest, "64000.1"),
            (640_000, 1, Style::Shortest, "64000"),
            (12_345, 0, Style::Shortest, "12345"),
            (0, 2, Style::Shortest, "0"),
            (640_005, 1, Style::Number, "64000.5"),
            (640_000, 1, Style::Number, "64000.0"),
            (10, 0, Style::Number, "10.0"),
        ] {
            let mut out = Vec::new();
            push_decimal(&mut out, units, decimals, style);
            assert_eq!(String::from_utf8(out).expect("ASCII"), text);
        }
    }
}
