//! OKX.

mod wire;

pub(crate) use wire::Okx;
