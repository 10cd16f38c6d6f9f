//! The machine around it: systemd, shells, manual pages.

use clap::{Args, Subcommand, ValueEnum};

/// `mprism systemd`.
#[derive(Debug, Args)]
pub struct SystemdArgs {
    /// What to do with the unit.
    #[command(subcommand)]
    pub verb: SystemdVerb,
    /// Of the machine's systemd [default: for root]
    #[arg(long, global = true, conflicts_with = "user")]
    pub system: bool,
    /// Of this user's systemd [default: for everybody else]
    #[arg(long, global = true)]
    pub user: bool,
    /// Name of the unit, for several homes on one machine
    #[arg(long, global = true, value_name = "NAME", value_parser = unit_name, default_value = "mprism")]
    pub name: String,
}

/// What can be done with a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
pub enum SystemdVerb {
    /// Print the unit
    Print,
    /// Write the unit where systemd looks, and enable it
    Install,
    /// Stop, disable and remove the unit
    Uninstall,
}

/// `mprism completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// For which shell
    #[arg(value_name = "SHELL", value_enum)]
    pub shell: ShellName,
}

/// A shell that can complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ShellName {
    /// GNU Bash.
    Bash,
    /// Z shell.
    Zsh,
    /// fish.
    Fish,
}

/// `mprism man`.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// Of this command; of mprism itself by default
    #[arg(value_name = "COMMAND")]
    pub command: Option<String>,
}

fn unit_name(text: &str) -> Result<String, String> {
    let fits = !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c));
    if fits {
        Ok(text.to_owned())
    } else {
        Err("expected letters, digits, - and _".to_owned())
    }
}
