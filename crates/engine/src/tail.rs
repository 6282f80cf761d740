//! The tail cache: the segments staged last, as the very bytes that went to storage.

use std::collections::BTreeMap;

use bytes::Bytes;
use levada_model::Extent;
use parking_lot::RwLock;

/// What a kept segment costs besides its bytes.
const OVERHEAD_BYTES: usize = 128;

/// Keeps the newest segments within a budget; forgets the oldest first.
pub(crate) struct TailCache {
    budget_bytes: usize,
    kept: RwLock<Kept>,
}

#[derive(Default)]
struct Kept {
    /// By segment and position in it. Positions only grow, so the first is the oldest.
    segments: BTreeMap<(u64, u64), Vec<Piece>>,
    bytes: usize,
}

/// `start` is the position in the segment file.
struct Piece {
    start: u64,
    bytes: Bytes,
}

impl TailCache {
    pub fn new(budget_bytes: usize) -> Self {
        TailCache {
            budget_bytes,
            kept: RwLock::default(),
        }
    }

    /// Keeps the pieces of a segment that was staged at `extent`, or none of it; what was kept for
    /// this place before is forgotten.
    pub fn keep(&self, extent: Extent, pieces: &[Bytes]) {
        let mut start = extent.position;
        let mut list = Vec::with_capacity(pieces.len());
        for bytes in pieces {
            list.push(Piece {
                start,
                bytes: bytes.clone(),
            });
            start += bytes.len() as u64;
        }
        let mut kept = self.kept.write();
        kept.forget_overlaps(extent);
        if list.is_empty() {
            return;
        }
        kept.bytes += cost(&list);
        kept.segments
            .insert((extent.segment.0, extent.position), list);
        while kept.bytes > self.budget_bytes {
            let Some((_, oldest)) = kept.segments.pop_first() else {
                break;
            };
            kept.bytes -= cost(&oldest);
        }
    }

    /// The bytes of `extent` without copying, in the pieces in which they are kept.
    pub fn get(&self, extent: Extent) -> Option<Vec<Bytes>> {
        let kept = self.kept.read();
        let (_, pieces) = kept
            .segments
            .range(..=(extent.segment.0, extent.position))
            .next_back()
            .filter(|((segment, _), _)| *segment == extent.segment.0)?;
        let end = extent.position + u64::from(extent.length);
        let first = pieces
            .partition_point(|piece| piece.start <= extent.position)
            .checked_sub(1)?;
        let mut found = Vec::with_capacity(1);
        let mut at = extent.position;
        for piece in &pieces[first..] {
            let from = usize::try_from(at - piece.start).ok()?;
            let to = piece
                .bytes
                .len()
                .min(usize::try_from(end - piece.start).ok()?);
            if from >= to {
                return None;
            }
            found.push(piece.bytes.slice(from..to));
            at = piece.start + to as u64;
            if at == end {
                return Some(found);
            }
        }
        None
    }

    pub fn bytes(&self) -> usize {
        self.kept.read().bytes
    }
}

impl Kept {
    /// After a full disk positions are used again: what failed there must not be found any more.
    fn forget_overlaps(&mut self, extent: Extent) {
        let segment = extent.segment.0;
        let end = extent.position + u64::from(extent.length);
        while let Some((key, pieces)) = self.segments.range(..(segment, end)).next_back() {
            let reaches = pieces
                .last()
                .is_some_and(|last| last.start + last.bytes.len() as u64 > extent.position);
            if key.0 != segment || !reaches {
                return;
            }
            let key = *key;
            if let Some(stale) = self.segments.remove(&key) {
                self.bytes -= cost(&stale);
            }
        }
    }
}

fn cost(pieces: &[Piece]) -> usize {
    let per_piece = size_of::<Piece>();
    pieces
        .iter()
        .map(|piece| piece.bytes.len() + per_piece)
        .sum::<usize>()
        + OVERHEAD_BYTES
}

#[cfg(test)]
mod tests {
    use levada_model::SegmentId;

    use super::*;

    fn at(position: u64, length: u32) -> Extent {
        Extent {
            segment: SegmentId(7),
            position,
            length,
        }
    }

    #[test]
    fn it_gives_back_parts_of_pieces_and_nothing_else() {
        let cache = TailCache::new(1 << 20);
        let pieces = [Bytes::from_static(b"abcd"), Bytes::from_static(b"efgh")];
        cache.keep(at(100, 8), &pieces);
        assert_eq!(cache.get(at(101, 2)), Some(vec![Bytes::from_static(b"bc")]));
        assert_eq!(
            cache.get(at(104, 4)),
            Some(vec![Bytes::from_static(b"efgh")])
        );
        let both = vec![Bytes::from_static(b"d"), Bytes::from_static(b"e")];
        assert_eq!(cache.get(at(103, 2)), Some(both), "over two pieces");
        assert_eq!(cache.get(at(106, 4)), None, "beyond its end");
        assert_eq!(cache.get(at(99, 1)), None, "before its start");
        let other = Extent {
            segment: SegmentId(8),
            ..at(100, 1)
        };
        assert_eq!(cache.get(other), None);
    }

    #[test]
    fn what_failed_is_not_found_where_its_place_was_used_again() {
        let cache = TailCache::new(1 << 20);
        cache.keep(at(100, 4), &[Bytes::from_static(b"old1")]);
        cache.keep(at(104, 4), &[Bytes::from_static(b"old2")]);
        cache.keep(at(102, 6), &[Bytes::from_static(b"newnew")]);
        assert_eq!(cache.get(at(100, 2)), None);
        let new = vec![Bytes::from_static(b"ne")];
        assert_eq!(cache.get(at(105, 2)), Some(vec![Bytes::from_static(b"ne")]));
        assert_eq!(cache.get(at(102, 2)), Some(new));
    }

    #[test]
    fn the_oldest_goes_first_when_the_budget_is_spent() {
        let cache = TailCache::new(3000);
        for n in 0..10 {
            cache.keep(at(n * 4096, 1000), &[Bytes::from(vec![n as u8; 1000])]);
        }
        assert!(cache.bytes() <= 3000);
        assert_eq!(cache.get(at(0, 1000)), None);
        assert!(cache.get(at(9 * 4096, 1000)).is_some());
    }
}
