//! Commands of queues, and their stored form. Ordinals are frozen.

use levada_model::codec::{DecodeError, Decoder, Encoder};
use levada_model::{Offset, PartitionId};

use super::deduplication::Digest;
use super::moves::{MoveUpdate, NewMove};
use super::table::ReceiptKey;
use crate::encoding::small;

/// What a commit says of a batch beside its place: it was sent to a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueuedBatch {
    /// Which batch of the commit.
    pub batch: u32,
    /// How long its messages cannot be received, from the commit on.
    pub delay_ms: i64,
    /// Refused as a duplicate if one with the same is younger than [`super::DEDUPLICATION_MS`].
    pub deduplication: Option<Digest>,
}

/// A change of a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueueCommand {
    /// These messages are done; those that are so already stay so.
    Acknowledge {
        partition: PartitionId,
        offsets: Vec<Offset>,
    },
    /// Messages were given to a receiver.
    Deliver {
        partition: PartitionId,
        deliveries: Vec<Delivery>,
    },
    /// All messages that are there now are done.
    Purge { partition: PartitionId },
    /// The key by which receipts are signed; the first one stays.
    SetReceiptKey(ReceiptKey),
    /// Begins a task, unless one is under way in its queue.
    StartMove(NewMove),
    /// How far a task has come; one that has ended stays as it is.
    UpdateMove(MoveUpdate),
}

/// One delivery of a message, or a change of its visibility.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    pub offset: Offset,
    /// How often it has been given to a receiver, this time included.
    pub attempts: u32,
    /// From then on others may have it; milliseconds since the Unix epoch.
    pub visible_ms: i64,
}

const ACKNOWLEDGE: u8 = 1;
const DELIVER: u8 = 2;
const PURGE: u8 = 3;
const SET_RECEIPT_KEY: u8 = 4;
const START_MOVE: u8 = 16;
const UPDATE_MOVE: u8 = 17;

impl QueueCommand {
    /// About how many bytes the stored form takes.
    pub(crate) fn size_hint(&self) -> usize {
        match self {
            QueueCommand::Acknowledge { offsets, .. } => offsets.len() * 3,
            QueueCommand::Deliver { deliveries, .. } => deliveries.len() * 10,
            QueueCommand::Purge { .. } | QueueCommand::SetReceiptKey(_) => 32,
            QueueCommand::StartMove(_) | QueueCommand::UpdateMove(_) => 64,
        }
    }

    /// Writes the command; offsets as differences to the one before, times to `now_ms`.
    pub(crate) fn encode(&self, out: &mut Encoder, now_ms: i64) {
        let mut last = 0;
        let mut step = |out: &mut Encoder, offset: Offset| {
            out.signed(offset.0.wrapping_sub(last));
            last = offset.0;
        };
        match self {
            QueueCommand::Acknowledge { partition, offsets } => {
                out.u8(ACKNOWLEDGE);
                out.varint(partition.0);
                out.list(offsets.iter(), |out, offset| step(out, *offset));
            }
            QueueCommand::Deliver {
                partition,
                deliveries,
            } => {
                out.u8(DELIVER);
                out.varint(partition.0);
                out.list(deliveries.iter(), |out, delivery| {
                    step(out, delivery.offset);
                    out.varint(u64::from(delivery.attempts));
                    out.signed(delivery.visible_ms.wrapping_sub(now_ms));
                });
            }
            QueueCommand::Purge { partition } => {
                out.u8(PURGE);
                out.varint(partition.0);
            }
            QueueCommand::SetReceiptKey(key) => {
                out.u8(SET_RECEIPT_KEY);
                out.raw(&key.0);
            }
            QueueCommand::StartMove(begun) => {
                out.u8(START_MOVE);
                begun.encode(out);
            }
            QueueCommand::UpdateMove(update) => {
                out.u8(UPDATE_MOVE);
                update.encode(out);
            }
        }
    }

    /// Reads what [`QueueCommand::encode`] wrote.
    pub(crate) fn decode(input: &mut Decoder<'_>, now_ms: i64) -> Result<Self, DecodeError> {
        let mut last = 0i64;
        let mut step = |input: &mut Decoder<'_>| {
            last = last.wrapping_add(input.signed()?);
            Ok(Offset(last))
        };
        Ok(match input.u8()? {
            ACKNOWLEDGE => QueueCommand::Acknowledge {
                partition: PartitionId(input.varint()?),
                offsets: input.list(step)?,
            },
            DELIVER => QueueCommand::Deliver {
                partition: PartitionId(input.varint()?),
                deliveries: input.list(|input| {
                    Ok(Delivery {
                        offset: step(input)?,
                        attempts: small(input)?,
                        visible_ms: now_ms.wrapping_add(input.signed()?),
                    })
                })?,
            },
            PURGE => QueueCommand::Purge {
                partition: PartitionId(input.varint()?),
            },
            SET_RECEIPT_KEY => QueueCommand::SetReceiptKey(ReceiptKey::read(input)?),
            START_MOVE => QueueCommand::StartMove(NewMove::decode(input)?),
            UPDATE_MOVE => QueueCommand::UpdateMove(MoveUpdate::decode(input)?),
            _ => return Err(DecodeError("unknown command of a queue")),
        })
    }
}

pub(crate) fn write_queued(out: &mut Encoder, queued: &[QueuedBatch]) {
    out.list(queued.iter(), |out, one| {
        out.varint(u64::from(one.batch));
        out.signed(one.delay_ms);
        out.option(one.deduplication, |out, digest| out.raw(&digest));
    });
}

pub(crate) fn read_queued(input: &mut Decoder<'_>) -> Result<Vec<QueuedBatch>, DecodeError> {
    input.list(|input| {
        Ok(QueuedBatch {
            batch: small(input)?,
            delay_ms: input.signed()?,
            deduplication: input.option(Decoder::bytes16)?,
        })
    })
}
