//! Plots as SVG: one line over a logarithmic axis, readable on light and dark pages.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::CliError;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 50.0;
const LINES: u32 = 5;

/// Draws something by the number of symbols; returns the file.
///
/// # Errors
/// Where it cannot be written.
pub(super) fn draw_into(
    folder: &Path,
    file: &str,
    title: &str,
    unit: &str,
    points: &[(usize, f64)],
) -> Result<PathBuf, CliError> {
    let path = folder.join(file);
    let drawn = draw(title, "symbols", unit, points);
    let written = fs::create_dir_all(folder).and_then(|()| fs::write(&path, drawn));
    written.map_err(|e| CliError::failed("unwritable", e).context(format!("cannot write {}", path.display())))?;
    Ok(path)
}

/// Draws points of a positive x, in its order; y begins at nothing, so that growth looks as large as it is.
fn draw(title: &str, x_name: &str, y_name: &str, points: &[(usize, f64)]) -> String {
    let first = points.first().map_or(1.0, |(x, _)| *x as f64);
    let last = points.last().map_or(first, |(x, _)| *x as f64).max(first * 2.0);
    let step = step_of(points.iter().fold(1.0, |most: f64, (_, y)| most.max(*y)) * 1.1 / f64::from(LINES));
    let top = step * f64::from(LINES);
    let x_of = |x: f64| LEFT + (x / first).ln() / (last / first).ln() * (WIDTH - LEFT - RIGHT);
    let y_of = |y: f64| HEIGHT - BOTTOM - y / top * (HEIGHT - TOP - BOTTOM);
    let mut svg = String::new();
    let mut line = |text: std::fmt::Arguments<'_>| {
        svg.write_fmt(text).expect("a String takes everything");
        svg.push('\n');
    };
    line(format_args!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="13" fill="gray">"#
    ));
    line(format_args!(r#"<text x="{LEFT}" y="24" font-size="15">{title}</text>"#));
    for number in 0..=LINES {
        let value = step * f64::from(number);
        let (y, right) = (y_of(value), WIDTH - RIGHT);
        line(format_args!(
            r#"<path d="M{LEFT} {y:.1}H{right}" stroke="gray" stroke-opacity="0.3"/><text x="{:.1}" y="{:.1}" text-anchor="end">{value} {y_name}</text>"#,
            LEFT - 8.0,
            y + 4.0
        ));
    }
    let mut path = String::new();
    for (index, (x, y)) in points.iter().enumerate() {
        let (at, height) = (x_of(*x as f64), y_of(*y));
        line(format_args!(
            r##"<circle cx="{at:.1}" cy="{height:.1}" r="3.5" fill="#2f81f7"/><text x="{at:.1}" y="{:.1}" text-anchor="middle">{x}</text>"##,
            HEIGHT - BOTTOM + 20.0
        ));
        let verb = if index == 0 { 'M' } else { 'L' };
        write!(path, "{verb}{at:.1} {height:.1}").expect("a String takes everything");
    }
    line(format_args!(
        r##"<path d="{path}" fill="none" stroke="#2f81f7" stroke-width="2"/>"##
    ));
    line(format_args!(
        r#"<text x="{:.1}" y="{:.1}" text-anchor="end">{x_name}</text>"#,
        WIDTH - RIGHT,
        HEIGHT - 10.0
    ));
    svg.push_str("</svg>\n");
    svg
}

/// Returns the least of 1, 2, 5, 10, 20 … that is not less.
fn step_of(least: f64) -> f64 {
    let magnitude = 10_f64.powf(least.log10().floor());
    let fits = |factor: &f64| factor * magnitude >= least;
    [1.0, 2.0, 5.0].into_iter().find(fits).unwrap_or(10.0) * magnitude
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_point_is_drawn_within_the_picture() {
        let svg = draw("t", "symbols", "ns", &[(2, 190.0), (20, 200.0), (500, 230.0)]);
        assert_eq!(svg.matches("<circle").count(), 3);
        assert_eq!(svg.matches("<svg").count(), svg.matches("</svg>").count());
        let number = |text: &str, name: &str| -> f64 {
            let rest = &text[text.find(name).expect("there") + name.len()..];
            rest[..rest.find('"').expect("closed")].parse().expect("a number")
        };
        for circle in svg.split("<circle").skip(1) {
            let (x, y) = (number(circle, "cx=\""), number(circle, "cy=\""));
            assert!(
                (LEFT..=WIDTH - RIGHT).contains(&x) && (TOP..=HEIGHT - BOTTOM).contains(&y),
                "{x} {y}"
            );
        }
    }

    #[test]
    fn grid_lines_stand_at_round_numbers() {
        for (least, step) in [(41.0, 50.0), (0.3, 0.5), (1.0, 1.0), (110.0, 200.0), (600.0, 1_000.0)] {
            assert!((step_of(least) - step).abs() < 1e-9, "{least}");
        }
    }
}
