//! The real binary, run as an operator runs it.

mod command_line;
mod config;
mod deps_failures;
mod logs;
mod query;
mod replay;
mod shells;
mod signals;
mod support;
mod systemd;
