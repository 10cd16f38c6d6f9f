//! Ticks and lots as the venues write them.

/// How a venue's numbers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// Always so many decimals.
    Places(u8),
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

    /// Appends `price * quantity` in full.
    pub(crate) fn push_notional(&self, out: &mut Vec<u8>, ticks: u32, lots: u32) {
        let price = u128::from(ticks) * u128::from(self.tick);
        let product = price * u128::from(lots) * u128::from(self.lot);
        let decimals = self.price_decimals + self.quantity_decimals;
        // 32 bits of ticks and of lots with small steps stay below 2⁶⁴ for every instrument there is.
        push_decimal(
            out,
            u64::try_from(product).unwrap_or(u64::MAX),
            decimals,
            self.price_style,
        );
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
    let Style::Places(places) = style;
    out.resize(point + 1 + usize::from(places), b'0');
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
        ] {
            let mut out = Vec::new();
            push_decimal(&mut out, units, decimals, style);
            assert_eq!(String::from_utf8(out).expect("ASCII"), text);
        }
    }
}
