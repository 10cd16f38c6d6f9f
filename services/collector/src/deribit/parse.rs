//! From frames to what they say. Pure: when a frame was received is an argument.

use std::borrow::Cow;

use super::messages::{Envelope, Heartbeat, Notification, PlatformState, Version, read};
use super::quick::quick;
use super::{books, figures, trades, volatility};
use crate::wire::{About, Accepted, ParseError, Said, shortened};

/// The proof of life that the venue asks for. Its id is none of those that requests have: they begin with 1.
const PROOF_OF_LIFE: &str = r#"{"jsonrpc":"2.0","id":0,"method":"public/test","params":{}}"#;

/// Reads one frame: a notification, an answer to a request of ours, or a refusal.
///
/// # Errors
/// Where it, or a part of it, is not understood.
pub(super) fn parse_frame(text: &str, about: &About<'_>, said: &mut Vec<Said>) -> Result<(), ParseError> {
    quick(text, about, said).unwrap_or_else(|| careful(text, about, said))
}

/// Reads any frame.
pub(super) fn careful(text: &str, about: &About<'_>, said: &mut Vec<Said>) -> Result<(), ParseError> {
    let envelope: Envelope<'_> = read("frame", text)?;
    let id = envelope.id.and_then(|id| id.get().parse().ok());
    if let Some(error) = envelope.error {
        said.push(Said::Refused {
            id,
            code: error.code,
            message: shortened(&error.message),
        });
        return Ok(());
    }
    match (envelope.method.as_deref(), envelope.params, id, envelope.result) {
        (Some("subscription"), Some(params), ..) => parse_notification(params.get(), about, said),
        (Some("heartbeat"), Some(params), ..) => {
            let heartbeat: Heartbeat<'_> = read("heartbeat", params.get())?;
            said.push(match &*heartbeat.kind {
                "test_request" => Said::Asks(Cow::Borrowed(PROOF_OF_LIFE)),
                _ => Said::Alive,
            });
            Ok(())
        }
        (Some(method), ..) => {
            said.push(Said::Skipped(shortened(method).into()));
            Ok(())
        }
        (None, _, Some(id), Some(result)) => {
            said.push(accepted(id, result.get()).ok_or(ParseError::Unknown)?);
            Ok(())
        }
        _ => Err(ParseError::Unknown),
    }
}

/// Reads an answer to one of the requests that are sent over the socket: the channels of a subscription, `ok`, a version.
fn accepted(id: u64, result: &str) -> Option<Said> {
    if let Ok(channels) = serde_json::from_str::<Vec<Box<str>>>(result) {
        return Some(Said::Accepted(Accepted::Only(id, channels)));
    }
    if result == "\"ok\"" {
        return Some(Said::Accepted(Accepted::All(id)));
    }
    serde_json::from_str::<Version<'_>>(result)
        .is_ok()
        .then_some(Said::Alive)
}

fn parse_notification(params: &str, about: &About<'_>, said: &mut Vec<Said>) -> Result<(), ParseError> {
    let Notification { channel, data } = read("notification", params)?;
    let parts: Vec<&str> = channel.split('.').collect();
    let data = data.get();
    match parts[..] {
        // Changes of the whole book; with a grouping and a depth the best levels alone.
        ["book", _, _] => said.push(books::parse_book(data, about.ts_recv)?),
        ["book", _, _, depth, _] => said.push(books::parse_depth(data, depth.parse().ok(), about)?),
        ["trades", ..] => return trades::parse_trades(data, trades::Numbering::Live, about, said),
        ["ticker" | "incremental_ticker", ..] => return figures::parse_figures(data, about, said),
        ["deribit_volatility_index", _] => said.push(volatility::parse_point(data, about)?),
        ["platform_state"] => {
            let state: PlatformState = read("platform state", data)?;
            said.push(match state.maintenance {
                Some(true) => Said::Leaving,
                _ => Said::Skipped("platform_state".into()),
            });
        }
        _ => said.push(Said::Skipped(shortened(parts.first().unwrap_or(&"")).into())),
    }
    Ok(())
}
