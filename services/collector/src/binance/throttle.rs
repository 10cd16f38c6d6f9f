//! How the venue tells what it has counted, and for how long it will not answer.

use std::time::Duration;

use reqwest::header::HeaderMap;

use crate::rest::Throttle;

/// Requests that the venue weighs: it tells what it has counted in this minute.
#[derive(Debug)]
pub(crate) struct Weighed;

/// Requests that the venue only counts, apart from the weighed ones.
#[derive(Debug)]
pub(crate) struct Counted;

impl Throttle for Weighed {
    fn counted(headers: &HeaderMap) -> Option<u32> {
        headers.get("x-mbx-used-weight-1m")?.to_str().ok()?.parse().ok()
    }

    fn pause_in(text: &str, now_ms: i64) -> Option<Duration> {
        ban_in(text, now_ms)
    }
}

impl Throttle for Counted {
    fn counted(_headers: &HeaderMap) -> Option<u32> {
        None
    }

    fn pause_in(text: &str, now_ms: i64) -> Option<Duration> {
        ban_in(text, now_ms)
    }
}

/// A ban without `Retry-After` says in words until when it lasts: "IP banned until 1795176000000".
fn ban_in(text: &str, now_ms: i64) -> Option<Duration> {
    let (_, rest) = text.split_once("banned until ")?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    let until: i64 = digits.parse().ok()?;
    u64::try_from(until.checked_sub(now_ms)?)
        .ok()
        .map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ban_in_words_is_understood() {
        let text = r#"{"code":-1003,"msg":"Way too much request weight used; IP banned until 1795176030000. Please"}"#;
        assert_eq!(ban_in(text, 1_795_176_000_000), Some(Duration::from_secs(30)));
        assert_eq!(ban_in(text, 1_795_176_030_001), None, "over already");
        assert_eq!(ban_in("slow down", 0), None);
    }
}
