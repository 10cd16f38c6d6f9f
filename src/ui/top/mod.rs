//! The dashboard as cells of a terminal. Pure: what is shown follows from the state and the size.

mod figures;
mod flow;
mod services;
mod words;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph};

use crate::report::{Dashboard, Sorting, Tone, duration_text};

/// From this size on there is room for charts and for tables of streams and exchanges.
const LARGE: (u16, u16) = (120, 36);
const KEYS: &str = "q quit   ? help   s sort   p pause";

/// Draws everything.
pub(crate) fn draw(frame: &mut Frame<'_>, dashboard: &Dashboard, color: bool) {
    let paint = Paint { color };
    let area = frame.area();
    let [head, body, foot] =
        Layout::vertical([Constraint::Length(1), Constraint::Min(0), Constraint::Length(1)]).areas(area);
    frame.render_widget(Paragraph::new(heading(dashboard, paint)), head);
    frame.render_widget(Paragraph::new(paint.span(KEYS, Tone::Dim)), foot);
    match area.width >= LARGE.0 && area.height >= LARGE.1 {
        true => large(frame, body, dashboard, paint),
        false => small(frame, body, dashboard, paint),
    }
    if dashboard.is_helping {
        help(frame, area);
    }
}

/// 80×24 and alike: tables and lines, the charts in their cells.
fn small(frame: &mut Frame<'_>, area: Rect, dashboard: &Dashboard, paint: Paint) {
    let units = dashboard.last.as_ref().map_or(1, |sample| sample.services.len());
    let types = dashboard.flow().len();
    let [services_area, flow_area, figures_area, errors_area] = Layout::vertical([
        Constraint::Length(rows(units)),
        Constraint::Length(rows(types)),
        Constraint::Length(3),
        Constraint::Min(0),
    ])
    .areas(area);
    services::draw(frame, services_area, dashboard, paint);
    flow::draw(frame, flow_area, dashboard, paint);
    figures::draw_lines(frame, figures_area, dashboard, paint);
    figures::draw_errors(frame, errors_area, dashboard, paint);
}

/// 160×50 and alike: everything in frames, and charts of their own.
fn large(frame: &mut Frame<'_>, area: Rect, dashboard: &Dashboard, paint: Paint) {
    let units = dashboard.last.as_ref().map_or(1, |sample| sample.services.len());
    let types = dashboard.flow().len();
    let [services_area, flow_area, charts_area, tables_area, errors_area] = Layout::vertical([
        Constraint::Length(rows(units) + 2),
        Constraint::Length(rows(types) + 2),
        Constraint::Fill(2),
        Constraint::Length(8),
        Constraint::Fill(1),
    ])
    .areas(area);
    let inner = framed(frame, services_area, " services ", paint);
    services::draw(frame, inner, dashboard, paint);
    let inner = framed(frame, flow_area, " rows stored ", paint);
    flow::draw(frame, inner, dashboard, paint);
    figures::draw_charts(frame, charts_area, dashboard, paint);
    figures::draw_tables(frame, tables_area, dashboard, paint);
    let inner = framed(frame, errors_area, " last errors ", paint);
    figures::draw_errors(frame, inner, dashboard, paint);
}

/// Lines of a table with its head.
fn rows(count: usize) -> u16 {
    u16::try_from(count).unwrap_or(u16::MAX - 3) + 1
}

fn heading<'a>(dashboard: &Dashboard, paint: Paint) -> Line<'a> {
    let mut pieces = vec![
        Span::styled("mprism top", Style::new().add_modifier(Modifier::BOLD)),
        "  ".into(),
    ];
    match &dashboard.last {
        None => pieces.push(paint.span("looking…", Tone::Dim)),
        Some(sample) => {
            let tone = match sample.verdict {
                "healthy" => Tone::Good,
                "stopped" => Tone::Warn,
                _ => Tone::Bad,
            };
            pieces.push(paint.span(sample.verdict, tone));
            let clock = sample.time.split('T').nth(1).and_then(|time| time.get(..8));
            pieces.push(format!("  {} UTC", clock.unwrap_or("–")).into());
        }
    }
    pieces.push(format!("  every {}", duration_text(dashboard.interval)).into());
    if dashboard.is_paused {
        pieces.push(paint.span("  PAUSED", Tone::Warn));
    }
    if dashboard.sorting == Sorting::Rate {
        pieces.push("  busiest first".into());
    }
    pieces.push(paint.span(format!("  {}", dashboard.home), Tone::Dim));
    Line::from(pieces)
}

fn framed(frame: &mut Frame<'_>, area: Rect, title: &'static str, paint: Paint) -> Rect {
    let block = Block::bordered().title(title).border_style(paint.style(Tone::Dim));
    let inner = block.inner(area);
    frame.render_widget(block, area);
    inner
}

fn help(frame: &mut Frame<'_>, area: Rect) {
    let lines = [
        "q, Ctrl-C   quit",
        "?, h        show or hide this",
        "s           types in their order, or the busiest first",
        "p, space    hold what is shown, and go on",
        "",
        "latency     from the venue's socket until a row can be read",
        "backlog     messages that are not stored yet",
        "held        messages of the batch that is being stored",
        "",
        "what to do  mprism status, health, diagnose, logs -f",
    ];
    let height = u16::try_from(lines.len())
        .unwrap_or(area.height)
        .saturating_add(2)
        .min(area.height);
    let width = 64.min(area.width);
    let place = Rect {
        x: (area.width - width) / 2,
        y: (area.height - height) / 2,
        width,
        height,
    };
    let text: Vec<Line<'_>> = lines.into_iter().map(Line::from).collect();
    frame.render_widget(Clear, place);
    frame.render_widget(Paragraph::new(text).block(Block::bordered().title(" help ")), place);
}

/// Colours, unless nobody wants them; then only brightness tells what is of less interest.
#[derive(Clone, Copy, Debug)]
struct Paint {
    color: bool,
}

impl Paint {
    fn style(self, tone: Tone) -> Style {
        let style = Style::new();
        match tone {
            Tone::Plain => style,
            Tone::Dim => style.add_modifier(Modifier::DIM),
            Tone::Bad if !self.color => style.add_modifier(Modifier::BOLD),
            _ if !self.color => style,
            Tone::Good => style.fg(Color::Green),
            Tone::Warn => style.fg(Color::Yellow),
            Tone::Bad => style.fg(Color::Red),
        }
    }

    fn span<'a>(self, text: impl Into<std::borrow::Cow<'a, str>>, tone: Tone) -> Span<'a> {
        Span::styled(text, self.style(tone))
    }
}

#[cfg(test)]
mod tests;
