//! What a ClickHouse server that has stopped left in its folder: how tables were made, and the parts of each, read without it.
//!
//! Only databases of the kind Atomic, which every server since 20.10 makes: a definition in `metadata/<database>.sql` and below
//! `store/` names where everything of it is, by its UUID.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A table as its server left it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Original {
    /// `database.table`.
    pub(super) name: String,
    /// What its server knows it by.
    pub(super) uuid: String,
    /// How it was made, as the server wrote it down.
    pub(super) definition: String,
    /// The folders of its parts, without those that others took the place of.
    pub(super) parts: Vec<PathBuf>,
    /// Rows in them.
    pub(super) rows: u64,
    /// Bytes of their files.
    pub(super) bytes: u64,
}

/// Finds those of the tables `(database, table)` that are in a server's folder.
///
/// # Errors
/// Where a file or a folder cannot be read, or is not what a server writes.
pub(super) fn originals(folder: &Path, wanted: &[(&str, &str)]) -> io::Result<Vec<Original>> {
    let mut found = Vec::new();
    for (database, table) in wanted {
        let Some(text) = read(&folder.join("metadata").join(format!("{database}.sql")))? else {
            continue;
        };
        let place = place(folder, &uuid(&text)?);
        let Some(definition) = read(&place.join(format!("{table}.sql")))? else {
            continue;
        };
        let uuid = uuid(&definition)?;
        let parts = parts(&self::place(folder, &uuid))?;
        let mut original = Original {
            name: format!("{database}.{table}"),
            uuid,
            definition,
            parts: Vec::new(),
            rows: 0,
            bytes: 0,
        };
        for part in parts {
            let count = fs::read_to_string(part.join("count.txt"))?;
            original.rows += count.trim().parse::<u64>().map_err(io::Error::other)?;
            original.bytes += files(&part)?.iter().map(|(_, bytes)| bytes).sum::<u64>();
            original.parts.push(part);
        }
        found.push(original);
    }
    Ok(found)
}

/// Returns every file below a folder, with its size; what is neither file nor folder is an error.
pub(super) fn files(folder: &Path) -> io::Result<Vec<(PathBuf, u64)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let about = fs::symlink_metadata(&path)?;
        if about.is_dir() {
            found.extend(files(&path)?);
        } else if about.is_file() {
            found.push((path, about.len()));
        } else {
            return Err(io::Error::other(format!("{} is no file", path.display())));
        }
    }
    Ok(found)
}

/// Returns the statement that makes a table like it under another name, with a comment that says what it is.
///
/// What its server would drop after a time stays, and how columns were packed is left to whoever packs them anew.
///
/// # Errors
/// Where the definition is none of a plain table: it is executed, and comes from somebody else's folder.
pub(super) fn create(original: &Original, name: &str, comment: &str) -> Result<String, String> {
    let refused = |why: &str| Err(format!("the definition of {} {why}", original.name));
    let Some((first, body)) = original.definition.split_once('\n') else {
        return refused("is empty");
    };
    if !first.starts_with("ATTACH TABLE _ UUID '") {
        return refused("is not that of a table");
    }
    let lower = body.to_lowercase();
    if let Some(word) = [";", "select", "dictget", "file(", "url(", "--", "/*"]
        .iter()
        .find(|word| lower.contains(**word))
    {
        return refused(&format!("says `{word}`"));
    }
    let mut lines: Vec<String> = Vec::new();
    let (mut is_clause, mut is_left_out, mut is_plain) = (false, false, false);
    for line in body.lines() {
        is_clause |= line.starts_with("ENGINE");
        if is_clause && line.starts_with(|c: char| c.is_ascii_uppercase()) {
            is_left_out = ["TTL ", "COMMENT "].iter().any(|clause| line.starts_with(clause));
        }
        let engine = line
            .strip_prefix("ENGINE = ")
            .map(|engine| engine.split('(').next().unwrap_or(engine));
        is_plain |= engine.is_some_and(|engine| ["MergeTree", "ReplacingMergeTree"].contains(&engine.trim()));
        if !is_left_out {
            lines.push(without_codec(line));
        }
    }
    match is_plain {
        true => Ok(format!(
            "CREATE TABLE {name}\n{}\nCOMMENT '{comment}'",
            lines.join("\n")
        )),
        false => refused("has another engine than MergeTree"),
    }
}

/// Takes ` CODEC(…)` out of a column's line.
fn without_codec(line: &str) -> String {
    let Some(start) = line.find(" CODEC(") else {
        return line.to_owned();
    };
    let mut depth = 0;
    let end = line[start..].char_indices().find_map(|(at, c)| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        (c == ')' && depth == 0).then_some(start + at + 1)
    });
    match end {
        Some(end) => format!("{}{}", &line[..start], &line[end..]),
        None => line.to_owned(),
    }
}

/// Returns where everything of a database or of a table is.
fn place(folder: &Path, uuid: &str) -> PathBuf {
    folder.join("store").join(&uuid[..3]).join(uuid)
}

/// Returns the UUID that a definition names.
fn uuid(definition: &str) -> io::Result<String> {
    let named = definition
        .split_once("UUID '")
        .and_then(|(_, rest)| rest.split_once('\''))
        .map(|(uuid, _)| uuid);
    let is_one = |text: &&str| text.len() == 36 && text.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    let named = named.filter(is_one).map(str::to_owned);
    named.ok_or_else(|| io::Error::other("a definition without a UUID: no Atomic database"))
}

fn read(file: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// What a part's name says: <https://clickhouse.com/docs/en/engines/table-engines/mergetree-family/custom-partitioning-key>.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct PartName {
    partition: String,
    first: u64,
    last: u64,
    level: u64,
    mutation: u64,
}

impl PartName {
    fn parse(name: &str) -> Option<Self> {
        let words: Vec<&str> = name.split('_').collect();
        let [partition, first, last, level, rest @ ..] = words.as_slice() else {
            return None;
        };
        let mutation = match rest {
            [] => "0",
            [mutation] => mutation,
            _ => return None,
        };
        Some(Self {
            partition: (*partition).to_owned(),
            first: first.parse().ok()?,
            last: last.parse().ok()?,
            level: level.parse().ok()?,
            mutation: mutation.parse().ok()?,
        })
    }

    /// Returns whether it has everything that another part has: then that one is only not removed yet.
    fn covers(&self, other: &Self) -> bool {
        self != other
            && self.partition == other.partition
            && self.first <= other.first
            && self.last >= other.last
            && self.level >= other.level
            && self.mutation >= other.mutation
    }
}

/// Returns the folders of a table's parts, without those that merges left behind.
fn parts(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut named = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // Whole parts have it, the last file that is written of them.
        if let Some(part) = PartName::parse(&name).filter(|_| entry.path().join("checksums.txt").is_file()) {
            named.push((part, entry.path()));
        }
    }
    named.sort();
    let is_active = |part: &PartName| !named.iter().any(|(other, _)| other.covers(part));
    Ok(named
        .iter()
        .filter(|(part, _)| is_active(part))
        .map(|(_, path)| path.clone())
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRADES: &str = "ATTACH TABLE _ UUID '6e4f8a8e-1c1d-4b7e-9a77-0d6f7f0c1a11'\n(\n    `timestamp` DateTime64(3, 'UTC') \
        CODEC(Delta(8), ZSTD(1)),\n    `price` Decimal(18, 8) CODEC(ZSTD(1))\n)\nENGINE = MergeTree\nPARTITION BY toYYYYMM(timestamp)\n\
        ORDER BY timestamp\nTTL toDateTime(timestamp) + toIntervalDay(3)\nSETTINGS index_granularity = 8192\n";

    fn original(definition: &str) -> Original {
        Original {
            name: "marketprism_hot.trades".into(),
            uuid: uuid(definition).unwrap_or_default(),
            definition: definition.into(),
            parts: Vec::new(),
            rows: 0,
            bytes: 0,
        }
    }

    #[test]
    fn a_definition_makes_a_table_that_drops_nothing_and_nothing_else() {
        let made = create(&original(TRADES), "beside.hot_trades", "which").expect("a plain table");
        assert_eq!(
            made,
            "CREATE TABLE beside.hot_trades\n(\n    `timestamp` DateTime64(3, 'UTC'),\n    `price` Decimal(18, 8)\n)\nENGINE = MergeTree\n\
             PARTITION BY toYYYYMM(timestamp)\nORDER BY timestamp\nSETTINGS index_granularity = 8192\nCOMMENT 'which'"
        );
        for other in [
            TRADES.replace("ATTACH TABLE _", "ATTACH DATABASE _"),
            TRADES.replace("ENGINE = MergeTree", "ENGINE = File(TSV, '/etc/passwd')"),
            TRADES.replace("ENGINE = MergeTree", "ENGINE = MergeTree AS SELECT 1"),
            TRADES.replace("SETTINGS", "; DROP TABLE x; --"),
        ] {
            create(&original(&other), "beside.hot_trades", "which").expect_err(&other);
        }
    }

    #[test]
    fn parts_that_merges_left_behind_are_no_part_of_the_table() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let parts_of = |names: &[&str]| {
            for name in names {
                let part = folder.path().join(name);
                fs::create_dir_all(&part).expect("made");
                fs::write(part.join("checksums.txt"), "").expect("written");
            }
        };
        parts_of(&[
            "a_1_1_0",
            "a_2_2_0",
            "a_1_2_1",
            "a_3_3_0",
            "a_3_3_0_7",
            "b_1_1_0",
            "detached",
            "tmp_insert_a_9_9_0",
        ]);
        fs::create_dir_all(folder.path().join("a_8_8_0")).expect("made");
        let found = parts(folder.path()).expect("read");
        let names: Vec<_> = found.iter().filter_map(|part| part.file_name()?.to_str()).collect();
        assert_eq!(names, ["a_1_2_1", "a_3_3_0_7", "b_1_1_0"]);
    }
}
