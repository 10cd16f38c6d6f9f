//! `--take-over`: a MarketPrism that runs is ended in order, and its messages, consumers and tables are gone on with.
//!
//! Everything that this home needs is made before anything of the other is touched, and where its broker keeps its messages is
//! written down first: killed at any point, the same command goes on where it was. Nothing of its data is removed or moved, and none
//! of its containers.

mod containers;
mod ending;
mod messages;
mod tables;
mod volume;

pub(crate) use containers::{ItsContainer, Told, explain, in_containers, its, mark};
pub(crate) use ending::{SharedVolume, TakeOver, TakenOver};
pub(crate) use messages::Adoption;
pub(crate) use tables::Tables;
