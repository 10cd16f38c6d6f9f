//! What the schema says of each table, read from its text.

use std::collections::BTreeMap;

use super::tier::{Tier, create};

/// A column as the schema writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type, as the server prints it.
    pub kind: String,
    /// Its whole definition.
    pub(super) text: String,
    /// `DEFAULT`, `MATERIALIZED` or `ALIAS`; nothing where it has no expression.
    pub(super) default_kind: String,
    /// That expression.
    pub(super) default: String,
    /// The names of its codecs, as in `Delta, ZSTD`.
    pub(super) codec: String,
}

impl Column {
    /// Returns whether rows are stored with it: one that is computed at each read, or from the row as it is written, is not
    /// copied.
    pub(super) fn is_given(&self) -> bool {
        is_given(&self.default_kind)
    }
}

/// Returns whether a column of such a default is written by who writes the row.
pub(super) fn is_given(default_kind: &str) -> bool {
    matches!(default_kind, "" | "DEFAULT")
}

/// How a table is stored: what stands behind its columns, clause by clause.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Storage {
    /// The engine's name. On a cluster it begins with `Replicated`, and may: that is taken off.
    pub(super) engine: String,
    pub(super) partition: String,
    pub(super) order: String,
    pub(super) primary: String,
    pub(super) ttl: String,
    pub(super) settings: BTreeMap<String, String>,
}

const CLAUSES: [&str; 6] = [
    " PARTITION BY ",
    " PRIMARY KEY ",
    " ORDER BY ",
    " SAMPLE BY ",
    " TTL ",
    " SETTINGS ",
];

impl Storage {
    /// Reads `MergeTree PARTITION BY … ORDER BY … SETTINGS …`, in one line with single blanks.
    pub(super) fn read(text: &str) -> Self {
        // The server quotes what is also a word of its language.
        let text = &text.replace('`', "");
        let end_of = |from: usize| {
            let ends = CLAUSES.iter().filter_map(|clause| text[from..].find(clause));
            ends.min().map_or(text.len(), |at| from + at)
        };
        let clause = |name: &str| {
            let from = text.find(name).map(|at| at + name.len());
            from.map_or_else(String::new, |from| text[from..end_of(from)].trim().to_owned())
        };
        let engine = text[..end_of(0)].trim();
        let engine = engine.split_once('(').map_or(engine, |(name, _)| name);
        Self {
            engine: engine.trim().trim_start_matches("Replicated").to_owned(),
            partition: clause(CLAUSES[0]),
            primary: clause(CLAUSES[1]),
            order: clause(CLAUSES[2]),
            ttl: clause(CLAUSES[4]),
            settings: clause(CLAUSES[5])
                .split(", ")
                .filter_map(|setting| setting.split_once(" = "))
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        }
    }
}

/// Everything that the schema says of a table.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) columns: Vec<Column>,
    pub(super) storage: Storage,
    /// Each as `name expression TYPE type`, and the whole text.
    pub(super) indices: Vec<(String, String)>,
}

impl Wanted {
    pub(super) fn of(tier: Tier, table: &str) -> Self {
        let body = definition(tier, table);
        let lines = body.lines().map(str::trim).take_while(|line| !line.starts_with(')'));
        let indices = lines.filter_map(|line| line.strip_prefix("INDEX "));
        Self {
            columns: columns_of(tier, table),
            storage: Storage::read(&engine_of(tier, table)),
            indices: indices
                .map(|index| {
                    let text = index.trim_end_matches(',');
                    let short = text.split_once(" GRANULARITY").map_or(text, |(short, _)| short);
                    (short.to_owned(), text.to_owned())
                })
                .collect(),
        }
    }
}

/// Returns the statement that makes a table of the schema under another name.
pub(super) fn create_as(tier: Tier, table: &str, name: &str) -> String {
    format!("CREATE TABLE IF NOT EXISTS {name} ({}", definition(tier, table))
}

/// Returns the statement that makes a table, without its head; nothing for a table that there is not.
fn definition(tier: Tier, table: &str) -> String {
    let head = create(tier.database(), table);
    let found = tier
        .statements()
        .into_iter()
        .find(|statement| statement.starts_with(&head));
    found.map_or_else(String::new, |statement| statement[head.len()..].to_owned())
}

/// Returns the columns that the schema gives a table, in order.
pub fn columns_of(tier: Tier, table: &str) -> Vec<Column> {
    let body = definition(tier, table);
    let lines = body
        .lines()
        .map(str::trim)
        .skip(1)
        .take_while(|line| !line.starts_with(')'));
    let definitions = lines.filter(|line| !line.starts_with("INDEX ") && !line.is_empty());
    definitions
        .map(|line| {
            let text = line.trim_end_matches(',');
            let (name, rest) = text.split_once(' ').unwrap_or((text, ""));
            let (rest, codec) = rest.split_once(" CODEC(").unwrap_or((rest, ""));
            let defaults = [" DEFAULT ", " MATERIALIZED ", " ALIAS "];
            let default = defaults.iter().find_map(|kind| Some((kind, rest.split_once(kind)?)));
            let (kind, default_kind, default) =
                default.map_or((rest, "", ""), |(word, (kind, default))| (kind, word.trim(), default));
            Column {
                name: name.to_owned(),
                kind: kind.to_owned(),
                text: text.to_owned(),
                default_kind: default_kind.to_owned(),
                default: default.to_owned(),
                codec: codec.trim_end_matches(')').to_owned(),
            }
        })
        .collect()
}

/// Returns how the schema has a table stored, from `PARTITION BY` on: partitions, keys, TTL and settings, in one line with single
/// blanks, as the server prints it.
pub fn storage_of(tier: Tier, table: &str) -> String {
    let engine = engine_of(tier, table);
    engine
        .find("PARTITION BY")
        .map_or_else(String::new, |at| engine[at..].to_owned())
}

/// Returns the same from the engine's name on.
fn engine_of(tier: Tier, table: &str) -> String {
    let statement = definition(tier, table);
    let engine = statement.split_once(") ENGINE = ").map_or("", |(_, engine)| engine);
    let words: Vec<&str> = engine.split_whitespace().collect();
    words.join(" ")
}

/// Returns the skipping indices that the schema gives a table, each as `name expression TYPE type`.
pub fn indices_of(tier: Tier, table: &str) -> Vec<String> {
    let indices = Wanted::of(tier, table).indices.into_iter();
    indices.map(|(short, _)| short).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tier::{DATABASE, MARKET_TABLES, SCHEMA, TABLES, WINDOW_LEDGER};
    use super::*;

    #[test]
    fn the_schema_is_read_as_it_is_written() {
        assert_eq!(Tier::Hot.statements().len(), 12);
        let trades = columns_of(Tier::Hot, "trades");
        assert_eq!(trades.len(), 20);
        assert_eq!(
            (trades[5].name.as_str(), trades[5].kind.as_str()),
            ("price", "Decimal(38, 18)")
        );
        assert_eq!((trades[8].name.as_str(), trades[8].kind.as_str()), ("is_maker", "Bool"));
        assert_eq!(trades[19].kind, "Date");
        assert!(TABLES.iter().all(|table| !columns_of(Tier::Hot, table).is_empty()));
        let storage = storage_of(Tier::Hot, "trades");
        assert!(
            storage.starts_with("PARTITION BY (day, exchange) ORDER BY (exchange, market_type, symbol, "),
            "{storage}"
        );
        assert!(
            storage.ends_with("non_replicated_deduplication_window = 0"),
            "{storage}"
        );
        assert!(storage_of(Tier::Hot, "dead_letters").starts_with("PARTITION BY day ORDER BY"));
        assert_eq!(indices_of(Tier::Hot, "gaps"), ["ps producer_seq TYPE minmax"]);
        assert_eq!(
            indices_of(Tier::Hot, "trades")[1],
            "natural toUInt64OrZero(trade_id) TYPE minmax"
        );
    }

    #[test]
    fn the_other_tiers_are_made_of_the_hot_stores_tables() {
        for tier in [Tier::Leaving, Tier::Cold] {
            for table in tier.market_tables() {
                assert_eq!(columns_of(tier, table), columns_of(Tier::Hot, table), "{table}");
                assert_eq!(indices_of(tier, table), indices_of(Tier::Hot, table), "{table}");
            }
            assert!(
                !tier.statements().iter().any(|statement| statement.contains(DATABASE)),
                "{tier:?}"
            );
        }
        assert_eq!(Tier::Leaving.statements().len(), 1 + MARKET_TABLES);
        assert_eq!(Tier::Cold.statements().len(), 1 + MARKET_TABLES + 2);
        assert_eq!(storage_of(Tier::Leaving, "trades"), storage_of(Tier::Hot, "trades"));
        let cold = storage_of(Tier::Cold, "trades");
        assert!(
            cold.starts_with("PARTITION BY (toYYYYMM(day), exchange) ORDER BY ("),
            "{cold}"
        );
        assert_eq!(columns_of(Tier::Cold, WINDOW_LEDGER).len(), 7);
    }

    #[test]
    fn every_table_can_be_read_back_by_identity_and_fsyncs() {
        for table in TABLES {
            let columns = columns_of(Tier::Hot, table);
            let names: Vec<String> = columns.into_iter().map(|column| column.name).collect();
            assert!(
                names.contains(&"producer_epoch".to_owned()) && names.contains(&"producer_seq".to_owned()),
                "{table}"
            );
        }
        // And the two ledgers.
        let tables = TABLES.len() + 2;
        let fsyncs = SCHEMA.matches("fsync_after_insert = 1, fsync_part_directory = 1");
        assert_eq!(fsyncs.count(), tables);
        assert_eq!(SCHEMA.matches("auto_statistics_types = ''").count(), tables);
    }

    #[test]
    fn columns_and_clauses_are_told_apart() {
        let trades = columns_of(Tier::Hot, "trades");
        let source = trades
            .iter()
            .find(|column| column.name == "data_source")
            .expect("there");
        assert_eq!(
            (
                source.default_kind.as_str(),
                source.default.as_str(),
                source.codec.as_str()
            ),
            ("DEFAULT", "'marketprism'", "ZSTD")
        );
        assert_eq!(
            (trades[19].default_kind.as_str(), trades[19].is_given()),
            ("MATERIALIZED", false)
        );
        let books = columns_of(Tier::Hot, "orderbooks");
        let bids = books.iter().find(|column| column.name == "bids").expect("there");
        assert_eq!((bids.kind.as_str(), bids.default_kind.as_str()), ("String", "ALIAS"));
        assert!(
            bids.default.starts_with("concat('[', ") && bids.default.ends_with("']')"),
            "{}",
            bids.default
        );
        let cold = Storage::read(&engine_of(Tier::Cold, "trades"));
        assert_eq!((cold.engine.as_str(), cold.ttl.as_str()), ("MergeTree", ""));
        assert_eq!(cold.partition, "(toYYYYMM(day), exchange)");
        assert_eq!(cold.settings["fsync_after_insert"], "1");
        assert_eq!(cold.settings["auto_statistics_types"], "''");
        let replicated = "ReplicatedReplacingMergeTree('/x', '{replica}', checked_at) ORDER BY (a, b) TTL day + toIntervalDay(4) \
                          SETTINGS index_granularity = 8192";
        let replicated = Storage::read(replicated);
        assert_eq!(
            (
                replicated.engine.as_str(),
                replicated.order.as_str(),
                replicated.ttl.as_str()
            ),
            ("ReplacingMergeTree", "(a, b)", "day + toIntervalDay(4)")
        );
        assert!(create_as(Tier::Cold, "trades", "d.t").starts_with("CREATE TABLE IF NOT EXISTS d.t ("));
    }
}
