//! A picture of a terminal's screen: SVG made of the text and colours that tmux tells.

use std::fmt::Write;

/// A cell's size and the text's, in pixels.
const CELL: (f64, f64) = (8.4, 17.0);
const FONT: f64 = 14.0;
const MARGIN: f64 = 10.0;
const PAPER: &str = "#16181d";
const INK: &str = "#d5d8de";

/// What is well, in a picture.
pub(crate) const GREEN: &str = "#73d0a0";
/// Every colour that is not the text's own: red, green, yellow.
pub(crate) const COLORS: [&str; 3] = ["#f7768e", GREEN, "#e6c07b"];

/// What the codes so far say of the next cells.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Look {
    color: Option<u8>,
    is_dim: bool,
    is_bold: bool,
}

/// Returns the picture of a screen with its colour codes.
pub(crate) fn of(screen: &str) -> String {
    let lines: Vec<Vec<(Look, String)>> = runs(screen);
    let width = |line: &Vec<(Look, String)>| line.iter().map(|(_, text)| text.chars().count()).sum::<usize>();
    let columns = lines.iter().map(width).max().unwrap_or(0);
    let (wide, high) = (
        columns as f64 * CELL.0 + 2.0 * MARGIN,
        lines.len() as f64 * CELL.1 + 2.0 * MARGIN,
    );
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{wide:.0}\" height=\"{high:.0}\" \
         font-family=\"DejaVu Sans Mono, Menlo, Consolas, monospace\" font-size=\"{FONT}\">\n\
         <rect width=\"100%\" height=\"100%\" rx=\"6\" fill=\"{PAPER}\"/>\n"
    );
    for (row, line) in lines.iter().enumerate() {
        let mut column = 0;
        for (look, text) in line {
            let count = text.chars().count();
            if !text.trim().is_empty() {
                let (x, y) = (MARGIN + column as f64 * CELL.0, MARGIN + row as f64 * CELL.1 + FONT);
                let length = count as f64 * CELL.0;
                // Cells line up whatever font there is.
                let _infallible = writeln!(
                    svg,
                    "<text x=\"{x:.1}\" y=\"{y:.1}\" textLength=\"{length:.1}\" lengthAdjust=\"spacingAndGlyphs\" \
                     xml:space=\"preserve\"{}>{}</text>",
                    attributes(*look),
                    escaped(text)
                );
            }
            column += count;
        }
    }
    svg + "</svg>\n"
}

fn runs(screen: &str) -> Vec<Vec<(Look, String)>> {
    let mut look = Look::default();
    let lines = screen.trim_end().lines().map(|line| {
        let mut runs: Vec<(Look, String)> = Vec::new();
        let mut parts = line.split("\u{1b}[");
        let mut add = |look: Look, text: &str| match runs.last_mut() {
            Some((last, run)) if *last == look => run.push_str(text),
            _ if !text.is_empty() => runs.push((look, text.to_owned())),
            _ => {}
        };
        add(look, parts.next().unwrap_or_default());
        for part in parts {
            let (codes, text) = part.split_once('m').unwrap_or(("", part));
            let codes: Vec<u8> = codes.split(';').map(|code| code.parse().unwrap_or(0)).collect();
            look = change(look, &codes);
            add(look, text);
        }
        runs
    });
    lines.collect()
}

fn change(look: Look, codes: &[u8]) -> Look {
    match codes {
        [] => look,
        // One of many colours, of which the first eight are the usual ones.
        [38, 5, color, rest @ ..] => change(
            Look {
                color: Some(*color),
                ..look
            },
            rest,
        ),
        [code, rest @ ..] => {
            let next = match code {
                0 => Look::default(),
                1 => Look { is_bold: true, ..look },
                2 => Look { is_dim: true, ..look },
                22 => Look {
                    is_bold: false,
                    is_dim: false,
                    ..look
                },
                30..=37 => Look {
                    color: Some(code - 30),
                    ..look
                },
                39 => Look { color: None, ..look },
                _ => look,
            };
            change(next, rest)
        }
    }
}

fn attributes(look: Look) -> String {
    let [red, green, yellow] = COLORS;
    let ink = match look.color {
        Some(1) => red,
        Some(2) => green,
        Some(3) => yellow,
        _ => INK,
    };
    let bold = if look.is_bold { " font-weight=\"bold\"" } else { "" };
    let dim = if look.is_dim { " opacity=\"0.6\"" } else { "" };
    format!(" fill=\"{ink}\"{bold}{dim}")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[test]
fn a_screen_becomes_text_in_its_place_and_colour() {
    let svg = of("\u{1b}[1mtop\u{1b}[0m \u{1b}[38;5;2mok\u{1b}[39m <\nx\n\n");
    assert!(svg.contains("font-weight=\"bold\">top</text>"), "{svg}");
    assert!(svg.contains("fill=\"#73d0a0\">ok</text>"), "{svg}");
    assert!(svg.contains("> &lt;</text>"), "{svg}");
    assert_eq!(svg.matches("<text ").count(), 4, "{svg}");
}
