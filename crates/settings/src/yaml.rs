//! One YAML file as a tree in which everything knows its line.
//!
//! Only what settings need: one document of maps, lists and scalars. Anchors, aliases, tags and duplicate keys are refused.

use saphyr_parser::{Event, Parser, ScalarStyle};

/// Deeper nesting is refused, so that hostile input cannot exhaust the stack.
const DEPTH_MAX: usize = 16;

/// A value and the 1-based line it stands in.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) line: usize,
    pub(crate) content: Content,
}

#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// Nothing: an empty value, `~` or `null`.
    Null,
    Scalar(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) line: usize,
    pub(crate) name: String,
}

/// What is wrong with the text itself, and the 1-based line.
pub(crate) type Fault = (usize, String);

/// Reads a file's text. A file without any value is an empty map.
pub(crate) fn parse(text: &str) -> Result<Node, Fault> {
    // A byte order mark is no part of the text.
    let mut events = Events(Parser::new_from_str(text.trim_start_matches('\u{feff}')));
    let mut root = None;
    loop {
        match events.next()? {
            (Event::StreamEnd, line) => return Ok(root.unwrap_or_else(|| empty(line))),
            (Event::DocumentStart(_), line) if root.is_some() => {
                return Err((line, "only one document (`---`) per file is allowed".to_owned()));
            }
            (Event::DocumentStart(_), _) => {
                let (event, line) = events.next()?;
                root = Some(node(event, line, &mut events, 0)?);
            }
            _ => {}
        }
    }
}

struct Events<'a>(Parser<'a, saphyr_parser::StrInput<'a>>);

impl<'a> Events<'a> {
    fn next(&mut self) -> Result<(Event<'a>, usize), Fault> {
        match self.0.next() {
            Some(Ok((event, span))) => Ok((event, span.start.line())),
            Some(Err(error)) => Err((error.marker().line(), format!("not YAML: {}", error.info()))),
            None => Ok((Event::StreamEnd, 0)),
        }
    }
}

fn node(event: Event<'_>, line: usize, events: &mut Events<'_>, depth: usize) -> Result<Node, Fault> {
    if depth > DEPTH_MAX {
        return Err((line, format!("nested deeper than {DEPTH_MAX} levels")));
    }
    let refused = |what: &str| Err((line, format!("{what} are not supported in settings")));
    let content = match event {
        Event::Scalar(_, _, anchor, _) | Event::SequenceStart(anchor, _) | Event::MappingStart(anchor, _)
            if anchor != 0 =>
        {
            return refused("anchors");
        }
        Event::Alias(_) => return refused("aliases"),
        Event::Scalar(_, _, _, Some(_)) | Event::SequenceStart(_, Some(_)) | Event::MappingStart(_, Some(_)) => {
            return refused("tags");
        }
        Event::Scalar(text, ScalarStyle::Plain, ..) if matches!(&*text, "" | "~" | "null") => Content::Null,
        Event::Scalar(text, ..) => Content::Scalar(text.into_owned()),
        Event::SequenceStart(..) => list(events, depth)?,
        Event::MappingStart(..) => map(events, depth)?,
        _ => Content::Null,
    };
    Ok(Node { line, content })
}

fn list(events: &mut Events<'_>, depth: usize) -> Result<Content, Fault> {
    let mut items = Vec::new();
    loop {
        match events.next()? {
            (Event::SequenceEnd | Event::StreamEnd, _) => return Ok(Content::List(items)),
            (event, line) => items.push(node(event, line, events, depth + 1)?),
        }
    }
}

fn map(events: &mut Events<'_>, depth: usize) -> Result<Content, Fault> {
    let mut entries: Vec<(Key, Node)> = Vec::new();
    loop {
        let (event, line) = events.next()?;
        let name = match event {
            Event::MappingEnd | Event::StreamEnd => return Ok(Content::Map(entries)),
            Event::Scalar(name, _, 0, None) => name.into_owned(),
            _ => return Err((line, "a key must be plain text".to_owned())),
        };
        if let Some((first, _)) = entries.iter().find(|(key, _)| key.name == name) {
            return Err((
                line,
                format!("key \"{name}\" stands here twice, first in line {}", first.line),
            ));
        }
        let (event, value_line) = events.next()?;
        let value = node(event, value_line, events, depth + 1)?;
        entries.push((Key { line, name }, value));
    }
}

fn empty(line: usize) -> Node {
    Node {
        line,
        content: Content::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_knows_its_line() {
        let root = parse("# comment\na:\n  b: 1\n  c: [x,\n   y]\n").expect("valid");
        let Content::Map(entries) = root.content else {
            panic!("a map")
        };
        assert_eq!((entries[0].0.line, entries[0].0.name.as_str()), (2, "a"));
        let Content::Map(inner) = &entries[0].1.content else {
            panic!("a map")
        };
        assert_eq!((inner[1].0.line, inner[1].0.name.as_str()), (4, "c"));
        let Content::List(items) = &inner[1].1.content else {
            panic!("a list")
        };
        assert_eq!(items[1].line, 5);
    }

    #[test]
    fn what_settings_do_not_need_is_refused_with_its_line() {
        let cases = [
            ("a: 1\na: 2\n", 2, "stands here twice, first in line 1"),
            ("a: &x 1\nb: 2\n", 1, "anchors"),
            ("a: !!str 1\n", 1, "tags"),
            ("a: 1\n---\nb: 2\n", 2, "one document"),
            ("a: [1\n", 2, "not YAML"),
            ("? [a]\n: 1\n", 1, "a key must be plain text"),
        ];
        for (text, line, message) in cases {
            let (found, said) = parse(text).expect_err(text);
            assert!(said.contains(message), "{text:?}: {said}");
            assert_eq!(found, line, "{text:?}: {said}");
        }
        let (_, said) = parse(&format!("{}1", "a: {".repeat(5).replace("a: {", "[").repeat(20))).expect_err("deep");
        assert!(said.contains("deeper") || said.contains("not YAML"), "{said}");
    }

    #[test]
    fn a_file_of_comments_says_nothing() {
        assert!(matches!(parse("# a: 1\n").expect("valid").content, Content::Null));
        assert!(matches!(parse("").expect("valid").content, Content::Null));
    }
}
