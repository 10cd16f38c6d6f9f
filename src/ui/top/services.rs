//! The services: as `status` shows them, in as many columns as there is room for.

use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::{Constraint, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Cell, Paragraph, Row, Table};

use super::Paint;
use crate::control::{UnitState, UnitStatus};
use crate::report::{Dashboard, Tone, bytes, duration_text};

/// From this width on there is room for addresses and versions.
const WIDE: u16 = 110;

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, dashboard: &Dashboard, paint: Paint) {
    let Some(sample) = &dashboard.last else { return };
    if let Some(trouble) = &sample.trouble {
        frame.render_widget(Paragraph::new(paint.span(trouble.clone(), Tone::Bad)), area);
        return;
    }
    let is_wide = area.width >= WIDE;
    let rows = sample.services.iter().map(|unit| row(unit, is_wide, paint));
    let mut head = vec!["service", "state", "pid", "uptime", "restarts", "cpu", "memory"];
    let mut widths = vec![10, 11, 8, 8, 8, 7, 10]
        .into_iter()
        .map(Constraint::Length)
        .collect::<Vec<_>>();
    if is_wide {
        head.extend(["address", "version"]);
        widths.extend([Constraint::Length(24), Constraint::Length(10)]);
    }
    head.push("last error");
    widths.push(Constraint::Fill(1));
    let head = head
        .into_iter()
        .enumerate()
        .map(|(at, name)| match (2..7).contains(&at) {
            true => Cell::from(Line::from(name).right_aligned()),
            false => Cell::from(name),
        });
    let table = Table::new(rows, widths).header(Row::new(head).style(paint.style(Tone::Dim)));
    frame.render_widget(table, area);
}

fn row<'a>(unit: &'a UnitStatus, is_wide: bool, paint: Paint) -> Row<'a> {
    let (state, tone) = state(unit);
    let dash = || "–".to_owned();
    let right = |text: String| Cell::from(Line::from(text).right_aligned());
    let uptime = unit
        .uptime_s
        .map(|s| duration_text(Duration::from_secs_f64(s.max(0.0))));
    let mut cells = vec![
        Cell::from(unit.name.name()),
        Cell::from(paint.span(state, tone)),
        right(unit.pid.map_or_else(dash, |pid| pid.to_string())),
        right(uptime.unwrap_or_else(dash)),
        right(unit.restarts.to_string()),
        right(unit.cpu_percent.map_or_else(dash, |percent| format!("{percent:.1} %"))),
        right(unit.rss_bytes.map_or_else(dash, bytes)),
    ];
    if is_wide {
        cells.push(Cell::from(unit.address.as_str()));
        cells.push(Cell::from(unit.version.as_deref().unwrap_or("–")));
    }
    let error = unit.last_error.as_deref().and_then(|error| error.lines().next());
    cells.push(Cell::from(Span::styled(
        error.unwrap_or_default(),
        paint.style(Tone::Dim),
    )));
    Row::new(cells)
}

fn state(unit: &UnitStatus) -> (&'static str, Tone) {
    match (unit.state, unit.healthy) {
        (UnitState::Running, Some(false)) => ("unhealthy", Tone::Bad),
        (UnitState::Running, _) => ("running", Tone::Good),
        (UnitState::Starting, _) => ("starting", Tone::Warn),
        (UnitState::Stopped, _) => ("stopped", Tone::Dim),
        (UnitState::Failed, _) => ("failed", Tone::Bad),
        (UnitState::Backoff, _) => ("restarting", Tone::Warn),
        (UnitState::External, Some(false)) => ("external ✗", Tone::Bad),
        (UnitState::External, _) => ("external", Tone::Plain),
    }
}
