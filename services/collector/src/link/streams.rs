//! The streams of one connection: which have spoken, and which should have.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use mprism_model::{DataType, InstrumentId};
use tokio::time::Instant;

use super::{Plan, Silence};
use crate::LivenessOptions;

/// Longest silence for which a connection is given up, however often that was in vain.
const SILENCE_MAX: Duration = Duration::from_secs(3_600);

/// How often connections were replaced for a stream's silence since it last spoke: each next one has twice the time, so that
/// an instrument that nobody trades does not cost the others theirs. Kept from one connection to the next.
#[derive(Debug)]
pub(super) struct Strikes(Vec<AtomicU32>);

impl Strikes {
    pub(super) fn new(plan: &Plan) -> Self {
        Self(plan.streams.iter().map(|_| AtomicU32::new(0)).collect())
    }
}

/// What one connection has heard of its streams.
pub(super) struct Streams<'a> {
    plan: &'a Plan,
    strikes: &'a Strikes,
    /// By instrument and type: the stream that tells it.
    tellers: HashMap<InstrumentId, [Option<u16>; DataType::ALL.len()]>,
    heard: Vec<Heard>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Heard {
    last: Option<Instant>,
    is_refused: bool,
}

/// A stream that says nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Silent {
    pub(super) name: Box<str>,
    /// Whether it never spoke on this connection.
    pub(super) is_first: bool,
    at: usize,
}

impl<'a> Streams<'a> {
    pub(super) fn new(plan: &'a Plan, strikes: &'a Strikes) -> Self {
        let mut tellers: HashMap<_, [Option<u16>; DataType::ALL.len()]> = HashMap::new();
        for (at, stream) in plan.streams.iter().enumerate() {
            for (data_type, instrument) in &stream.tells {
                let places = tellers.entry(instrument.clone()).or_default();
                places[*data_type as usize] = u16::try_from(at).ok();
            }
        }
        Self {
            plan,
            strikes,
            tellers,
            heard: vec![Heard::default(); plan.streams.len()],
        }
    }

    /// Says that an instrument's type was told something.
    pub(super) fn spoke(&mut self, data_type: DataType, instrument: &InstrumentId, now: Instant) {
        let places = self.tellers.get(instrument);
        let Some(at) = places.and_then(|places| places[data_type as usize]).map(usize::from) else {
            return;
        };
        self.heard[at].last = Some(now);
        self.strikes.0[at].store(0, Ordering::Relaxed);
    }

    /// Says that the venue does not give a stream; returns whether it gives any.
    pub(super) fn refuse(&mut self, name: &str) -> bool {
        for (stream, heard) in self.plan.streams.iter().zip(&mut self.heard) {
            heard.is_refused |= &*stream.name == name;
        }
        self.heard.iter().any(|heard| !heard.is_refused)
    }

    /// Whether every stream has spoken that has to.
    pub(super) fn all_spoke(&self) -> bool {
        let mut due = self.plan.streams.iter().zip(&self.heard);
        due.all(|(stream, heard)| heard.last.is_some() || heard.is_refused || stream.silence == Silence::Unlimited)
    }

    /// Returns a stream that is silent for too long, if there is one.
    pub(super) fn silent(&self, since: Instant, liveness: LivenessOptions) -> Option<Silent> {
        for (at, (stream, heard)) in self.plan.streams.iter().zip(&self.heard).enumerate() {
            let limit = match stream.silence {
                Silence::Usual => liveness.silence,
                Silence::Within(limit) => limit,
                Silence::Unlimited => continue,
            };
            if heard.is_refused {
                continue;
            }
            let patience = 1_u32
                .checked_shl(self.strikes.0[at].load(Ordering::Relaxed))
                .unwrap_or(u32::MAX);
            let allowed = |limit: Duration| limit.saturating_mul(patience).min(SILENCE_MAX);
            let (is_first, is_silent) = match heard.last {
                Some(last) => (false, last.elapsed() >= allowed(limit)),
                None => (true, since.elapsed() >= allowed(liveness.first_message)),
            };
            if is_silent {
                let name = stream.name.clone();
                return Some(Silent { name, is_first, at });
            }
        }
        None
    }

    /// Counts that the connection is replaced for a stream's silence.
    pub(super) fn strike(&mut self, silent: &Silent) {
        self.strikes.0[silent.at].fetch_add(1, Ordering::Relaxed);
        // Its time begins anew, should the replacement fail.
        if let Some(last) = &mut self.heard[silent.at].last {
            *last = Instant::now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Stream;
    use super::*;

    fn id(name: &str) -> InstrumentId {
        InstrumentId::new(name).expect("valid")
    }

    fn plan() -> Plan {
        let stream = |name: &str, data_type, silence| Stream {
            name: name.into(),
            tells: vec![(data_type, id("BTC"))],
            silence,
        };
        Plan {
            path: "/ws",
            streams: vec![
                stream("trades", DataType::Trade, Silence::Usual),
                stream("marks", DataType::FundingRate, Silence::Within(Duration::from_secs(5))),
                stream("liquidations", DataType::Liquidation, Silence::Unlimited),
            ],
        }
    }

    const LIVENESS: LivenessOptions = LivenessOptions {
        first_message: Duration::from_secs(15),
        silence: Duration::from_secs(60),
    };

    #[tokio::test(start_paused = true)]
    async fn each_stream_has_its_own_patience_which_doubles_in_vain() {
        let plan = plan();
        let strikes = Strikes::new(&plan);
        let mut streams = Streams::new(&plan, &strikes);
        let since = Instant::now();
        let name = |silent: Option<Silent>| silent.map(|silent| (silent.name, silent.is_first));
        assert!(!streams.all_spoke());
        streams.spoke(DataType::Trade, &id("BTC"), since);
        streams.spoke(DataType::FundingRate, &id("BTC"), since);
        streams.spoke(DataType::FundingRate, &id("ETH"), since);
        assert!(streams.all_spoke(), "liquidations need not");
        tokio::time::advance(Duration::from_secs(5)).await;
        let silent = streams.silent(since, LIVENESS).expect("marks");
        assert_eq!(name(Some(silent.clone())), Some(("marks".into(), false)));
        streams.strike(&silent);
        tokio::time::advance(Duration::from_secs(9)).await;
        assert_eq!(name(streams.silent(since, LIVENESS)), None, "twice the time");
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(streams.silent(since, LIVENESS).is_some());

        // The next connection remembers the strike until the stream speaks.
        let mut streams = Streams::new(&plan, &strikes);
        let since = Instant::now();
        streams.spoke(DataType::Trade, &id("BTC"), since);
        tokio::time::advance(Duration::from_secs(29)).await;
        assert_eq!(name(streams.silent(since, LIVENESS)), None);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(name(streams.silent(since, LIVENESS)), Some(("marks".into(), true)));
        assert!(streams.refuse("marks"));
        assert_eq!(
            name(streams.silent(since, LIVENESS)),
            None,
            "it is refused, and known to be"
        );
        assert!(streams.refuse("liquidations") && !streams.refuse("trades"));
    }
}
