//! What a client can subscribe to, apart from what each venue calls it.

/// A kind of stream of one instrument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Stream {
    Trade,
    /// The fills of one order at one price as one.
    Aggregate,
    /// Best bid and ask, at once.
    Ticker,
    /// Changes of the book in windows of that length.
    Depth(Interval),
    /// So many best levels at the end of windows of that length.
    Top(Levels, Interval),
    /// Mark price, index price and running funding rate, every second.
    Mark,
    /// The same, every three seconds.
    MarkSlow,
    /// As `Mark` and `MarkSlow`, in the stream of all instruments.
    MarkAll,
    MarkSlowAll,
    Liquidation,
    /// As `Liquidation`, in the stream of all instruments.
    LiquidationAll,
    Funding,
    OpenInterest,
    Volatility,
    /// Best bid and ask, mark price, funding and open interest at the end of windows of that length.
    Quote(Interval),
}

/// The length of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Interval {
    Ms100,
    Ms250,
    Ms500,
    Ms1000,
}

/// How many best levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Levels {
    Five,
    Ten,
    Twenty,
}

impl Interval {
    pub(crate) const ALL: [Self; 4] = [Self::Ms100, Self::Ms250, Self::Ms500, Self::Ms1000];

    pub(crate) fn ms(self) -> u64 {
        match self {
            Self::Ms100 => 100,
            Self::Ms250 => 250,
            Self::Ms500 => 500,
            Self::Ms1000 => 1_000,
        }
    }
}

impl Levels {
    pub(crate) const ALL: [Self; 3] = [Self::Five, Self::Ten, Self::Twenty];

    pub(crate) fn count(self) -> usize {
        match self {
            Self::Five => 5,
            Self::Ten => 10,
            Self::Twenty => 20,
        }
    }
}

impl Stream {
    /// Changes of the book every 100 ms.
    pub(crate) const DEPTH: Self = Self::Depth(Interval::Ms100);
    /// How many there are.
    pub(crate) const COUNT: usize = 32;

    /// Returns the stream's position among all.
    pub(crate) fn index(self) -> usize {
        match self {
            Self::Trade => 0,
            Self::Aggregate => 1,
            Self::Ticker => 2,
            Self::Depth(interval) => 3 + interval as usize,
            Self::Top(levels, interval) => 7 + levels as usize * 4 + interval as usize,
            Self::Mark => 19,
            Self::MarkSlow => 20,
            Self::MarkAll => 21,
            Self::MarkSlowAll => 22,
            Self::Liquidation => 23,
            Self::LiquidationAll => 24,
            Self::Funding => 25,
            Self::OpenInterest => 26,
            Self::Volatility => 27,
            Self::Quote(interval) => 28 + interval as usize,
        }
    }

    /// Returns the stream's bit in a [`Mask`].
    pub(crate) fn bit(self) -> Mask {
        1 << self.index()
    }
}

/// A set of [`Stream`]s.
pub(crate) type Mask = u32;
