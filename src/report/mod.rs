//! What came of a command, and how it looks: table and document are made of the same struct and cannot disagree.

mod page;
mod top;

use serde::Serialize;

use crate::error::{Exit, Failure};

pub use page::{Block, Cell, Page, Tone, bytes, duration_text};
pub use top::{
    ColdLag, Dashboard, ExchangeLoad, Gaps, Input, LoggedError, Percentiles, Sample, Sorting, StreamLoad, TypeFlow,
};

/// The result of a command.
///
/// It serialises to a map: the keys that stand beside those of the envelope.
pub trait Report: Serialize {
    /// Returns the exit code that the result stands for. Finding trouble is a result, not an error.
    fn exit(&self) -> Exit {
        Exit::Success
    }

    /// Returns what programs and people are told when the exit code is not 0.
    fn failure(&self) -> Option<Failure> {
        None
    }

    /// Returns what people see.
    fn page(&self) -> Page;
}

/// The keys of every document.
#[derive(Serialize)]
pub(crate) struct Envelope<'a, R: Serialize> {
    pub(crate) mprism: &'static str,
    pub(crate) command: &'a str,
    pub(crate) ok: bool,
    pub(crate) exit_code: u8,
    pub(crate) elapsed_ms: u64,
    #[serde(flatten)]
    pub(crate) report: R,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<Failure>,
}

/// A report without keys of its own.
#[derive(Serialize)]
pub(crate) struct Nothing {}
