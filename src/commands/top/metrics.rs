//! Reading Prometheus text: what the workers' `/metrics` say.

/// One value with its labels, as written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Value<'a> {
    labels: &'a str,
    pub(super) value: f64,
}

impl<'a> Value<'a> {
    /// Returns a label's text.
    pub(super) fn label(&self, name: &str) -> Option<&'a str> {
        let labels = self.labels.split("\",").map(|label| label.trim_end_matches('"'));
        let mut pairs = labels.filter_map(|label| label.split_once("=\""));
        pairs.find(|(label, _)| *label == name).map(|(_, text)| text)
    }
}

/// Returns every value of a metric. Labels of ours hold neither quotes nor backslashes.
pub(super) fn values<'a>(text: &'a str, metric: &'a str) -> impl Iterator<Item = Value<'a>> {
    text.lines().filter_map(move |line| {
        let rest = line.strip_prefix(metric)?;
        let (labels, value) = match rest.strip_prefix('{') {
            Some(labelled) => labelled.rsplit_once("} ")?,
            None => ("", rest.strip_prefix(' ')?),
        };
        let value = value.trim().parse().ok()?;
        Some(Value { labels, value })
    })
}

/// Returns the one value of a metric without labels.
pub(super) fn value(text: &str, metric: &str) -> Option<f64> {
    values(text, metric).next().map(|found| found.value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_workers_write_is_read_back() {
        let mut text = mprism_runtime::metrics::Exposition::new();
        text.gauge("backlog", "x", &[], 12);
        text.counter("rows_total", "x", &[("table", "trades"), ("place", "hot")], 7);
        text.counter("rows_total", "x", &[("table", "orderbooks"), ("place", "hot")], 8);
        text.bare("rows_total_of_another", 9);
        let text = text.finish();
        assert_eq!(value(&text, "backlog"), Some(12.0));
        let rows: Vec<(Option<&str>, f64)> = values(&text, "rows_total")
            .map(|value| (value.label("table"), value.value))
            .collect();
        assert_eq!(rows, [(Some("trades"), 7.0), (Some("orderbooks"), 8.0)]);
        assert_eq!(
            values(&text, "rows_total").next().and_then(|value| value.label("none")),
            None
        );
        assert_eq!(value(&text, "nothing"), None);
    }
}
