//! Deribit: <https://docs.deribit.com/>.

mod answers;
mod books;
mod figures;
mod messages;
mod named;
mod parse;
mod terms;
#[cfg(test)]
mod tests;
mod trades;
mod volatility;
mod wire;

pub(crate) use wire::Deribit;
