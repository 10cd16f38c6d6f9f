//! Where the markets stand, kept in a file, so that the next simulator of a home goes on there.
//!
//! Numbers are reserved in blocks before they are used: after a crash the next simulator leaves out the rest of a block, which
//! is a hole like any other, and never uses a number twice.

use std::collections::BTreeMap;
use std::path::PathBuf;

use mprism_runtime::files::write_atomic;

use super::Place;
use super::walk::CHANGES_MAX;

/// Trades of an instrument that a crash can cost.
const RESERVED: u64 = 100_000;

/// By exchange and instrument.
pub(crate) type Places = BTreeMap<String, Place>;

/// The file, and what it reserves.
#[derive(Debug)]
pub(crate) struct Keeper {
    path: PathBuf,
    /// The first trade and the first change that are not reserved.
    reserved: BTreeMap<String, (u64, u64)>,
    complained: bool,
}

/// Reads where the markets stood. A file that cannot be read is a first start.
pub(crate) fn load(path: &std::path::Path) -> Places {
    let Ok(text) = std::fs::read(path) else {
        return Places::new();
    };
    serde_json::from_slice(&text).unwrap_or_else(|error| {
        tracing::warn!(path = %path.display(), %error, "not where a market stands; it starts anew");
        Places::new()
    })
}

impl Keeper {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self {
            path,
            reserved: BTreeMap::new(),
            complained: false,
        }
    }

    /// Returns whether a market has used up what was reserved for it: its next trade and its last change.
    pub(crate) fn is_used_up(&self, name: &str, next_id: u64, update_id: u64) -> bool {
        let reserved = self.reserved.get(name);
        reserved.is_none_or(|reserved| next_id > reserved.0 || update_id >= reserved.1)
    }

    /// Reserves numbers for what has just been produced and is not sent yet. `stride` is the most that an update identifier
    /// grows with a change.
    pub(crate) fn reserve(&mut self, mut places: Places, stride: u64) {
        for (name, place) in &mut places {
            place.next_id += RESERVED;
            place.next_aggregate += RESERVED;
            place.update_id += RESERVED * CHANGES_MAX * stride;
            self.reserved.insert(name.clone(), (place.next_id, place.update_id));
        }
        self.save(&places);
    }

    /// Keeps exactly where the markets stand: nothing more is produced.
    pub(crate) fn settle(mut self, places: &Places) {
        self.save(places);
    }

    fn save(&mut self, places: &Places) {
        if places.is_empty() {
            return;
        }
        let text = serde_json::to_vec(places).map_err(std::io::Error::other);
        if let Err(error) = text.and_then(|text| write_atomic(&self.path, &text, 0o600))
            && !std::mem::replace(&mut self.complained, true)
        {
            let path = self.path.display();
            tracing::error!(%path, %error, "where the markets stand is not kept: the next simulator repeats numbers");
        }
    }
}
