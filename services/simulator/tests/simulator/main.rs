//! The simulator from outside: as a client of the venue, and as a test that asks for the truth.

mod books;
mod corpus;
mod deribit;
mod faults;
mod okx;
mod rest;
mod support;
mod trades;
mod usdm;
