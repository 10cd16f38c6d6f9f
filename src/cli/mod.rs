//! What can be typed: clap types and nothing else.

mod arguments;
mod examples;
mod globals;

use std::ffi::OsString;

use clap::{FromArgMatches, Parser, Subcommand};

pub use arguments::{
    BenchArgs, CleanArgs, ColdArgs, ColdBackfillArgs, ColdVerb, CompletionsArgs, ConfigArgs, ConfigVerb, DepsArgs,
    DepsVerb, DiagnoseArgs, EnvArgs, EnvFormat, ExportArgs, ExportFormat, HealthArgs, HistoryArgs, InfraArgs,
    InfraComposeArgs, InfraDownArgs, InfraLogsArgs, InfraServer, InfraStatusArgs, InfraUpArgs, InfraVerb, InitArgs,
    IntegrityArgs, IntegrityScope, LogLevel, LogsArgs, ManArgs, QueryArgs, RepairArgs, ReplayArgs, ReplayBooks,
    ReplayTarget, RestartArgs, ServiceName, ShellName, SimArgs, SmokeArgs, StartArgs, StatusArgs, StopArgs,
    SystemdArgs, SystemdVerb, TopArgs, UpArgs, VerifyArgs, WorkerArgs, WorkerName,
};
pub use globals::{ColorChoice, Globals, LanguageChoice};

/// A trading desk's own crypto market-data lake in one binary.
#[derive(Debug, Parser)]
#[command(
    name = "mprism",
    version,
    about,
    propagate_version = false,
    disable_help_subcommand = true
)]
pub struct Cli {
    /// The flags that every command takes.
    #[command(flatten)]
    pub globals: Globals,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// The verbs. A new one is a line here and a line in `commands::dispatch`.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Make or repair a home: folders, credentials, dependencies, tables, streams.
    Init(InitArgs),
    /// From whatever there is to verified data: init, start, health, integrity, a summary.
    Up(UpArgs),
    /// Stop everything, the simulator too.
    Down,
    /// Start services in the order they need each other; already running is success.
    Start(StartArgs),
    /// Stop services in reverse order; nothing accepted is lost.
    Stop(StopArgs),
    /// Stop and start with the options of the last start.
    Restart(RestartArgs),
    /// What runs: state, pid, uptime, restarts, memory, address.
    Status(StatusArgs),
    /// Ask every endpoint and look at the data flow.
    Health(HealthArgs),
    /// Everything that runs, live: services, rows a second, backlog, latency, gaps, errors.
    Top(TopArgs),
    /// Prove by arithmetic that what is stored is complete and consistent.
    Integrity(IntegrityArgs),
    /// Mend what integrity found: doubled, missing and unreadable rows, gaps, dead letters.
    Repair(RepairArgs),
    /// The cold store by hand.
    Cold(ColdArgs),
    /// What the cold store has of the hot one, table by table; changes nothing.
    Verify(VerifyArgs),
    /// Pinned dependencies: versions, checksums, where found.
    Deps(DepsArgs),
    /// Endpoints and credential paths for other programs.
    Env(EnvArgs),
    /// What stands in the way, worst first, and the command that mends it.
    Diagnose(DiagnoseArgs),
    /// Remove stale locks, files, sockets, unused containers and networks; data if asked to.
    Clean(CleanArgs),
    /// What operators did to this home: time, user, command, exit code.
    History(HistoryArgs),
    /// Settings: show them with their origins, check them, change them.
    Config(ConfigArgs),
    /// Run SQL against the store.
    Query(QueryArgs),
    /// Write rows of both stores to a Parquet, CSV or JSONL file, each row once.
    Export(ExportArgs),
    /// nats-server and ClickHouse in containers.
    Infra(InfraArgs),
    /// Show logs of all services in one stream, ordered by time.
    Logs(LogsArgs),
    /// Send recorded frames through the collector's own code.
    Replay(ReplayArgs),
    /// The whole pipeline offline in a home of its own, one verdict: for CI.
    Smoke(SmokeArgs),
    /// Measure on this machine what the README claims.
    Bench(BenchArgs),
    /// The supervisor as a systemd service.
    Systemd(SystemdArgs),
    /// Completions for a shell.
    Completions(CompletionsArgs),
    /// Pages of the manual.
    Man(ManArgs),
    /// One worker in the foreground, for containers and systemd.
    #[command(hide = true)]
    Worker(WorkerArgs),
}

impl Verb {
    /// Returns the name as typed.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Init(_) => "init",
            Self::Up(_) => "up",
            Self::Down => "down",
            Self::Start(_) => "start",
            Self::Stop(_) => "stop",
            Self::Restart(_) => "restart",
            Self::Status(_) => "status",
            Self::Health(_) => "health",
            Self::Top(_) => "top",
            Self::Integrity(_) => "integrity",
            Self::Repair(_) => "repair",
            Self::Verify(_) => "verify",
            Self::Cold(_) => "cold",
            Self::Deps(_) => "deps",
            Self::Env(_) => "env",
            Self::Diagnose(_) => "diagnose",
            Self::Clean(_) => "clean",
            Self::History(_) => "history",
            Self::Config(_) => "config",
            Self::Query(_) => "query",
            Self::Export(_) => "export",
            Self::Infra(_) => "infra",
            Self::Logs(_) => "logs",
            Self::Replay(_) => "replay",
            Self::Smoke(_) => "smoke",
            Self::Bench(_) => "bench",
            Self::Systemd(_) => "systemd",
            Self::Completions(_) => "completions",
            Self::Man(_) => "man",
            Self::Worker(_) => "worker",
        }
    }
}

impl Verb {
    /// Returns whether the command changes the home or what runs in it, and so belongs into its history.
    pub fn is_mutating(&self) -> bool {
        match self {
            Self::Init(_) | Self::Up(_) | Self::Down | Self::Start(_) | Self::Stop(_) | Self::Restart(_) => true,
            Self::Clean(_) | Self::Repair(_) | Self::Cold(_) => true,
            Self::Deps(args) => matches!(args.verb, DepsVerb::Install { .. }),
            Self::Config(args) => matches!(args.verb, ConfigVerb::Edit),
            Self::Query(args) => args.write,
            Self::Systemd(args) => args.verb != SystemdVerb::Print,
            Self::Infra(args) => matches!(args.verb, InfraVerb::Up(_) | InfraVerb::Down(_)),
            Self::Diagnose(_)
            | Self::Status(_)
            | Self::Health(_)
            | Self::Top(_)
            | Self::Integrity(_)
            | Self::Verify(_)
            | Self::Env(_)
            | Self::Export(_)
            | Self::Logs(_)
            | Self::History(_) => false,
            // They have homes of their own, or change nothing.
            Self::Replay(_) | Self::Smoke(_) | Self::Bench(_) | Self::Completions(_) | Self::Man(_) => false,
            // What asked for it stands in the history.
            Self::Worker(_) => false,
        }
    }
}

/// Returns the tree of everything that can be typed.
pub fn tree() -> clap::Command {
    examples::attach(<Cli as clap::CommandFactory>::command(), "")
}

/// Returns the tree without what is hidden, for completions and manuals.
pub fn visible_tree() -> clap::Command {
    let tree = tree();
    let mut visible = clap::Command::new("mprism")
        .bin_name("mprism")
        .disable_help_subcommand(true);
    visible = visible.version(env!("CARGO_PKG_VERSION")).subcommand_required(true);
    if let Some(about) = tree.get_about() {
        visible = visible.about(about.clone());
    }
    if let Some(examples) = tree.get_after_help() {
        visible = visible.after_help(examples.clone());
    }
    let commands = tree.get_subcommands().filter(|command| !command.is_hide_set());
    visible
        .args(tree.get_arguments().cloned())
        .subcommands(commands.cloned())
}

/// Reads a command line, the program's name first.
///
/// # Errors
/// clap's own: help and versions too are errors here.
pub fn parse(arguments: &[OsString]) -> Result<Cli, clap::Error> {
    // clap colours its own errors: it has to know before it has parsed the flag.
    let tree = tree().color(Globals::guess(arguments).color.into());
    let matches = tree.try_get_matches_from(arguments)?;
    Cli::from_arg_matches(&matches)
}

/// Returns the verb that a command line which could not be parsed was about, `mprism` if none.
pub fn guess_verb(arguments: &[OsString]) -> String {
    let tree = tree();
    let known: Vec<&str> = tree.get_subcommands().map(clap::Command::get_name).collect();
    let named = arguments
        .iter()
        .skip(1)
        .find_map(|argument| known.iter().find(|verb| argument == **verb));
    named.map_or("mprism", |verb| verb).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_sound() {
        tree().debug_assert();
    }

    #[test]
    fn lines_of_the_contract_are_understood() {
        let parse = |line: &str| Cli::try_parse_from(line.split(' ')).map(|cli| cli.verb);
        let up = parse("mprism up --sim --for 30s --sim-rate max --sim-seed 7").expect("valid");
        let Verb::Up(up) = up else { panic!("up") };
        assert_eq!(
            (up.sim.sim, up.run_for),
            (true, Some(std::time::Duration::from_secs(30)))
        );
        for line in [
            "mprism init nats --offline --provider pip",
            "mprism start hot storage --sim --sim-corpus x --sim-keep-time --wait 5 --verify",
            "mprism integrity hot --since 1h --strict",
            "mprism integrity cold --report a.md",
            "mprism verify --from 2026-01-01T00:00:00Z --to 2026-01-02T00:00:00Z",
            "mprism replay a b --to stdout --trace",
            "mprism top --interval 5s --count 3",
            "mprism --lang zh status",
            "mprism bench start",
            "mprism bench pipeline --rate 1000 --for 30s --steps 0",
            "mprism bench transport --for 5m --window 30s --subject a --subject b --jsonl x --sim",
            "mprism worker clickhouse",
        ] {
            parse(line).expect(line);
        }
        for line in [
            "mprism up --sim-seed 7",
            "mprism up --for 30",
            "mprism bench x",
            "mprism bench pipeline --rate 0",
            "mprism bench transport --window 5",
            "mprism integrity --from a",
            "mprism integrity warm",
            "mprism verify --to a",
            "mprism replay",
            "mprism top --interval 10ms",
            "mprism top --count 0",
            "mprism status --lang fr",
        ] {
            parse(line).expect_err(line);
        }
    }

    #[test]
    fn a_broken_line_still_tells_its_verb_and_form() {
        let line: Vec<OsString> = ["mprism", "--json", "deps", "nonsense"].map(Into::into).to_vec();
        assert!(parse(&line).is_err());
        assert_eq!(guess_verb(&line), "deps");
        assert!(Globals::guess(&line).json);
        assert_eq!(guess_verb(&line[..2]), "mprism");
    }
}
