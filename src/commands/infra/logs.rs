//! `mprism infra logs`: what containers write.

use futures_util::StreamExt;
use mprism_containers::{Engine, LogLine};
use serde::Serialize;

use super::{connect, selected};
use crate::cli::InfraLogsArgs;
use crate::commands::Context;
use crate::error::{CliError, Exit};
use crate::report::{Cell, Page, Report, Tone};

/// Lines of each container where nobody says how many.
const LINES: usize = 100;

pub(super) fn run(args: &InfraLogsArgs, context: &Context) -> Result<Exit, CliError> {
    let settings = context.settings()?;
    let services = selected(&args.services, &settings)?;
    let lines = args.lines.unwrap_or(LINES);
    context.block_on_interruptible(async {
        let engine = connect(context).await?;
        let mut containers = Vec::new();
        for service in services {
            let name = super::container_name(&settings, service);
            if engine.container(&name).await?.is_some() {
                containers.push((service.name(), name));
            } else {
                context.printer.warn(&format!("container {name} does not exist"));
            }
        }
        if args.follow {
            return follow(&engine, &containers, lines, context).await;
        }
        let mut report = LogsReport { lines: Vec::new() };
        for (service, container) in &containers {
            let mut read = Box::pin(engine.logs(container, lines, false));
            while let Some(line) = read.next().await {
                report.lines.push(Line::of(service, line?));
            }
        }
        report.lines.sort_by(|a, b| a.ts.cmp(&b.ts));
        context.printer.report(&report)
    })
}

/// Shows lines as they are written, one document each with `--json`, until whoever reads them is gone.
async fn follow(
    engine: &Engine,
    containers: &[(&'static str, String)],
    lines: usize,
    context: &Context,
) -> Result<Exit, CliError> {
    let streams = containers.iter().map(|(service, container)| {
        let service = *service;
        Box::pin(
            engine
                .logs(container, lines, true)
                .map(move |line| line.map(|line| Line::of(service, line))),
        )
    });
    let mut all = futures_util::stream::select_all(streams);
    let mut output = context.printer.output();
    while let Some(line) = all.next().await {
        let line = line?;
        let text = if context.printer.is_json() {
            format!("{}\n", serde_json::to_string(&line).unwrap_or_default())
        } else {
            format!("{} {} {}\n", line.ts, line.service, line.message)
        };
        let written = output.write(text.as_bytes());
        if !written.map_err(|e| CliError::failed("output", e).context("cannot write"))? {
            break;
        }
    }
    Ok(Exit::Success)
}

#[derive(Serialize)]
struct Line {
    ts: String,
    service: &'static str,
    message: String,
}

impl Line {
    fn of(service: &'static str, line: LogLine) -> Self {
        Self {
            ts: line.ts,
            service,
            message: line.message,
        }
    }
}

#[derive(Serialize)]
struct LogsReport {
    lines: Vec<Line>,
}

impl Report for LogsReport {
    fn page(&self) -> Page {
        self.lines.iter().fold(Page::new(), |page, line| {
            page.pieces(vec![
                Cell::toned(format!("{} {} ", line.ts, line.service), Tone::Dim),
                Cell::plain(&line.message),
            ])
        })
    }
}
