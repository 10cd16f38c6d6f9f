//! Recorded frames: found, read, and put in the order of their arrival.

mod book;
mod frame;
mod read;
mod recording;

pub(crate) use book::{Level, RecordedBook, push_texts};
pub(crate) use read::load;
pub(crate) use recording::{RecordedFold, Recording, Tape};
