//! Statements that the engine carries out itself: `SET`, `USE` and `KILL QUERY`, read from their normalised text.

use crate::exception::Exception;
use crate::tokens::{Token, Tokens};

/// `KILL QUERY` of statements that their clients gave ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kill {
    pub(crate) ids: Vec<String>,
    pub(crate) mode: KillMode,
}

/// Whether `KILL QUERY` waits for the end of what it killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KillMode {
    Sync,
    Async,
    /// Kills nothing, only lists.
    Test,
}

/// Reads `KILL QUERY WHERE query_id = '…'` or `query_id IN ('…', …)`.
///
/// # Errors
/// Where the condition is another: the library's own ids are not those that clients know.
pub(crate) fn kill(normalised: &str) -> Result<Kill, Exception> {
    let words: Vec<&str> = Tokens::new(normalised).map(|t| t.text).collect();
    let refuse =
        || Exception::denied("KILL QUERY is allowed in the form WHERE query_id = '…' or WHERE query_id IN ('…') only");
    let [first, second, third, fourth, rest @ ..] = words.as_slice() else {
        return Err(refuse());
    };
    let head = [*first, *second, *third, *fourth];
    if !["KILL", "QUERY", "WHERE", "query_id"]
        .iter()
        .zip(head)
        .all(|(a, b)| a.eq_ignore_ascii_case(b))
    {
        return Err(refuse());
    }
    let (ids, rest) = match rest {
        ["=", id, rest @ ..] => (vec![unquote(id)], rest),
        ["IN", "(", rest @ ..] => {
            let end = rest.iter().position(|word| *word == ")").ok_or_else(refuse)?;
            let ids = rest[..end]
                .iter()
                .filter(|word| **word != ",")
                .map(|word| unquote(word));
            (ids.collect(), &rest[end + 1..])
        }
        _ => return Err(refuse()),
    };
    let mode = match rest {
        ["SYNC"] | ["SYNC", "FORMAT", _] => KillMode::Sync,
        ["ASYNC"] | ["ASYNC", "FORMAT", _] | [] | ["FORMAT", _] => KillMode::Async,
        ["TEST"] | ["TEST", "FORMAT", _] => KillMode::Test,
        _ => return Err(refuse()),
    };
    let ids = ids.into_iter().collect::<Option<Vec<_>>>().ok_or_else(refuse)?;
    Ok(Kill { ids, mode })
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
    fn a_kill_names_ids() {
        let one = kill("KILL QUERY WHERE query_id = 'it\\'s' SYNC").expect("understood");
        assert_eq!((one.ids, one.mode), (vec!["it's".to_owned()], KillMode::Sync));
        let two = kill("KILL QUERY WHERE query_id IN ('a', 'b') ASYNC FORMAT JSON").expect("understood");
        assert_eq!((two.ids.len(), two.mode), (2, KillMode::Async));
        let others = [
            "KILL QUERY WHERE 1 ASYNC",
            "KILL QUERY WHERE query_id = 'a' OR 1 ASYNC",
            "KILL QUERY WHERE query_id = concat('a') ASYNC",
            "KILL QUERY WHERE query_id = a ASYNC",
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
