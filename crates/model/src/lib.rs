//! Market data as plain values: no I/O, no async, no clock.
//!
//! What the words of the field mean in mprism, and what a message, a subject and an identity look like. Parsing a venue's
//! frames, moving messages and storing rows are left to others.

mod decimal;
mod event;
mod gap;
mod identity;
mod market;
mod orderbook;
mod subject;
mod time;
mod trade;
mod written;

pub use decimal::{Decimal, DecimalError};
pub use event::{Event, MessageError};
pub use gap::{Gap, GapCause, GapState, content_hash as gap_content_hash};
pub use identity::{Epoch, MessageId, ProducerId, ProducerIdError, SEQUENCE_HEADER};
pub use market::{DataType, Exchange, InstrumentId, MarketType, Side, Source, Symbol, TsSource, UnknownName};
pub use orderbook::{LEVELS_MAX, Level, OrderBook, UpdateType, content_hash as orderbook_content_hash};
pub use subject::{Subject, SubjectError};
pub use time::{TimeError, UnixMillis, UnixNanos};
pub use trade::{DecimalText, Trade, content_hash as trade_content_hash};
pub use written::Written;
