//! What Binance's markets have in common: addresses, control messages, connections, and what calls cost.

mod address;
mod admission;
mod connection;
mod protocol;
mod sockets;

pub(crate) use admission::{
    Refusal, admit, handshake, no_parameters, no_symbol, parameters, read_limit, refused, respond, respond_with,
    wants_micros,
};
pub(crate) use connection::Dialect;
pub(crate) use sockets::sockets;
