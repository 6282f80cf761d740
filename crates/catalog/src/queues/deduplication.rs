//! Which messages a queue has taken lately, so that one that is sent again is taken and not kept.

use std::collections::VecDeque;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use levada_model::Offset;
use levada_model::codec::{DecodeError, Decoder, Encoder};
use levada_model::limits::QUEUE_DIGESTS_MAX;

/// How long a message is known (SQS: the deduplication interval).
pub const DEDUPLICATION_MS: i64 = 5 * 60 * 1000;

/// What a sender names a message by, digested.
pub type Digest = [u8; 16];

#[derive(Clone, Copy)]
struct Known {
    at_ms: i64,
    offset: i64,
}

/// Digests of the last minutes, with the place of the message that had each.
#[derive(Default)]
pub(crate) struct Deduplication {
    known: HashMap<Digest, Known, FixedState>,
    /// In the order of their times.
    order: VecDeque<Digest>,
}

impl Deduplication {
    /// Where and when the message with this digest was taken, unless that is too long ago.
    pub fn find(&self, digest: &Digest, now_ms: i64) -> Option<(Offset, i64)> {
        let known = self.known.get(digest)?;
        let is_young = now_ms.saturating_sub(known.at_ms) < DEDUPLICATION_MS;
        is_young.then_some((Offset(known.offset), known.at_ms))
    }

    /// Notes a message that [`Deduplication::find`] does not know.
    pub fn note(&mut self, digest: Digest, offset: i64, at_ms: i64) {
        self.forget(at_ms);
        self.known.insert(digest, Known { at_ms, offset });
        self.order.push_back(digest);
    }

    /// Drops what is too old, and the oldest beyond the limit.
    fn forget(&mut self, now_ms: i64) {
        while let Some(oldest) = self.order.front() {
            let age = |known: &Known| now_ms.saturating_sub(known.at_ms);
            let is_old =
                (self.known.get(oldest)).is_none_or(|known| age(known) >= DEDUPLICATION_MS);
            if !is_old && self.order.len() < QUEUE_DIGESTS_MAX {
                break;
            }
            self.known.remove(oldest);
            self.order.pop_front();
        }
        if self.order.is_empty() {
            *self = Self::default();
        }
    }

    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    pub fn write(&self, out: &mut Encoder) {
        let known =
            (self.order.iter()).filter_map(|digest| Some((digest, self.known.get(digest)?)));
        let known: Vec<_> = known.collect();
        let mut last = Known {
            at_ms: 0,
            offset: 0,
        };
        out.list(known.into_iter(), |out, (digest, one)| {
            out.raw(digest);
            out.signed(one.at_ms.wrapping_sub(last.at_ms));
            out.signed(one.offset.wrapping_sub(last.offset));
            last = *one;
        });
    }

    pub fn read(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let mut last = Known {
            at_ms: 0,
            offset: 0,
        };
        let mut read = Self::default();
        let rows = input.list(|input| {
            let digest = input.bytes16()?;
            last.at_ms = last.at_ms.wrapping_add(input.signed()?);
            last.offset = last.offset.wrapping_add(input.signed()?);
            Ok((digest, last))
        })?;
        for (digest, known) in rows {
            if read.known.insert(digest, known).is_some() {
                return Err(DecodeError("a digest occurs twice in a queue's row"));
            }
            read.order.push_back(digest);
        }
        Ok(read)
    }
}
