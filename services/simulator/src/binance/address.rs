//! What a WebSocket's address asks for.

use std::collections::BTreeSet;

use axum::http::Uri;
use percent_encoding::percent_decode_str;

use super::protocol::STREAMS_MAX;
use crate::hub::Form;

/// A connection's streams and form.
pub(crate) struct Address {
    pub(crate) streams: BTreeSet<String>,
    pub(crate) form: Form,
}

impl Address {
    /// Reads `/ws`, `/ws/<a>/<b>` and `/stream?streams=<a>/<b>`; `None` where the venue refuses.
    pub(crate) fn read(uri: &Uri) -> Option<Self> {
        let mut form = Form::default();
        let mut names = String::new();
        // Within the nested router the prefix is gone already.
        let path = uri.path();
        form.combined = path.ends_with("/stream");
        if let Some(rest) = path.split_once("/ws/").map(|(_, rest)| rest) {
            names = percent_decode_str(rest).decode_utf8().ok()?.into_owned();
        }
        let pairs = uri.query().unwrap_or_default().split('&');
        for pair in pairs.filter(|pair| !pair.is_empty()) {
            let pair = percent_decode_str(pair).decode_utf8().ok()?;
            match pair.split_once('=')? {
                ("streams", list) if form.combined => names = list.to_owned(),
                ("timeUnit", "MICROSECOND" | "microsecond") => form.micros = true,
                ("timeUnit", "MILLISECOND" | "millisecond") => form.micros = false,
                ("timeUnit", _) => return None,
                _ => {}
            }
        }
        let streams = names
            .split('/')
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect::<BTreeSet<_>>();
        (streams.len() <= STREAMS_MAX).then_some(Self { streams, form })
    }
}
