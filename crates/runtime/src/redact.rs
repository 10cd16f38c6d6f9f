//! Taking credentials out of text that leaves the machine, or that others may read.

/// What stands in place of a credential.
pub const HIDDEN: &str = "***";

/// Words before a `=` or `:` that say that a credential follows.
const NAMES: [&str; 8] = [
    "password",
    "passwd",
    "secret",
    "token",
    "api_key",
    "apikey",
    "credential",
    "authorization",
];

/// Returns text without what stands between `://` and `@`, and without what is called a password, a token or the like.
pub fn without_credentials(text: &str) -> String {
    let lines: Vec<String> = text.split('\n').map(|line| named(&addresses(line))).collect();
    lines.join("\n")
}

/// Hides the credentials of addresses: `scheme://user:password@host`.
fn addresses(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("://") {
        plain.push_str(before);
        plain.push_str("://");
        let end = after.find(|c: char| c.is_whitespace() || "/?#\"'`,;)]}>".contains(c));
        let authority = &after[..end.unwrap_or(after.len())];
        rest = match authority.rfind('@') {
            Some(at) => {
                plain.push_str(HIDDEN);
                &after[at..]
            }
            // A password may hold what usually ends an address.
            None => match credential_end(after) {
                Some(at) => {
                    plain.push_str(HIDDEN);
                    &after[at..]
                }
                None => after,
            },
        };
    }
    plain.push_str(rest);
    plain
}

/// Finds the `@` of `user:pass/word@host`, where a slash within the password hides it: before any blank or quote.
fn credential_end(after: &str) -> Option<usize> {
    let word = after
        .find(|c: char| c.is_whitespace() || "\"'`<>".contains(c))
        .unwrap_or(after.len());
    let at = after[..word].rfind('@')?;
    let colon = after.find(':')?;
    // A port is digits up to a slash; what follows such a colon is a path, which may well hold an `@`.
    let port = after[colon + 1..at].split('/').next().unwrap_or_default();
    let is_port = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    (colon < at && !is_port).then_some(at)
}

/// Hides what follows a telling name: `password=x`, `"token": "x"`, `secret: x`.
fn named(line: &str) -> String {
    let lower = line.to_ascii_lowercase();
    let mut cuts: Vec<(usize, usize)> = Vec::new();
    for name in NAMES {
        for (at, _) in lower.match_indices(name) {
            let after = &line[at + name.len()..];
            let between = after.len() - after.trim_start_matches(['"', '\'', ' ', '\\']).len();
            let Some(value) = after[between..].strip_prefix(['=', ':']) else {
                continue;
            };
            let value = value.trim_start();
            let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''));
            let body = value.trim_start_matches(['"', '\'', '\\']);
            let start = line.len() - body.len();
            let length = match quote {
                Some(quote) => body.find(quote),
                None if name == "authorization" => body.find(['"', ',']),
                None => body.find(|c: char| c.is_whitespace() || ",;&\"'}])".contains(c)),
            };
            cuts.push((start, start + length.unwrap_or(body.len())));
        }
    }
    // What is no text holds no credential.
    let is_text = |value: &str| !matches!(value, "true" | "false" | "null");
    cuts.retain(|(start, end)| start < end && is_text(&line[*start..*end]));
    cuts.sort_unstable();
    let mut plain = String::with_capacity(line.len());
    let mut from = 0;
    for (start, end) in cuts {
        if start < from {
            continue;
        }
        plain.push_str(&line[from..start]);
        plain.push_str(HIDDEN);
        from = end;
    }
    plain.push_str(&line[from..]);
    plain
}

/// Takes known credentials out of text, and whatever looks like one.
#[derive(Clone, Default)]
pub struct Redactor {
    known: Vec<String>,
}

impl Redactor {
    /// Knows these credentials. Shorter ones than eight characters are ignored: they would stand in every text.
    pub fn new(known: impl IntoIterator<Item = String>) -> Self {
        let mut known: Vec<String> = known.into_iter().map(|secret| secret.trim().to_owned()).collect();
        known.retain(|secret| secret.len() >= 8);
        // What contains another one goes first.
        known.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        known.dedup();
        Self { known }
    }

    /// Returns text without credentials.
    pub fn redact(&self, text: &str) -> String {
        let plain = self
            .known
            .iter()
            .fold(text.to_owned(), |text, secret| text.replace(secret, HIDDEN));
        without_credentials(&plain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_hidden_and_the_rest_stays() {
        for (text, plain) in [
            ("nats://bob:s3cret@lake:4222/x", "nats://***@lake:4222/x"),
            ("a nats://bob:s3/cr@et@lake b", "a nats://***@lake b"),
            ("http://lake:8123/?a@b", "http://lake:8123/?a@b"),
            ("mail bob@lake", "mail bob@lake"),
            ("url=\"http://u:p@h\", next", "url=\"http://***@h\", next"),
            ("password=hunter2 user=bob", "password=*** user=bob"),
            (r#"{"token": "abc def", "n": 1}"#, r#"{"token": "***", "n": 1}"#),
            ("PASSWORD: x", "PASSWORD: ***"),
            ("no password here", "no password here"),
            (
                r#"{"secret": false, "token": null}"#,
                r#"{"secret": false, "token": null}"#,
            ),
            ("http://h/?user=a&password=b&c=d", "http://h/?user=a&password=***&c=d"),
            ("Authorization: Bearer abc.def", "Authorization: ***"),
        ] {
            assert_eq!(without_credentials(text), plain);
        }
    }

    #[test]
    fn a_known_credential_is_hidden_wherever_it_stands() {
        let redactor = Redactor::new(["0123456789abcdef\n".to_owned(), "short".to_owned()]);
        assert_eq!(redactor.redact("x0123456789abcdefy short"), "x***y short");
    }
}
