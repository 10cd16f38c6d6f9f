//! Screens without what differs from run to run.

use std::path::Path;

use crate::support::Home;

/// Standard ports of ours, as a home without an offset has them.
const PORTS: [u16; 8] = [4222, 8222, 8123, 8085, 8086, 8087, 9093, 8090];

/// What to replace, the longest first: one may be part of another.
pub(crate) struct Redacted {
    names: Vec<(String, String)>,
}

impl Redacted {
    pub(crate) fn of(home: &Home) -> Self {
        let path = |path: &Path| path.display().to_string();
        let mut names = vec![
            (path(&home.path()), "[HOME]".to_owned()),
            (path(home.beside()), "[FOLDER]".to_owned()),
            (env!("CARGO_BIN_EXE_mprism").to_owned(), "[MPRISM]".to_owned()),
        ];
        let cache = std::env::var("XDG_CACHE_HOME").or_else(|_| std::env::var("HOME").map(|home| home + "/.cache"));
        names.extend(cache.ok().map(|cache| (cache, "[CACHE]".to_owned())));
        names.extend(PORTS.map(|port| (home.port(port).to_string(), port.to_string())));
        let user = mprism::control::our_user();
        names.extend(["user ", "用户 "].map(|word| (format!("{word}{user}"), format!("{word}[USER]"))));
        names.push((format!("  {user}  "), "  [USER]  ".to_owned()));
        names.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        Self { names }
    }

    /// Returns the text with names for what has no name of its own. Services become ready in any order.
    pub(crate) fn text(&self, text: &str) -> String {
        let text = without_log_lines(text);
        let mut lines: Vec<String> = text.iter().map(|line| self.line(line)).collect();
        let is_event = |line: &String| {
            [": ready after", "后就绪", ": stopped after", "后停止"]
                .iter()
                .any(|word| line.contains(word))
        };
        let mut from = 0;
        while let Some(first) = lines[from..].iter().position(is_event) {
            let first = from + first;
            let count = lines[first..].iter().take_while(|line| is_event(line)).count();
            lines[first..first + count].sort();
            from = first + count;
        }
        // What a service takes of a core is known from the second look on.
        let told = |line: String| line.replace("  –  [SIZE]", "  [PERCENT]  [SIZE]") + "\n";
        lines.into_iter().map(told).collect()
    }

    fn line(&self, line: &str) -> String {
        let mut line = line.to_owned();
        for (name, meant) in &self.names {
            line = line.replace(name, meant);
        }
        line = without_times(&line);
        // Rows and messages come as they come; of a service 0 restarts are worth seeing, and so is a dead letter.
        let is_zero_told = ["127.0.0.1:", "off", "关闭", "DEAD_LETTER"]
            .iter()
            .any(|word| line.contains(word));
        let words: Vec<&str> = line.split(' ').collect();
        let mut told: Vec<String> = Vec::new();
        for (at, word) in words.iter().enumerate() {
            let before = words[..at]
                .iter()
                .rev()
                .find(|word| !word.is_empty())
                .copied()
                .unwrap_or_default();
            let after = words.get(at + 1).copied().unwrap_or_default();
            let is_cell = words.get(at.wrapping_sub(1)).is_none_or(|word| word.is_empty()) && after.is_empty();
            let is_kept = *word == "0" && is_zero_told;
            told.push(match is_cell && !is_kept {
                true => cell(word),
                false => self::word(word, before),
            });
        }
        // Columns are as wide as what stands in them.
        let mut line = String::new();
        for part in told
            .join(" ")
            .split("  ")
            .map(str::trim)
            .filter(|part| !part.is_empty())
        {
            line.push_str(if line.is_empty() { "" } else { "  " });
            line.push_str(&measured(part));
        }
        line
    }
}

/// Returns lines without what a service happened to log before it ended.
fn without_log_lines(text: &str) -> Vec<String> {
    let (mut lines, mut is_log) = (Vec::new(), false);
    for line in text.lines() {
        is_log = is_log && line.starts_with("  ");
        if is_log {
            continue;
        }
        let words = line.split_once("it said: ");
        lines.push(words.map_or_else(|| line.to_owned(), |(before, _)| format!("{before}it said: [WORDS]")));
        is_log = line.ends_with("last lines of its log:") || line.ends_with("日志的最后几行：");
        if is_log {
            lines.push("  [LOG]".to_owned());
        }
    }
    lines
}

/// Replaces what fills a column: a count or a pid, unless it is one of our ports.
fn cell(word: &str) -> String {
    let is_number = !word.is_empty() && word.chars().all(|c| c.is_ascii_digit());
    match is_number && !PORTS.iter().any(|port| port.to_string() == word) {
        true => "[N]".to_owned(),
        false => self::word(word, ""),
    }
}

/// Replaces one word.
fn word(word: &str, before: &str) -> String {
    let core = word.trim_matches(|c: char| "(),;.`'\"：，；（）".contains(c));
    let with = |meant: &str| word.replacen(core, meant, 1);
    let is_number = !core.is_empty() && core.chars().all(|c| c.is_ascii_digit());
    if is_number && ["pid", "kill", "进程"].iter().any(|name| before.ends_with(name)) {
        return with("[PID]");
    }
    if core.starts_with('/') && core.contains("/python") {
        return with("[PYTHON]");
    }
    if core.len() >= 12 && core.chars().all(|c| c.is_ascii_hexdigit()) {
        return with("[CONTAINER]");
    }
    word.to_owned()
}

/// Replaces times as RFC 3339 writes them, to the millisecond in UTC.
fn without_times(line: &str) -> String {
    const LIKE: &str = "2026-01-01T00:00:00.000Z";
    let is_time = |text: &str| {
        let pairs = text.chars().zip(LIKE.chars());
        pairs.into_iter().all(|(c, like)| {
            if like.is_ascii_digit() {
                c.is_ascii_digit()
            } else {
                c == like
            }
        })
    };
    let (mut told, mut rest) = (String::new(), line);
    while let Some(first) = rest.chars().next() {
        match rest.get(..LIKE.len()) {
            Some(text) if is_time(text) => {
                told.push_str("[TIME]");
                rest = &rest[LIKE.len()..];
            }
            _ => {
                told.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    told
}

/// Replaces numbers that have a unit: `12.3 s`, `1m 05s`, `64.0 MiB`, `3.1 %`.
fn measured(part: &str) -> String {
    let words: Vec<&str> = part.split(' ').collect();
    let mut told: Vec<String> = Vec::new();
    let mut at = 0;
    let is_number = |word: &str| {
        let core = word.trim_start_matches(|c: char| "(（".contains(c));
        !core.is_empty() && core.chars().all(|c| c.is_ascii_digit() || c == '.')
    };
    while at < words.len() {
        let (word, next) = (words[at], words.get(at + 1).copied().unwrap_or_default());
        let unit = next.trim_end_matches(|c: char| !c.is_ascii_alphanumeric() && c != '%');
        let kind = match unit {
            "ms" | "s" => Some("[TIME]"),
            "B" | "KiB" | "MiB" | "GiB" | "TiB" => Some("[SIZE]"),
            "%" => Some("[PERCENT]"),
            _ => None,
        };
        let is_long = |word: &str, units: &[char]| {
            let core = word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
            core.len() > 1 && core.ends_with(units) && core[..core.len() - 1].chars().all(|c| c.is_ascii_digit())
        };
        match kind {
            Some(kind) if is_number(word) => {
                let opened = &word[..word.len() - word.trim_start_matches(|c: char| "(（".contains(c)).len()];
                told.push(format!("{opened}{kind}{}", &next[unit.len()..]));
                at += 2;
            }
            _ if is_long(word, &['d', 'h', 'm']) && is_long(next, &['h', 'm', 's']) => {
                let core = next.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
                told.push(format!("[TIME]{}", &next[core.len()..]));
                at += 2;
            }
            _ => {
                told.push(word.to_owned());
                at += 1;
            }
        }
    }
    told.join(" ")
}

#[test]
fn what_differs_is_named_and_what_matters_stays() {
    let redacted = Redacted { names: Vec::new() };
    let lines = [
        (
            "nats     running   4242    1m 05s   0   3.1 %   64.0 MiB  127.0.0.1:4222",
            "nats  running  [N]  [TIME]  0  [PERCENT]  [SIZE]  127.0.0.1:4222",
        ),
        ("hot: ready after 766 ms", "hot: ready after [TIME]"),
        (
            "held by pid 77 /x (user a, since 2026-11-26T03:14:15.926Z), `kill 77`",
            "held by pid [PID] /x (user a, since [TIME]), `kill [PID]`",
        ),
        ("ended with exit code 1", "ended with exit code 1"),
        ("2 of 6 services have failed", "2 of 6 services have failed"),
        ("8085  hot  free", "8085  hot  free"),
        ("MARKET_DATA   0   2.2 KiB  12", "MARKET_DATA  [N]  [SIZE]  [N]"),
        (
            "needs 64.0 MiB in x, 8.0 MiB are free",
            "needs [SIZE] in x, [SIZE] are free",
        ),
        ("docker stop 0123456789ab`", "docker stop [CONTAINER]`"),
    ];
    for (line, told) in lines {
        assert_eq!(redacted.line(line), told);
    }
}
