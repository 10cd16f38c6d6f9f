//! `mprism top`: everything that runs, live, in a terminal; or a document an interval.

mod metrics;
mod observe;

use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use crate::cli::TopArgs;
use crate::commands::Context;
use crate::commands::deployment::{observed, paths};
use crate::error::{CliError, Exit};
use crate::report::{Dashboard, Sample};
use observe::Eyes;

/// `mprism top`.
pub(crate) fn run(args: &TopArgs, context: &Context) -> Result<Exit, CliError> {
    if !context.printer.is_json() && !context.printer.has_a_screen() {
        let error = anyhow::anyhow!("the dashboard needs a terminal");
        return Err(CliError::usage("no_terminal", error).hint("for programs: `mprism top --json`"));
    }
    let settings = context.settings()?;
    let deployment = observed(context, &settings)?;
    let eyes = Eyes::new(settings.clone(), paths(&settings), deployment);
    if context.printer.is_json() {
        return context.block_on_interruptible(stream(args, eyes, context));
    }
    context.block_on_interruptible(show(args, eyes, context))
}

/// Prints a document an interval, until its reader leaves.
async fn stream(args: &TopArgs, mut eyes: Eyes, context: &Context) -> Result<Exit, CliError> {
    let mut left = args.count;
    // Rates are taken between two looks.
    eyes.look().await;
    let mut tick = ticks(args);
    tick.tick().await;
    while left != Some(0) {
        tick.tick().await;
        let sample = eyes.look().await;
        if !context.printer.stream(&sample)? {
            return Ok(Exit::Success);
        }
        left = left.map(|left| left - 1);
    }
    Ok(Exit::Success)
}

/// Shows the dashboard until a key ends it. Looking may take long, and keys are heard meanwhile.
async fn show(args: &TopArgs, mut eyes: Eyes, context: &Context) -> Result<Exit, CliError> {
    let failed = |e: std::io::Error| CliError::failed("terminal", e).context("cannot draw on the terminal");
    let (samples, mut taken) = mpsc::channel::<Sample>(1);
    let looking = async {
        let mut tick = ticks(args);
        loop {
            tick.tick().await;
            if samples.send(eyes.look().await).await.is_err() {
                return;
            }
        }
    };
    let mut screen = context.printer.screen().map_err(failed)?;
    let mut inputs = screen.inputs().map_err(failed)?;
    let mut dashboard = Dashboard::new(context.home.root().display().to_string(), args.interval);
    let mut left = args.count;
    let showing = async {
        while left != Some(0) {
            screen.draw(&dashboard).map_err(failed)?;
            tokio::select! {
                biased;
                input = inputs.recv() => match input.map(|input| dashboard.press(input)) {
                    Some(None) => {}
                    Some(Some(Exit::Success)) => return Ok(Exit::Success),
                    Some(Some(exit)) => return Err(CliError::interrupted(exit)),
                    // The terminal is gone.
                    None => return Ok(Exit::Success),
                },
                Some(sample) = taken.recv() => {
                    dashboard.take(sample);
                    left = left.map(|left| left - 1);
                }
            }
        }
        Ok(Exit::Success)
    };
    tokio::select! {
        biased;
        done = showing => done,
        () = looking => Ok(Exit::Success),
    }
}

fn ticks(args: &TopArgs) -> tokio::time::Interval {
    let mut tick = tokio::time::interval(args.interval);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tick
}
