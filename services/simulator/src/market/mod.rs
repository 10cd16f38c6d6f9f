//! The matching cores: what happens in synthetic markets, and a compact log of all of it.
//!
//! One market is one totally ordered log of steps. Frames, REST answers and the truth are projections of that log.

mod book;
mod changes;
mod places;
mod random;
mod scale;
mod trades;
mod walk;

pub(crate) use book::{Book, Change, Levels, Side};
pub(crate) use changes::{ChangeLog, Fold};
pub(crate) use places::{Keeper, Places, load};
pub(crate) use random::SplitMix;
pub(crate) use scale::{Scale, Style, push_integer};
pub(crate) use trades::{KeptTrade, TradeLog, write_line};
pub(crate) use walk::{Market, Place, Trade};
