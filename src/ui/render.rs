//! Pages as text.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use crate::report::{Block, Cell, Page, Tone};
use crate::ui::language::Language;

/// How one of the two streams is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    pub(crate) color: bool,
    pub(crate) terminal: bool,
}

/// Returns a page's text in a language, each block ending with a line break.
pub(crate) fn page(page: &Page, style: Style, language: Language) -> String {
    let mut text = String::new();
    for block in &page.blocks {
        match block {
            Block::Line(pieces) => {
                let pieces: Vec<String> = pieces
                    .iter()
                    .map(|cell| paint(&language.say(&cell.text), cell.tone, style.color))
                    .collect();
                text.push_str(&pieces.concat());
            }
            Block::Table { header, rows } => text.push_str(&table(header, rows, style, language)),
        }
        text.push('\n');
    }
    text
}

fn table(header: &[&'static str], rows: &[Vec<Cell>], style: Style, language: Language) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    // In a pipe nothing is wrapped or cut: programs read lines.
    let arrangement = if style.terminal {
        ContentArrangement::Dynamic
    } else {
        ContentArrangement::Disabled
    };
    table.set_content_arrangement(arrangement);
    if style.color {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    let header = header.iter().map(|name| Cell::toned(language.column(name), Tone::Dim));
    table.set_header(header.map(|cell| styled(&cell, &cell.text, style)));
    for row in rows {
        table.add_row(row.iter().map(|cell| styled(cell, &language.say(&cell.text), style)));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}

fn styled(cell: &Cell, text: &str, style: Style) -> comfy_table::Cell {
    let mut styled = comfy_table::Cell::new(text);
    if cell.right {
        styled = styled.set_alignment(CellAlignment::Right);
    }
    if !style.color {
        return styled;
    }
    match color(cell.tone) {
        Some(color) => styled.fg(color),
        None => styled,
    }
}

fn color(tone: Tone) -> Option<comfy_table::Color> {
    match tone {
        Tone::Plain => None,
        Tone::Good => Some(comfy_table::Color::Green),
        Tone::Warn => Some(comfy_table::Color::Yellow),
        Tone::Bad => Some(comfy_table::Color::Red),
        Tone::Dim => Some(comfy_table::Color::DarkGrey),
    }
}

/// Returns text in its tone.
pub(crate) fn paint(text: &str, tone: Tone, color: bool) -> String {
    let code = match tone {
        _ if !color => return text.to_owned(),
        Tone::Plain => return text.to_owned(),
        Tone::Good => "32",
        Tone::Warn => "33",
        Tone::Bad => "31",
        Tone::Dim => "2",
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn example() -> Page {
        let row = |name: &str, size: u64, tone| vec![Cell::plain(name), Cell::number(size), Cell::toned("state", tone)];
        Page::new().line("first").table(
            vec!["NAME", "SIZE", "STATE"],
            vec![row("a", 5, Tone::Good), row("long name", 12_345, Tone::Bad)],
        )
    }

    #[test]
    fn a_table_lines_up_and_needs_no_colour() {
        let plain = Style {
            color: false,
            terminal: false,
        };
        let expected = "first\nNAME       SIZE   STATE\na              5  state\nlong name  12345  state\n";
        assert_eq!(page(&example(), plain, Language::English), expected);
    }

    #[test]
    fn colour_adds_nothing_but_colour() {
        let style = Style {
            color: true,
            terminal: false,
        };
        let text = page(&example(), style, Language::English);
        assert!(text.contains("\x1b["));
        assert_eq!(paint("x", Tone::Bad, true), "\x1b[31mx\x1b[0m");
        assert_eq!(paint("x", Tone::Bad, false), "x");
    }

    #[test]
    fn chinese_columns_line_up_by_the_cells_that_a_terminal_gives_them() {
        let plain = Style {
            color: false,
            terminal: false,
        };
        let chinese = Language::of("status", Some(crate::cli::LanguageChoice::Zh), &BTreeMap::new());
        let row = |name: &str, state: &str| vec![Cell::plain(name), Cell::toned(state, Tone::Good), Cell::plain("x")];
        let screen = Page::new().table(
            vec!["service", "state", "address"],
            vec![row("hot", "running"), row("nats", "waiting to restart")],
        );
        // A Chinese character takes two cells: what follows one of two is as far to the right as what follows four letters.
        let expected = "服务  状态      地址\nhot   运行中    x\nnats  等待重启  x\n";
        assert_eq!(page(&screen, plain, chinese), expected);
    }
}
