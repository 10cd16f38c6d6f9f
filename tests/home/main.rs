//! Whole homes with every real part: nats-server, the engine, the workers, the supervisor, and the simulator for an exchange.

mod bad_input;
mod clean;
mod commands;
mod corpus;
mod diagnose;
mod disk;
mod kills;
mod life;
mod smoke;
mod support;
mod watch;
