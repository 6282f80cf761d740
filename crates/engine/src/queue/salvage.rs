//! What is left of a stretch of the log in which something is damaged: a damaged batch costs itself,
//! and the queue goes on behind it.

use std::collections::VecDeque;
use std::ops::Range;

use bytes::Bytes;
use levada_catalog::{Found as At, IndexEntry};
use levada_env::port::PortError;
use levada_model::{BatchHeader, Offset, PartitionId, batch};

use super::Found;
use super::load::Stretch;
use crate::ReadError;
use crate::engine::Inner;
use crate::metrics::add;
use crate::slices::{Overlay, StoredBatch};

/// How long a damaged message of a standard queue is not tried again: a disk may have answered
/// wrongly once.
pub(super) const DAMAGED_PAUSE_MS: i64 = 3_600_000;

impl Inner {
    /// The records of the index entry that holds `from`, read batch by batch since a read of all of
    /// it found damage.
    ///
    /// # Errors
    /// Storage refuses, or the records have just moved.
    pub(super) async fn salvage(
        &self,
        found: &Found,
        number: i32,
        from: Offset,
    ) -> Result<Stretch, ReadError> {
        let id = found.partition(number).ok_or(ReadError::UnknownPartition)?;
        let entry = match self.place(id, from) {
            At::Entry(entry) => entry,
            At::Run(run) => match self.run_entries(&run, from).await {
                Ok(entries) => *entries.first().ok_or_else(moved)?,
                Err(ReadError::Corrupt(_)) => return Ok(Stretch::lost(from.0..run.end.0)),
                Err(error) => return Err(error),
            },
            At::Below | At::End => return Err(moved()),
        };
        let bytes = match self.journal.read(entry.extent).await {
            Ok(bytes) => bytes,
            Err(PortError::Corrupt(_)) => Bytes::new(),
            Err(error) => return Err(error.into()),
        };
        // What was let go or rewritten meanwhile says nothing.
        match self.place(id, from) {
            At::Entry(now) if now.extent != entry.extent => return Err(moved()),
            At::Below | At::End => return Err(moved()),
            At::Entry(_) | At::Run(_) => {}
        }
        let (sound, damaged) = sort_out(&entry, bytes);
        let mut stretch = Stretch::up_to(entry.end());
        stretch.damaged.extend(damaged);
        let mut overlay = Overlay::default();
        for stored in sound {
            let [header, body] = overlay.pieces(&stored)?;
            self.open_into(&header, &body, None, &mut stretch).await?;
        }
        Ok(stretch)
    }

    fn place(&self, id: PartitionId, from: Offset) -> At {
        self.sequencer.read(|state| {
            let partition = state.partition(id);
            partition.map_or(At::End, |partition| partition.find(from))
        })
    }

    /// Receivers pass over these messages from now on. Told once, or again when they were tried
    /// again and are still damaged.
    pub(super) fn step_over(&self, found: &Found, number: i32, damaged: &[Range<i64>]) {
        let Some(id) = found.partition(number) else {
            return;
        };
        let again_ms = match found.settings.is_fifo {
            // Behind those that have gone on it would be out of order.
            true => i64::MAX,
            false => self.env.now_ms().saturating_add(DAMAGED_PAUSE_MS),
        };
        for range in damaged {
            let desk = self.queues.desk(id);
            let is_new = desk.live.lock().step_over(range.clone(), again_ms);
            if !is_new {
                continue;
            }
            // Their groups go on.
            self.queues.receivers.wake([id].into_iter());
            add(
                &self.metrics.messages_stepped_over,
                (range.end - range.start).unsigned_abs(),
            );
            tracing::error!(
                topic = found.name,
                partition = number,
                first_offset = range.start,
                last_offset = range.end - 1,
                "messages of a queue are damaged in storage: receivers pass over them, and what \
                 follows is delivered; they stay where they are until retention or a purge takes \
                 them. `levada doctor --data DIR` on the stopped service tells all, \
                 docs/restore.md what to do"
            );
        }
    }
}

fn moved() -> ReadError {
    ReadError::Storage("the records have just moved".into())
}

/// The batches of an entry that their checksums prove, and the offsets between the first and the
/// last that they do not. A batch does not say its offset: it follows from those before it, or from
/// the entry's end and those behind it.
fn sort_out(entry: &IndexEntry, bytes: Bytes) -> (Vec<StoredBatch>, Option<Range<i64>>) {
    let (mut batches, is_whole) = cut(bytes);
    let mut sound = Vec::with_capacity(batches.len());
    let stored = |(bytes, header): (Bytes, BatchHeader), base: i64| StoredBatch {
        header,
        base: Offset(base),
        bytes,
        append_time_ms: entry.append_time_ms,
    };
    let (mut front, mut back) = (entry.base.0, entry.end().0);
    while let Some((bytes, Some(header))) = batches.pop_front_if(|one| one.1.is_some()) {
        let base = front;
        front = front.saturating_add(i64::from(header.offset_count()));
        sound.push(stored((bytes, header), base));
    }
    let split = sound.len();
    while is_whole && let Some((bytes, Some(header))) = batches.pop_back_if(|one| one.1.is_some()) {
        back = back.saturating_sub(i64::from(header.offset_count()));
        sound.push(stored((bytes, header), back));
    }
    if let Some(behind) = sound.get_mut(split..) {
        behind.reverse();
    }
    match front.cmp(&back) {
        std::cmp::Ordering::Less => (sound, Some(front..back)),
        std::cmp::Ordering::Equal => (sound, None),
        // They contradict the entry: whose offset is whose is not known.
        std::cmp::Ordering::Greater => (Vec::new(), Some(entry.base.0..entry.end().0)),
    }
}

/// Cuts by the lengths that the batches say, and checks each. Whether that came out even.
fn cut(mut rest: Bytes) -> (VecDeque<(Bytes, Option<BatchHeader>)>, bool) {
    let mut batches = VecDeque::new();
    while let Ok(header) = BatchHeader::parse(&rest)
        && header.total_bytes() <= rest.len()
    {
        let one = rest.split_to(header.total_bytes());
        let checked = batch::check(&one).ok();
        batches.push_back((one, checked));
    }
    (batches, rest.is_empty())
}

#[cfg(test)]
mod tests {
    use levada_model::{Extent, SegmentId};
    use levada_records::{BatchBuilder, Compression, NewRecord, Producer};

    use super::*;

    /// Four batches of one, two, three and four messages from offset 100 on; where each begins.
    fn entry() -> (IndexEntry, Vec<u8>, Vec<usize>) {
        let (mut bytes, mut places) = (Vec::new(), Vec::new());
        for count in 1..=4u8 {
            let mut builder = BatchBuilder::new(Compression::None);
            for n in 0..count {
                builder.push(&NewRecord {
                    value: Some(&[count, n]),
                    ..NewRecord::default()
                });
            }
            places.push(bytes.len());
            bytes.extend_from_slice(&builder.finish(Producer::NONE).unwrap());
        }
        let extent = Extent {
            segment: SegmentId(1),
            position: 0,
            length: bytes.len() as u32,
        };
        let entry = IndexEntry {
            base: Offset(100),
            offset_count: 10,
            extent,
            max_timestamp_ms: 0,
            append_time_ms: None,
        };
        (entry, bytes, places)
    }

    fn bases(entry: &IndexEntry, bytes: Vec<u8>) -> (Vec<i64>, Option<Range<i64>>) {
        let (sound, damaged) = sort_out(entry, Bytes::from(bytes));
        (sound.iter().map(|one| one.base.0).collect(), damaged)
    }

    #[test]
    fn a_damaged_batch_costs_itself() {
        let (entry, bytes, places) = entry();
        assert_eq!(
            bases(&entry, bytes.clone()),
            (vec![100, 101, 103, 106], None)
        );
        let flipped = |hits: &[usize]| {
            let mut bytes = bytes.clone();
            // Behind length, magic and checksum.
            hits.iter().for_each(|hit| bytes[places[*hit] + 23] ^= 1);
            bases(&entry, bytes)
        };
        assert_eq!(flipped(&[0]), (vec![101, 103, 106], Some(100..101)));
        assert_eq!(flipped(&[2]), (vec![100, 101, 106], Some(103..106)));
        assert_eq!(flipped(&[3]), (vec![100, 101, 103], Some(106..110)));
        assert_eq!(flipped(&[1, 2]), (vec![100, 106], Some(101..106)));
    }

    #[test]
    fn a_damaged_length_costs_what_follows_and_any_bit_no_more_than_that() {
        let (entry, bytes, places) = entry();
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut bytes = bytes.clone();
                bytes[at] ^= 1 << bit;
                let (sound, damaged) = bases(&entry, bytes);
                let hit = places.iter().rposition(|place| *place <= at).unwrap();
                let expected = [100, 101, 103, 106];
                assert!(sound.iter().all(|base| expected.contains(base)));
                assert!(sound.len() >= hit, "byte {at}: {sound:?} {damaged:?}");
                let told = damaged.map_or(0, |range| range.end - range.start);
                assert!(told <= 110 - expected[hit], "byte {at}");
            }
        }
    }
}
