//! The real binary, run as an operator runs it.

mod command_line;
mod config;
mod deps_failures;
mod documents;
mod logs;
mod query;
mod replay;
mod replay_deribit;
mod replay_okx;
mod replay_usdm;
#[path = "../schemas/mod.rs"]
mod schemas;
mod shells;
mod signals;
mod support;
mod systemd;
