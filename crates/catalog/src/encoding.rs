//! The stored form of commands: one record of the command log.
//!
//! | field | form |
//! |---|---|
//! | version | u8, [`GROUP_VERSION`] |
//! | now_ms | zigzag varint |
//! | commands | count, then each: ordinal u8, fields in the order of their declaration |
//!
//! Integers are varints, zigzag where they may be negative; texts and lists are counted. Times are
//! differences to `now_ms`, positions in a commit are differences to the end of the batch before.
//! Ordinals are frozen: a removed command's ordinal is never given away again. The log that
//! carries the record has its own checksum.

use bytes::Bytes;
use levada_model::codec::{DecodeError, Decoder, Encoder};
use levada_model::{
    Extent, Offset, PartitionId, ProducerEpoch, ProducerId, SegmentId, Sequence, TopicId,
};

use crate::command::{
    BatchProducer, Command, CommandGroup, Commit, CommitBatch, CreateTopic, ExtentMove, IndexRun,
    MoveExtents, ReplaceRuns, SegmentBytes, SpillIndex,
};
use crate::groups::GroupCommand;
use crate::queues::{QueueCommand, read_queued, write_queued};
use crate::state::StateSettings;

/// The version that is written; the only one there has been.
pub const GROUP_VERSION: u8 = 1;

const CREATE_TOPIC: u8 = 1;
const DELETE_TOPIC: u8 = 2;
const CREATE_PARTITIONS: u8 = 3;
const ALTER_TOPIC: u8 = 4;
const COMMIT: u8 = 5;
const ADVANCE_LOG_START: u8 = 6;
const SPILL_INDEX: u8 = 7;
const MOVE_EXTENTS: u8 = 8;
const ALLOCATE_PRODUCER: u8 = 9;
const GROUP: u8 = 10;
const REPLACE_RUNS: u8 = 11;
const CONFIGURE: u8 = 12;
const QUEUE: u8 = 13;
/// A commit that says something of batches beside their places.
const COMMIT_QUEUED: u8 = 14;

/// Set beside a batch: which of the optional parts follow.
const BATCH_HAS_PRODUCER: u8 = 1;
const BATCH_HAS_TIME: u8 = 2;

/// Guess of a batch's stored size, to reserve memory once.
const BATCH_BYTES_GUESS: usize = 32;

pub(crate) fn encode_group(group: &CommandGroup) -> Bytes {
    let batches = |command: &Command| match command {
        Command::Commit(commit) => commit.batches.len(),
        _ => 1,
    };
    let count: usize = group.commands.iter().map(batches).sum();
    let mut out = Encoder {
        bytes: Vec::with_capacity(16 + count * BATCH_BYTES_GUESS),
    };
    out.u8(GROUP_VERSION);
    out.signed(group.now_ms);
    out.list(group.commands.iter(), |out, command| {
        write_command(out, command, group.now_ms);
    });
    Bytes::from(out.bytes)
}

/// Reads what [`CommandGroup::encode`] wrote.
///
/// # Errors
/// When the bytes are not the stored form of a command group of a known version.
pub fn decode_group(bytes: &[u8]) -> Result<CommandGroup, DecodeError> {
    let mut input = Decoder::new(bytes);
    if input.u8()? != GROUP_VERSION {
        return Err(DecodeError("unknown version of a command group"));
    }
    let now_ms = input.signed()?;
    let commands = input.list(|input| read_command(input, now_ms))?;
    input.finish()?;
    Ok(CommandGroup { now_ms, commands })
}

fn write_command(out: &mut Encoder, command: &Command, now_ms: i64) {
    match command {
        Command::CreateTopic(create) => {
            out.u8(CREATE_TOPIC);
            write_create_topic(out, create);
        }
        Command::DeleteTopic { topic } => {
            out.u8(DELETE_TOPIC);
            out.raw(&topic.0);
        }
        Command::CreatePartitions { topic, total } => {
            out.u8(CREATE_PARTITIONS);
            out.raw(&topic.0);
            out.varint(u64::from(*total));
        }
        Command::AlterTopic { topic, changes } => {
            out.u8(ALTER_TOPIC);
            out.raw(&topic.0);
            out.list(changes.iter(), |out, (name, value)| {
                out.text(name);
                out.option(value.as_deref(), Encoder::text);
            });
        }
        Command::Commit(commit) if commit.queued.is_empty() => {
            out.u8(COMMIT);
            write_commit(out, commit, now_ms);
        }
        Command::Commit(commit) => {
            out.u8(COMMIT_QUEUED);
            write_commit(out, commit, now_ms);
            write_queued(out, &commit.queued);
        }
        Command::AdvanceLogStart { moves } => {
            out.u8(ADVANCE_LOG_START);
            out.list(moves.iter(), |out, (partition, to)| {
                out.varint(partition.0);
                out.signed(to.0);
            });
        }
        Command::SpillIndex(spill) => {
            out.u8(SPILL_INDEX);
            out.varint(spill.partition.0);
            write_index_run(out, &spill.run);
        }
        Command::ReplaceRuns(replace) => {
            out.u8(REPLACE_RUNS);
            write_replace_runs(out, replace);
        }
        Command::MoveExtents(moves) => {
            out.u8(MOVE_EXTENTS);
            out.list(moves.moves.iter(), write_move);
        }
        Command::AllocateProducer => out.u8(ALLOCATE_PRODUCER),
        Command::Configure(settings) => {
            out.u8(CONFIGURE);
            write_settings(out, *settings);
        }
        Command::Group(command) => {
            out.u8(GROUP);
            command.encode(out);
        }
        Command::Queue(command) => {
            out.u8(QUEUE);
            command.encode(out, now_ms);
        }
    }
}

fn read_command(input: &mut Decoder<'_>, now_ms: i64) -> Result<Command, DecodeError> {
    Ok(match input.u8()? {
        CREATE_TOPIC => Command::CreateTopic(read_create_topic(input)?),
        DELETE_TOPIC => Command::DeleteTopic {
            topic: TopicId(input.bytes16()?),
        },
        CREATE_PARTITIONS => Command::CreatePartitions {
            topic: TopicId(input.bytes16()?),
            total: small(input)?,
        },
        ALTER_TOPIC => Command::AlterTopic {
            topic: TopicId(input.bytes16()?),
            changes: input.list(|input| Ok((text(input)?, input.option(text)?)))?,
        },
        COMMIT => Command::Commit(read_commit(input, now_ms)?),
        COMMIT_QUEUED => {
            let mut commit = read_commit(input, now_ms)?;
            commit.queued = read_queued(input)?;
            Command::Commit(commit)
        }
        ADVANCE_LOG_START => Command::AdvanceLogStart {
            moves: input
                .list(|input| Ok((PartitionId(input.varint()?), Offset(input.signed()?))))?,
        },
        SPILL_INDEX => Command::SpillIndex(SpillIndex {
            partition: PartitionId(input.varint()?),
            run: read_index_run(input)?,
        }),
        REPLACE_RUNS => Command::ReplaceRuns(read_replace_runs(input)?),
        MOVE_EXTENTS => Command::MoveExtents(MoveExtents {
            moves: input.list(read_move)?,
        }),
        ALLOCATE_PRODUCER => Command::AllocateProducer,
        CONFIGURE => Command::Configure(read_settings(input)?),
        GROUP => Command::Group(GroupCommand::decode(input)?),
        QUEUE => Command::Queue(QueueCommand::decode(input, now_ms)?),
        _ => return Err(DecodeError("unknown command")),
    })
}

fn write_create_topic(out: &mut Encoder, create: &CreateTopic) {
    out.text(&create.name);
    out.raw(&create.id.0);
    out.varint(u64::from(create.partitions));
    out.list(create.configs.iter(), |out, (name, value)| {
        out.text(name);
        out.text(value);
    });
}

fn read_create_topic(input: &mut Decoder<'_>) -> Result<CreateTopic, DecodeError> {
    Ok(CreateTopic {
        name: text(input)?,
        id: TopicId(input.bytes16()?),
        partitions: small(input)?,
        configs: input.list(|input| Ok((text(input)?, text(input)?)))?,
    })
}

fn write_commit(out: &mut Encoder, commit: &Commit, now_ms: i64) {
    out.varint(commit.segment.0);
    let mut end = 0u64;
    out.list(commit.batches.iter(), |out, batch| {
        let timed = batch.max_timestamp_ms != -1;
        let has_producer = u8::from(batch.producer.is_some()) * BATCH_HAS_PRODUCER;
        let has_time = u8::from(timed) * BATCH_HAS_TIME;
        out.u8(has_producer | has_time);
        out.varint(batch.partition.0);
        out.signed(batch.position.wrapping_sub(end) as i64);
        out.varint(u64::from(batch.length));
        out.varint(u64::from(batch.offset_count));
        if timed {
            out.signed(batch.max_timestamp_ms.wrapping_sub(now_ms));
        }
        out.u32(batch.crc);
        if let Some(producer) = batch.producer {
            out.signed(producer.id.0);
            out.signed(i64::from(producer.epoch.0));
            out.signed(i64::from(producer.first_sequence.0));
        }
        end = batch.position.wrapping_add(u64::from(batch.length));
    });
}

fn read_commit(input: &mut Decoder<'_>, now_ms: i64) -> Result<Commit, DecodeError> {
    let segment = SegmentId(input.varint()?);
    let mut end = 0u64;
    let batches = input.list(|input| {
        let parts = input.u8()?;
        if parts & !(BATCH_HAS_PRODUCER | BATCH_HAS_TIME) != 0 {
            return Err(DecodeError("unknown part of a batch"));
        }
        let partition = PartitionId(input.varint()?);
        let position = end.wrapping_add(input.signed()? as u64);
        let length = small(input)?;
        let offset_count = small(input)?;
        let max_timestamp_ms = match parts & BATCH_HAS_TIME {
            0 => -1,
            _ => now_ms.wrapping_add(input.signed()?),
        };
        let crc = input.u32()?;
        let producer = match parts & BATCH_HAS_PRODUCER {
            0 => None,
            _ => Some(read_producer(input)?),
        };
        end = position.wrapping_add(u64::from(length));
        Ok(CommitBatch {
            partition,
            position,
            length,
            offset_count,
            max_timestamp_ms,
            crc,
            producer,
        })
    })?;
    Ok(Commit {
        segment,
        batches,
        queued: Vec::new(),
    })
}

fn read_producer(input: &mut Decoder<'_>) -> Result<BatchProducer, DecodeError> {
    let narrow = DecodeError("number is too large for its field");
    Ok(BatchProducer {
        id: ProducerId(input.signed()?),
        epoch: ProducerEpoch(input.signed()?.try_into().map_err(|_| narrow)?),
        first_sequence: Sequence(input.signed()?.try_into().map_err(|_| narrow)?),
    })
}

pub(crate) fn write_extent(out: &mut Encoder, extent: Extent) {
    out.varint(extent.segment.0);
    out.varint(extent.position);
    out.varint(u64::from(extent.length));
}

pub(crate) fn read_extent(input: &mut Decoder<'_>) -> Result<Extent, DecodeError> {
    Ok(Extent {
        segment: SegmentId(input.varint()?),
        position: input.varint()?,
        length: small(input)?,
    })
}

pub(crate) fn write_index_run(out: &mut Encoder, run: &IndexRun) {
    out.signed(run.first.0);
    out.signed(run.end.0);
    out.signed(run.max_timestamp_ms);
    out.varint(run.data_bytes);
    write_extent(out, run.extent);
}

pub(crate) fn read_index_run(input: &mut Decoder<'_>) -> Result<IndexRun, DecodeError> {
    Ok(IndexRun {
        first: Offset(input.signed()?),
        end: Offset(input.signed()?),
        max_timestamp_ms: input.signed()?,
        data_bytes: input.varint()?,
        extent: read_extent(input)?,
    })
}

pub(crate) fn write_segment_bytes(out: &mut Encoder, row: &SegmentBytes) {
    out.varint(row.segment.0);
    out.varint(row.bytes);
}

pub(crate) fn read_segment_bytes(input: &mut Decoder<'_>) -> Result<SegmentBytes, DecodeError> {
    Ok(SegmentBytes {
        segment: SegmentId(input.varint()?),
        bytes: input.varint()?,
    })
}

fn write_replace_runs(out: &mut Encoder, replace: &ReplaceRuns) {
    out.varint(replace.partition.0);
    out.list(replace.old.iter(), |out, extent| write_extent(out, *extent));
    write_index_run(out, &replace.run);
    out.list(replace.segments.iter(), write_segment_bytes);
}

fn read_replace_runs(input: &mut Decoder<'_>) -> Result<ReplaceRuns, DecodeError> {
    Ok(ReplaceRuns {
        partition: PartitionId(input.varint()?),
        old: input.list(read_extent)?,
        run: read_index_run(input)?,
        segments: input.list(read_segment_bytes)?,
    })
}

fn write_move(out: &mut Encoder, one: &ExtentMove) {
    out.varint(one.partition.0);
    out.signed(one.base.0);
    write_extent(out, one.from);
    write_extent(out, one.to);
}

fn read_move(input: &mut Decoder<'_>) -> Result<ExtentMove, DecodeError> {
    Ok(ExtentMove {
        partition: PartitionId(input.varint()?),
        base: Offset(input.signed()?),
        from: read_extent(input)?,
        to: read_extent(input)?,
    })
}

pub(crate) fn write_settings(out: &mut Encoder, settings: StateSettings) {
    out.signed(settings.producer_expiration_ms);
    out.varint(settings.producer_state_bytes_max as u64);
}

pub(crate) fn read_settings(input: &mut Decoder<'_>) -> Result<StateSettings, DecodeError> {
    Ok(StateSettings {
        producer_expiration_ms: input.signed()?,
        producer_state_bytes_max: usize::try_from(input.varint()?).unwrap_or(usize::MAX),
    })
}

fn text(input: &mut Decoder<'_>) -> Result<String, DecodeError> {
    input.text().map(str::to_owned)
}

pub(crate) fn small(input: &mut Decoder<'_>) -> Result<u32, DecodeError> {
    u32::try_from(input.varint()?).map_err(|_| DecodeError("number is too large for its field"))
}
