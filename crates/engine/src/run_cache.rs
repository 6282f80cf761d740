//! Index runs that readers are in the middle of, decoded: a reader far behind comes back for each
//! few of a run's entries, and a run has thousands.

use std::collections::VecDeque;
use std::ops::Deref;
use std::sync::Arc;

use levada_catalog::IndexEntry;
use levada_model::{Extent, Offset};
use parking_lot::Mutex;

/// What the runs that are kept may take, in bytes; one run is kept whatever it takes.
const BYTES_MAX: usize = 8 * 1024 * 1024;

/// The runs that were read last. A run never changes where it lies, so none is ever out of date.
#[derive(Default)]
pub(crate) struct RunCache {
    known: Mutex<VecDeque<(Extent, Arc<[IndexEntry]>)>>,
}

/// The entries of a run from one of them on.
#[derive(Clone, Default)]
pub(crate) struct RunEntries {
    run: Arc<[IndexEntry]>,
    from: usize,
}

impl RunEntries {
    /// Those from the one that holds `from` on.
    pub fn of(run: Arc<[IndexEntry]>, from: Offset) -> Self {
        let from = run.partition_point(|entry| entry.end() <= from);
        Self { run, from }
    }

    /// A run of its own.
    pub fn one(entry: IndexEntry) -> Self {
        Self {
            run: Arc::new([entry]),
            from: 0,
        }
    }
}

impl Deref for RunEntries {
    type Target = [IndexEntry];

    fn deref(&self) -> &[IndexEntry] {
        &self.run[self.from..]
    }
}

impl RunCache {
    pub fn find(&self, at: Extent) -> Option<Arc<[IndexEntry]>> {
        let mut known = self.known.lock();
        let place = known.iter().position(|(extent, _)| *extent == at)?;
        let found = known.remove(place)?;
        let run = Arc::clone(&found.1);
        known.push_back(found);
        Some(run)
    }

    /// Keeps a run instead of those that nobody has asked for the longest.
    pub fn keep(&self, at: Extent, run: Arc<[IndexEntry]>) {
        let mut known = self.known.lock();
        if known.iter().any(|(extent, _)| *extent == at) {
            return;
        }
        known.push_back((at, run));
        let bytes = |(_, run): &(Extent, Arc<[IndexEntry]>)| size_of_val::<[IndexEntry]>(run);
        let mut sum: usize = known.iter().map(bytes).sum();
        while sum > BYTES_MAX && known.len() > 1 {
            sum -= known.pop_front().as_ref().map_or(0, bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use levada_model::SegmentId;

    use super::*;

    fn extent(position: u64) -> Extent {
        Extent {
            segment: SegmentId(1),
            position,
            length: 9,
        }
    }

    fn run(entries: usize) -> Arc<[IndexEntry]> {
        let entry = |nth: usize| IndexEntry {
            base: Offset(10 * nth as i64),
            offset_count: 10,
            extent: extent(0),
            max_timestamp_ms: 0,
            append_time_ms: None,
        };
        (0..entries).map(entry).collect()
    }

    #[test]
    fn what_was_asked_for_longest_ago_goes_first() {
        let cache = RunCache::default();
        let half = BYTES_MAX / 2 / size_of::<IndexEntry>();
        cache.keep(extent(1), run(half));
        cache.keep(extent(2), run(half));
        assert!(cache.find(extent(1)).is_some());
        cache.keep(extent(3), run(1));
        assert!(cache.find(extent(2)).is_none());
        assert!(cache.find(extent(1)).is_some() && cache.find(extent(3)).is_some());
    }

    #[test]
    fn a_run_larger_than_all_may_be_is_kept_alone() {
        let cache = RunCache::default();
        cache.keep(extent(1), run(1));
        cache.keep(extent(2), run(2 * BYTES_MAX / size_of::<IndexEntry>()));
        assert!(cache.find(extent(1)).is_none() && cache.find(extent(2)).is_some());
    }

    #[test]
    fn entries_begin_with_the_one_that_holds_the_offset() {
        let firsts = [(0, 0), (9, 0), (10, 10), (25, 20)];
        for (from, base) in firsts {
            assert_eq!(RunEntries::of(run(3), Offset(from))[0].base, Offset(base));
        }
        assert!(RunEntries::of(run(3), Offset(30)).is_empty());
    }
}
