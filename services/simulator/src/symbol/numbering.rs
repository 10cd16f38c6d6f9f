//! What numbers changes have on the wire.

/// Where numbers on the wire begin anew.
const ANEW: u64 = 1_000;

/// A change's own number, until numbers on the wire begin anew once.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Numbering {
    /// Numbers of changes are larger.
    first: u64,
    /// The last change before, and by how much numbers are smaller since.
    anew: Option<(u64, u64)>,
}

impl Numbering {
    pub(crate) fn new(first: u64) -> Self {
        Self { first, anew: None }
    }

    /// Lets numbers begin anew after change `last`, far below the ones before; a second time changes nothing.
    pub(crate) fn begin_anew(&mut self, last: u64) {
        self.anew.get_or_insert((last, last - ANEW));
    }

    /// Returns the number on the wire of a change.
    pub(crate) fn wire(&self, id: u64) -> u64 {
        match self.anew {
            Some((after, offset)) if id > after => id - offset,
            _ => id,
        }
    }

    /// Returns the change with a number on the wire.
    pub(crate) fn change(&self, wire: u64) -> u64 {
        match self.anew {
            // Numbers before were larger than any that comes after.
            Some((_, offset)) if wire < self.first => wire + offset,
            _ => wire,
        }
    }
}
