//! NATS JetStream as mprism uses it: streams, durables, publishing with acks.
//!
//! What exists on the bus is written down as plain data ([`StreamSpec`], [`DurableSpec`]); [`reconcile`] makes a server agree
//! with it and never deletes. Running the server is the broker's work, what messages say is the model's.

mod connection;
mod durable;
mod error;
mod follow;
mod kept;
mod lease;
mod look;
mod moving;
mod publish;
mod pull;
mod purge;
mod reconcile;
mod spec;
mod window;

pub use connection::{Bus, BusOptions, Connection, Credentials, inbox_prefix, try_out};
pub use durable::{Durable, open_durable, reclaim_unacked};
pub use error::BusError;
pub use follow::{Following, Heard, Listening};
pub use kept::{acked_sequence, kept_at, next_kept, remove_kept};
pub use lease::{Holder, LEASE_TTL, LEASES, Lease, LeaseOptions, ensure_leases};
pub use look::{count_by_subject, skipped_from};
pub use moving::{Moved, move_streams};
pub use publish::{Answer, Answers, Mirror, Publisher, Stored, Trouble, publish_confirmed};
pub use pull::Pull;
pub use purge::{Fill, PurgePlan, PurgePolicy, plan_purge, purge};
pub use reconcile::{Change, Observed, Plan, Report, observe, plan, reconcile};
pub use spec::{
    BusLayout, DATA_SUBJECTS, DEAD_LETTER, DeliverFrom, DurableSpec, LayoutOptions, MARKET_DATA, MIRROR_PREFIX,
    MIRROR_SUBJECTS, ORDERBOOK_SNAP, StreamSpec, durable_name, layout, stream_of,
};
pub use window::WindowKeeper;

/// The name of a header.
pub use async_nats::HeaderName;
/// A message as it comes.
pub use async_nats::Message;
/// The text of a subject, cheap to clone.
pub use async_nats::Subject as SubjectText;
/// A message as its stream keeps it.
pub use async_nats::jetstream::message::StreamMessage as KeptMessage;
