//! The only room that writes to the terminal: answers to standard output, the conversation to standard error.

mod language;
mod output;
mod printer;
mod progress;
mod render;
mod screen;
mod top;

pub use output::Output;
pub use printer::Printer;
pub use progress::Progress;
pub use screen::Screen;
