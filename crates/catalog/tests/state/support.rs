//! A state with a clock, and short ways to say what happens to it.

use levada_catalog::command::{
    BatchProducer, Commit, CommitBatch, CreateTopic, ExtentMove, IndexRun, MoveExtents, SpillIndex,
};
use levada_catalog::{
    BatchRefusal, BatchResult, Command, Effect, IndexEntry, Partition, Reply, State, StateSettings,
    TopicError,
};
use levada_model::{
    Extent, Offset, PartitionId, ProducerEpoch, ProducerId, SegmentId, Sequence, TopicId,
};

pub const START_MS: i64 = 1_700_000_000_000;

pub struct Cell {
    pub state: State,
    pub now_ms: i64,
    pub effects: Vec<Effect>,
}

pub fn topic_id(number: u8) -> TopicId {
    TopicId([number; 16])
}

pub fn create(number: u8, name: &str, partitions: u32, configs: &[(&str, &str)]) -> Command {
    let configs = configs.iter();
    Command::CreateTopic(CreateTopic {
        name: name.to_owned(),
        id: topic_id(number),
        partitions,
        configs: configs
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
    })
}

/// A batch of `count` records and 100 bytes a record, which lies where `Cell::commit` puts it.
pub fn batch(partition: PartitionId, count: u32) -> CommitBatch {
    CommitBatch {
        partition,
        position: 0,
        length: count * 100,
        offset_count: count,
        max_timestamp_ms: START_MS,
        crc: 0xfeed_beef,
        producer: None,
    }
}

pub fn from_producer(mut batch: CommitBatch, id: i64, epoch: i16, first: i32) -> CommitBatch {
    batch.producer = Some(BatchProducer {
        id: ProducerId(id),
        epoch: ProducerEpoch(epoch),
        first_sequence: Sequence(first),
    });
    batch
}

pub fn extent(segment: u64, position: u64, length: u32) -> Extent {
    Extent {
        segment: SegmentId(segment),
        position,
        length,
    }
}

impl Cell {
    pub fn new() -> Cell {
        Cell {
            state: State::new(StateSettings::default()),
            now_ms: START_MS,
            effects: Vec::new(),
        }
    }

    /// A cell with one topic `t` of `partitions` partitions, ids from 0.
    pub fn with_topic(partitions: u32, configs: &[(&str, &str)]) -> Cell {
        let mut cell = Cell::new();
        cell.topic(&create(1, "t", partitions, configs)).unwrap();
        cell.effects.clear();
        cell
    }

    pub fn apply(&mut self, command: &Command) -> Reply {
        self.state.apply(command, self.now_ms, &mut self.effects)
    }

    pub fn topic(&mut self, command: &Command) -> Result<TopicId, TopicError> {
        match self.apply(command) {
            Reply::Topic(result) => result,
            other => panic!("not an answer about a topic: {other:?}"),
        }
    }

    /// Commits batches that lie one after the other from `position` on.
    pub fn commit_at(
        &mut self,
        segment: u64,
        mut position: u64,
        mut batches: Vec<CommitBatch>,
    ) -> Vec<BatchResult> {
        for batch in &mut batches {
            batch.position = position;
            position += u64::from(batch.length);
        }
        let segment = SegmentId(segment);
        match self.apply(&Command::Commit(Commit {
            segment,
            batches,
            queued: Vec::new(),
        })) {
            Reply::Committed(results) => results,
            other => panic!("not an answer to a commit: {other:?}"),
        }
    }

    pub fn commit(&mut self, batches: Vec<CommitBatch>) -> Vec<BatchResult> {
        self.commit_at(1, 0, batches)
    }

    pub fn commit_one(&mut self, batch: CommitBatch) -> BatchResult {
        self.commit(vec![batch])[0]
    }

    pub fn advance(&mut self, partition: PartitionId, to: i64) -> Option<Offset> {
        let moves = vec![(partition, Offset(to))];
        match self.apply(&Command::AdvanceLogStart { moves }) {
            Reply::LogStarts(starts) => starts[0],
            other => panic!("not an answer about log starts: {other:?}"),
        }
    }

    pub fn spill(&mut self, partition: PartitionId, run: IndexRun) -> Reply {
        self.apply(&Command::SpillIndex(SpillIndex { partition, run }))
    }

    pub fn move_one(&mut self, partition: PartitionId, base: i64, to: [Extent; 2]) -> bool {
        let moves = vec![ExtentMove {
            partition,
            base: Offset(base),
            from: to[0],
            to: to[1],
        }];
        match self.apply(&Command::MoveExtents(MoveExtents { moves })) {
            Reply::Moved(taken) => taken[0],
            other => panic!("not an answer about moves: {other:?}"),
        }
    }

    pub fn partition(&self, id: PartitionId) -> &Partition {
        self.state.partition(id).expect("the partition is there")
    }

    pub fn entries(&self, id: PartitionId) -> Vec<IndexEntry> {
        self.partition(id).entries_from(Offset::ZERO).collect()
    }

    pub fn live_bytes(&self, segment: u64) -> u64 {
        let used = self.state.segment(SegmentId(segment));
        used.map_or(0, |used| used.live_bytes)
    }

    pub fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }
}

/// The run that covers the oldest `count` tail entries exactly.
pub fn run_over(partition: &Partition, count: usize, extent: Extent) -> IndexRun {
    let entries: Vec<_> = partition.entries_from(Offset::ZERO).take(count).collect();
    let bytes = entries.iter().map(|entry| u64::from(entry.extent.length));
    let times = entries.iter().map(|entry| entry.max_timestamp_ms);
    IndexRun {
        first: entries.first().expect("an entry").base,
        end: entries.last().expect("an entry").end(),
        max_timestamp_ms: times.max().expect("an entry"),
        data_bytes: bytes.sum(),
        extent,
    }
}

pub fn base_of(result: BatchResult) -> i64 {
    match result {
        BatchResult::Appended { base, .. } => base.0,
        other => panic!("not appended: {other:?}"),
    }
}

pub fn duplicate_of(result: BatchResult) -> i64 {
    match result {
        BatchResult::Duplicate { base, .. } => base.0,
        other => panic!("not a duplicate: {other:?}"),
    }
}

pub fn refusal(result: BatchResult) -> BatchRefusal {
    match result {
        BatchResult::Refused(why) => why,
        other => panic!("not refused: {other:?}"),
    }
}
