//! How venues write: what their frames and answers say, in one vocabulary, and what their instruments are.

mod error;
pub(crate) mod quick;
mod said;
mod shared;
mod terms;
mod values;

pub use error::ParseError;
pub(crate) use error::shortened;
pub(crate) use said::unnamed;
pub use said::{About, Accepted, Known, Said, Wire};
pub(crate) use shared::SharedTerms;
pub use terms::{Sizing, Term, Terms};
pub(crate) use values::{number, positive, time};
