//! OKX, spot and derivatives: <https://www.okx.com/docs-v5/en/>.

mod answers;
mod books;
mod instruments;
mod kept;
mod limits;
mod messages;
mod named;
mod parse;
mod protocol;
mod quick;
mod rest;
mod series;
mod trades;
mod wire;

pub(crate) use limits::Limits;
pub(crate) use rest::Rest;
pub(crate) use wire::Okx;
