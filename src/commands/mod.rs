//! Glue, one file a verb: observe, decide, do, and hand the result to the printer.

mod ask;
mod bench;
mod clean;
mod cold_backfill;
mod config;
mod context;
mod deployment;
mod deps;
mod diagnose;
mod env;
mod export;
mod foreground;
mod health;
mod history;
pub(crate) mod infra;
mod init;
mod integrity;
mod interrupt;
mod isolated;
mod lifecycle;
mod logrotate;
mod logs;
mod native;
mod notify;
mod planned;
pub mod prepare;
mod query;
mod reach;
mod repair;
mod repair_schema;
mod replay;
mod rolling;
mod shells;
mod sim;
pub mod smoke;
mod status;
mod store;
mod systemd;
mod take_over;
mod top;
mod trouble;
mod up;
mod verify;
mod worker;

use mprism_settings::Override;

use crate::cli::{ColdVerb, SimArgs, Verb};
use crate::error::{CliError, Exit};

pub use context::{Context, install_crypto_provider};
pub use deps::{fetch_options, show_progress};
pub(crate) use history::Record;

/// Does what was typed.
///
/// # Errors
/// Where the command did not work; what it found to be wrong is a result and not an error.
pub fn dispatch(verb: Verb, context: &Context) -> Result<Exit, CliError> {
    match verb {
        Verb::Init(args) => init::run(&args, context),
        Verb::Up(args) => up::run(&args, context),
        Verb::Down => up::down(context),
        Verb::Integrity(args) => integrity::run(&args, context),
        Verb::Repair(args) if args.schema => repair_schema::run(context, context.globals.dry_run),
        Verb::Verify(args) => verify::run(&args, context),
        Verb::Repair(args) => repair::run(&args, context),
        Verb::Cold(args) => match args.verb {
            ColdVerb::Backfill(args) => cold_backfill::run(&args, context),
        },
        Verb::Replay(args) => replay::run(&args, context),
        Verb::Smoke(args) => smoke::run(&args, context),
        Verb::Bench(args) => bench::run(&args, context),
        Verb::Deps(args) => deps::run(&args, context),
        Verb::Diagnose(args) => diagnose::run(&args, context),
        Verb::Clean(args) => clean::run(&args, context),
        Verb::History(args) => history::run(&args, context),
        Verb::Config(args) => config::run(&args, context),
        Verb::Env(args) => env::run(&args, context),
        Verb::Query(args) => query::run(&args, context),
        Verb::Export(args) => export::run(&args, context),
        Verb::Infra(args) => infra::run(&args, context),
        Verb::Logs(args) => logs::run(&args, context),
        Verb::Start(args) => lifecycle::start(&args, context),
        Verb::Stop(args) => lifecycle::stop(&args, context),
        Verb::Restart(args) => lifecycle::restart(&args, context),
        Verb::Status(args) => status::run(&args, context),
        Verb::Health(args) => health::run(&args.services, context),
        Verb::Top(args) => top::run(&args, context),
        Verb::Systemd(args) => systemd::run(&args, context),
        Verb::Completions(args) => shells::completions(&args, context),
        Verb::Man(args) => shells::man(&args, context),
        Verb::Worker(args) => worker::run(&args, context),
    }
}

/// Returns what the simulator's flags say over the settings.
fn sim_overrides(args: &SimArgs) -> Vec<Override> {
    let rate = args.sim_rate.as_ref().map(|rate| Override {
        path: "sim.rate",
        value: rate.clone(),
        flag: "--sim-rate",
    });
    let seed = args.sim_seed.map(|seed| Override {
        path: "sim.seed",
        value: seed.to_string(),
        flag: "--sim-seed",
    });
    rate.into_iter().chain(seed).collect()
}
