//! What a repair is going to do, as plain data: what is printed is what is done. Pure.

use mprism_clickhouse::Tier;
use mprism_collector::refill::Hole;
use mprism_model::{DataType, Exchange, Gap, UnixMillis};
use mprism_storage::cold::{Hours, Rows};
use mprism_storage::letters::Letter;
use serde::Serialize;

/// What kind of thing is done. The names are a contract with programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// A part that the engine could not read is dropped.
    DropBrokenPart,
    /// All but the first of rows that say the same are removed.
    RemoveDuplicates,
    /// A column that this version has and a table has not is added.
    AddColumn,
    /// Rows that the cold store has come back to the hot one.
    RestoreHot,
    /// The venue is asked for trades.
    RefillGap,
    /// A gap of which nothing is missing any more is closed.
    CloseGap,
    /// A gap that nobody can fill is closed as that.
    MarkUnfillable,
    /// Rows whose values one store lost are replaced by what the other one says.
    ReplaceBlank,
    /// Rows that the cold store lacks are copied to it.
    CopyToCold,
    /// A dead letter is read and sent again.
    RetryDeadLetter,
    /// Nothing: no source has what would be needed.
    NotMendable,
}

impl Kind {
    /// Returns the name.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::DropBrokenPart => "drop_broken_part",
            Self::RemoveDuplicates => "remove_duplicates",
            Self::AddColumn => "add_column",
            Self::ReplaceBlank => "replace_blank",
            Self::RestoreHot => "restore_hot",
            Self::RefillGap => "refill_gap",
            Self::CloseGap => "close_gap",
            Self::MarkUnfillable => "mark_unfillable",
            Self::CopyToCold => "copy_to_cold",
            Self::RetryDeadLetter => "retry_dead_letter",
            Self::NotMendable => "not_mendable",
        }
    }
}

/// What has come of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Outcome {
    /// Nothing yet.
    Planned,
    /// It is done.
    Done,
    /// It is as it was; `detail` says why.
    Left,
}

/// One thing to do.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Action {
    pub(crate) kind: Kind,
    pub(crate) r#type: Option<String>,
    pub(crate) exchange: Option<String>,
    pub(crate) symbol: Option<String>,
    pub(crate) from: Option<String>,
    pub(crate) to: Option<String>,
    pub(crate) rows: u64,
    pub(crate) outcome: Outcome,
    /// What it is about, and what came of it, in words.
    pub(crate) detail: String,
    #[serde(skip)]
    pub(super) work: Work,
}

/// What has to be known to do it.
#[derive(Clone, Debug)]
pub(super) enum Work {
    DropParts {
        tier: Tier,
        table: String,
        /// The last one was made of the others.
        parts: Vec<String>,
    },
    Deduplicate {
        tier: Tier,
        data_type: DataType,
        hashes: Vec<u64>,
    },
    Restore {
        data_type: DataType,
        rows: Rows,
    },
    AddColumns {
        tier: Tier,
    },
    Replace {
        data_type: DataType,
        tier: Tier,
        rows: Rows,
    },
    Refill {
        exchange: Exchange,
        hole: Hole,
    },
    WriteGap(Box<Gap>),
    Copy {
        data_type: DataType,
        hours: Hours,
    },
    Retry(Letter),
    Nothing,
}

impl Action {
    /// Makes one that is about nobody in particular.
    pub(super) fn new(kind: Kind, rows: u64, detail: impl Into<String>, work: Work) -> Self {
        Self {
            kind,
            r#type: None,
            exchange: None,
            symbol: None,
            from: None,
            to: None,
            rows,
            // What nothing can be done about is left from the start.
            outcome: match work {
                Work::Nothing => Outcome::Left,
                _ => Outcome::Planned,
            },
            detail: detail.into(),
            work,
        }
    }

    /// Says whom it is about.
    pub(super) fn about(mut self, data_type: DataType, exchange: &str, symbol: &str) -> Self {
        self.r#type = Some(data_type.to_string());
        self.exchange = Some(exchange.to_owned());
        self.symbol = Some(symbol.to_owned());
        self
    }

    /// Says which time it is about, in milliseconds since the epoch; both ends are in it.
    pub(super) fn within(mut self, (from, to): (i64, i64)) -> Self {
        self.from = Some(UnixMillis(from).to_rfc3339());
        self.to = Some(UnixMillis(to).to_rfc3339());
        self
    }

    /// Returns whether it takes away what may still be wanted: a part of whose table something before it was not mended.
    pub(super) fn is_held_up_by(&self, before: &[Self]) -> bool {
        let mends = [Kind::RestoreHot, Kind::CopyToCold, Kind::ReplaceBlank, Kind::RefillGap];
        let is_left =
            |other: &Self| other.outcome == Outcome::Left && other.r#type == self.r#type && mends.contains(&other.kind);
        self.kind == Kind::DropBrokenPart && before.iter().any(is_left)
    }

    /// Leaves it as it is.
    pub(super) fn leave(&mut self, why: &str) {
        self.outcome = Outcome::Left;
        self.detail = format!("{}: {why}", self.detail);
    }
}

/// A row that says what another one says, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Copy {
    /// Of all that rows say which are the same.
    pub(super) hash: u64,
    /// When it was stored: the first stays.
    pub(super) stored: i64,
    pub(super) producer_epoch: u64,
    pub(super) producer_seq: u64,
    pub(super) part: String,
    pub(super) offset: u64,
}

/// Returns all but the first of each: the first that was stored, whatever the order they come in.
///
/// The order ends with a row's place, so that of copies that share everything the same one stays each time it is decided: a
/// deletion that was decided by an earlier life and still runs takes the same rows.
pub(super) fn surplus<T: Ord + Clone>(copies: &[T], hash: impl Fn(&T) -> u64) -> Vec<T> {
    let mut sorted = copies.to_vec();
    sorted.sort();
    let mut seen = None;
    sorted
        .into_iter()
        .filter(|copy| seen.replace(hash(copy)) == Some(hash(copy)))
        .collect()
}

/// Returns what of a range of ids no other range covers. Both ends of ranges are in them.
pub(super) fn uncovered((from, to): (u64, u64), covered: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let mut covered: Vec<(u64, u64)> = covered
        .iter()
        .filter(|(a, b)| *a <= to && *b >= from)
        .copied()
        .collect();
    covered.sort_unstable();
    let mut left = Vec::new();
    let mut next = Some(from);
    for (first, last) in covered {
        let Some(start) = next else { break };
        if first > start {
            left.push((start, first - 1));
        }
        next = last.checked_add(1).map(|after| after.max(start));
    }
    if let Some(start) = next.filter(|start| *start <= to) {
        left.push((start, to));
    }
    left
}

/// Returns ids as ranges.
pub(super) fn ranges(mut ids: Vec<u64>) -> Vec<(u64, u64)> {
    ids.sort_unstable();
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for id in ids {
        match ranges.last_mut() {
            Some((_, last)) if id <= last.saturating_add(1) => *last = id,
            _ => ranges.push((id, id)),
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copy(hash: u64, stored: i64, part: &str, offset: u64) -> Copy {
        Copy {
            hash,
            stored,
            producer_epoch: 7,
            producer_seq: 1,
            part: part.into(),
            offset,
        }
    }

    #[test]
    fn a_part_stays_while_something_of_its_table_is_not_mended() {
        let action = |kind, data_type: &str, outcome| {
            let mut action = Action::new(kind, 1, "x", Work::Nothing);
            (action.r#type, action.outcome) = (Some(data_type.to_owned()), outcome);
            action
        };
        let part = action(Kind::DropBrokenPart, "trade", Outcome::Planned);
        let of = |kind, data_type, outcome| part.is_held_up_by(&[action(kind, data_type, outcome)]);
        assert!(of(Kind::RestoreHot, "trade", Outcome::Left));
        assert!(!of(Kind::RestoreHot, "trade", Outcome::Done));
        assert!(!of(Kind::RestoreHot, "orderbook", Outcome::Left), "of another table");
        assert!(!of(Kind::NotMendable, "trade", Outcome::Left), "nobody can mend it");
        let other = action(Kind::RemoveDuplicates, "trade", Outcome::Planned);
        assert!(!other.is_held_up_by(&[action(Kind::RestoreHot, "trade", Outcome::Left)]));
    }

    #[test]
    fn of_rows_that_say_the_same_the_first_stays() {
        let copies = [
            copy(1, 20, "a", 0),
            copy(1, 10, "b", 5),
            copy(2, 10, "a", 1),
            copy(1, 10, "b", 6),
        ];
        let gone = surplus(&copies, |copy| copy.hash);
        assert_eq!(gone, [copy(1, 10, "b", 6), copy(1, 20, "a", 0)]);
        let mut reversed = copies.to_vec();
        reversed.reverse();
        assert_eq!(surplus(&reversed, |copy| copy.hash), gone, "whatever the order");
        assert_eq!(surplus(&[copy(1, 1, "a", 0)], |copy| copy.hash), []);
    }

    #[test]
    fn what_others_cover_is_not_asked_for() {
        assert_eq!(uncovered((10, 20), &[]), [(10, 20)]);
        assert_eq!(
            uncovered((10, 20), &[(12, 13), (13, 15), (1, 10)]),
            [(11, 11), (16, 20)]
        );
        assert_eq!(uncovered((10, 20), &[(1, u64::MAX)]), []);
        assert_eq!(uncovered((10, 20), &[(30, 40), (20, 25)]), [(10, 19)]);
        assert_eq!(uncovered((10, 20), &[(10, 18), (11, 12)]), [(19, 20)]);
    }

    #[test]
    fn ids_become_ranges() {
        assert_eq!(ranges(vec![5, 3, 4, 9, 4]), [(3, 5), (9, 9)]);
        assert_eq!(ranges(vec![u64::MAX, u64::MAX - 1]), [(u64::MAX - 1, u64::MAX)]);
        assert_eq!(ranges(Vec::new()), []);
    }
}
