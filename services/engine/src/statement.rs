//! Statements: where their data begins, and what they are.
//!
//! A statement is judged on what the engine itself parsed, never on the client's text: the text is normalised by
//! `formatQuerySingleLine` (which refuses several statements in one), and only its output is judged and run.

use crate::exception::Exception;

/// One lexical token at a time: enough to skip strings, quoted names and comments.
struct Tokens<'a> {
    text: &'a str,
    at: usize,
    depth: i32,
}

struct Token<'a> {
    text: &'a str,
    start: usize,
    end: usize,
    depth: i32,
}

impl Token<'_> {
    fn is(&self, keyword: &str) -> bool {
        self.depth == 0 && self.text.eq_ignore_ascii_case(keyword)
    }
}

impl<'a> Tokens<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, at: 0, depth: 0 }
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        let bytes = self.text.as_bytes();
        loop {
            let start = self.at;
            let rest = &bytes[start..];
            let first = *rest.first()?;
            let word = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_' || *b >= 0x80;
            let length = match first {
                b if b.is_ascii_whitespace() => {
                    self.at += 1;
                    continue;
                }
                b'-' if rest.starts_with(b"--") => {
                    self.at += rest.iter().position(|b| *b == b'\n').map_or(rest.len(), |n| n + 1);
                    continue;
                }
                b'/' if rest.starts_with(b"/*") => {
                    let end = self.text.get(start + 2..).and_then(|t| t.find("*/")).map(|n| n + 4);
                    self.at += end.unwrap_or(rest.len());
                    continue;
                }
                quote @ (b'\'' | b'"' | b'`') => quoted(rest, quote),
                b if word(&b) => rest.iter().position(|b| !word(b)).unwrap_or(rest.len()),
                _ => 1,
            };
            match first {
                b'(' | b'[' | b'{' => self.depth += 1,
                b')' | b']' | b'}' => self.depth -= 1,
                _ => {}
            }
            self.at = start + length;
            let text = self.text.get(start..self.at).unwrap_or("");
            return Some(Token {
                text,
                start,
                end: self.at,
                depth: self.depth,
            });
        }
    }
}

fn quoted(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            b if b == quote && rest.get(at + 1) == Some(&quote) => at += 2,
            b if b == quote => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// Splits an INSERT with data in its text into statement and data; any other text is all statement.
///
/// The data of `FORMAT name` begins after the next line break (or blank), that of `VALUES` at once.
pub(crate) fn split_data(text: &str) -> (&str, &str) {
    let mut tokens = Tokens::new(text).peekable();
    if !tokens.next().is_some_and(|t| t.is("INSERT")) {
        return (text, "");
    }
    while let Some(token) = tokens.next() {
        if token.is("SELECT") || token.is("WITH") {
            return (text, "");
        }
        if token.is("VALUES") {
            return text.split_at(token.end);
        }
        if token.is("FORMAT")
            && let Some(name) = tokens.next()
        {
            let (statement, data) = text.split_at(name.end);
            let blanks = data.len() - data.trim_start_matches([' ', '\t', '\r']).len();
            let data = &data[blanks..];
            return (statement, data.strip_prefix('\n').unwrap_or(data));
        }
    }
    (text, "")
}

/// Returns a normalised statement with `clause` put where INTO OUTFILE stands: before a final FORMAT or SETTINGS.
pub(crate) fn with_output(normalised: &str, clause: &str, default_format: &str) -> String {
    let tokens: Vec<Token<'_>> = Tokens::new(normalised).filter(|t| t.depth == 0).collect();
    let is_word = |t: &Token<'_>| t.text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    // FORMAT is the output's only where nothing but SETTINGS follows its name: it is a fine name for a column, too.
    let format = tokens.windows(2).enumerate().rev().find(|(at, pair)| {
        let after = tokens.get(at + 2);
        pair[0].is("FORMAT") && is_word(&pair[1]) && after.is_none_or(|t| t.is("SETTINGS"))
    });
    match format {
        Some((_, pair)) => {
            let (before, after) = normalised.split_at(pair[0].start);
            format!("{before}{clause} {after}")
        }
        None => format!("{normalised} {clause} FORMAT {default_format}"),
    }
}

/// Returns a normalised INSERT with `clause` put where FROM INFILE stands: before SETTINGS and FORMAT.
pub(crate) fn with_input(normalised: &str, clause: &str) -> String {
    let place = Tokens::new(normalised).find(|t| t.is("SETTINGS") || t.is("FORMAT"));
    match place {
        Some(token) => {
            let (before, after) = normalised.split_at(token.start);
            format!("{before}{clause} {after}")
        }
        None => format!("{normalised} {clause}"),
    }
}

/// Returns the format a normalised statement asks for itself.
pub(crate) fn own_format(normalised: &str) -> Option<String> {
    let tokens: Vec<Token<'_>> = Tokens::new(normalised).filter(|t| t.depth == 0).collect();
    let found = tokens
        .windows(2)
        .enumerate()
        .rev()
        .find(|(at, pair)| pair[0].is("FORMAT") && tokens.get(at + 2).is_none_or(|t| t.is("SETTINGS")));
    found.map(|(_, pair)| pair[1].text.to_owned())
}

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
    /// DDL and mutations.
    Alter,
}

impl Kind {
    /// Returns whether a reader may run it.
    pub(crate) fn is_read(&self) -> bool {
        matches!(self, Self::Select | Self::Describe)
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
    refuse_functions(&nodes, table_functions)?;
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
            if names.is_empty() {
                return Err(Exception::denied("INSERT into a function is not allowed here"));
            }
            let table = names.join(".");
            let selects = nodes.iter().any(|n| n.depth == 1 && n.kind.starts_with("Select"));
            Ok(if selects {
                Kind::InsertSelect(table)
            } else {
                Kind::InsertData(table)
            })
        }
        "CreateQuery" | "DropQuery" | "UndropQuery" | "TruncateQuery" | "AlterQuery" | "OptimizeQuery" | "Rename"
        | "DeleteQuery" | "UpdateQuery" => Ok(Kind::Alter),
        other => Err(Exception::denied(&format!(
            "Statements of kind {other} are not allowed here"
        ))),
    }
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

fn refuse_functions(nodes: &[Node<'_>], table_functions: &[String]) -> Result<(), Exception> {
    for node in nodes.iter().filter(|n| n.kind == "Function") {
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
    fn data_begins_where_the_server_says() {
        let cases = [
            (
                "INSERT INTO t FORMAT RowBinary\n\x01\x02",
                "INSERT INTO t FORMAT RowBinary",
                "\x01\x02",
            ),
            (
                "insert into t (a) values (1), ('x')",
                "insert into t (a) values",
                " (1), ('x')",
            ),
            ("INSERT INTO t FORMAT CSV 1,2", "INSERT INTO t FORMAT CSV", "1,2"),
            (
                "INSERT INTO `values` SELECT 1 FORMAT x",
                "INSERT INTO `values` SELECT 1 FORMAT x",
                "",
            ),
            (
                "-- VALUES\nINSERT INTO t SETTINGS a='VALUES (' VALUES (1)",
                "-- VALUES\nINSERT INTO t SETTINGS a='VALUES (' VALUES",
                " (1)",
            ),
            ("SELECT 1", "SELECT 1", ""),
        ];
        for (text, statement, data) in cases {
            assert_eq!(split_data(text), (statement, data), "{text}");
        }
    }

    #[test]
    fn output_goes_before_the_format() {
        let out = |text| with_output(text, "X", "TSV");
        assert_eq!(out("SELECT 1"), "SELECT 1 X FORMAT TSV");
        assert_eq!(out("SELECT 1 FORMAT JSON"), "SELECT 1 X FORMAT JSON");
        assert_eq!(
            out("SELECT 1 FORMAT JSON SETTINGS a = 1"),
            "SELECT 1 X FORMAT JSON SETTINGS a = 1"
        );
        assert_eq!(
            out("SELECT (SELECT 1 FORMAT JSON)"),
            "SELECT (SELECT 1 FORMAT JSON) X FORMAT TSV"
        );
        assert_eq!(out("SELECT 'x FORMAT JSON'"), "SELECT 'x FORMAT JSON' X FORMAT TSV");
        assert_eq!(
            own_format("SELECT 1 FORMAT JSON SETTINGS a = 1").as_deref(),
            Some("JSON")
        );
    }

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
    fn an_insert_names_its_table() {
        let ast =
            "InsertQuery   (children 4)\n Identifier a\n Identifier b\n ExpressionList (children 2)\n  Identifier x\n";
        assert_eq!(
            judge("INSERT INTO a.b (x) FORMAT RowBinary", ast, &[]).expect("allowed"),
            Kind::InsertData("a.b".into())
        );
    }
}
