//! Whole homes with every real part: nats-server, the engine, the workers, the supervisor, and the simulator for an exchange.

mod bad_input;
mod books;
mod commands;
mod corpus;
mod disk;
mod kills;
mod life;
mod smoke;
mod support;
