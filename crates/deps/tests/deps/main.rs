//! What the crate promises, with package clients that do what a test wants and pins that a test made.

mod cached;
mod clients;
mod disk;
mod fetching;
mod lab;
mod real;
mod together;
