//! Deribit: <https://docs.deribit.com/>.

mod answers;
mod books;
mod figures;
mod limits;
mod messages;
mod named;
mod parse;
mod protocol;
mod quick;
mod rest;
#[cfg(test)]
mod simulated;
mod terms;
#[cfg(test)]
mod tests;
mod trades;
mod volatility;
mod wire;

pub(crate) use limits::budget;
pub(crate) use rest::Rest;
pub(crate) use wire::Deribit;
