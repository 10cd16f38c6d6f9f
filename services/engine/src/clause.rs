//! Clauses: where an insert's data begins, and where output and input are put into a statement.

use crate::exception::Exception;
use crate::tokens::{Token, Tokens};

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
    let is_word = |t: &Token<'_>| unquoted(t.text).bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
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

/// Returns a normalised INSERT … SELECT … FROM input('structure') … FORMAT name that reads a file instead: the engine takes data from
/// there only.
///
/// # Errors
/// Where it says no structure or no format.
pub(crate) fn with_file(normalised: &str, file: &str) -> Result<String, Exception> {
    let refuse = |why| Err(Exception::new(36, why, "BAD_ARGUMENTS"));
    let tokens: Vec<Token<'_>> = Tokens::new(normalised).collect();
    let function = tokens.windows(3).find_map(|three| {
        let is_input = three[0].text.eq_ignore_ascii_case("input") && three[1].text == "(";
        (is_input && three[2].text.starts_with('\'')).then_some((three[0].start, three[2].start))
    });
    let Some((begin, structure)) = function else {
        return refuse("input() needs the structure of the data, as a text");
    };
    let (format, place) = match tokens.as_slice() {
        [.., word, name] if word.is("FORMAT") => (unquoted(name.text), word.start),
        _ => return refuse("FORMAT must be specified for function input(), at the end"),
    };
    let (before, rest) = (&normalised[..begin], &normalised[structure..place]);
    Ok(format!("{before}file('{file}', '{format}', {rest}")
        .trim_end()
        .to_owned())
}

/// Returns the format a normalised statement asks for itself.
pub(crate) fn own_format(normalised: &str) -> Option<String> {
    let tokens: Vec<Token<'_>> = Tokens::new(normalised).filter(|t| t.depth == 0).collect();
    let found = tokens
        .windows(2)
        .enumerate()
        .rev()
        .find(|(at, pair)| pair[0].is("FORMAT") && tokens.get(at + 2).is_none_or(|t| t.is("SETTINGS")));
    found.map(|(_, pair)| unquoted(pair[1].text).to_owned())
}

/// Returns a name without its quotes: normalising quotes a format that is a keyword, too, which `Null` is.
fn unquoted(name: &str) -> &str {
    let inner = name.strip_prefix('`').and_then(|name| name.strip_suffix('`'));
    inner.filter(|inner| !inner.is_empty()).unwrap_or(name)
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
    fn input_becomes_a_file() {
        let text = "INSERT INTO t (a) SELECT a FROM input('a Enum8(\\'x\\' = 1)') WHERE a = 'input(' FORMAT RowBinary";
        let file = "INSERT INTO t (a) SELECT a FROM file('/f', 'RowBinary', 'a Enum8(\\'x\\' = 1)') WHERE a = 'input('";
        assert_eq!(with_file(text, "/f").expect("understood"), file);
        for text in [
            "INSERT INTO t SELECT a FROM input() FORMAT RowBinary",
            "INSERT INTO t SELECT a FROM input('a UInt8')",
            "INSERT INTO t SELECT a FROM input('a UInt8') FORMAT CSV SETTINGS a = 1",
        ] {
            assert_eq!(with_file(text, "/f").expect_err("refused").code, 36, "{text}");
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
        assert_eq!(out("SELECT 1 FORMAT `Null`"), "SELECT 1 X FORMAT `Null`");
        assert_eq!(own_format("SELECT 1 FORMAT `Null`").as_deref(), Some("Null"));
        assert_eq!(
            own_format("SELECT 1 FORMAT JSON SETTINGS a = 1").as_deref(),
            Some("JSON")
        );
    }
}
