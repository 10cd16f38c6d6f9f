//! Packed bodies and packed answers.

mod common;

use std::io::{Read, Write};

use common::{Call, Data, Engine, Reply};

const ENCODINGS: [&str; 4] = ["gzip", "deflate", "zstd", "lz4"];

fn packed(encoding: &str, bytes: &[u8]) -> Vec<u8> {
    match encoding {
        "gzip" => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(bytes).expect("memory");
            encoder.finish().expect("memory")
        }
        "deflate" => {
            let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(bytes).expect("memory");
            encoder.finish().expect("memory")
        }
        "zstd" => zstd::encode_all(bytes, 1).expect("memory"),
        "lz4" => {
            let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
            encoder.write_all(bytes).expect("memory");
            encoder.finish().expect("memory")
        }
        other => panic!("{other}"),
    }
}

fn unpacked(encoding: &str, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let read = match encoding {
        "gzip" => flate2::read::GzDecoder::new(bytes).read_to_end(&mut out),
        "deflate" => flate2::read::ZlibDecoder::new(bytes).read_to_end(&mut out),
        "zstd" => zstd::stream::read::Decoder::new(bytes)
            .expect("memory")
            .read_to_end(&mut out),
        "lz4" => lz4_flex::frame::FrameDecoder::new(bytes).read_to_end(&mut out),
        other => panic!("{other}"),
    };
    read.expect("whole");
    out
}

/// One of ClickHouse's own frames, as its source describes them.
fn frame(method: u8, block: &[u8]) -> Vec<u8> {
    let data = match method {
        0x82 => lz4_flex::block::compress(block),
        0x90 => zstd::bulk::compress(block, 1).expect("memory"),
        _ => block.to_vec(),
    };
    let mut rest = vec![method];
    rest.extend_from_slice(&(data.len() as u32 + 9).to_le_bytes());
    rest.extend_from_slice(&(block.len() as u32).to_le_bytes());
    rest.extend_from_slice(&data);
    let sum = cityhash_rs::cityhash_102_128(&rest).rotate_right(64).to_le_bytes();
    [&sum[..], &rest].concat()
}

/// The method of the first frame, and what all of them hold.
fn frames(mut bytes: &[u8]) -> (u8, Vec<u8>) {
    let (method, mut out) = (bytes[16], Vec::new());
    while !bytes.is_empty() {
        let number = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four")) as usize;
        let (packed, unpacked) = (number(17), number(21));
        let data = &bytes[25..16 + packed];
        let block = match method {
            0x82 => lz4_flex::block::decompress(data, unpacked).expect("whole"),
            _ => zstd::bulk::decompress(data, unpacked).expect("whole"),
        };
        out.extend_from_slice(&block);
        bytes = &bytes[16 + packed..];
    }
    (method, out)
}

fn table(engine: &Engine) {
    engine.done("CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a");
}

fn rows(from: u64, to: u64) -> Vec<u8> {
    (from..to).flat_map(|a| format!("{a}\n").into_bytes()).collect()
}

#[track_caller]
fn good(reply: Reply) -> Reply {
    assert_eq!((reply.status, reply.whole), (200, true), "{}", reply.text());
    reply
}

#[test]
fn bodies_come_packed() {
    let data = Data::new();
    let engine = data.start();
    table(&engine);
    let insert = || Call::query("POST", "INSERT INTO t FORMAT TabSeparated").writer();
    let mut sent = 0;
    for encoding in ENCODINGS {
        let body = packed(encoding, &rows(sent, sent + 300_000));
        good(engine.send(insert().header("Content-Encoding", encoding).body(body)));
        sent += 300_000;
        let statement = packed(encoding, b"SELECT 'packed'");
        let reply = good(
            engine.send(
                Call::new("POST", "/")
                    .header("Content-Encoding", encoding)
                    .body(statement),
            ),
        );
        assert_eq!(reply.text(), "packed\n");
    }
    for method in [0x82, 0x90, 0x02] {
        let (one, two) = (rows(sent, sent + 70_000), rows(sent + 70_000, sent + 100_000));
        let body = [frame(method, &one), frame(method, &two)].concat();
        good(engine.send(insert().parameter("decompress", "1").body(body)));
        sent += 100_000;
    }
    // One within the other.
    let both = packed("gzip", &frame(0x82, &rows(sent, sent + 10)));
    good(
        engine.send(
            insert()
                .parameter("decompress", "1")
                .header("Content-Encoding", "gzip")
                .body(both),
        ),
    );
    sent += 10;
    let expected = format!("{sent}\t{sent}\t{}", sent * (sent - 1) / 2);
    assert_eq!(engine.answer("SELECT count(), uniqExact(a), sum(a) FROM t"), expected);

    let refused = |call: Call<'_>| {
        let reply = engine.send(call);
        (reply.status, reply.code().expect("a code"))
    };
    assert_eq!(refused(insert().header("Content-Encoding", "br").body("x")), (501, 48));
    assert_eq!(
        refused(insert().header("Content-Encoding", "gzip").body("no gzip")),
        (500, 271)
    );
    for encoding in ENCODINGS {
        let mut cut = packed(encoding, &rows(0, 100_000));
        cut.truncate(cut.len() / 2);
        assert_eq!(
            refused(insert().header("Content-Encoding", encoding).body(cut)),
            (500, 271),
            "{encoding}"
        );
    }
    let mut flipped = frame(0x90, b"1\n");
    *flipped.last_mut().expect("a byte") ^= 1;
    assert_eq!(refused(insert().parameter("decompress", "1").body(flipped)), (500, 40));
    assert_eq!(
        engine.answer("SELECT count() FROM t"),
        sent.to_string(),
        "what is damaged stores nothing"
    );
    engine.stop();
}

#[test]
fn answers_go_packed() {
    let data = Data::new();
    let engine = data.start();
    for count in [3, 2_000_000] {
        let statement = format!("SELECT number FROM numbers({count})");
        let ask = || Call::new("POST", "/").body(statement.clone());
        let expected = rows(0, count);
        for encoding in ENCODINGS {
            let reply = good(engine.send(ask().header("Accept-Encoding", encoding)));
            assert_eq!(reply.header("content-encoding"), Some(encoding));
            assert!(unpacked(encoding, &reply.body) == expected, "{encoding}, {count}");
            let off = ask()
                .header("Accept-Encoding", encoding)
                .parameter("enable_http_compression", "0");
            let reply = good(engine.send(off));
            assert_eq!((reply.header("content-encoding"), reply.body == expected), (None, true));
        }
        let none = good(engine.send(ask().header("Accept-Encoding", "br, identity")));
        assert_eq!((none.header("content-encoding"), none.body == expected), (None, true));
        for (name, method) in [("LZ4", 0x82), ("ZSTD", 0x90)] {
            let call = ask()
                .parameter("compress", "1")
                .parameter("network_compression_method", name);
            let reply = good(engine.send(call.header("Accept-Encoding", "gzip")));
            assert_eq!(reply.header("content-encoding"), None);
            assert!(frames(&reply.body) == (method, expected.clone()), "{name}, {count}");
        }
    }
    engine.stop();
}

#[test]
fn bombs_cost_no_memory() {
    let data = Data::new();
    let mut orders = data.orders();
    orders.body_bytes_max = 200 << 20;
    let engine = Engine::start(&orders);
    table(&engine);
    let before = engine.rss();
    for encoding in ENCODINGS {
        // Half a gigabyte of zeros, unpacked.
        let bomb = packed(encoding, &vec![b'0'; 512 << 20]);
        let insert = Call::query("POST", "INSERT INTO t FORMAT TabSeparated").writer();
        let reply = engine.send(insert.header("Content-Encoding", encoding).body(bomb.clone()));
        assert_eq!(
            (reply.status, reply.code()),
            (413, Some(307)),
            "{encoding}: {}",
            reply.text()
        );
        // A reader gets no further than a statement's length.
        let reply = engine.send(Call::new("POST", "/").header("Content-Encoding", encoding).body(bomb));
        assert_eq!(
            (reply.status, reply.code()),
            (413, Some(307)),
            "{encoding}: {}",
            reply.text()
        );
    }
    let most = engine.peak_rss();
    assert!(most < before + (150 << 20), "grew from {before} to {most} bytes");
    assert_eq!(engine.answer("SELECT count() FROM t"), "0");
    engine.stop();
}
