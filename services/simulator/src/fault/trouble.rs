//! Faults that wait for somebody's call.

use std::time::Instant;

use super::{Fault, FaultKind};
use crate::Exchange;

/// A fault that is on.
#[derive(Debug)]
struct Trouble {
    exchange: Option<Exchange>,
    symbol: Option<String>,
    kind: FaultKind,
    left: u64,
    until: Option<Instant>,
    /// Its record.
    record: u64,
}

/// All that are on, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct Troubles(Vec<Trouble>);

impl Troubles {
    pub(crate) fn add(&mut self, fault: &Fault, record: u64, now: Instant) {
        if let Some((left, duration)) = fault.kind.lasts() {
            self.0.push(Trouble {
                exchange: fault.exchange,
                symbol: fault.symbol.clone(),
                kind: fault.kind.clone(),
                left,
                until: duration.map(|duration| now + duration),
                record,
            });
        }
    }

    /// Uses up one strike of the first fault that `choose` finds something in, and returns that with the fault's record.
    pub(crate) fn take<T>(
        &mut self,
        exchange: Exchange,
        symbol: Option<&str>,
        choose: impl Fn(&FaultKind) -> Option<T>,
    ) -> Option<(T, u64)> {
        let now = Instant::now();
        self.0
            .retain(|trouble| trouble.left > 0 && trouble.until.is_none_or(|until| now < until));
        let plain = symbol.map(|symbol| symbol.replace('-', ""));
        self.0.iter_mut().find_map(|trouble| {
            let here = trouble.exchange.is_none_or(|meant| meant == exchange);
            let meant = trouble.symbol.is_none() || trouble.symbol == plain || symbol.is_none();
            let chosen = choose(&trouble.kind).filter(|_| here && meant)?;
            trouble.left -= 1;
            Some((chosen, trouble.record))
        })
    }
}
