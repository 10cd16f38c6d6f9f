//! The flags that every command takes.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgAction, Args, ValueEnum};

/// The flags that every command takes.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Global options")]
pub struct Globals {
    /// State folder [env: MPRISM_HOME] [default: $XDG_DATA_HOME/mprism, else ~/.local/share/mprism]
    #[arg(long, global = true, value_name = "DIR")]
    pub home: Option<PathBuf>,

    /// YAML file laid over the built-in defaults and <home>/config/*.yaml [env: MPRISM_CONFIG]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Moves every port of this home by N, a multiple of 100 [env: MPRISM_PORT_OFFSET]
    #[arg(long, global = true, value_name = "N")]
    pub port_offset: Option<u32>,

    /// Print one JSON document on standard output
    #[arg(long, global = true)]
    pub json: bool,

    /// Say less on standard error
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,

    /// Say more on standard error
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,

    /// Colour, which is never part of the meaning [env: NO_COLOR]
    #[arg(long, global = true, value_name = "WHEN", value_enum, default_value_t)]
    pub color: ColorChoice,

    /// Language of the operator's screens; documents stay English [env: LC_ALL, LC_MESSAGES, LANG]
    #[arg(long, global = true, value_name = "LANGUAGE", value_enum)]
    pub lang: Option<LanguageChoice>,

    /// Answer every confirmation with yes
    #[arg(long, global = true)]
    pub yes: bool,

    /// Print the plan and change nothing
    #[arg(long, global = true)]
    pub dry_run: bool,
}

/// When to colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What the operator's screens speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LanguageChoice {
    /// English.
    En,
    /// Simplified Chinese.
    Zh,
}

impl From<ColorChoice> for clap::ColorChoice {
    fn from(choice: ColorChoice) -> Self {
        match choice {
            ColorChoice::Auto => Self::Auto,
            ColorChoice::Always => Self::Always,
            ColorChoice::Never => Self::Never,
        }
    }
}

impl Globals {
    /// Reads what decides the form of an answer from a line that clap has not read, or could not.
    pub fn guess(arguments: &[OsString]) -> Self {
        let mut globals = Self::default();
        let mut words = arguments.iter().skip(1).map(|word| word.to_string_lossy());
        while let Some(word) = words.next() {
            let color = match &*word {
                "--" => break,
                "--json" => {
                    globals.json = true;
                    continue;
                }
                "--color" => words.next().unwrap_or_default().into_owned(),
                other => match other.strip_prefix("--color=") {
                    Some(color) => color.to_owned(),
                    None => continue,
                },
            };
            globals.color = ColorChoice::from_str(&color, true).unwrap_or_default();
        }
        globals
    }
}
