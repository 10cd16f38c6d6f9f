//! One HTTP request over one connection, byte for byte as the test says.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::{PASSWORD, WRITER};

/// A request to be sent.
pub(crate) struct Call<'a> {
    method: &'a str,
    path: String,
    host: Option<&'a str>,
    headers: Vec<(&'a str, &'a str)>,
    body: Vec<u8>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Whether the answer ended as HTTP says it must.
    pub(crate) whole: bool,
}

/// Encodes a value for a URL.
pub(crate) fn encode(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

impl<'a> Call<'a> {
    pub(crate) fn new(method: &'a str, path: &str) -> Self {
        Self {
            method,
            path: path.to_owned(),
            host: None,
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    pub(crate) fn query(method: &'a str, statement: &str) -> Self {
        Self::new(method, &format!("/?query={}", encode(statement)))
    }

    pub(crate) fn parameter(mut self, name: &str, value: &str) -> Self {
        self.path.push(if self.path.contains('?') { '&' } else { '?' });
        self.path.push_str(&format!("{name}={}", encode(value)));
        self
    }

    pub(crate) fn header(mut self, name: &'a str, value: &'a str) -> Self {
        self.headers.push((name, value));
        self
    }

    pub(crate) fn host(mut self, host: &'a str) -> Self {
        self.host = Some(host);
        self
    }

    pub(crate) fn writer(self) -> Self {
        self.header("X-ClickHouse-User", WRITER)
            .header("X-ClickHouse-Key", PASSWORD)
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sends the request and leaves the answer to be read.
    pub(crate) fn open(self, address: SocketAddr) -> TcpStream {
        let mut stream = TcpStream::connect(address).expect("the engine listens");
        stream
            .set_read_timeout(Some(Duration::from_secs(120)))
            .expect("a socket");
        let host = self.host.map_or_else(|| address.to_string(), str::to_owned);
        let mut head = format!(
            "{} {} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n",
            self.method, self.path
        );
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if self.method != "GET" && self.method != "HEAD" {
            head.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        head.push_str("\r\n");
        stream.write_all(head.as_bytes()).expect("the engine reads");
        // A refusal may come before the whole body is taken.
        let _refused_early = stream.write_all(&self.body);
        stream
    }

    pub(crate) fn send(self, address: SocketAddr) -> Reply {
        let bodyless = self.method == "HEAD";
        receive(&mut self.open(address), bodyless)
    }
}

/// Reads an answer to its end.
pub(crate) fn receive(stream: &mut TcpStream, bodyless: bool) -> Reply {
    let mut bytes = Vec::new();
    // A reset after an early refusal: what came before it counts.
    let _reset = stream.read_to_end(&mut bytes);
    let end = bytes
        .windows(4)
        .position(|w| w == b"\r\n\r\n")
        .unwrap_or_else(|| panic!("no HTTP answer: {:?}", String::from_utf8_lossy(&bytes)));
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).expect("a status");
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let raw = &bytes[end + 4..];
    let value = |name: &str| headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
    let (body, whole) = if value("transfer-encoding") == Some("chunked") {
        unchunk(raw)
    } else {
        let length: usize = value("content-length").and_then(|v| v.parse().ok()).unwrap_or(0);
        (raw.to_vec(), bodyless || raw.len() == length)
    };
    Reply {
        status: status.parse().expect("a number"),
        headers,
        body,
        whole,
    }
}

fn unchunk(mut raw: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    loop {
        let Some(end) = raw.windows(2).position(|w| w == b"\r\n") else {
            return (body, false);
        };
        let size = std::str::from_utf8(&raw[..end])
            .ok()
            .and_then(|s| usize::from_str_radix(s, 16).ok());
        let size = size.expect("the size of a chunk");
        if size == 0 {
            return (body, true);
        }
        let Some(chunk) = raw.get(end + 2..end + 2 + size) else {
            return (body, false);
        };
        body.extend_from_slice(chunk);
        raw = raw.get(end + 4 + size..).unwrap_or(&[]);
    }
}

impl Reply {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// The code of the engine's exception, if it is one.
    pub(crate) fn code(&self) -> Option<u32> {
        self.header("x-clickhouse-exception-code")?.parse().ok()
    }
}
