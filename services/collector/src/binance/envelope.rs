//! What stands around a payload, and what stands in its place: answers, refusals, notices.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::wire::{Accepted, ParseError, Said, shortened};

/// A frame, opened.
#[derive(Debug)]
pub(crate) enum Frame<'a> {
    /// Market data.
    Payload(Payload<'a>),
    /// All that it says.
    Said(Said),
}

/// Market data of one stream.
#[derive(Debug)]
pub(crate) struct Payload<'a> {
    /// The stream, where the frame names it.
    pub(crate) stream: Option<Cow<'a, str>>,
    /// The type of the event, where it stands beside the event's other fields.
    event: Option<Cow<'a, str>>,
    /// The event, or a list of them.
    pub(crate) text: &'a str,
}

/// A payload of a combined stream, or an answer to one of our requests.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    stream: Option<Cow<'a, str>>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    /// Of an error: `code` and `msg` stand at the top, on some deployments inside `error`.
    code: Option<i64>,
    #[serde(borrow)]
    msg: Option<Cow<'a, str>>,
    #[serde(borrow)]
    error: Option<ErrorBody<'a>>,
    /// Of a payload without a wrapper.
    #[serde(borrow)]
    e: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct ErrorBody<'a> {
    code: i64,
    #[serde(borrow, default)]
    msg: Cow<'a, str>,
}

/// Only the type of an event.
#[derive(Deserialize)]
struct EventType<'a> {
    #[serde(borrow)]
    e: Cow<'a, str>,
}

/// Opens a frame, raw or from a combined stream.
///
/// # Errors
/// Where it is not JSON, or neither a payload nor an answer.
pub(crate) fn open(text: &str) -> Result<Frame<'_>, ParseError> {
    let envelope: Envelope<'_> = serde_json::from_str(text).map_err(json("frame"))?;
    if let (Some(stream), Some(data)) = (&envelope.stream, envelope.data) {
        return Ok(Frame::Payload(Payload {
            stream: Some(stream.clone()),
            event: None,
            text: data.get(),
        }));
    }
    if let Some(event) = envelope.e {
        return Ok(Frame::Payload(Payload {
            stream: None,
            event: Some(event),
            text,
        }));
    }
    answered(envelope).map(Frame::Said)
}

fn answered(envelope: Envelope<'_>) -> Result<Said, ParseError> {
    let is_answer = envelope.id.is_some();
    let id = envelope.id.and_then(|id| id.get().parse().ok());
    if let Some(error) = envelope.error {
        return Ok(Said::Refused {
            id,
            code: error.code,
            message: shortened(&error.msg),
        });
    }
    match (envelope.code, id) {
        (Some(code), id) => Ok(Said::Refused {
            id,
            code,
            message: envelope.msg.as_deref().map(shortened).unwrap_or_default(),
        }),
        (None, Some(id)) => Ok(Said::Accepted(Accepted::All(id))),
        // Somebody else's request: ours are numbered.
        (None, None) if is_answer => Ok(Said::Skipped("answer".into())),
        (None, None) => Err(ParseError::Unknown),
    }
}

impl<'a> Payload<'a> {
    /// Makes a payload of an event by itself.
    ///
    /// # Errors
    /// Where it has no type.
    pub(crate) fn of_event(stream: Option<Cow<'a, str>>, text: &'a str) -> Result<Self, ParseError> {
        let EventType { e } = serde_json::from_str(text).map_err(json("event"))?;
        Ok(Self {
            stream,
            event: Some(e),
            text,
        })
    }

    /// Returns the type of the event.
    ///
    /// # Errors
    /// Where there is none.
    pub(crate) fn event(&self) -> Result<Cow<'a, str>, ParseError> {
        match &self.event {
            Some(event) => Ok(event.clone()),
            // The only stream whose events have no type; on some markets they have one.
            None if self.kind().is_some_and(|kind| kind == "bookTicker") => Ok("bookTicker".into()),
            None => serde_json::from_str::<EventType<'_>>(self.text)
                .map(|event| event.e)
                .map_err(json("event")),
        }
    }

    /// Returns whose stream it is (lower case, as the venue names it) and what of it: `btcusdt@depth@100ms` is `btcusdt` and
    /// `depth@100ms`.
    pub(crate) fn stream_parts(&self) -> Option<(&str, &str)> {
        self.stream.as_deref()?.split_once('@')
    }

    /// Returns what the stream is about, without its speed: `depth20` of `btcusdt@depth20@100ms`.
    pub(crate) fn kind(&self) -> Option<&str> {
        let (_, kind) = self.stream_parts()?;
        kind.split('@').next()
    }
}

/// Returns whether a kind of stream tells the best levels alone: `depth5`, `depth10`, `depth20`.
pub(crate) fn is_partial_depth(kind: &str) -> bool {
    let levels = kind.strip_prefix("depth").unwrap_or_default();
    !levels.is_empty() && levels.bytes().all(|byte| byte.is_ascii_digit())
}

/// Says what JSON was expected.
pub(crate) fn json(what: &'static str) -> impl Fn(serde_json::Error) -> ParseError {
    move |source| ParseError::Json { what, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_taken_apart() {
        let text = r#"{"stream":"btcusdt@depth20@100ms","data":{"x":1}}"#;
        let Ok(Frame::Payload(payload)) = open(text) else {
            panic!("a payload");
        };
        assert_eq!(payload.stream_parts(), Some(("btcusdt", "depth20@100ms")));
        assert_eq!(payload.kind(), Some("depth20"));
        assert!(is_partial_depth("depth20") && !is_partial_depth("depth") && !is_partial_depth("depthX"));
        assert!(payload.event().is_err());
    }

    #[test]
    fn answers_are_no_payloads() {
        let said = |text| match open(text) {
            Ok(Frame::Said(said)) => said,
            other => panic!("{other:?}"),
        };
        assert_eq!(said(r#"{"result":null,"id":7}"#), Said::Accepted(Accepted::All(7)));
        assert_eq!(said(r#"{"result":null,"id":"x"}"#), Said::Skipped("answer".into()));
        for text in [
            r#"{"code":2,"msg":"no","id":7}"#,
            r#"{"error":{"code":2,"msg":"no"},"id":7}"#,
        ] {
            let refused = Said::Refused {
                id: Some(7),
                code: 2,
                message: "no".to_owned(),
            };
            assert_eq!(said(text), refused);
        }
        assert!(matches!(open("{}"), Err(ParseError::Unknown)));
    }
}
