//! The statements of inserts, with and without a look at the table of generations. Pure.

use std::collections::HashMap;

/// Where the generation of each table stands on a server that has no fences of its own.
pub(super) const GENERATIONS: &str = "marketprism_fences.generations";
/// What a server says where an insert looked and found another generation.
pub(crate) const REFUSED: &str = "mprism: another fence was raised";

/// The types of a table's columns by their names.
pub(super) type Columns = HashMap<String, String>;

/// Where an insert's rows come from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Source<'a> {
    /// They come with it.
    Data {
        /// The columns, in the order of the rows' fields.
        columns: &'a str,
        /// The rows' format.
        format: &'static str,
    },
    /// The server has them.
    Select {
        /// The columns, in the order in which they are selected.
        columns: &'a str,
        /// The SELECT that gives the rows.
        select: &'a str,
    },
}

/// Returns the statement for a server that keeps late inserts out itself.
pub(super) fn plain(table: &str, source: &Source<'_>) -> String {
    match source {
        Source::Data { columns, format } => format!("INSERT INTO {table} ({columns}) FORMAT {format}"),
        Source::Select { columns, select } => format!("INSERT INTO {table} ({columns}) {select}"),
    }
}

/// Returns a statement that inserts only where `generation` is still the newest as it begins, and fails otherwise.
///
/// The look is a scalar subquery, so the server takes it once, before the first row, and `throwIf` is never folded away. `input()`
/// stands for the data that comes with the statement, and gives one block for one block.
///
/// # Errors
/// The column that the table does not have.
pub(super) fn guarded(table: &str, source: &Source<'_>, types: &Columns, generation: u64) -> Result<String, String> {
    let holds = format!(
        "throwIf((SELECT max(generation) FROM {GENERATIONS} WHERE table = {}) != {generation}, '{REFUSED}') = 0",
        quoted(table)
    );
    match source {
        Source::Data { columns, format } => {
            let structure = columns.split(',').map(|column| {
                let column = column.trim();
                let kind = types.get(column).ok_or_else(|| column.to_owned())?;
                Ok(format!("{column} {kind}"))
            });
            let structure = structure.collect::<Result<Vec<_>, String>>()?.join(", ");
            Ok(format!(
                "INSERT INTO {table} ({columns}) SELECT {columns} FROM input({}) WHERE {holds} FORMAT {format}",
                quoted(&structure)
            ))
        }
        Source::Select { columns, select } => Ok(format!(
            "INSERT INTO {table} ({columns}) SELECT * FROM ({select}) WHERE {holds}"
        )),
    }
}

/// Returns a text as it stands in a statement.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn types() -> Columns {
        let types = [("a", "UInt64"), ("b", "Enum8('x' = 1)"), ("c", "DateTime64(3, 'UTC')")];
        types.map(|(name, kind)| (name.to_owned(), kind.to_owned())).into()
    }

    #[test]
    fn rows_that_come_along_look_at_the_generation_first() {
        let source = Source::Data {
            columns: "c, b",
            format: "RowBinary",
        };
        assert_eq!(plain("d.t", &source), "INSERT INTO d.t (c, b) FORMAT RowBinary");
        assert_eq!(
            guarded("d.t", &source, &types(), 7).expect("known columns"),
            "INSERT INTO d.t (c, b) SELECT c, b FROM input('c DateTime64(3, \\'UTC\\'), b Enum8(\\'x\\' = 1)') \
             WHERE throwIf((SELECT max(generation) FROM marketprism_fences.generations WHERE table = 'd.t') != 7, \
             'mprism: another fence was raised') = 0 FORMAT RowBinary"
        );
        let unknown = Source::Data {
            columns: "a, x",
            format: "Native",
        };
        assert_eq!(guarded("d.t", &unknown, &types(), 7), Err("x".to_owned()));
    }

    #[test]
    fn so_does_a_copy_whatever_it_selects() {
        let source = Source::Select {
            columns: "a",
            select: "SELECT a FROM d.s WHERE a > 1 LIMIT 1 BY a",
        };
        assert_eq!(
            plain("d.t", &source),
            "INSERT INTO d.t (a) SELECT a FROM d.s WHERE a > 1 LIMIT 1 BY a"
        );
        let text = guarded("d.t", &source, &types(), 7).expect("no columns are looked up");
        let begin = "INSERT INTO d.t (a) SELECT * FROM (SELECT a FROM d.s WHERE a > 1 LIMIT 1 BY a) WHERE throwIf((";
        assert!(text.starts_with(begin), "{text}");
    }
}
