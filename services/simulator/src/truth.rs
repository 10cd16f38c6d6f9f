//! What truly happened, kept compactly: 24 bytes a synthetic trade.

use std::sync::Arc;

use crate::corpus::Recorded;
use crate::market::{Trade, push_decimal, push_integer};

/// Trades per block: memory grows in even steps, without copying what is there.
const BLOCK: usize = 65_536;

/// One symbol's trades in order.
pub(crate) enum Truth {
    Synthetic {
        first_id: u64,
        blocks: Vec<Vec<Kept>>,
        count: u64,
    },
    Recorded {
        frames: Arc<Vec<Recorded>>,
        played: Vec<u32>,
        shift_ms: i64,
    },
}

/// A synthetic trade; the lowest bit of `quantity_side` says that the taker sold.
#[derive(Clone, Copy)]
pub(crate) struct Kept {
    price: u64,
    quantity_side: u64,
    ts_ms: i64,
}

impl Truth {
    pub(crate) fn count(&self) -> u64 {
        match self {
            Self::Synthetic { count, .. } => *count,
            Self::Recorded { played, .. } => played.len() as u64,
        }
    }

    pub(crate) fn push_synthetic(&mut self, trade: &Trade, ts_ms: i64) {
        let Self::Synthetic { blocks, count, .. } = self else {
            return;
        };
        if blocks.last().is_none_or(|block| block.len() == BLOCK) {
            blocks.push(Vec::with_capacity(BLOCK));
        }
        let quantity_side = u64::from(trade.quantity) << 1 | u64::from(trade.buyer_is_maker);
        if let Some(block) = blocks.last_mut() {
            block.push(Kept {
                price: trade.price,
                quantity_side,
                ts_ms,
            });
            *count += 1;
        }
    }

    pub(crate) fn push_recorded(&mut self, frame: usize, shift: i64) {
        if let Self::Recorded { played, shift_ms, .. } = self {
            played.push(u32::try_from(frame).unwrap_or(u32::MAX));
            *shift_ms = shift;
        }
    }

    /// Appends the trades from position `from` on, at most `count`, as JSON lines.
    pub(crate) fn write_lines(&self, from: u64, count: u64, out: &mut Vec<u8>) {
        for position in from..self.count().min(from + count) {
            let index = position as usize;
            match self {
                Self::Synthetic { first_id, blocks, .. } => {
                    let kept = blocks[index / BLOCK][index % BLOCK];
                    let (mut price, mut quantity) = (Vec::new(), Vec::new());
                    push_decimal(&mut price, kept.price);
                    push_decimal(&mut quantity, kept.quantity_side >> 1);
                    write_line(
                        out,
                        first_id + position,
                        &price,
                        &quantity,
                        kept.quantity_side & 1 == 1,
                        kept.ts_ms,
                    );
                }
                Self::Recorded {
                    frames,
                    played,
                    shift_ms,
                } => {
                    if let Recorded::Trade(trade) = &frames[played[index] as usize] {
                        let (price, quantity) = (trade.price().as_bytes(), trade.quantity().as_bytes());
                        write_line(
                            out,
                            trade.id,
                            price,
                            quantity,
                            trade.buyer_is_maker,
                            trade.trade_ms + shift_ms,
                        );
                    }
                }
            }
        }
    }
}

fn write_line(out: &mut Vec<u8>, id: u64, price: &[u8], quantity: &[u8], taker_sold: bool, ts_ms: i64) {
    out.extend_from_slice(b"{\"id\":\"");
    push_integer(out, id);
    out.extend_from_slice(b"\",\"price\":\"");
    out.extend_from_slice(price);
    out.extend_from_slice(b"\",\"quantity\":\"");
    out.extend_from_slice(quantity);
    out.extend_from_slice(b"\",\"side\":\"");
    out.extend_from_slice(if taker_sold { b"sell" } else { b"buy" });
    out.extend_from_slice(b"\",\"ts_ms\":");
    out.extend_from_slice(ts_ms.to_string().as_bytes());
    out.extend_from_slice(b"}\n");
}

/// Returns our name of one of the venue's symbols: `BTCUSDT` is `BTC-USDT`.
pub(crate) fn our_symbol(symbol: &str) -> String {
    const QUOTES: [&str; 14] = [
        "FDUSD", "USDT", "USDC", "TUSD", "BUSD", "BIDR", "BTC", "ETH", "BNB", "EUR", "TRY", "GBP", "JPY", "BRL",
    ];
    let split = QUOTES
        .iter()
        .find_map(|quote| symbol.strip_suffix(quote).map(|base| (base, quote)));
    match split {
        Some((base, quote)) if !base.is_empty() => format!("{base}-{quote}"),
        _ => symbol.to_owned(),
    }
}
