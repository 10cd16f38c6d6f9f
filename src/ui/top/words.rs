//! Numbers in few cells.

/// The eight heights of a bar within a line.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Returns a rate as people read it: `0.3`, `42`, `12.3k`.
pub(super) fn rate(rate: Option<f64>) -> String {
    match rate {
        None => "–".to_owned(),
        Some(rate) if rate >= 10_000.0 => format!("{:.1}k", rate / 1_000.0),
        Some(rate) if rate >= 10.0 => format!("{rate:.0}"),
        Some(rate) => format!("{rate:.1}"),
    }
}

pub(super) fn milliseconds(ms: Option<f64>) -> String {
    ms.map_or_else(|| "–".to_owned(), |ms| format!("{ms:.0} ms"))
}

pub(super) fn number(count: Option<u64>) -> String {
    count.map_or_else(|| "–".to_owned(), |count| count.to_string())
}

/// Returns the last `width` values as bars, the highest of them full.
pub(super) fn bars(values: &[f64], width: usize) -> String {
    let shown = &values[values.len().saturating_sub(width)..];
    let most = shown.iter().copied().fold(0.0, f64::max);
    let bar = |value: &f64| match most > 0.0 {
        true => BARS[((value / most * 7.0).round() as usize).min(7)],
        false => BARS[0],
    };
    let blank = " ".repeat(width - shown.len());
    blank + &shown.iter().map(bar).collect::<String>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_end_with_the_newest_and_fill_their_width() {
        assert_eq!(bars(&[0.0, 1.0, 2.0], 3), "▁▅█");
        assert_eq!(bars(&[9.0, 0.0, 2.0], 2), "▁█");
        assert_eq!(bars(&[0.0], 4), "   ▁");
        assert_eq!(bars(&[], 2), "  ");
    }

    #[test]
    fn rates_are_short() {
        let texts = [None, Some(0.25), Some(41.7), Some(12_345.0)].map(rate);
        assert_eq!(texts, ["–", "0.2", "42", "12.3k"]);
    }
}
