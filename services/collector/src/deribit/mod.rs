//! Deribit.

mod wire;

pub(crate) use wire::Deribit;
