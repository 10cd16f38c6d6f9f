//! One line of a log.

use mprism_model::UnixMillis;
use mprism_settings::parse_duration;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use crate::cli::LogLevel;
use crate::error::CliError;
use crate::report::Tone;
use crate::ui::Printer;

/// One line of a log, of ours or of nats-server.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// RFC 3339, UTC, milliseconds: such text sorts like time.
    pub(crate) ts: String,
    pub(crate) level: LogLevel,
    fields: Map<String, Value>,
}

impl Serialize for Entry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.fields.serialize(serializer)
    }
}

impl Entry {
    /// Reads a line. What has no time of its own has that of the line before it.
    pub(crate) fn parse(service: &str, line: &str, last_ts: &str) -> Self {
        match serde_json::from_str(line) {
            Ok(Value::Object(fields)) => Self::from_fields(service, fields, last_ts),
            _ => Self::from_text(service, line, last_ts),
        }
    }

    fn from_fields(service: &str, mut fields: Map<String, Value>, last_ts: &str) -> Self {
        let text = |name: &str| fields.get(name).and_then(Value::as_str);
        let ts = text("ts").unwrap_or(last_ts).to_owned();
        let level = level(text("level").unwrap_or_default());
        fields.entry("service").or_insert_with(|| service.into());
        Self { ts, level, fields }
    }

    /// Reads `[pid] 2026/11/23 20:00:00.123456 [INF] text`, or anything else.
    fn from_text(service: &str, line: &str, last_ts: &str) -> Self {
        let (ts, level, message) =
            server_line(line).unwrap_or_else(|| (last_ts.to_owned(), LogLevel::Info, line.to_owned()));
        let pairs = [
            ("ts", ts.as_str()),
            ("level", name(level)),
            ("service", service),
            ("message", message.as_str()),
        ];
        let fields = pairs
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.into()))
            .collect();
        Self { ts, level, fields }
    }

    pub(crate) fn message(&self) -> String {
        self.field("message")
    }

    /// Returns the line for programs.
    pub(crate) fn json(&self) -> String {
        let mut line = Value::Object(self.fields.clone()).to_string();
        line.push('\n');
        line
    }

    /// Returns the line for people.
    pub(crate) fn text(&self, printer: &Printer) -> String {
        let tone = match self.level {
            LogLevel::Error => Tone::Bad,
            LogLevel::Warn => Tone::Warn,
            LogLevel::Info => Tone::Plain,
            LogLevel::Debug | LogLevel::Trace => Tone::Dim,
        };
        let known = ["ts", "level", "service", "message", "target"];
        let rest = self.fields.iter().filter(|(name, _)| !known.contains(&name.as_str()));
        let rest: String = rest.map(|(name, value)| format!(" {name}={}", plain(value))).collect();
        format!(
            "{} {} {:<10} {}{}\n",
            printer.paint(&printable(&self.ts), Tone::Dim),
            printer.paint(&format!("{:<5}", name(self.level)), tone),
            self.field("service"),
            self.field("message"),
            printer.paint(&printable(&rest), Tone::Dim),
        )
    }

    fn field(&self, name: &str) -> String {
        self.fields
            .get(name)
            .map(|value| printable(&plain(value)))
            .unwrap_or_default()
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// What stands in a log may come from outside; it does not steer a terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn server_line(line: &str) -> Option<(String, LogLevel, String)> {
    let mut words = line.splitn(5, ' ');
    words.next().filter(|pid| pid.starts_with('[') && pid.ends_with(']'))?;
    let (date, time) = (words.next()?, words.next()?);
    let level = match words.next()? {
        "[FTL]" | "[ERR]" => LogLevel::Error,
        "[WRN]" => LogLevel::Warn,
        "[INF]" => LogLevel::Info,
        "[DBG]" => LogLevel::Debug,
        "[TRC]" => LogLevel::Trace,
        _ => return None,
    };
    let ts = format!("{}T{}Z", date.replace('/', "-"), time.get(..12)?);
    is_rfc3339(&ts).then(|| (ts, level, words.next().unwrap_or_default().to_owned()))
}

fn level(text: &str) -> LogLevel {
    match text {
        "error" => LogLevel::Error,
        "warn" => LogLevel::Warn,
        "debug" => LogLevel::Debug,
        "trace" => LogLevel::Trace,
        _ => LogLevel::Info,
    }
}

fn name(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
        LogLevel::Trace => "trace",
    }
}

/// Reads `--since`: a duration before now, or a time in UTC with any number of decimals.
pub(crate) fn since(text: &str, now_ms: i64) -> Result<String, CliError> {
    if let Some(duration) = parse_duration(text) {
        let ms = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        return Ok(UnixMillis(now_ms.saturating_sub(ms).max(0)).to_rfc3339());
    }
    let wrong = || {
        let text = format!(
            "--since: expected a duration like 10m or a time like 2026-11-20T12:00:00Z, not \"{}\"",
            printable(text)
        );
        CliError::usage("usage", anyhow::Error::msg(text))
    };
    let upper = text.to_ascii_uppercase();
    let (seconds, decimals) = upper
        .strip_suffix('Z')
        .map(|t| t.split_once('.').unwrap_or((t, "")))
        .ok_or_else(wrong)?;
    let ts = format!("{seconds}.{:0<3.3}Z", decimals);
    if is_rfc3339(&ts) && decimals.bytes().all(|b| b.is_ascii_digit()) {
        Ok(ts)
    } else {
        Err(wrong())
    }
}

/// Returns whether a text has the form `2026-11-20T12:00:00.000Z`.
fn is_rfc3339(text: &str) -> bool {
    let form = "0000-00-00T00:00:00.000Z";
    let fits = |(c, form): (u8, u8)| if form == b'0' { c.is_ascii_digit() } else { c == form };
    text.len() == form.len() && text.bytes().zip(form.bytes()).all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_ours_and_of_the_server_are_understood() {
        let ours = Entry::parse(
            "hot",
            r#"{"ts":"2026-11-20T12:00:00.000Z","level":"warn","message":"late","rows":5}"#,
            "",
        );
        assert_eq!(
            (ours.ts.as_str(), ours.level, ours.message().as_str()),
            ("2026-11-20T12:00:00.000Z", LogLevel::Warn, "late")
        );
        assert!(ours.json().contains(r#""service":"hot""#));
        let server = Entry::parse("nats", "[7] 2026/11/20 12:00:00.123456 [ERR] no  room", "");
        assert_eq!(
            (server.ts.as_str(), server.level, server.message().as_str()),
            ("2026-11-20T12:00:00.123Z", LogLevel::Error, "no  room")
        );
        let other = Entry::parse("nats", "panic: \x1b[2J", "2026-11-20T12:00:00.000Z");
        assert_eq!(
            (other.ts.as_str(), other.message().as_str()),
            ("2026-11-20T12:00:00.000Z", "panic:  [2J")
        );
    }

    #[test]
    fn since_is_a_duration_or_a_time() {
        let now = 1_795_176_000_000;
        assert_eq!(since("10m", now).expect("valid"), "2026-11-20T11:50:00.000Z");
        assert_eq!(
            since("2026-11-20T11:50:00z", now).expect("valid"),
            "2026-11-20T11:50:00.000Z"
        );
        assert_eq!(
            since("2026-11-20T11:50:00.12345Z", now).expect("valid"),
            "2026-11-20T11:50:00.123Z"
        );
        for text in [
            "yesterday",
            "2026-11-20",
            "2026-11-20T11:50:00+01:00",
            "10",
            "2026-11-20T11:50:00.xZ",
            "ä",
        ] {
            assert_eq!(since(text, now).expect_err(text).kind.code(), 2, "{text}");
        }
    }
}
