//! Order books: levels that follow a venue's diffs, and knowing when they do not any more.
//!
//! Pure: no socket, no clock. What is fetched and when is decided by who owns a book.

mod book;
mod checksum;
mod diff;
mod publish;
mod side;
mod sync;
#[cfg(test)]
mod truth;

pub use book::Book;
pub use diff::{Diff, Snapshot};
pub(crate) use publish::{Publishable, publishable};
pub use side::Side;
pub(crate) use sync::{Break, Join, Step, Sync};
