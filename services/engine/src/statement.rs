//! Statements: what they are, and whether anybody may run them here.
//!
//! A statement is judged on what the engine itself parsed, never on the client's text: the text is normalised by
//! `formatQuerySingleLine` (which refuses several statements in one), and only its output is judged and run.

use crate::directive::{self, Kill};
use crate::exception::Exception;
use crate::tokens::Tokens;

/// What a statement is, as far as access and execution care.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// SELECT, UNION, WITH: its output is streamed.
    Select,
    /// SHOW, DESCRIBE TABLE, EXISTS, EXPLAIN: small output.
    Describe,
    /// INSERT with data, into this table (`database.table` where the statement names both).
    InsertData(String),
    /// INSERT … SELECT.
    InsertSelect(String),
    /// INSERT … SELECT … FROM input(…), whose data comes with it.
    InsertInput(String),
    /// DDL and mutations.
    Alter,
    /// `CREATE TEMPORARY TABLE`: lives as long as its session.
    CreateTemporary,
    /// `SET`, names and values as they stand in the text.
    Set(Vec<(String, String)>),
    /// `USE`.
    Use(String),
    /// `KILL QUERY` by query id, or by comment.
    Kill(Kill),
}

impl Kind {
    /// Returns whether a reader may run it.
    pub(crate) fn is_read(&self) -> bool {
        matches!(self, Self::Select | Self::Describe | Self::Set(_) | Self::Use(_))
    }
}

/// One line of `EXPLAIN AST`.
struct Node<'a> {
    depth: usize,
    kind: &'a str,
    name: &'a str,
}

fn nodes(ast: &str) -> Vec<Node<'_>> {
    let lines = ast.lines().filter(|line| !line.trim().is_empty());
    let node = |line: &'_ str| -> (usize, usize) {
        let depth = line.len() - line.trim_start_matches(' ').len();
        (depth, line[depth..].find(' ').map_or(line.len(), |n| depth + n))
    };
    lines
        .map(|line| {
            let (depth, end) = node(line);
            let rest = line[end..].trim_start();
            Node {
                depth,
                kind: &line[depth..end],
                name: rest.split(' ').next().unwrap_or(""),
            }
        })
        .collect()
}

/// Table functions that read nothing outside the engine.
const TABLE_FUNCTIONS: [&str; 10] = [
    "numbers",
    "numbers_mt",
    "values",
    "generateseries",
    "generate_series",
    "merge",
    "view",
    "format",
    "null",
    "zeros",
];

/// Decides what a statement is, from its normalised text and the engine's own parse of it.
///
/// `table_functions` are all table functions the engine knows, in lower case: those not in the list above are refused
/// wherever they stand.
///
/// # Errors
/// Where the statement is of a kind, or uses a function or engine, that nobody may use through this interface.
pub(crate) fn judge(normalised: &str, ast: &str, table_functions: &[String]) -> Result<Kind, Exception> {
    let nodes = nodes(ast);
    let Some(root) = nodes.first() else {
        return Err(Exception::new(62, "Empty query", "SYNTAX_ERROR"));
    };
    refuse_files(normalised)?;
    let takes_input = root.kind == "InsertQuery" && nodes.iter().filter(|n| is_input(n)).count() == 1;
    refuse_functions(&nodes, table_functions, takes_input)?;
    refuse_engines(&nodes)?;
    match root.kind {
        "SelectWithUnionQuery" | "SelectIntersectExceptQuery" | "SelectQuery" => Ok(Kind::Select),
        "ShowTables"
        | "ShowColumns"
        | "ShowIndexes"
        | "ShowFunctions"
        | "ShowEngines"
        | "ShowSetting"
        | "ShowCreateTableQuery"
        | "ShowCreateDatabaseQuery"
        | "ShowCreateViewQuery"
        | "ExistsTableQuery"
        | "ExistsDatabaseQuery"
        | "ExistsViewQuery"
        | "CheckQuery" => Ok(Kind::Describe),
        "DescribeQuery" => {
            let of_function = nodes.iter().any(|n| n.kind == "Function" || n.kind == "Subquery");
            if of_function {
                Err(Exception::denied("DESCRIBE of a function is not allowed here"))
            } else {
                Ok(Kind::Describe)
            }
        }
        "Explain" => {
            let explained = nodes.get(1).map_or("", |n| n.kind);
            let read = matches!(
                explained,
                "SelectWithUnionQuery" | "SelectIntersectExceptQuery" | "SelectQuery" | "Set"
            );
            let nothing_else = !nodes.iter().skip(1).any(|n| {
                n.kind == "Explain" || n.kind.ends_with("Query") && n.depth == 1 && !n.kind.starts_with("Select")
            });
            if read && nothing_else {
                Ok(Kind::Describe)
            } else {
                Err(Exception::denied("EXPLAIN of this statement is not allowed here"))
            }
        }
        "InsertQuery" => {
            let names: Vec<&str> = nodes
                .iter()
                .skip(1)
                .take_while(|n| n.depth == 1 && n.kind == "Identifier")
                .map(|n| n.name)
                .collect();
            if names_a_parameter(normalised) {
                let message = "The table of an INSERT is written out here: fences go by its name";
                return Err(Exception::denied(message));
            }
            if names.is_empty() {
                return Err(Exception::denied("INSERT into a function is not allowed here"));
            }
            let table = names.join(".");
            let selects = nodes.iter().any(|n| n.depth == 1 && n.kind.starts_with("Select"));
            Ok(match (selects, takes_input) {
                (true, true) => Kind::InsertInput(table),
                (true, false) => Kind::InsertSelect(table),
                (false, _) => Kind::InsertData(table),
            })
        }
        "Set" => directive::assignments(normalised).map(Kind::Set),
        "UseQuery" => directive::database(normalised).map(Kind::Use),
        "KillQueryQuery" => directive::kill(normalised).map(Kind::Kill),
        "CreateQuery" if is_temporary(normalised) => Ok(Kind::CreateTemporary),
        "CreateQuery" | "DropQuery" | "UndropQuery" | "TruncateQuery" | "AlterQuery" | "OptimizeQuery" | "Rename"
        | "DeleteQuery" | "UpdateQuery" => Ok(Kind::Alter),
        other => Err(Exception::denied(&format!(
            "Statements of kind {other} are not allowed here"
        ))),
    }
}

/// Returns whether an INSERT takes its table's name from a parameter.
fn names_a_parameter(normalised: &str) -> bool {
    let ends = ["VALUES", "FORMAT", "SELECT", "SETTINGS", "WITH", "FROM"];
    let mut name = Tokens::new(normalised).take_while(|t| t.text != "(" && !ends.iter().any(|end| t.is(end)));
    name.any(|t| t.text == "{")
}

fn is_temporary(normalised: &str) -> bool {
    let mut tokens = Tokens::new(normalised)
        .skip(1)
        .skip_while(|t| t.is("OR") || t.is("REPLACE"));
    tokens.next().is_some_and(|t| t.is("TEMPORARY"))
}

/// `INTO OUTFILE` and `FROM INFILE` leave no name in the parse; in the normalised text they are always these words.
fn refuse_files(normalised: &str) -> Result<(), Exception> {
    let words: Vec<&str> = Tokens::new(normalised).map(|t| t.text).collect();
    let pair = |a: &str, b: &str| {
        words
            .windows(2)
            .any(|w| w[0].eq_ignore_ascii_case(a) && w[1].eq_ignore_ascii_case(b))
    };
    if pair("INTO", "OUTFILE") || pair("FROM", "INFILE") {
        return Err(Exception::denied("INTO OUTFILE and FROM INFILE are not allowed here"));
    }
    Ok(())
}

/// Returns whether a node is the function that stands for the data that comes with an INSERT.
fn is_input(node: &Node<'_>) -> bool {
    node.kind == "Function" && node.name.eq_ignore_ascii_case("input")
}

fn refuse_functions(nodes: &[Node<'_>], table_functions: &[String], takes_input: bool) -> Result<(), Exception> {
    let is_own_data = |node: &Node<'_>| takes_input && is_input(node);
    for node in nodes.iter().filter(|n| n.kind == "Function" && !is_own_data(n)) {
        let name = node.name.to_lowercase();
        let forbidden = name == "catboostevaluate"
            || name.starts_with("dictget")
            || name == "dicthas"
            || name == "file"
            || (!TABLE_FUNCTIONS.contains(&name.as_str()) && table_functions.contains(&name));
        if forbidden {
            return Err(Exception::denied(&format!(
                "Function {} is not allowed here",
                node.name
            )));
        }
    }
    let python = nodes
        .iter()
        .any(|n| n.kind == "Function" && n.name.eq_ignore_ascii_case("python"));
    let dictionary = nodes.iter().any(|n| n.kind.starts_with("Dictionary"));
    if python || dictionary {
        return Err(Exception::denied(
            "Dictionaries and the Python function are not allowed here",
        ));
    }
    Ok(())
}

/// Refuses engines that reach outside: whatever stands first in a storage definition must be a MergeTree, Memory or a view.
fn refuse_engines(nodes: &[Node<'_>]) -> Result<(), Exception> {
    for (at, node) in nodes.iter().enumerate().filter(|(_, n)| n.kind == "Storage") {
        let engine = nodes
            .get(at + 1)
            .filter(|n| n.depth == node.depth + 1 && n.kind == "Function");
        let name = engine.map_or("", |n| n.name);
        let allowed = name.ends_with("MergeTree") || matches!(name, "" | "Memory" | "Null" | "Atomic");
        if !allowed {
            return Err(Exception::denied(&format!("Engine {name} is not allowed here")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_functions_name_is_refused_wherever_it_stands() {
        let all = ["url".to_owned(), "file".to_owned(), "numbers".to_owned()];
        let ast = "SelectWithUnionQuery (children 1)\n ExpressionList (children 1)\n  Function in (children 1)\n   Function url (alias x) (children 1)\n";
        assert_eq!(judge("SELECT 1 IN url('x')", ast, &all).expect_err("refused").code, 497);
        let ast = "SelectWithUnionQuery (children 1)\n TableExpression (children 1)\n  Function numbers (children 1)\n";
        assert_eq!(
            judge("SELECT * FROM numbers(3)", ast, &all).expect("allowed"),
            Kind::Select
        );
    }

    #[test]
    fn an_insert_that_hides_its_table_is_refused() {
        let ast = "InsertQuery (children 1)\n Identifier t\n";
        for text in [
            "INSERT INTO {t:Identifier} FORMAT CSV",
            "INSERT INTO {d:Identifier}.t (a) VALUES",
            "INSERT INTO d.{t:Identifier} SELECT 1",
        ] {
            assert_eq!(judge(text, ast, &[]).expect_err("refused").code, 497, "{text}");
        }
        assert!(judge("INSERT INTO t SELECT {x:UInt8}", ast, &[]).is_ok());
    }

    #[test]
    fn an_inserts_own_data_is_no_foreign_table() {
        let all = ["input".to_owned(), "url".to_owned()];
        let ast = |functions: &str| {
            format!("InsertQuery (children 2)\n Identifier t\n SelectWithUnionQuery (children 1)\n{functions}")
        };
        let input = "  Function input (children 1)\n";
        let text = "INSERT INTO t SELECT a FROM input('a UInt8') FORMAT TSV";
        let judged = |functions: &str| judge(text, &ast(functions), &all);
        assert_eq!(judged(input).expect("allowed"), Kind::InsertInput("t".into()));
        for others in [
            &format!("{input}{input}"),
            &format!("{input}  Function url (children 1)\n"),
        ] {
            assert_eq!(judged(others).expect_err("refused").code, 497, "{others}");
        }
        let read = "SelectWithUnionQuery (children 1)\n Function input (children 1)\n";
        assert_eq!(
            judge("SELECT a FROM input('a UInt8')", read, &all)
                .expect_err("refused")
                .code,
            497
        );
    }

    #[test]
    fn an_insert_names_its_table() {
        let ast =
            "InsertQuery   (children 4)\n Identifier a\n Identifier b\n ExpressionList (children 2)\n  Identifier x\n";
        assert_eq!(
            judge("INSERT INTO a.b (x) FORMAT RowBinary", ast, &[]).expect("allowed"),
            Kind::InsertData("a.b".into())
        );
    }
}
