//! Metrics in the Prometheus text format.

use std::collections::HashSet;
use std::fmt::{Display, Write};

/// Builds one answer to `/metrics`.
///
/// The format: <https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>. Lines of one name must be
/// added one after the other.
#[derive(Debug, Default)]
pub struct Exposition {
    text: String,
    declared: HashSet<String>,
}

impl Exposition {
    /// Starts an empty answer.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one value of a counter, with its HELP and TYPE lines the first time the name is used.
    pub fn counter(&mut self, name: &str, help: &str, labels: &[(&str, &str)], value: impl Display) -> &mut Self {
        self.declare(name, help, "counter");
        self.line(name, labels, value)
    }

    /// Adds one value of a gauge, with its HELP and TYPE lines the first time the name is used.
    pub fn gauge(&mut self, name: &str, help: &str, labels: &[(&str, &str)], value: impl Display) -> &mut Self {
        self.declare(name, help, "gauge");
        self.line(name, labels, value)
    }

    /// Adds a line without HELP, TYPE and labels, as MarketPrism's hot storage writes them.
    pub fn bare(&mut self, name: &str, value: impl Display) -> &mut Self {
        self.line(name, &[], value)
    }

    /// Returns the answer's body.
    pub fn finish(self) -> String {
        self.text
    }

    fn declare(&mut self, name: &str, help: &str, kind: &str) {
        if self.declared.insert(name.to_owned()) {
            let help = help.replace('\\', "\\\\").replace('\n', "\\n");
            let _infallible = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        }
    }

    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) -> &mut Self {
        self.text.push_str(name);
        for (index, (label, text)) in labels.iter().enumerate() {
            let open = if index == 0 { '{' } else { ',' };
            let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _infallible = write!(self.text, "{open}{label}=\"{text}\"");
        }
        let close = if labels.is_empty() { "" } else { "}" };
        let _infallible = writeln!(self.text, "{close} {value}");
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_declared_once_and_labels_escaped() {
        let mut metrics = Exposition::new();
        metrics.counter("rows_total", "Rows stored.", &[("table", "trades")], 7);
        metrics.counter("rows_total", "Rows stored.", &[("table", "a\"b\\c\n")], 8);
        metrics.bare("hot_storage_is_running", 1);
        let expected = "# HELP rows_total Rows stored.\n# TYPE rows_total counter\nrows_total{table=\"trades\"} 7\n\
                        rows_total{table=\"a\\\"b\\\\c\\n\"} 8\nhot_storage_is_running 1\n";
        assert_eq!(metrics.finish(), expected);
    }
}
