//! How a table differs from the schema, and what mends each difference. Reads nothing and changes nothing.

use std::fmt;

use serde::Serialize;

use super::observe::{Found, FoundColumn};
use super::original;
use super::tier::Tier;
use super::wanted::{Column, Wanted, create_as, is_given};

/// What rebuilds a table around its rows.
const REBUILD: &str = "mprism repair --schema";

/// What kind of difference it is, and with that what may be done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DifferenceKind {
    /// A table that is not there.
    MissingTable,
    /// A column that is not there.
    MissingColumn,
    /// A skipping index that is not there, or is another one.
    MissingIndex,
    /// A setting of the table with another value.
    Setting,
    /// Another default, alias or codec: rows that are stored do not change with it.
    Definition,
    /// A column of another type, or one that is computed where it should be stored, or the other way round.
    Type,
    /// Rows of the table have no identity.
    Identity,
    /// Another partition or key.
    Key,
    /// Another engine.
    Engine,
    /// Another TTL: rows would leave by it.
    Ttl,
    /// The table is one of MarketPrism's.
    Original,
    /// A view that cannot be made.
    View,
    /// A column or an index that this version does not know.
    Extra,
}

impl DifferenceKind {
    /// Returns whether it only adds: no stored row is touched by mending it.
    pub fn is_additive(self) -> bool {
        match self {
            Self::MissingTable | Self::MissingColumn | Self::MissingIndex | Self::Setting | Self::Definition => true,
            Self::Type
            | Self::Identity
            | Self::Key
            | Self::Engine
            | Self::Ttl
            | Self::Original
            | Self::View
            | Self::Extra => false,
        }
    }

    /// Returns whether the rows have to be copied into another table.
    pub fn needs_rebuild(self) -> bool {
        match self {
            Self::Type | Self::Identity | Self::Key | Self::Engine | Self::Original => true,
            Self::MissingTable
            | Self::MissingColumn
            | Self::MissingIndex
            | Self::Setting
            | Self::Definition
            | Self::Ttl
            | Self::View
            | Self::Extra => false,
        }
    }

    /// Returns whether something is wrong as long as it is there.
    pub fn is_fault(self) -> bool {
        self != Self::Extra
    }
}

/// One difference of a table from the schema.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The database.
    pub database: &'static str,
    /// The table.
    pub table: String,
    /// The column, index or setting, where it is about one.
    pub column: Option<String>,
    /// What kind it is.
    pub kind: DifferenceKind,
    /// What differs, in words.
    pub message: String,
    /// What mends it: SQL, or a command. Nothing where nothing has to be done.
    pub statement: Option<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.statement {
            Some(statement) => write!(f, "; mend it with `{statement}`"),
            None => Ok(()),
        }
    }
}

/// Collects the differences of one table.
struct Differences {
    tier: Tier,
    table: String,
    all: Vec<Difference>,
}

impl Differences {
    fn tell(&mut self, kind: DifferenceKind, column: Option<&str>, message: String, statement: Option<String>) {
        self.all.push(Difference {
            database: self.tier.database(),
            table: self.table.clone(),
            column: column.map(str::to_owned),
            kind,
            message,
            statement,
        });
    }

    fn name(&self) -> String {
        format!("{}.{}", self.tier.database(), self.table)
    }
}

/// Compares a table with the schema. What has to be rebuilt is told of without what would be mended by that anyhow.
pub(super) fn compare(tier: Tier, table: &str, found: Option<&Found>) -> Vec<Difference> {
    let mut told = Differences {
        tier,
        table: table.to_owned(),
        all: Vec::new(),
    };
    let name = told.name();
    let Some(found) = found else {
        let statement = create_as(tier, table, &name);
        told.tell(
            DifferenceKind::MissingTable,
            None,
            format!("table {name} is missing"),
            Some(statement),
        );
        return told.all;
    };
    let rebuilt = Some(REBUILD.to_owned());
    if original::is_original(found) {
        let message = format!("table {name} is MarketPrism's own, with {} rows", found.rows);
        told.tell(DifferenceKind::Original, None, message, rebuilt);
        return told.all;
    }
    let wanted = Wanted::of(tier, table);
    keys(&mut told, &wanted, found);
    columns(&mut told, &wanted, found);
    if told.all.iter().any(|difference| difference.kind.needs_rebuild()) {
        told.all
            .retain(|difference| !difference.kind.is_additive() || difference.kind == DifferenceKind::MissingColumn);
        if told
            .all
            .iter()
            .any(|difference| matches!(difference.kind, DifferenceKind::Key | DifferenceKind::Identity))
        {
            told.all.retain(|difference| !difference.kind.is_additive());
        }
        return told.all;
    }
    settings(&mut told, &wanted, found);
    indices(&mut told, &wanted, found);
    told.all
}

fn keys(told: &mut Differences, wanted: &Wanted, found: &Found) {
    let (name, rebuilt) = (told.name(), Some(REBUILD.to_owned()));
    let (want, have) = (&wanted.storage, &found.storage);
    if want.engine != have.engine {
        let message = format!("table {name} has the engine {}, not {}", have.engine, want.engine);
        told.tell(DifferenceKind::Engine, None, message, rebuilt.clone());
    }
    let clauses = [
        ("partitioned by", &want.partition, &have.partition),
        ("ordered by", &want.order, &have.order),
    ];
    for (what, want, have) in clauses {
        if want != have {
            let message = format!("table {name} is {what} `{have}`, not `{want}`");
            told.tell(DifferenceKind::Key, None, message, rebuilt.clone());
        }
    }
    if !have.primary.is_empty() && have.primary != have.order {
        let message = format!("table {name} has the primary key `{}`, not its order", have.primary);
        told.tell(DifferenceKind::Key, None, message, rebuilt.clone());
    }
    let granularity = "index_granularity";
    if let (Some(want), Some(have)) = (want.settings.get(granularity), have.settings.get(granularity))
        && want != have
    {
        let message = format!("table {name} has {granularity} = {have}, not {want}");
        told.tell(DifferenceKind::Key, Some(granularity), message, rebuilt);
    }
    if want.ttl != have.ttl {
        let statement = match want.ttl.as_str() {
            "" => format!("ALTER TABLE {name} REMOVE TTL"),
            ttl => format!("ALTER TABLE {name} MODIFY TTL {ttl}"),
        };
        let none = |ttl: &str| {
            if ttl.is_empty() {
                "none".to_owned()
            } else {
                format!("`{ttl}`")
            }
        };
        let message = format!("the TTL of {name} is {}, not {}", none(&have.ttl), none(&want.ttl));
        told.tell(DifferenceKind::Ttl, None, message, Some(statement));
    }
}

fn columns(told: &mut Differences, wanted: &Wanted, found: &Found) {
    let name = told.name();
    let mut previous: Option<&str> = None;
    for column in &wanted.columns {
        match found.column(&column.name) {
            None => missing(told, column, previous, found),
            Some(have) => same(told, column, have),
        }
        previous = Some(&column.name);
    }
    let unknown = |have: &&FoundColumn| !wanted.columns.iter().any(|column| column.name == have.name);
    for have in found.columns.iter().filter(unknown) {
        let message = format!(
            "{name}.{} {} is not known to this version; it is left as it is",
            have.name, have.kind
        );
        told.tell(DifferenceKind::Extra, Some(&have.name), message, None);
    }
}

fn missing(told: &mut Differences, column: &Column, previous: Option<&str>, found: &Found) {
    let name = told.name();
    let message = format!("column {name}.{} is missing", column.name);
    // Added, it would be 0 in every row: all would be one.
    let is_identity = matches!(column.name.as_str(), "producer_epoch" | "producer_seq");
    if is_identity && found.rows > 0 {
        told.tell(
            DifferenceKind::Identity,
            Some(&column.name),
            message,
            Some(REBUILD.to_owned()),
        );
        return;
    }
    let place = previous.map_or_else(|| "FIRST".to_owned(), |previous| format!("AFTER {previous}"));
    let statement = format!("ALTER TABLE {name} ADD COLUMN IF NOT EXISTS {} {place}", column.text);
    told.tell(
        DifferenceKind::MissingColumn,
        Some(&column.name),
        message,
        Some(statement),
    );
}

fn same(told: &mut Differences, column: &Column, have: &FoundColumn) {
    let name = told.name();
    let is_stored_alike = is_given(&have.default_kind) == column.is_given();
    let is_computed_alike = column.is_given()
        || (have.default_kind == column.default_kind
            && (have.default == column.default || column.default_kind == "ALIAS"));
    if have.kind != column.kind || !is_stored_alike || !is_computed_alike {
        let text = |kind: &str, default_kind: &str, default: &str| {
            if is_given(default_kind) {
                kind.to_owned()
            } else {
                format!("{kind} {default_kind} {default}")
            }
        };
        let message = format!(
            "{name}.{} is {}, not {}",
            column.name,
            text(&have.kind, &have.default_kind, &have.default),
            text(&column.kind, &column.default_kind, &column.default)
        );
        told.tell(
            DifferenceKind::Type,
            Some(&column.name),
            message,
            Some(REBUILD.to_owned()),
        );
        return;
    }
    if have.default_kind != column.default_kind || have.default != column.default || have.codec != column.codec {
        let message = format!("{name}.{} is not defined as `{}`", column.name, column.text);
        let statement = format!("ALTER TABLE {name} MODIFY COLUMN {}", column.text);
        told.tell(DifferenceKind::Definition, Some(&column.name), message, Some(statement));
    }
}

fn settings(told: &mut Differences, wanted: &Wanted, found: &Found) {
    let name = told.name();
    for (setting, want) in &wanted.storage.settings {
        let have = found.storage.settings.get(setting);
        if have == Some(want) {
            continue;
        }
        let have = have.map_or("not set", String::as_str);
        let message = format!("the setting {setting} of {name} is {have}, not {want}");
        let statement = format!("ALTER TABLE {name} MODIFY SETTING {setting} = {want}");
        told.tell(DifferenceKind::Setting, Some(setting), message, Some(statement));
    }
}

fn indices(told: &mut Differences, wanted: &Wanted, found: &Found) {
    let name = told.name();
    let own = |text: &str| text.split(' ').next().unwrap_or(text).to_owned();
    for (short, text) in &wanted.indices {
        if found.indices.contains(short) {
            continue;
        }
        let index = own(short);
        let other = found.indices.iter().find(|have| own(have) == index);
        let (message, statement) = match other {
            None => (
                format!("index `{short}` of {name} is missing"),
                format!("ALTER TABLE {name} ADD INDEX IF NOT EXISTS {text}"),
            ),
            Some(other) => (
                format!("index {index} of {name} is `{other}`, not `{short}`"),
                format!("ALTER TABLE {name} DROP INDEX {index}, ADD INDEX {text}"),
            ),
        };
        told.tell(DifferenceKind::MissingIndex, Some(&index), message, Some(statement));
    }
    let is_known = |have: &String| wanted.indices.iter().any(|(short, _)| own(short) == own(have));
    for have in found.indices.iter().filter(|have| !is_known(have)) {
        let message = format!("index `{have}` of {name} is not known to this version; it is left as it is");
        told.tell(DifferenceKind::Extra, Some(&own(have)), message, None);
    }
}
