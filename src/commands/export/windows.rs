//! Time cut into windows that one answer holds. Pure.

/// Time from the first moment up to the last, which is not in it. Milliseconds since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) from: i64,
    pub(super) to: i64,
}

/// A window, and about how many rows it has: a row that both stores have counts once where one of them has all the other has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) span: Span,
    pub(super) rows: u64,
}

/// How finely time is cut: by hours first, what has too many rows by seconds, then by milliseconds.
pub(super) const WIDTHS: [i64; 3] = [3_600_000, 1_000, 1];

/// Joins neighbours of at most `rows_max` rows, the oldest first. `counts` are starts of slices of `width`, ascending, and their
/// rows. What has more rows by itself stays alone.
pub(super) fn joined(within: Span, width: i64, counts: &[(i64, u64)], rows_max: u64) -> Vec<Window> {
    let mut windows: Vec<Window> = Vec::new();
    for &(start, rows) in counts {
        let span = Span {
            from: start.max(within.from),
            to: (start + width).min(within.to),
        };
        match windows.last_mut() {
            Some(last) if last.rows + rows <= rows_max => {
                last.span.to = span.to;
                last.rows += rows;
            }
            _ => windows.push(Window { span, rows }),
        }
    }
    windows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_hold_what_fits_and_meet_the_bounds() {
        let within = Span { from: 1_500, to: 9_500 };
        let counts = [(1_000, 40), (2_000, 60), (4_000, 1), (5_000, 500), (9_000, 7)];
        let found = joined(within, 1_000, &counts, 100);
        let told: Vec<(i64, i64, u64)> = found.iter().map(|w| (w.span.from, w.span.to, w.rows)).collect();
        assert_eq!(
            told,
            [
                (1_500, 3_000, 100),
                (4_000, 5_000, 1),
                (5_000, 6_000, 500),
                (9_000, 9_500, 7)
            ]
        );
        assert_eq!(joined(within, 1_000, &[], 100), []);
    }
}
