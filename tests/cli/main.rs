//! The real binary, run as an operator runs it.

mod command_line;
mod logs;
mod query;
mod support;
