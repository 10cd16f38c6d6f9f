//! What a client can subscribe to, apart from what each venue calls it.

/// A kind of stream of one instrument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Stream {
    Trade,
    /// The fills of one order at one price as one.
    Aggregate,
    /// Changes of the book, every 100 ms.
    Depth,
    /// Changes of the book, every second.
    DepthSlow,
    /// Best bid and ask, at once.
    Ticker,
    Top5,
    Top10,
    Top20,
    Top5Slow,
    Top10Slow,
    Top20Slow,
}

impl Stream {
    pub(crate) const ALL: [Self; 11] = [
        Self::Trade,
        Self::Aggregate,
        Self::Depth,
        Self::DepthSlow,
        Self::Ticker,
        Self::Top5,
        Self::Top10,
        Self::Top20,
        Self::Top5Slow,
        Self::Top10Slow,
        Self::Top20Slow,
    ];

    /// Returns the stream's bit in a [`Mask`].
    pub(crate) fn bit(self) -> Mask {
        1 << self as u32
    }

    /// Returns the levels and whether it is the slow one, for streams of best levels.
    pub(crate) fn top(self) -> Option<(usize, bool)> {
        match self {
            Self::Top5 => Some((5, false)),
            Self::Top10 => Some((10, false)),
            Self::Top20 => Some((20, false)),
            Self::Top5Slow => Some((5, true)),
            Self::Top10Slow => Some((10, true)),
            Self::Top20Slow => Some((20, true)),
            _ => None,
        }
    }
}

/// A set of [`Stream`]s.
pub(crate) type Mask = u32;
