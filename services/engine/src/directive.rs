//! Statements that the engine carries out itself: `SET`, `USE` and `KILL QUERY`, read from their normalised text.

use crate::exception::Exception;
use crate::tokens::{Token, Tokens};

/// `KILL QUERY` of statements that their clients gave ids, or a comment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kill {
    pub(crate) which: Which,
    pub(crate) mode: KillMode,
}

/// Which statements are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// Those of these ids.
    Ids(Vec<String>),
    /// Those whose comment (`log_comment`) begins like this.
    Comment(String),
}

/// Whether `KILL QUERY` waits for the end of what it killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KillMode {
    Sync,
    Async,
    /// Kills nothing, only lists.
    Test,
}

/// Reads `KILL QUERY WHERE query_id = '…'`, `query_id IN ('…', …)` or `startsWith(Settings['log_comment'], '…')`.
///
/// # Errors
/// Where the condition is another: the library's own ids are not those that clients know.
pub(crate) fn kill(normalised: &str) -> Result<Kill, Exception> {
    let words: Vec<&str> = Tokens::new(normalised).map(|t| t.text).collect();
    let refuse = || {
        Exception::denied(
            "KILL QUERY is allowed in the forms WHERE query_id = '…', WHERE query_id IN ('…') and \
             WHERE startsWith(Settings['log_comment'], '…') only",
        )
    };
    let ["KILL", "QUERY", "WHERE", condition @ ..] = words.as_slice() else {
        return Err(refuse());
    };
    let (which, rest) = match condition {
        ["query_id", "=", id, rest @ ..] => (unquote(id).map(|id| Which::Ids(vec![id])), rest),
        ["query_id", "IN", "(", rest @ ..] => {
            let end = rest.iter().position(|word| *word == ")").ok_or_else(refuse)?;
            let ids = rest[..end]
                .iter()
                .filter(|word| **word != ",")
                .map(|word| unquote(word));
            (ids.collect::<Option<_>>().map(Which::Ids), &rest[end + 1..])
        }
        [
            "startsWith",
            "(",
            "Settings",
            "[",
            "'log_comment'",
            "]",
            ",",
            begin,
            ")",
            rest @ ..,
        ] => (unquote(begin).map(Which::Comment), rest),
        _ => return Err(refuse()),
    };
    let which = which.ok_or_else(refuse)?;
    let mode = match rest {
        ["SYNC"] | ["SYNC", "FORMAT", _] => KillMode::Sync,
        ["ASYNC"] | ["ASYNC", "FORMAT", _] | [] | ["FORMAT", _] => KillMode::Async,
        ["TEST"] | ["TEST", "FORMAT", _] => KillMode::Test,
        _ => return Err(refuse()),
    };
    Ok(Kill { which, mode })
}

/// Reads `SET name = value, …`: names and values as they stand in the text.
///
/// # Errors
/// Where it is anything else.
pub(crate) fn assignments(normalised: &str) -> Result<Vec<(String, String)>, Exception> {
    let refuse = || Exception::denied("Only SET name = value is allowed here");
    let tokens: Vec<Token<'_>> = Tokens::new(normalised).collect();
    if !tokens.first().is_some_and(|t| t.is("SET")) {
        return Err(refuse());
    }
    let mut found = Vec::new();
    for one in tokens[1..].split(|t| t.depth == 0 && t.text == ",") {
        let [name, equals, value @ ..] = one else {
            return Err(refuse());
        };
        let named = name.text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        let (Some(first), Some(last)) = (value.first(), value.last()) else {
            return Err(refuse());
        };
        // Values are literals: a function could be anything.
        if !named || equals.text != "=" || value.iter().any(|t| t.text == "(") {
            return Err(refuse());
        }
        found.push((name.text.to_owned(), normalised[first.start..last.end].to_owned()));
    }
    Ok(found)
}

/// Reads the name in `USE name`.
///
/// # Errors
/// Where it is anything else.
pub(crate) fn database(normalised: &str) -> Result<String, Exception> {
    let words: Vec<&str> = Tokens::new(normalised).map(|t| t.text).collect();
    match words.as_slice() {
        [_, name] if name.starts_with(['`', '"']) => unquote(name),
        [_, name] => Some((*name).to_owned()),
        _ => None,
    }
    .ok_or_else(|| Exception::denied("Only USE database is allowed here"))
}

/// Returns what a quoted text means, or `None` for what is not one.
fn unquote(text: &str) -> Option<String> {
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '`' | '"'))?;
    let inner = text.strip_prefix(quote)?.strip_suffix(quote)?;
    let mut out = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        out.push(match c {
            '\\' => match chars.next()? {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                '0' => '\0',
                other => other,
            },
            // Doubled.
            c if c == quote => chars.next()?,
            c => c,
        });
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kill_names_ids_or_a_comment() {
        let one = kill("KILL QUERY WHERE query_id = 'it\\'s' SYNC").expect("understood");
        assert_eq!(
            (one.which, one.mode),
            (Which::Ids(vec!["it's".to_owned()]), KillMode::Sync)
        );
        let two = kill("KILL QUERY WHERE query_id IN ('a', 'b') ASYNC FORMAT JSON").expect("understood");
        let both = Which::Ids(vec!["a".to_owned(), "b".to_owned()]);
        assert_eq!((two.which, two.mode), (both, KillMode::Async));
        let three = kill("KILL QUERY WHERE startsWith(Settings['log_comment'], 'mp-d.t-') ASYNC").expect("understood");
        assert_eq!(three.which, Which::Comment("mp-d.t-".to_owned()));
        let others = [
            "KILL QUERY WHERE 1 ASYNC",
            "KILL QUERY WHERE query_id = 'a' OR 1 ASYNC",
            "KILL QUERY WHERE query_id = concat('a') ASYNC",
            "KILL QUERY WHERE query_id = a ASYNC",
            "KILL QUERY WHERE startsWith(Settings['log_comment'], x) ASYNC",
            "KILL QUERY WHERE startsWith(Settings['user'], 'x') ASYNC",
            "KILL QUERY WHERE startsWith(Settings['log_comment'], 'x') OR 1 ASYNC",
            "KILL MUTATION WHERE query_id = 'a' ASYNC",
            "KILL QUERY ON CLUSTER c WHERE query_id = 'a'",
        ];
        for text in others {
            assert_eq!(kill(text).expect_err("refused").code, 497, "{text}");
        }
    }

    #[test]
    fn assignments_keep_their_text() {
        let set = assignments("SET a = 1, b = 'x, y = \\'2', c = DEFAULT, d = {'k':'v, w'}").expect("understood");
        let expected = [
            ("a", "1"),
            ("b", "'x, y = \\'2'"),
            ("c", "DEFAULT"),
            ("d", "{'k':'v, w'}"),
        ];
        let expected: Vec<_> = expected.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
        assert_eq!(set, expected);
        for text in [
            "SET",
            "SET a",
            "SET a = ",
            "SET `a` = 1",
            "SELECT 1",
            "SET a = 1,",
            "SET a = disk(b = 1)",
        ] {
            assert!(assignments(text).is_err(), "{text}");
        }
        assert_eq!(database("USE `a\\`b`").expect("understood"), "a`b");
        assert_eq!(database("USE d").expect("understood"), "d");
    }
}
