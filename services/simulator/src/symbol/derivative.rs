//! What happens to a derivative by the clock and not by trades: mark price and funding, open interest, liquidations, ratios, and
//! the volatility index of a currency.

use super::{Body, Item, Stream};
use crate::market::SplitMix;

/// Units of 10⁻⁸ in one.
const ONE: i64 = 100_000_000;
const SECOND_MS: i64 = 1_000;
const HOUR_MS: i64 = 3_600_000;
/// Hours between two settlements of funding, where nobody has changed them.
const FUNDING_HOURS: i64 = 8;
/// Length of a period of ratios.
pub(crate) const RATIO_MS: i64 = 300_000;
/// Points of ratios and of the volatility index before the first subscriber.
const RATIOS_BEFORE: i64 = 40;
const VOLATILITIES_BEFORE: i64 = 7_200;

/// Which of the series an instrument has.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Series {
    pub(crate) marks: bool,
    pub(crate) interests: bool,
    pub(crate) liquidations: bool,
    pub(crate) ratios: bool,
    pub(crate) volatilities: bool,
}

/// Mark price, index price and the running estimate of the next funding rate; prices and the rate in units of 10⁻⁸.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    pub(crate) ts_ms: i64,
    pub(crate) mark: i64,
    pub(crate) index: i64,
    pub(crate) rate: i64,
    /// When that rate will be paid.
    pub(crate) next_ms: i64,
    /// Time between two payments.
    pub(crate) interval_ms: i64,
    /// The rate that was paid last.
    pub(crate) settled_rate: i64,
}

/// A funding rate that was paid.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settled {
    pub(crate) ts_ms: i64,
    /// When history begins to have it.
    pub(crate) published_ms: i64,
    pub(crate) rate: i64,
    pub(crate) mark: i64,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Interest {
    pub(crate) ts_ms: i64,
    pub(crate) lots: u64,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Liquidation {
    pub(crate) id: u64,
    pub(crate) ts_ms: i64,
    /// The order that closes the position sells: a long was liquidated.
    pub(crate) sells: bool,
    /// Bankruptcy price in ticks.
    pub(crate) price: u32,
    /// Average price of the fills in ticks.
    pub(crate) average: u32,
    pub(crate) lots: u32,
}

/// The share of longs in units of 10⁻⁴.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ratio {
    pub(crate) ts_ms: i64,
    pub(crate) published_ms: i64,
    pub(crate) long: u32,
}

impl Ratio {
    /// Returns longs by shorts with four decimals, rounded half up.
    pub(crate) fn ratio(&self) -> String {
        let short = 10_000 - self.long;
        let rounded = (u64::from(self.long) * 20_000 + u64::from(short)) / (2 * u64::from(short));
        format!("{}.{:04}", rounded / 10_000, rounded % 10_000)
    }

    pub(crate) fn long_share(&self) -> String {
        format!("0.{:04}", self.long)
    }

    pub(crate) fn short_share(&self) -> String {
        format!("0.{:04}", 10_000 - self.long)
    }
}

/// A volatility index in units of 10⁻².
#[derive(Clone, Copy, Debug)]
pub(crate) struct Volatility {
    pub(crate) ts_ms: i64,
    pub(crate) value: u32,
}

impl Volatility {
    pub(crate) fn text(&self) -> String {
        format!("{}.{:02}", self.value / 100, self.value % 100)
    }
}

/// A kind of ratio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RatioKind {
    TopPosition,
    TopAccount,
    AllAccount,
}

impl RatioKind {
    pub(crate) const ALL: [Self; 3] = [Self::TopPosition, Self::TopAccount, Self::AllAccount];
}

/// The prices that everything follows: the middle of the book in units of 10⁻⁸, and its best bid and ask in ticks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Prices {
    pub(crate) middle: i64,
    pub(crate) bid: u32,
    pub(crate) ask: u32,
}

/// One instrument's series, all that has happened in them.
#[derive(Debug)]
pub(crate) struct Derivative {
    series: Series,
    random: SplitMix,
    /// So many times as fast as documented.
    pace: i64,
    due: Option<Due>,
    funding_hours: i64,
    rate: i64,
    lots: u64,
    long: [u32; 3],
    volatility: u32,
    mark_count: u64,
    pub(crate) marks: Vec<Mark>,
    pub(crate) settled: Vec<Settled>,
    pub(crate) interests: Vec<Interest>,
    pub(crate) liquidations: Vec<Liquidation>,
    pub(crate) ratios: [Vec<Ratio>; 3],
    pub(crate) volatilities: Vec<Volatility>,
}

/// When what comes next.
#[derive(Clone, Copy, Debug)]
struct Due {
    mark: i64,
    funding: i64,
    interest: i64,
    liquidation: i64,
    ratio: i64,
    volatility: i64,
}

impl Derivative {
    pub(crate) fn new(seed: u64, name: &str, series: Series, pace: u32) -> Self {
        let mut random = SplitMix::named(seed, &format!("{name}/series"));
        Self {
            series,
            pace: i64::from(pace.max(1)),
            due: None,
            funding_hours: FUNDING_HOURS,
            rate: 10_000,
            lots: 20_000_000 + random.below(80_000_000),
            long: [6_500, 6_000, 5_500],
            volatility: 4_500,
            mark_count: 0,
            random,
            marks: Vec::new(),
            settled: Vec::new(),
            interests: Vec::new(),
            liquidations: Vec::new(),
            ratios: Default::default(),
            volatilities: Vec::new(),
        }
    }

    /// Returns which series there are.
    pub(crate) fn series(&self) -> Series {
        self.series
    }

    /// Returns a documented time as long as it takes here.
    pub(crate) fn paced(&self, ms: i64) -> i64 {
        (ms / self.pace).max(1)
    }

    /// Whether nothing has happened yet.
    pub(crate) fn has_not_begun(&self) -> bool {
        self.due.is_none()
    }

    pub(crate) fn ratios(&self, kind: RatioKind) -> &[Ratio] {
        &self.ratios[kind as usize]
    }

    /// Returns the last mark price; before the first one, what it would have been a second earlier: never at the time of one
    /// that is told later and differs.
    pub(crate) fn mark(&self, now_ms: i64, prices: Prices) -> Mark {
        let second = self.paced(SECOND_MS);
        self.marks.last().copied().unwrap_or(Mark {
            ts_ms: (now_ms.div_euclid(second) - 1) * second,
            mark: prices.middle,
            index: prices.middle,
            rate: self.rate,
            next_ms: self.next_funding(now_ms),
            interval_ms: self.funding_ms(),
            settled_rate: self.rate,
        })
    }

    /// Lets funding be paid in another interval.
    pub(crate) fn pay_every(&mut self, hours: i64) {
        self.funding_hours = hours;
    }

    /// Returns the hours between two payments, where they are not the usual ones.
    pub(crate) fn unusual_hours(&self) -> Option<i64> {
        (self.funding_hours != FUNDING_HOURS).then_some(self.funding_hours)
    }

    fn funding_ms(&self) -> i64 {
        self.paced(self.funding_hours * HOUR_MS)
    }

    fn next_funding(&self, now_ms: i64) -> i64 {
        let interval = self.funding_ms();
        (now_ms.div_euclid(interval) + 1) * interval
    }

    /// Lets happen what is due by now.
    pub(crate) fn advance(&mut self, now_ms: i64, prices: Prices, out: &mut Vec<(Item, u64)>) {
        let mut due = match self.due {
            Some(due) => due,
            None => self.begin(now_ms),
        };
        while self.series.marks && due.mark <= now_ms {
            self.next_mark(due.mark, prices, out);
            due.mark += self.paced(SECOND_MS);
        }
        while self.series.marks && due.funding <= now_ms {
            let mark = self.mark(now_ms, prices);
            out.push(item(Stream::Funding, Body::Mark(mark), 0));
            let jitter = 30_000 + self.random.below(60_000) as i64;
            due.funding += self.paced(jitter);
        }
        while self.series.interests && due.interest <= now_ms {
            let step = self.lots / 2_000;
            self.lots = self.lots - step / 2 + self.random.below(step.max(1));
            let interest = Interest {
                ts_ms: due.interest,
                lots: self.lots,
            };
            self.interests.push(interest);
            out.push(item(Stream::OpenInterest, Body::Interest(interest), 0));
            due.interest += self.paced(3 * SECOND_MS);
        }
        while self.series.liquidations && due.liquidation <= now_ms {
            self.liquidate(due.liquidation, prices, out);
            let pause = 4 * SECOND_MS + self.random.below(12_000) as i64;
            due.liquidation += self.paced(pause);
        }
        while self.series.ratios && due.ratio <= now_ms {
            self.next_ratios(due.ratio);
            due.ratio += self.paced(RATIO_MS);
        }
        while self.series.volatilities && due.volatility <= now_ms {
            let volatility = self.next_volatility(due.volatility);
            out.push(item(Stream::Volatility, Body::Volatility(volatility), 0));
            due.volatility += self.paced(SECOND_MS);
        }
        self.due = Some(due);
    }

    fn begin(&mut self, now_ms: i64) -> Due {
        let (ratio, second) = (self.paced(RATIO_MS), self.paced(SECOND_MS));
        let this_ratio = now_ms.div_euclid(ratio) * ratio;
        let this_second = now_ms.div_euclid(second) * second;
        if self.series.ratios {
            for before in (1..=RATIOS_BEFORE).rev() {
                self.next_ratios(this_ratio - before * ratio);
            }
        }
        if self.series.volatilities {
            for before in (1..=VOLATILITIES_BEFORE).rev() {
                self.next_volatility(this_second - before * second);
            }
        }
        Due {
            mark: this_second,
            funding: now_ms,
            interest: now_ms,
            liquidation: now_ms + self.paced(SECOND_MS),
            ratio: this_ratio,
            volatility: this_second,
        }
    }

    fn next_mark(&mut self, ts_ms: i64, prices: Prices, out: &mut Vec<(Item, u64)>) {
        self.rate = (self.rate + self.random.below(201) as i64 - 100).clamp(-300_000, 300_000);
        let near =
            |random: &mut SplitMix| prices.middle + (random.below(2_001) as i64 - 1_000) * prices.middle / 20_000_000;
        let (mark, index) = (near(&mut self.random), near(&mut self.random));
        let next_ms = self.next_funding(ts_ms);
        if let Some(last) = self.marks.last()
            && last.next_ms <= ts_ms
        {
            let late = SECOND_MS + self.random.below(59_000) as i64;
            self.settled.push(Settled {
                ts_ms: last.next_ms + (self.random.below(16) as i64).min(self.funding_ms() / 2),
                published_ms: last.next_ms + self.paced(late),
                rate: last.rate,
                mark: last.mark,
            });
        }
        let mark = Mark {
            ts_ms,
            mark,
            index,
            rate: self.rate,
            next_ms,
            interval_ms: self.funding_ms(),
            settled_rate: self.settled.last().map_or(10_000, |settled| settled.rate),
        };
        self.marks.push(mark);
        self.mark_count += 1;
        let slow = self.mark_count % 3 == 1;
        for (stream, is_due) in [
            (Stream::Mark, true),
            (Stream::MarkAll, true),
            (Stream::MarkSlow, slow),
            (Stream::MarkSlowAll, slow),
        ] {
            if is_due {
                out.push(item(stream, Body::Mark(mark), 0));
            }
        }
    }

    fn liquidate(&mut self, ts_ms: i64, prices: Prices, out: &mut Vec<(Item, u64)>) {
        let sells = self.random.below(2) == 0;
        let best = if sells { prices.bid } else { prices.ask };
        let away = |best: u32, ticks: u32| if sells { best - ticks } else { best + ticks };
        let average = away(best, self.random.below_u32(best / 1_000 + 1));
        let price = away(average, self.random.below_u32(best / 200 + 1));
        let liquidation = Liquidation {
            id: self.liquidations.len() as u64 + 1,
            ts_ms,
            sells,
            price,
            average,
            lots: 1 + self.random.below_u32(5_000),
        };
        self.liquidations.push(liquidation);
        for stream in [Stream::Liquidation, Stream::LiquidationAll] {
            out.push(item(stream, Body::Liquidation(liquidation), liquidation.id));
        }
    }

    fn next_ratios(&mut self, ts_ms: i64) {
        for kind in RatioKind::ALL {
            let long = &mut self.long[kind as usize];
            *long = (*long + self.random.below_u32(101))
                .saturating_sub(50)
                .clamp(2_000, 8_000);
            let delay = 10 * SECOND_MS + self.random.below(230_000) as i64;
            let published_ms = ts_ms + (delay / self.pace).max(1);
            let long = *long;
            self.ratios[kind as usize].push(Ratio {
                ts_ms,
                published_ms,
                long,
            });
        }
    }

    fn next_volatility(&mut self, ts_ms: i64) -> Volatility {
        self.volatility = (self.volatility + self.random.below_u32(21))
            .saturating_sub(10)
            .clamp(1_000, 15_000);
        let volatility = Volatility {
            ts_ms,
            value: self.volatility,
        };
        self.volatilities.push(volatility);
        volatility
    }
}

fn item(stream: Stream, body: Body, id: u64) -> (Item, u64) {
    (Item { stream, body }, id)
}

/// Returns units of 10⁻⁸ as text with eight decimals.
pub(crate) fn fixed(units: i64) -> String {
    let sign = if units < 0 { "-" } else { "" };
    let units = units.unsigned_abs();
    let one = ONE.unsigned_abs();
    format!("{sign}{}.{:08}", units / one, units % one)
}

/// Returns units of 10⁻⁸ as text without trailing zeros.
pub(crate) fn shortest(units: i64) -> String {
    let text = fixed(units);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
