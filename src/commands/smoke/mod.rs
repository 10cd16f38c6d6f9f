//! `mprism smoke`: the whole pipeline in a home of its own, with a worker killed on the way. One verdict.

mod books;
mod live;
mod reconcile;
mod series;
mod settle;
mod steps;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::SmokeArgs;
use crate::commands::Context;
use crate::commands::isolated::IsolatedHome;
use crate::error::{CliError, Exit, Failure};
use crate::report::{Cell, Page, Report, Tone, duration_text};

pub use reconcile::{Reconciled, reconcile};
pub(crate) use settle::{sent_trades, settle, stored_trades};
use steps::{Sample, Step};

/// Events a second of the simulated market.
const RATE: u32 = 2_000;

/// `mprism smoke`.
pub(crate) fn run(args: &SmokeArgs, context: &Context) -> Result<Exit, CliError> {
    if context.globals.dry_run {
        return context.printer.report(&PlannedSmoke::new(args));
    }
    // The simulator's market is what the test makes it; the exchanges are wherever the operator says.
    let config = context.globals.config.clone().filter(|_| args.live);
    let home = IsolatedHome::with_config(context, config)?;
    let (report, exit) = context.block_on(smoke(&home, args, context))?;
    let reported = context.printer.report(&report)?;
    Ok(if exit == Exit::Success { reported } else { exit })
}

/// Takes every step, and stops everything however it ends.
async fn smoke(home: &IsolatedHome, args: &SmokeArgs, context: &Context) -> Result<(SmokeReport, Exit), CliError> {
    let watch = |kind| signal(kind).map_err(|e| CliError::failed("signals", e).context("cannot watch signals"));
    let (mut interrupt, mut terminate) = (watch(SignalKind::interrupt())?, watch(SignalKind::terminate())?);
    let mut run = steps::Run::new(home, args, context);
    let exit = tokio::select! {
        biased;
        _ = interrupt.recv() => Exit::Interrupted,
        _ = terminate.recv() => Exit::Terminated,
        () = run.all() => Exit::Success,
    };
    run.stop().await;
    Ok((run.into_report(), exit))
}

/// What the smoke test found.
#[derive(Debug, Default, Serialize)]
pub(crate) struct SmokeReport {
    pub(crate) steps: Vec<Step>,
    pub(crate) rows: BTreeMap<String, u64>,
    pub(crate) lost: u64,
    pub(crate) duplicated: u64,
    pub(crate) wrong_books: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) samples: Vec<Sample>,
    #[serde(skip)]
    pub(crate) findings: Vec<String>,
}

impl Report for SmokeReport {
    fn exit(&self) -> Exit {
        let is_good = self.lost + self.duplicated + self.wrong_books == 0 && self.steps.iter().all(|step| step.ok);
        if is_good { Exit::Success } else { Exit::Failed }
    }

    fn failure(&self) -> Option<Failure> {
        if self.exit() == Exit::Success {
            return None;
        }
        let bad = self.steps.iter().filter(|step| !step.ok);
        let bad = bad.map(|step| format!("{}: {}", step.name, step.detail));
        Some(Failure {
            code: "smoke",
            message: format!(
                "the pipeline is not sound: {} lost, {} doubled, {} wrong order books",
                self.lost, self.duplicated, self.wrong_books
            ),
            causes: bad.chain(self.findings.iter().cloned()).collect(),
            hints: vec!["see it happen: `mprism up --sim`, then `mprism logs -f`".into()],
        })
    }

    fn page(&self) -> Page {
        let steps = self.steps.iter().map(|step| {
            let (word, tone) = if step.ok {
                ("ok", Tone::Good)
            } else {
                ("failed", Tone::Bad)
            };
            vec![
                Cell::plain(step.name),
                Cell::toned(word, tone),
                Cell::number(duration_text(Duration::from_millis(step.ms))),
                Cell::toned(step.detail.clone(), Tone::Dim),
            ]
        });
        let types: Vec<&'static str> = self.samples.last().map_or_else(Vec::new, Sample::types);
        let samples = self.samples.iter().map(|sample| sample.cells(&types));
        let samples: Vec<Vec<Cell>> = samples.collect();
        let (word, tone) = match self.exit() {
            Exit::Success => ("sound", Tone::Good),
            _ => ("not sound", Tone::Bad),
        };
        let rows: u64 = self.rows.values().sum();
        let (lost, doubled, wrong) = (self.lost, self.duplicated, self.wrong_books);
        let counts = format!(": {rows} rows, {lost} lost, {doubled} doubled, {wrong} wrong order books");
        let page = Page::new().table(vec!["step", "", "time", ""], steps.collect());
        let page = match samples.is_empty() {
            true => page,
            false => page.table([vec!["rows after"], types].concat(), samples),
        };
        page.pieces(vec![
            Cell::plain("smoke: "),
            Cell::toned(word, tone),
            Cell::plain(counts),
        ])
    }
}

#[derive(Serialize)]
struct PlannedSmoke {
    dry_run: bool,
    plan: Vec<String>,
}

impl PlannedSmoke {
    fn new(args: &SmokeArgs) -> Self {
        let duration = duration_text(args.duration);
        let (market, proof) = if args.live {
            (
                format!("start everything with the exchanges themselves for {duration}"),
                "ask health and integrity, kill the hot worker, demand that every exchange and type flows without a hole",
            )
        } else {
            (
                format!("start everything with a simulated market of {RATE} events/s for {duration}"),
                "ask health and integrity, kill the hot worker, compare every row with what was sent",
            )
        };
        let plan = [
            "make a temporary home and claim free ports".to_owned(),
            market,
            proof.into(),
            "stop everything and remove the home".into(),
        ];
        Self {
            dry_run: true,
            plan: plan.into(),
        }
    }
}

impl Report for PlannedSmoke {
    fn page(&self) -> Page {
        self.plan
            .iter()
            .fold(Page::new(), |page, step| page.line(format!("would {step}")))
    }
}
