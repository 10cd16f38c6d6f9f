//! From a venue's levels to those that are published.

use mprism_model::{Level, Written};

use crate::wire::Sizing;

/// Bids and asks in base currency, and the venue's own sizes where they are not.
pub(crate) type Publishable = (Vec<Level>, Vec<Level>, Option<Box<(Vec<Written>, Vec<Written>)>>);

/// Returns levels with quantities in base currency, beside the venue's own sizes where these are contracts; `None` where one
/// has no place in a message.
pub(crate) fn publishable(bids: Vec<Level>, asks: Vec<Level>, sizing: Sizing) -> Option<Publishable> {
    if sizing == Sizing::Base {
        return Some((bids, asks, None));
    }
    let base = |level: &Level| {
        let quantity = sizing.base(level.quantity.decimal(), level.price.decimal())?;
        Some(Level {
            price: level.price,
            quantity: Written::shortest(quantity)?,
        })
    };
    let side = |levels: &[Level]| levels.iter().map(base).collect::<Option<Vec<_>>>();
    let venues = |levels: &[Level]| levels.iter().map(|level| level.quantity).collect();
    Some((
        side(&bids)?,
        side(&asks)?,
        Some(Box::new((venues(&bids), venues(&asks)))),
    ))
}
