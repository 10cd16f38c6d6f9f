//! HTTP's content encodings: gzip, deflate, zstd and lz4 frames, both ways.

use std::io::{self, Read, Write};

use bytes::Bytes;
use flate2::read::{MultiGzDecoder, ZlibDecoder};
use flate2::write::{GzEncoder, ZlibEncoder};
use lz4_flex::frame::{FrameDecoder, FrameEncoder};

use crate::answer::{Answer, tell_encoding};
use crate::compress::{self, Method};
use crate::exception::Exception;
use crate::request::Request;

/// Largest window of zstd accepted, as a power of two: the 8 MiB that RFC 9659 sets for this use of it.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// The server's default of `http_zlib_compression_level`.
const LEVEL: u32 = 3;
/// How much is packed at once, in bytes.
const PORTION: usize = 1 << 20;

/// A content encoding that is understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Zstd,
    Lz4,
    Gzip,
    Deflate,
}

impl Encoding {
    /// In the order in which we like to use them.
    const ALL: [Self; 4] = [Self::Zstd, Self::Lz4, Self::Gzip, Self::Deflate];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Lz4 => "lz4",
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
        }
    }

    /// Reads a Content-Encoding header; `None` is no encoding.
    ///
    /// # Errors
    /// Where the encoding is not understood.
    pub(crate) fn of_body(header: Option<&str>) -> Result<Option<Self>, Exception> {
        let name = header.unwrap_or("").trim();
        if name.is_empty() || name.eq_ignore_ascii_case("identity") {
            return Ok(None);
        }
        let known = Self::ALL.into_iter().find(|e| name.eq_ignore_ascii_case(e.name()));
        known.map(Some).ok_or_else(|| {
            let name: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
            let message = format!("Unknown Content-Encoding '{name}'. Only gzip, deflate, zstd and lz4 are supported");
            Exception::new(48, &message, "NOT_IMPLEMENTED")
        })
    }

    /// Chooses from an Accept-Encoding header.
    pub(crate) fn accepted(header: Option<&str>) -> Option<Self> {
        let offered: Vec<&str> = header
            .unwrap_or("")
            .split(',')
            .filter(|offer| {
                !offer
                    .split(';')
                    .skip(1)
                    .any(|q| matches!(q.trim(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
            })
            .filter_map(|offer| offer.split(';').next().map(str::trim))
            .collect();
        let is_offered = |e: &Self| offered.iter().any(|name| name.eq_ignore_ascii_case(e.name()));
        Self::ALL.into_iter().find(is_offered)
    }

    /// Unpacks what `packed` gives, as it is read.
    pub(crate) fn decoder<'a>(self, packed: impl Read + Send + 'a) -> io::Result<Box<dyn Read + Send + 'a>> {
        Ok(match self {
            Self::Gzip => Box::new(MultiGzDecoder::new(packed)),
            Self::Deflate => Box::new(ZlibDecoder::new(packed)),
            Self::Lz4 => Box::new(FrameDecoder::new(packed)),
            Self::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::new(packed)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
                Box::new(decoder)
            }
        })
    }
}

/// How an answer is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packing {
    Plain,
    /// ClickHouse's own frames: `compress=1`.
    Frames(Method),
    /// A content encoding at a level from 1 to 9.
    Encoded(Encoding, u32),
}

impl Packing {
    /// Chooses what a request asks for.
    pub(crate) fn choose(asked: &Request, accept_encoding: Option<&str>) -> Self {
        let is_zstd = |name: &str| name.eq_ignore_ascii_case("zstd");
        if asked.compress {
            return Self::Frames(match asked.setting("network_compression_method").is_some_and(is_zstd) {
                true => Method::Zstd,
                false => Method::Lz4,
            });
        }
        // The server's default of `enable_http_compression` is 1 by now.
        if matches!(asked.setting("enable_http_compression"), Some("0" | "false")) {
            return Self::Plain;
        }
        let level = asked
            .setting("http_zlib_compression_level")
            .and_then(|v| v.parse().ok());
        let level = level.unwrap_or(LEVEL).clamp(1, 9);
        Encoding::accepted(accept_encoding).map_or(Self::Plain, |encoding| Self::Encoded(encoding, level))
    }

    /// Starts packing the body of `answer`, and says so in its head.
    pub(crate) fn encoder(self, answer: &mut Answer) -> io::Result<Encoder> {
        match self {
            Self::Plain => Ok(Encoder::Plain),
            Self::Frames(method) => Ok(Encoder::Frames(method)),
            Self::Encoded(encoding, level) => {
                tell_encoding(answer, encoding);
                Encoder::new(encoding, level)
            }
        }
    }

    /// Packs a whole body of `answer`; an empty one stays empty.
    pub(crate) fn pack_whole(self, bytes: Vec<u8>, answer: &mut Answer) -> io::Result<Bytes> {
        if bytes.is_empty() || self == Self::Plain {
            return Ok(bytes.into());
        }
        let mut encoder = self.encoder(answer)?;
        let mut packed = Vec::new();
        for portion in bytes.chunks(PORTION) {
            packed.extend_from_slice(&encoder.portion(portion)?);
        }
        packed.extend_from_slice(&encoder.finish()?);
        Ok(packed.into())
    }
}

/// Packs an answer, a portion at a time.
pub(crate) enum Encoder {
    Plain,
    /// ClickHouse's own frames.
    Frames(Method),
    Gzip(GzEncoder<Vec<u8>>),
    Deflate(ZlibEncoder<Vec<u8>>),
    Lz4(Box<FrameEncoder<Vec<u8>>>),
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
}

impl Encoder {
    /// Packs with `encoding`; `level` is from 1 (fast) to 9.
    pub(crate) fn new(encoding: Encoding, level: u32) -> io::Result<Self> {
        let gzip_level = flate2::Compression::new(level);
        Ok(match encoding {
            Encoding::Gzip => Self::Gzip(GzEncoder::new(Vec::new(), gzip_level)),
            Encoding::Deflate => Self::Deflate(ZlibEncoder::new(Vec::new(), gzip_level)),
            Encoding::Lz4 => Self::Lz4(Box::new(FrameEncoder::new(Vec::new()))),
            Encoding::Zstd => Self::Zstd(zstd::stream::write::Encoder::new(
                Vec::new(),
                i32::try_from(level).unwrap_or(3),
            )?),
        })
    }

    /// Packs a portion, so that whoever receives it can unpack all of it.
    pub(crate) fn portion(&mut self, bytes: &[u8]) -> io::Result<Bytes> {
        fn flushed<W: Write>(
            writer: &mut W,
            bytes: &[u8],
            packed: impl Fn(&mut W) -> &mut Vec<u8>,
        ) -> io::Result<Bytes> {
            writer.write_all(bytes)?;
            writer.flush()?;
            Ok(std::mem::take(packed(writer)).into())
        }
        match self {
            Self::Plain => Ok(Bytes::copy_from_slice(bytes)),
            Self::Frames(_) if bytes.is_empty() => Ok(Bytes::new()),
            Self::Frames(method) => compress::pack(bytes, *method),
            Self::Gzip(encoder) => flushed(encoder, bytes, GzEncoder::get_mut),
            Self::Deflate(encoder) => flushed(encoder, bytes, ZlibEncoder::get_mut),
            Self::Lz4(encoder) => flushed(encoder.as_mut(), bytes, FrameEncoder::get_mut),
            Self::Zstd(encoder) => flushed(encoder, bytes, zstd::stream::write::Encoder::get_mut),
        }
    }

    /// Returns what ends the encoding.
    pub(crate) fn finish(self) -> io::Result<Bytes> {
        match self {
            Self::Plain | Self::Frames(_) => Ok(Bytes::new()),
            Self::Gzip(encoder) => encoder.finish().map(Bytes::from),
            Self::Deflate(encoder) => encoder.finish().map(Bytes::from),
            Self::Lz4(encoder) => encoder.finish().map(Bytes::from).map_err(io::Error::other),
            Self::Zstd(encoder) => encoder.finish().map(Bytes::from),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_unpacks_and_each_portion_at_once() {
        for encoding in Encoding::ALL {
            let mut encoder = Encoder::new(encoding, 3).expect("known");
            let mut packed = Vec::new();
            let mut expected = Vec::new();
            for portion in [&b"hello "[..], &[7; 300_000], b"", b"world"] {
                packed.extend_from_slice(&encoder.portion(portion).expect("packs"));
                expected.extend_from_slice(portion);
                let mut decoder = encoding.decoder(packed.as_slice()).expect("known");
                let mut so_far = vec![0; expected.len()];
                decoder
                    .read_exact(&mut so_far)
                    .unwrap_or_else(|e| panic!("{encoding:?}: {e}"));
                assert!(so_far == expected, "{encoding:?}");
            }
            packed.extend_from_slice(&encoder.finish().expect("ends"));
            let mut whole = Vec::new();
            encoding
                .decoder(packed.as_slice())
                .expect("known")
                .read_to_end(&mut whole)
                .expect("whole");
            assert!(whole == expected, "{encoding:?}");
        }
    }

    #[test]
    fn headers_choose() {
        assert_eq!(Encoding::of_body(None), Ok(None));
        assert_eq!(Encoding::of_body(Some("identity")), Ok(None));
        assert_eq!(Encoding::of_body(Some("GZIP")), Ok(Some(Encoding::Gzip)));
        assert_eq!(Encoding::of_body(Some("br")).expect_err("unknown").code, 48);
        assert_eq!(Encoding::accepted(Some("gzip, deflate, br")), Some(Encoding::Gzip));
        assert_eq!(
            Encoding::accepted(Some("gzip;q=1.0, zstd;q=0, lz4;q=0.5")),
            Some(Encoding::Lz4)
        );
        assert_eq!(Encoding::accepted(Some("br, *")), None);
        assert_eq!(Encoding::accepted(None), None);
    }
}
