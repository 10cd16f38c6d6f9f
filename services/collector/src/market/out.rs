//! Where everything goes that a market publishes.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use mprism_bus::SubjectText;
use mprism_model::{DataType, Event, Gap, InstrumentId, Level, MessageId, Subject, Trade, UnixMillis, UnixNanos};
use mprism_runtime::clock;
use tokio::sync::mpsc;

use crate::admission::Admission;
use crate::orderbook::{Publishable, publishable};
use crate::rest::RestError;
use crate::spool::Outgoing;
use crate::stats::ExchangeStats;
use crate::wire::{SharedTerms, Wire};

/// Where everything goes that is published.
pub(super) struct Out {
    pub(super) batch: Vec<Outgoing>,
    pub(super) batches: mpsc::Sender<Vec<Outgoing>>,
    pub(super) admission: Admission,
    pub(super) stats: Arc<ExchangeStats>,
    pub(super) wire: &'static dyn Wire,
    pub(super) terms: SharedTerms,
}

impl Out {
    pub(super) fn push(&mut self, subject: &SubjectText, event: &Event) {
        let about = (event.data_type(), event.ts_recv());
        self.queue(subject, about, event.message_id(), event.to_json());
    }

    /// As [`Self::push`], of what there is most of: it is not moved for it.
    pub(super) fn push_trade(&mut self, subject: &SubjectText, trade: &Trade) {
        let about = (DataType::Trade, trade.ts_recv);
        self.queue(subject, about, trade.message_id(), trade.to_json());
    }

    fn queue(
        &mut self,
        subject: &SubjectText,
        (data_type, received): (DataType, Option<UnixNanos>),
        message_id: MessageId,
        payload: Vec<u8>,
    ) {
        self.batch.push(Outgoing {
            data_type,
            received: received.unwrap_or_else(|| UnixNanos(clock::now_ns())),
            subject: subject.clone(),
            message_id: message_id.0.into(),
            payload: payload.into(),
        });
    }

    pub(super) fn gap(&mut self, subject: &SubjectText, gap: Gap) {
        self.stats.gaps.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(
            r#type = %gap.data_type,
            symbol = %gap.symbol,
            from = &*gap.from_id,
            to = &*gap.to_id,
            cause = %gap.cause,
            state = %gap.state,
            "gap"
        );
        self.push(subject, &Event::Gap(gap));
    }

    /// Hands over what was made; returns whether anybody took it.
    pub(super) async fn flush(&mut self) -> bool {
        if self.batch.is_empty() {
            return true;
        }
        self.batches.send(std::mem::take(&mut self.batch)).await.is_ok()
    }

    /// Returns a book's levels as they are published; `None` where nobody knows yet what a contract is worth.
    pub(super) fn sized(&self, instrument: &InstrumentId, bids: Vec<Level>, asks: Vec<Level>) -> Option<Publishable> {
        let known = self.wire.known(instrument, &self.terms.now()).ok()?;
        publishable(bids, asks, known.sizing?)
    }

    /// Counts something whose quantity cannot be told, because nobody knows what a contract is worth.
    pub(super) fn unsized_event(&self) {
        if self.stats.malformed.first("no_terms") {
            tracing::error!(
                "sizes in contracts cannot be told in base currency: the venue's list of instruments is not known"
            );
        }
    }

    pub(super) fn skipped(&self, kind: &str) {
        if self.stats.skipped.first(kind) {
            tracing::info!(kind, "valid, but not collected");
        }
    }

    /// Counts a question without a good answer, and logs it the first time.
    pub(super) fn unanswered(&self, error: &RestError) {
        if self.stats.rest_errors.first(error.cause()) {
            let error = mprism_runtime::log::chain(error);
            tracing::warn!(error, "the venue does not answer as it should; it is asked again");
        }
    }
}

/// Returns the gap ledger's subject beside a subject of data.
pub(super) fn gap_subject(subject: &Subject) -> SubjectText {
    let gap = Subject {
        data_type: DataType::Gap,
        ..subject.clone()
    };
    gap.to_string().into()
}

pub(super) fn now() -> UnixMillis {
    UnixMillis(clock::now_ms())
}
