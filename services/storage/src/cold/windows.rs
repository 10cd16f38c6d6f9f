//! Time cut into windows. Pure.

use std::collections::BTreeMap;
use std::fmt;

use mprism_clickhouse::time;
use mprism_model::UnixMillis;

/// An hour: what is proven as a whole once it is over. Milliseconds.
pub const HOUR: i64 = 3_600_000;
/// A day: what leaves the hot store at once. Milliseconds.
pub const DAY: i64 = 24 * HOUR;

/// Rows by the start of the window that they are in, in milliseconds since the epoch.
pub(crate) type Counts = BTreeMap<i64, u64>;

/// Time from the first moment up to the last, which is not in it. Milliseconds since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span {
    pub(crate) from: i64,
    pub(crate) to: i64,
}

/// The rows of a time, of all exchanges or of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scope {
    pub(crate) span: Span,
    pub(crate) exchange: Option<String>,
}

/// Windows that follow each other, and how many rows they have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) span: Span,
    pub(crate) rows: u64,
    /// How many windows have rows.
    pub(crate) windows: usize,
}

impl Span {
    /// Returns the hours that are over, from the first one on: what comes after them is the head.
    pub(crate) fn closed_hours(safe_end: i64) -> Self {
        Self {
            from: 0,
            to: safe_end - safe_end.rem_euclid(HOUR),
        }
    }

    /// Returns the head: the windows that are over of the hour that is not.
    pub(crate) fn head(safe_end: i64, width: i64) -> Self {
        Self {
            from: safe_end - safe_end.rem_euclid(HOUR),
            to: safe_end - safe_end.rem_euclid(width),
        }
    }

    pub(crate) fn length(self) -> i64 {
        self.to - self.from
    }
}

impl From<Span> for Scope {
    fn from(span: Span) -> Self {
        Self { span, exchange: None }
    }
}

impl Scope {
    /// Returns the rows of one partition of the hot store; `day` is a number of days since the epoch.
    pub(crate) fn partition(day: i64, exchange: &str) -> Self {
        let from = day * DAY;
        Self {
            span: Span { from, to: from + DAY },
            exchange: Some(exchange.to_owned()),
        }
    }

    /// Returns the same of another time.
    pub(crate) fn within(&self, span: Span) -> Self {
        Self {
            span,
            exchange: self.exchange.clone(),
        }
    }

    /// Returns the predicate for its rows.
    pub(crate) fn condition(&self) -> String {
        let time = time::between(UnixMillis(self.span.from), UnixMillis(self.span.to));
        match &self.exchange {
            Some(exchange) => format!("{time} AND exchange = {}", crate::tables::quoted(exchange)),
            None => time,
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [from, to] = [self.span.from, self.span.to].map(|ms| UnixMillis(ms).to_rfc3339());
        write!(f, "{from} to {to}")?;
        self.exchange
            .iter()
            .try_for_each(|exchange| write!(f, " of {exchange}"))
    }
}

/// Joins the windows that are open into runs of at most `rows_max` rows, the oldest first. A window of more is a run by itself;
/// one that is not open ends a run; one without rows is nothing.
pub(crate) fn runs(counts: &Counts, width: i64, rows_max: u64, is_open: impl Fn(i64, u64) -> bool) -> Vec<Run> {
    let mut runs = Vec::new();
    let mut current: Option<Run> = None;
    for (&from, &rows) in counts {
        if !is_open(from, rows) {
            runs.extend(current.take());
            continue;
        }
        match &mut current {
            Some(run) if run.rows + rows <= rows_max => {
                run.span.to = from + width;
                run.rows += rows;
                run.windows += 1;
            }
            _ => {
                let span = Span { from, to: from + width };
                let windows = 1;
                runs.extend(current.replace(Run { span, rows, windows }));
            }
        }
    }
    runs.extend(current);
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spans(runs: &[Run]) -> Vec<(i64, i64, u64)> {
        runs.iter().map(|run| (run.span.from, run.span.to, run.rows)).collect()
    }

    #[test]
    fn open_windows_are_joined_up_to_the_limit() {
        let counts = Counts::from([(0, 40), (10, 40), (30, 40), (40, 500), (50, 1), (70, 1)]);
        let all = runs(&counts, 10, 100, |_, _| true);
        assert_eq!(spans(&all), [(0, 20, 80), (30, 40, 40), (40, 50, 500), (50, 80, 2)]);
        assert_eq!(all[0].windows, 2);
        let open = runs(&counts, 10, 100, |from, rows| from != 10 && rows < 500);
        assert_eq!(spans(&open), [(0, 10, 40), (30, 40, 40), (50, 80, 2)]);
        assert_eq!(runs(&Counts::new(), 10, 100, |_, _| true), []);
    }

    #[test]
    fn hours_and_head_meet_and_nothing_is_in_both() {
        let safe_end = 5 * HOUR + 90_500;
        let (hours, head) = (Span::closed_hours(safe_end), Span::head(safe_end, 60_000));
        assert_eq!((hours.to, head.from), (5 * HOUR, 5 * HOUR));
        assert_eq!(head.to, 5 * HOUR + 60_000);
        let at_the_hour = Span::head(5 * HOUR, 60_000);
        assert_eq!(at_the_hour.length(), 0);
    }

    #[test]
    fn a_partition_is_a_day_of_an_exchange() {
        let scope = Scope::partition(1, "it's");
        assert_eq!(scope.span, Span { from: DAY, to: 2 * DAY });
        assert!(
            scope.condition().ends_with("AND exchange = 'it\\'s'"),
            "{}",
            scope.condition()
        );
        assert_eq!(
            scope.to_string(),
            "1970-01-02T00:00:00.000Z to 1970-01-03T00:00:00.000Z of it's"
        );
    }
}
