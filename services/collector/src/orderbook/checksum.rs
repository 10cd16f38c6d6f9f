//! A venue's checksum of a book.

use super::Book;

/// Levels a side that it covers.
const LEVELS: usize = 25;

/// Returns OKX's checksum: CRC32 (IEEE, signed) over `bid price:bid size:ask price:ask size:…` of the best levels, as the venue
/// wrote them; where a side is shorter, the other goes on alone.
///
/// Source: <https://www.okx.com/docs-v5/en/#order-book-trading-market-data-ws-order-book-channel>, "Checksum".
pub(super) fn checksum(book: &Book) -> i32 {
    let (mut bids, mut asks) = (book.bids.top(LEVELS), book.asks.top(LEVELS));
    let mut text = Vec::with_capacity(2 * LEVELS * 24);
    for _ in 0..LEVELS {
        for level in [bids.next(), asks.next()].into_iter().flatten() {
            for number in [level.price, level.quantity] {
                number.write(&mut text);
                text.push(b':');
            }
        }
    }
    text.pop();
    crc32fast::hash(&text).cast_signed()
}

#[cfg(test)]
mod tests {
    use mprism_model::{Level, Written};

    use super::*;
    use crate::orderbook::Snapshot;

    fn side(levels: &[(&str, &str)]) -> Vec<Level> {
        let number = |text: &str| Written::new(text).expect("valid");
        let levels = levels.iter();
        levels
            .map(|(price, quantity)| Level {
                price: number(price),
                quantity: number(quantity),
            })
            .collect()
    }

    #[test]
    fn it_is_the_venues() {
        for (bids, asks, expected) in [
            (&[("64000.1", "12")][..], &[("64000.2", "4")][..], -889_972_680),
            (
                &[("64000.1", "12"), ("64000", "3.5")],
                &[("64000.2", "4")],
                1_454_437_106,
            ),
            (
                &[("2400.5", "10"), ("2400.4", "2"), ("2400.3", "5")],
                &[("2400.6", "8"), ("2400.7", "1")],
                917_578_486,
            ),
        ] {
            let mut book = Book::default();
            book.replace(&Snapshot {
                last: 1,
                ts: None,
                ts_recv: None,
                checksum: None,
                bids: side(bids),
                asks: side(asks),
                limit: usize::MAX,
            });
            assert_eq!(checksum(&book), expected);
            assert!(!book.contradicts(Some(expected)) && book.contradicts(Some(expected + 1)));
            assert!(!book.contradicts(Some(0)), "0 says nothing");
        }
    }
}
