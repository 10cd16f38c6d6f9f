//! `mprism completions` and `mprism man`: made of the same tree that reads command lines.

use std::io::Write;

use clap_complete::Shell;
use serde::Serialize;

use crate::cli::{CompletionsArgs, ManArgs, ShellName, visible_tree};
use crate::commands::Context;
use crate::error::{CliError, Exit};
use crate::report::{Page, Report};

/// `mprism completions`.
pub(crate) fn completions(args: &CompletionsArgs, context: &Context) -> Result<Exit, CliError> {
    let text = completion_script(args.shell);
    context.printer.report(&TextReport { text })
}

/// Returns the completion script of a shell.
fn completion_script(shell: ShellName) -> String {
    let shell = match shell {
        ShellName::Bash => Shell::Bash,
        ShellName::Zsh => Shell::Zsh,
        ShellName::Fish => Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut visible_tree(), "mprism", &mut script);
    let mut script = String::from_utf8_lossy(&script).trim_end().to_owned();
    if shell == Shell::Fish {
        script.push_str(&fish_arguments(&visible_tree()));
    }
    script
}

/// Completes what stands beside options, which the generator for fish leaves out: names of services, above all.
fn fish_arguments(tree: &clap::Command) -> String {
    let mut lines = String::new();
    for command in tree.get_subcommands() {
        for argument in command.get_positionals() {
            let values = argument.get_possible_values();
            let names: Vec<&str> = values.iter().map(|value| value.get_name()).collect();
            if !names.is_empty() {
                let (verb, names) = (command.get_name(), names.join(" "));
                lines +=
                    &format!("\ncomplete -c mprism -n \"__fish_mprism_using_subcommand {verb}\" -f -a \"{names}\"");
            }
        }
    }
    lines
}

/// `mprism man`.
pub(crate) fn man(args: &ManArgs, context: &Context) -> Result<Exit, CliError> {
    let mut tree = visible_tree();
    let mut page = Vec::new();
    let rendered = match &args.command {
        None => render(tree, &mut page),
        Some(name) => {
            // Flags of every command are those of this one too, and its own may name them.
            tree.build();
            let Some(command) = tree.find_subcommand(name) else {
                let text = format!("there is no command `{name}`");
                return Err(
                    CliError::usage("unknown_command", anyhow::Error::msg(text)).hint("see all: `mprism --help`")
                );
            };
            let full = format!("mprism-{name}");
            let command = command
                .clone()
                .name(full.clone())
                .bin_name(format!("mprism {name}"))
                .display_name(full);
            render(command, &mut page)
        }
    };
    rendered.map_err(|e| CliError::failed("output", e).context("cannot make the page"))?;
    let text = String::from_utf8_lossy(&page).trim_end().to_owned();
    context.printer.report(&TextReport { text })
}

fn render(command: clap::Command, page: &mut Vec<u8>) -> std::io::Result<()> {
    clap_mangen::Man::new(command).render(page)?;
    page.flush()
}

/// A text that is the whole answer.
#[derive(Serialize)]
struct TextReport {
    text: String,
}

impl Report for TextReport {
    fn page(&self) -> Page {
        Page::new().line(&self.text)
    }
}
