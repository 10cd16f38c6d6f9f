//! What people see, before anybody knows about colours or widths.

use std::time::Duration;

/// Blocks from top to bottom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The blocks.
    pub blocks: Vec<Block>,
}

/// One part of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Block {
    /// One line.
    Line(Vec<Cell>),
    /// A table.
    Table {
        /// The columns' names.
        header: Vec<&'static str>,
        /// As many cells a row as there are columns.
        rows: Vec<Vec<Cell>>,
    },
}

/// A piece of text and how it is meant. The tone is never part of the meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// The text.
    pub text: String,
    /// How it is meant.
    pub tone: Tone,
    /// Whether it stands at the right edge of its column, as numbers do.
    pub right: bool,
}

/// How a piece of text is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    /// Nothing special.
    #[default]
    Plain,
    /// As it should be.
    Good,
    /// Worth a look.
    Warn,
    /// Wrong.
    Bad,
    /// Of less interest.
    Dim,
}

impl Page {
    /// Starts with nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a line of plain text.
    #[must_use]
    pub fn line(mut self, text: impl Into<String>) -> Self {
        self.blocks.push(Block::Line(vec![Cell::plain(text)]));
        self
    }

    /// Adds a line of several pieces.
    #[must_use]
    pub fn pieces(mut self, pieces: Vec<Cell>) -> Self {
        self.blocks.push(Block::Line(pieces));
        self
    }

    /// Adds a table.
    #[must_use]
    pub fn table(mut self, header: Vec<&'static str>, rows: Vec<Vec<Cell>>) -> Self {
        self.blocks.push(Block::Table { header, rows });
        self
    }
}

impl Cell {
    /// Makes plain text.
    pub fn plain(text: impl Into<String>) -> Self {
        Self::toned(text, Tone::Plain)
    }

    /// Makes text with a tone.
    pub fn toned(text: impl Into<String>, tone: Tone) -> Self {
        Self {
            text: text.into(),
            tone,
            right: false,
        }
    }

    /// Makes a number, which stands at the right edge.
    pub fn number(number: impl ToString) -> Self {
        Self {
            text: number.to_string(),
            tone: Tone::Plain,
            right: true,
        }
    }
}

/// Returns a size as people read it, for example `533.1 MiB`.
pub fn bytes(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = "B";
    for next in units {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    if unit == "B" {
        format!("{bytes} B")
    } else {
        format!("{value:.1} {unit}")
    }
}

/// Returns a duration as people read it: `850 ms`, `12.3 s`, `4m 05s`, `3h 04m`, `2d 03h`.
pub fn duration_text(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 => format!("{} ms", duration.as_millis()),
        1..60 => format!("{:.1} s", duration.as_secs_f64()),
        60..3_600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h {:02}m", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{}d {:02}h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_durations_read_well() {
        assert_eq!(
            [bytes(12), bytes(2048), bytes(559_044_752)],
            ["12 B", "2.0 KiB", "533.1 MiB"]
        );
        let texts = [850, 12_300, 245_000, 11_040_000, 183_600_000].map(|ms| duration_text(Duration::from_millis(ms)));
        assert_eq!(texts, ["850 ms", "12.3 s", "4m 05s", "3h 04m", "2d 03h"]);
    }
}
