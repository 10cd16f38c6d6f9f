//! Rows by type: how many a second, and how many they were before.

use ratatui::Frame;
use ratatui::layout::{Constraint, Rect};
use ratatui::text::Line;
use ratatui::widgets::{Cell, Row, Table};

use super::Paint;
use super::words::{bars, number, rate};
use crate::report::{Dashboard, Tone};

/// Cells of the columns beside the bars, and of the space between columns.
const NAME: u16 = 17;
const RATE: u16 = 7;
const ROWS: u16 = 11;
const HELD: u16 = 6;
const BETWEEN: u16 = 4;

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, dashboard: &Dashboard, paint: Paint) {
    let width = area.width.saturating_sub(NAME + RATE + ROWS + HELD + BETWEEN);
    let right = |text: String| Cell::from(Line::from(text).right_aligned());
    let rows = dashboard.flow().into_iter().map(|flow| {
        let tone = match flow.rows_per_s {
            Some(rate) if rate > 0.0 => Tone::Good,
            _ => Tone::Dim,
        };
        let history = bars(&dashboard.rates(flow.r#type), usize::from(width));
        Row::new([
            Cell::from(flow.r#type),
            right(rate(flow.rows_per_s)),
            Cell::from(paint.span(history, tone)),
            right(number(flow.rows)),
            right(number(flow.held)),
        ])
    });
    let head = Row::new([
        Cell::from("type"),
        right("rows/s".to_owned()),
        Cell::from("before … now"),
        right("rows".to_owned()),
        right("held".to_owned()),
    ]);
    let widths = [
        Constraint::Length(NAME),
        Constraint::Length(RATE),
        Constraint::Length(width),
        Constraint::Length(ROWS),
        Constraint::Length(HELD),
    ];
    let table = Table::new(rows, widths).header(head.style(paint.style(Tone::Dim)));
    frame.render_widget(table, area);
}
