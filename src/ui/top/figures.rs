//! Latency, backlog, gaps, errors: as lines where room is short, as charts and tables where it is not.

use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Cell, Paragraph, Row, Sparkline, Table};

use super::words::{bars, milliseconds, number, rate};
use super::{Paint, framed};
use crate::report::{Dashboard, LoggedError, Sample, Tone, bytes, duration_text};

/// Cells of the latency's bars where room is short.
const BARS: usize = 24;

/// Three lines: latency, backlog, gaps and exchanges.
pub(super) fn draw_lines(frame: &mut Frame<'_>, area: Rect, dashboard: &Dashboard, paint: Paint) {
    let Some(sample) = &dashboard.last else { return };
    let latency = format!("{}  {}", percentiles(sample), bars(&dashboard.latency(), BARS));
    let gaps = format!("{}   {}", gaps(sample), connections(sample));
    let lines = [("latency", latency), ("backlog", backlog(sample)), ("gaps", gaps)];
    let lines = lines.map(|(name, text)| Line::from(vec![paint.span(format!("{name:<9}"), Tone::Dim), text.into()]));
    frame.render_widget(Paragraph::new(lines.to_vec()), area);
}

/// Two charts: rows a second, and the latency.
pub(super) fn draw_charts(frame: &mut Frame<'_>, area: Rect, dashboard: &Dashboard, paint: Paint) {
    let [left, right] = Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).areas(area);
    let sample = dashboard.last.as_ref();
    let rows = framed(frame, left, " all types, rows/s ", paint);
    let now = rate(sample.and_then(|sample| sample.rows_per_s));
    chart(frame, rows, &dashboard.total(), now, paint);
    let latency = framed(frame, right, " socket to readable, p99 in ms ", paint);
    chart(
        frame,
        latency,
        &dashboard.latency(),
        sample.map(percentiles).unwrap_or_default(),
        paint,
    );
}

fn chart(frame: &mut Frame<'_>, area: Rect, values: &[f64], now: String, paint: Paint) {
    let [head, body] = Layout::vertical([Constraint::Length(1), Constraint::Min(0)]).areas(area);
    let most = values.iter().copied().fold(0.0, f64::max);
    let text = format!("now {now}, most {}", rate(Some(most)));
    frame.render_widget(Paragraph::new(text), head);
    let width = usize::from(body.width);
    let shown = &values[values.len().saturating_sub(width)..];
    // The newest stands at the right edge, as in the cells of the tables.
    let blank = std::iter::repeat_n(0, width.saturating_sub(shown.len()));
    let data: Vec<u64> = blank.chain(shown.iter().map(|value| (value * 100.0) as u64)).collect();
    frame.render_widget(Sparkline::default().data(&data).style(paint.style(Tone::Good)), body);
}

/// Streams, exchanges, and what is behind or missing.
pub(super) fn draw_tables(frame: &mut Frame<'_>, area: Rect, dashboard: &Dashboard, paint: Paint) {
    let Some(sample) = &dashboard.last else { return };
    let [left, middle, right] =
        Layout::horizontal([Constraint::Fill(4), Constraint::Fill(4), Constraint::Fill(3)]).areas(area);
    let right_cell = |text: String| Cell::from(Line::from(text).right_aligned());
    let streams = framed(frame, left, " streams ", paint);
    let rows = sample.streams.iter().map(|stream| {
        Row::new([
            Cell::from(stream.name.as_str()),
            right_cell(stream.messages.to_string()),
            right_cell(bytes(stream.bytes)),
            right_cell(stream.pending.to_string()),
        ])
    });
    let head = Row::new([
        Cell::from("stream"),
        right_cell("messages".into()),
        right_cell("bytes".into()),
        right_cell("not stored".into()),
    ]);
    let widths = [
        Constraint::Fill(1),
        Constraint::Length(9),
        Constraint::Length(10),
        Constraint::Length(10),
    ];
    frame.render_widget(
        Table::new(rows, widths).header(head.style(paint.style(Tone::Dim))),
        streams,
    );

    let exchanges = framed(frame, middle, " exchanges ", paint);
    let rows = sample.exchanges.iter().map(|exchange| {
        let (state, tone) = match exchange.connected {
            true => ("connected", Tone::Good),
            false => ("not connected", Tone::Bad),
        };
        Row::new([
            Cell::from(exchange.name.as_str()),
            Cell::from(paint.span(state, tone)),
            right_cell(milliseconds(exchange.latency_ms)),
            right_cell(exchange.reconnections.to_string()),
        ])
    });
    let head = Row::new([
        Cell::from("exchange"),
        Cell::from("connection"),
        right_cell("latency".into()),
        right_cell("anew".into()),
    ]);
    let widths = [
        Constraint::Fill(1),
        Constraint::Length(13),
        Constraint::Length(9),
        Constraint::Length(5),
    ];
    frame.render_widget(
        Table::new(rows, widths).header(head.style(paint.style(Tone::Dim))),
        exchanges,
    );

    let behind = framed(frame, right, " behind and missing ", paint);
    let lag = sample
        .cold
        .lag_s
        .map(|lag| duration_text(Duration::from_secs_f64(lag.max(0.0))));
    let lines = [
        ("spool", number(sample.spool_backlog)),
        ("not stored", pending(sample).to_string()),
        ("cold lag", lag.unwrap_or_else(|| "–".to_owned())),
        ("cold rows", number(sample.cold.rows)),
        ("open gaps", number(sample.gaps.open)),
        ("unfillable", number(sample.gaps.unfillable)),
    ];
    let lines = lines.map(|(name, text)| Line::from(vec![paint.span(format!("{name:<12}"), Tone::Dim), text.into()]));
    frame.render_widget(Paragraph::new(lines.to_vec()), behind);
}

/// As many of the last errors as there is room for, the newest first.
pub(super) fn draw_errors(frame: &mut Frame<'_>, area: Rect, dashboard: &Dashboard, paint: Paint) {
    let Some(sample) = &dashboard.last else { return };
    let text: Vec<Line<'_>> = match sample.errors.is_empty() {
        true => vec![Line::from(
            paint.span("no errors in the logs of the last 24 hours", Tone::Dim),
        )],
        false => sample.errors.iter().map(|error| told(error, paint)).collect(),
    };
    frame.render_widget(Paragraph::new(text), area);
}

fn told<'a>(error: &'a LoggedError, paint: Paint) -> Line<'a> {
    let clock = error
        .time
        .split('T')
        .nth(1)
        .and_then(|time| time.get(..8))
        .unwrap_or("–");
    Line::from(vec![
        paint.span(format!("{clock} {:<10} ", error.service), Tone::Dim),
        Span::styled(error.message.as_str(), paint.style(Tone::Bad)),
    ])
}

fn percentiles(sample: &Sample) -> String {
    let latency = sample.latency_ms;
    let [p50, p90, p99] = [latency.p50, latency.p90, latency.p99].map(milliseconds);
    format!("p50 {p50}  p90 {p90}  p99 {p99}")
}

fn pending(sample: &Sample) -> u64 {
    sample.streams.iter().map(|stream| stream.pending).sum()
}

fn backlog(sample: &Sample) -> String {
    let lag = sample
        .cold
        .lag_s
        .map(|lag| duration_text(Duration::from_secs_f64(lag.max(0.0))));
    let (spool, lag) = (number(sample.spool_backlog), lag.unwrap_or_else(|| "–".to_owned()));
    let streams = match sample.streams.is_empty() {
        true => "–".to_owned(),
        false => pending(sample).to_string(),
    };
    format!("spool {spool}  streams {streams}  cold {lag} behind")
}

fn gaps(sample: &Sample) -> String {
    let [open, unfillable] = [sample.gaps.open, sample.gaps.unfillable].map(number);
    format!("open {open}  unfillable {unfillable}")
}

fn connections(sample: &Sample) -> String {
    let up = sample.exchanges.iter().filter(|exchange| exchange.connected).count();
    match sample.exchanges.len() {
        0 => "exchanges –".to_owned(),
        of => format!("exchanges {up} of {of} connected"),
    }
}
