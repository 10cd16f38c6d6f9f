//! Glue, one file a verb: observe, decide, do, and hand the result to the printer.

mod context;
mod deps;
mod env;
mod logs;
pub mod prepare;
mod query;

use crate::cli::Verb;
use crate::error::{CliError, Exit};

pub use context::{Context, install_crypto_provider};
pub use deps::{fetch_options, show_progress};

/// Does what was typed.
///
/// # Errors
/// Where the command did not work; what it found to be wrong is a result and not an error.
pub fn dispatch(verb: Verb, context: &Context) -> Result<Exit, CliError> {
    match verb {
        Verb::Deps(args) => deps::run(&args, context),
        Verb::Env(args) => env::run(&args, context),
        Verb::Query(args) => query::run(&args, context),
        Verb::Logs(args) => logs::run(&args, context),
    }
}
