//! Rebuilds a state from a snapshot. Every byte is checked: against its checksum first, then
//! against the rules that rows keep, so that a damaged snapshot is an error and never a panic.

use std::collections::BTreeMap;

use levada_model::codec::{DecodeError, Decoder};
use levada_model::limits::CELL_PARTITIONS_MAX;
use levada_model::{PartitionId, SegmentId, TopicId};

use crate::encoding::{read_settings, small};
use crate::partition_rows::PartitionRow;
use crate::producer_slots::{self, Slot};
use crate::saver::{Mark, RowKind};
use crate::segments::SegmentTable;
use crate::snapshot::{END, HEAD, MAGIC, ROWS, SNAPSHOT_VERSION, checksum};
use crate::state::{State, StateSettings};
use crate::topics::{PartitionRange, Topic};

impl State {
    /// Reads the pieces that [`State::snapshot_slice`] gave, one after the other. The settings
    /// that act are those of the snapshot; `settings` is what this node was configured with, see
    /// [`State::settings_change`].
    ///
    /// # Errors
    /// When the bytes are damaged, incomplete, or of an unknown version.
    pub fn restore(settings: StateSettings, bytes: &[u8]) -> Result<State, DecodeError> {
        let mut restore = Restore::new(settings);
        let mut rest = Decoder::new(bytes);
        while rest.remaining() > 0 {
            let length = rest.u32()? as usize;
            let sum = rest.u64()?;
            let payload = rest.take(length)?;
            if checksum(payload) != sum {
                return Err(DecodeError(
                    "a snapshot's chunk does not match its checksum",
                ));
            }
            restore.take_chunk(payload)?;
        }
        restore.finish()
    }
}

const BROKEN_BYTES: DecodeError = DecodeError("a segment's row breaks the rules for live bytes");

/// Topics, partitions, producers, segments, groups.
const TABLES_OF_VERSION_1: usize = 5;

#[derive(PartialEq, Eq)]
enum Stage {
    Head,
    Rows,
    Ended,
}

/// A state that is being rebuilt.
struct Restore {
    state: State,
    stage: Stage,
    /// Rows that came before their topics'.
    early: Vec<PartitionRow>,
    /// The bytes that partitions name in each segment.
    named: BTreeMap<SegmentId, u64>,
    /// Kept until they can be put in the order of their use.
    producers: Vec<Slot>,
    counts: [u64; RowKind::COUNT],
    /// How many tables the snapshot's version has.
    tables: usize,
}

impl Restore {
    fn new(settings: StateSettings) -> Restore {
        Restore {
            state: State::new(settings),
            stage: Stage::Head,
            early: Vec::new(),
            named: BTreeMap::new(),
            producers: Vec::new(),
            counts: [0; RowKind::COUNT],
            tables: RowKind::COUNT,
        }
    }

    fn take_chunk(&mut self, payload: &[u8]) -> Result<(), DecodeError> {
        let mut input = Decoder::new(payload);
        match (input.u8()?, &self.stage) {
            (HEAD, Stage::Head) => {
                self.take_head(&mut input)?;
                self.stage = Stage::Rows;
            }
            (ROWS, Stage::Rows) => {
                while input.remaining() > 0 {
                    self.take_row(&mut input)?;
                }
            }
            (END, Stage::Rows) => {
                for count in self.counts.iter().take(self.tables) {
                    if input.varint()? != *count {
                        return Err(DecodeError("a snapshot lacks rows"));
                    }
                }
                self.stage = Stage::Ended;
            }
            _ => return Err(DecodeError("a snapshot's chunk stands in a wrong place")),
        }
        input.finish()
    }

    fn take_head(&mut self, input: &mut Decoder<'_>) -> Result<(), DecodeError> {
        if input.take(MAGIC.len())? != MAGIC {
            return Err(DecodeError("this is not a snapshot of a catalog"));
        }
        self.tables = match input.u8()? {
            1 => TABLES_OF_VERSION_1,
            SNAPSHOT_VERSION => RowKind::COUNT,
            _ => return Err(DecodeError("unknown version of a snapshot")),
        };
        self.state.settings = read_settings(input)?;
        self.state.partitions.set_next(input.varint()?);
        self.state.next_producer = input.signed()?;
        self.state.producers.uses = input.varint()?;
        Ok(())
    }

    fn take_row(&mut self, input: &mut Decoder<'_>) -> Result<(), DecodeError> {
        let kind = RowKind::from_ordinal(input.u8()?);
        let kind = kind.ok_or(DecodeError("unknown table in a snapshot"))?;
        self.counts[kind.slot()] += 1;
        match kind {
            RowKind::Topic => self.take_topic(input),
            RowKind::Partition => self.take_partition(PartitionRow::read(input)?),
            RowKind::Producer => {
                self.producers.push(producer_slots::read_row(input)?);
                Ok(())
            }
            RowKind::Segment => self.state.segments.restore_row(input),
            RowKind::Group => self.state.groups.insert_row(input),
            RowKind::Queue => self.state.queues.restore_row(input),
        }
    }

    /// Restores at once what can be: a million rows beside a million partitions are too much.
    fn take_partition(&mut self, row: PartitionRow) -> Result<(), DecodeError> {
        for (segment, bytes) in row.named() {
            let sum = self.named.entry(segment).or_default();
            *sum = sum.checked_add(bytes).ok_or(BROKEN_BYTES)?;
        }
        match self.state.partitions.get_mut(row.id) {
            Some(partition) => row.restore_into(partition),
            None => {
                self.early.push(row);
                Ok(())
            }
        }
    }

    fn take_topic(&mut self, input: &mut Decoder<'_>) -> Result<(), DecodeError> {
        let id = TopicId(input.bytes16()?);
        let name = input.text()?;
        let created_ms = input.signed()?;
        let overrides =
            input.list(|input| Ok((input.text()?.to_owned(), input.text()?.to_owned())))?;
        let overrides = overrides.into_iter().collect();
        let ranges = input.list(|input| {
            Ok(PartitionRange {
                first: PartitionId(input.varint()?),
                count: small(input)?,
            })
        })?;
        let state = &mut self.state;
        let broken = DecodeError("a topic's row breaks the rules for topics");
        state.topics.check_new(name, id).map_err(|_| broken)?;
        let config = state.config_of(&overrides).map_err(|_| broken)?;
        let (overrides, config) = state.shared.share(overrides, config);
        let mut from = 0u32;
        for range in &ranges {
            let to = from.checked_add(range.count).ok_or(broken)?;
            if state.partitions.count() + u64::from(range.count) > CELL_PARTITIONS_MAX {
                return Err(broken);
            }
            let created = state
                .partitions
                .restore(id, from, *range, config.log_append_time);
            created.ok_or(broken)?;
            from = to;
        }
        state.topics.insert(Topic {
            id,
            name: name.into(),
            config,
            overrides,
            created_ms,
            ranges,
            mark: Mark::default(),
        });
        Ok(())
    }

    fn finish(mut self) -> Result<State, DecodeError> {
        if self.stage != Stage::Ended {
            return Err(DecodeError("a snapshot ends early"));
        }
        check_segments(self.named, &self.state.segments)?;
        for row in self.early {
            let partition = self.state.partitions.get_mut(row.id);
            row.restore_into(partition.ok_or(DecodeError("a partition without a topic"))?)?;
        }
        let is_there = |id| self.state.partitions.get(id).is_some();
        if !self.state.queues.partitions().all(is_there) {
            return Err(DecodeError("a queue's row without a partition"));
        }
        let is_queue = |id| {
            let topic = self.state.topics.get(id);
            topic.is_some_and(|topic| topic.config.queue.is_some())
        };
        if !self.state.queues.moves.sources().all(is_queue) {
            return Err(DecodeError("move tasks without a queue"));
        }
        self.state.producers.slots.restore(self.producers)?;
        Ok(self.state)
    }
}

/// The bytes that partitions name in each segment are the bytes that count as live there: with
/// fewer, a segment would be deleted under the records in it.
fn check_segments(
    mut named: BTreeMap<SegmentId, u64>,
    segments: &SegmentTable,
) -> Result<(), DecodeError> {
    named.retain(|_, bytes| *bytes > 0);
    let rows = segments.iter().map(|(id, used)| (id, used.live_bytes));
    let is_whole = segments
        .iter()
        .all(|(_, used)| used.live_bytes <= used.written_bytes);
    match rows.eq(named) && is_whole {
        true => Ok(()),
        false => Err(BROKEN_BYTES),
    }
}
