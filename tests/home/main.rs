//! Whole homes with every real part: nats-server, the engine, the workers, the supervisor, and the simulator for an exchange.

mod bad_input;
mod books;
mod clean;
mod cold;
mod commands;
mod corpus;
mod damage;
mod diagnose;
mod disk;
mod documents;
mod endpoints;
mod engine_kills;
mod exchanges;
mod export;
mod faults;
mod hosts;
mod integrity;
mod integrity_faults;
mod kill_loop;
mod kills;
mod life;
mod picture;
mod power_cut;
mod queries;
mod redact;
mod repair;
mod schema;
#[path = "../schemas/mod.rs"]
mod schemas;
mod screens;
mod smoke;
mod support;
mod top;
mod watch;
