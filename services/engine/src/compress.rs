//! ClickHouse's own compression frames (`compress=1`, `decompress=1`), methods LZ4, ZSTD and none.
//!
//! A frame: CityHash128 of the rest (16 bytes), method (0x82, 0x90, 0x02), size of header and data (u32), unpacked size (u32), data.

use std::io;

use bytes::{Buf, Bytes, BytesMut};

use crate::exception::Exception;

const HEADER: usize = 9;
const CHECKSUM: usize = 16;
const LZ4: u8 = 0x82;
const ZSTD: u8 = 0x90;
const NONE: u8 = 0x02;
/// Level of the server's own ZSTD frames.
const ZSTD_LEVEL: i32 = 1;
/// Largest unpacked frame accepted; the server's own limit is 1 GiB, clients send about 1 MiB.
const FRAME_MAX: usize = 64 << 20;

fn checksum(bytes: &[u8]) -> [u8; CHECKSUM] {
    cityhash_rs::cityhash_102_128(bytes).rotate_right(64).to_le_bytes()
}

fn corrupt(why: &str) -> Exception {
    Exception::new(271, why, "CANNOT_DECOMPRESS")
}

/// How the blocks of an answer are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Lz4,
    Zstd,
}

/// Packs one block into a frame.
pub(crate) fn pack(block: &[u8], method: Method) -> io::Result<Bytes> {
    let (method, data) = match method {
        Method::Lz4 => (LZ4, lz4_flex::block::compress(block)),
        Method::Zstd => (ZSTD, zstd::bulk::compress(block, ZSTD_LEVEL)?),
    };
    let mut frame = Vec::with_capacity(CHECKSUM + HEADER + data.len());
    frame.extend_from_slice(&[0; CHECKSUM]);
    frame.push(method);
    frame.extend_from_slice(&((HEADER + data.len()) as u32).to_le_bytes());
    frame.extend_from_slice(&(block.len() as u32).to_le_bytes());
    frame.extend_from_slice(&data);
    let sum = checksum(&frame[CHECKSUM..]);
    frame[..CHECKSUM].copy_from_slice(&sum);
    Ok(frame.into())
}

/// Unpacks a stream of frames.
#[derive(Default)]
pub(crate) struct Unpacker {
    pending: BytesMut,
}

impl Unpacker {
    /// Takes bytes as they arrive.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
    }

    /// Returns the next whole block, or `None` until more bytes have come.
    pub(crate) fn next(&mut self) -> Result<Option<Vec<u8>>, Exception> {
        let Some(header) = self.pending.get(CHECKSUM..CHECKSUM + HEADER) else {
            return Ok(None);
        };
        let size =
            |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]) as usize;
        let (method, packed, unpacked) = (header[0], size(1), size(5));
        if ![LZ4, ZSTD, NONE].contains(&method) {
            return Err(Exception::new(
                89,
                &format!("Unknown compression method {method:#x}"),
                "UNKNOWN_COMPRESSION_METHOD",
            ));
        }
        if !(HEADER..=FRAME_MAX).contains(&packed) || unpacked > FRAME_MAX {
            return Err(corrupt("Size of a compressed block is out of range"));
        }
        if self.pending.len() < CHECKSUM + packed {
            return Ok(None);
        }
        let body = &self.pending[CHECKSUM..CHECKSUM + packed];
        if checksum(body) != self.pending[..CHECKSUM] {
            return Err(Exception::new(
                40,
                "Checksum doesn't match: corrupted data",
                "CHECKSUM_DOESNT_MATCH",
            ));
        }
        let data = &body[HEADER..];
        let block = match method {
            LZ4 => lz4_flex::block::decompress(data, unpacked).map_err(|e| corrupt(&e.to_string()))?,
            ZSTD => zstd::bulk::decompress(data, unpacked).map_err(|e| corrupt(&e.to_string()))?,
            _ => data.to_vec(),
        };
        if block.len() != unpacked {
            return Err(corrupt("A compressed block has another size than it says"));
        }
        self.pending.advance(CHECKSUM + packed);
        Ok(Some(block))
    }

    /// Says whether the stream ended between frames.
    pub(crate) fn finish(&self) -> Result<(), Exception> {
        if self.pending.is_empty() {
            Ok(())
        } else {
            Err(corrupt("The last compressed block is cut off"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_unpacks_in_any_portions() {
        let block: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
        for method in [Method::Lz4, Method::Zstd] {
            let frame = pack(&block, method).expect("packs");
            let mut unpacker = Unpacker::default();
            for portion in frame.chunks(1_000) {
                assert!(unpacker.next().expect("whole so far").is_none());
                unpacker.push(portion);
            }
            assert_eq!(unpacker.next().expect("whole").as_ref(), Some(&block), "{method:?}");
            unpacker.finish().expect("between frames");
        }
    }

    #[test]
    fn a_flipped_bit_and_a_cut_are_noticed() {
        let mut frame = pack(b"hello hello hello", Method::Lz4).expect("packs").to_vec();
        frame[30] ^= 1;
        let mut unpacker = Unpacker::default();
        unpacker.push(&frame);
        assert_eq!(unpacker.next().expect_err("flipped").code, 40);
        let mut unpacker = Unpacker::default();
        unpacker.push(&frame[..frame.len() - 1]);
        assert_eq!(unpacker.next().expect("waits"), None);
        unpacker.finish().expect_err("cut");
    }
}
