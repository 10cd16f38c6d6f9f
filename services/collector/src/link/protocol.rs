//! What a venue's sockets need beside its words.

use std::time::Duration;

use mprism_model::{DataType, InstrumentId};

use crate::wire::Wire;

/// What is collected of an instrument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) instrument: InstrumentId,
    pub(crate) types: Vec<DataType>,
}

impl Wanted {
    /// Returns whether a type of the instrument is collected.
    pub(crate) fn wants(&self, data_type: DataType) -> bool {
        self.types.contains(&data_type)
    }
}

/// One connection and what is asked for on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// What follows the venue's base URL, for example `/stream`.
    pub(crate) path: &'static str,
    pub(crate) streams: Vec<Stream>,
}

/// One subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stream {
    /// As the venue's answers name it.
    pub(crate) name: Box<str>,
    /// Whose events of which types it carries. Two streams of a venue never carry the same.
    pub(crate) tells: Vec<(DataType, InstrumentId)>,
    /// How long it may say nothing.
    pub(crate) silence: Silence,
}

/// How long a subscription may say nothing before something must be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Silence {
    /// As long as the settings say: of trades and order books, which depend on the market.
    Usual,
    /// So long: what the venue sends by the clock.
    Within(Duration),
    /// As long as it likes: what seldom happens.
    Unlimited,
}

/// A request that subscribes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) id: u64,
    /// Names of the streams in it.
    pub(crate) streams: Vec<Box<str>>,
    pub(crate) text: String,
}

/// What a venue demands of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rules {
    /// Between two messages of ours: the venue counts them.
    pub(crate) send_every: Duration,
    /// Between two attempts to connect.
    pub(crate) connect_every: Duration,
    /// A text that is sent when nothing was heard for so long.
    pub(crate) ping: Option<(Duration, &'static str)>,
    /// A connection on which nothing at all arrives for so long, pings included, is dead.
    pub(crate) dead_after: Duration,
    /// A connection is replaced after so long, before the venue cuts it; a twentieth of it is left to chance.
    pub(crate) life: Option<Duration>,
}

/// How a venue's sockets are spoken to.
pub(crate) trait Protocol: Send + Sync + 'static {
    /// Returns the venue's words.
    fn wire(&self) -> &'static dyn Wire;

    /// Returns what the venue demands.
    fn rules(&self) -> Rules;

    /// Returns the connections, and the streams of each, that everything wanted takes. What is only had by polling is in none.
    fn plan(&self, wanted: &[Wanted]) -> Vec<Plan>;

    /// Returns the least time between two values of a type, where a stream of the venue repeats them more often than is of use.
    fn thinned(&self, data_type: DataType) -> Option<Duration> {
        let _ = data_type;
        None
    }

    /// Returns what is sent first on a connection, before anything is subscribed to, with ids from `first_id` on where the
    /// venue answers it.
    fn greeting(&self, first_id: u64) -> Vec<Request> {
        let _ = first_id;
        Vec::new()
    }

    /// Returns the requests that subscribe to these streams, with ids from `first_id` on.
    fn subscribe(&self, streams: &[Box<str>], first_id: u64) -> Vec<Request>;
}
