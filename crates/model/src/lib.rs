//! Market data as plain values: no I/O, no async, no clock.
//!
//! What the words of the field mean in mprism, and what a message, a subject and an identity look like. Parsing a venue's
//! frames, moving messages and storing rows are left to others.

mod decimal;
mod decimal_text;
mod event;
mod funding_rate;
mod gap;
mod identity;
mod json;
mod liquidation;
mod long_short_ratio;
mod market;
mod open_interest;
mod orderbook;
mod origin;
mod subject;
mod time;
mod trade;
mod volatility_index;
mod written;

pub use decimal::{Decimal, DecimalError};
pub use decimal_text::DecimalText;
pub use event::{Event, MessageError};
pub use funding_rate::{FundingKind, FundingRate, content_hash as funding_rate_content_hash};
pub use gap::{Gap, GapCause, GapState, content_hash as gap_content_hash};
pub use identity::{Epoch, MessageId, ProducerId, ProducerIdError, SEQUENCE_HEADER};
pub use liquidation::{AggregationMode, Liquidation, LiquidationStatus, content_hash as liquidation_content_hash};
pub use long_short_ratio::{LongShortRatio, Population, content_hash as long_short_ratio_content_hash};
pub use market::{DataType, Exchange, InstrumentId, MarketType, Side, Source, Symbol, TsSource, UnknownName};
pub use open_interest::{OpenInterest, content_hash as open_interest_content_hash};
pub use orderbook::{LEVELS_MAX, Level, OrderBook, UpdateType, content_hash as orderbook_content_hash};
pub use origin::Origin;
pub use subject::{Subject, SubjectError};
pub use time::{TimeError, UnixMillis, UnixNanos};
pub use trade::{Trade, content_hash as trade_content_hash};
pub use volatility_index::{VolatilityIndex, content_hash as volatility_index_content_hash};
pub use written::Written;
