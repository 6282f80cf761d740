//! Reading what only storage has: a few reads under way at once, handed out in the order of the log.
//!
//! They are futures of one task, so that a request that is dropped stops them all, and a world that
//! is replayed sees them in one order. What blocks in them leaves the task in `Env::blocking`.

use std::{
    collections::VecDeque,
    future::poll_fn,
    task::{Context, Poll},
};

use bytes::Bytes;
use levada_catalog::IndexEntry;
use levada_env::port::PortFuture;
use levada_model::Extent;

use crate::{
    ReadError,
    engine::Inner,
    metrics::add,
    source::{Fetched, verify},
};

/// Reads of storage that one reader has under way: a disk serves several scattered reads at once in
/// little more time than one.
const READS_MAX: usize = 4;
/// Entries that lie no further apart are read together: small appends are a block or two apart,
/// and one larger read costs less than many small ones.
const GAP_BYTES_MAX: u64 = 16 * 1024;
/// The most that is read together.
const SPAN_BYTES_MAX: u64 = 1024 * 1024;

/// A read of neighbouring entries in one go.
struct SpanRead<'a> {
    extent: Extent,
    /// One past the last entry that is a part of it.
    entries_end: usize,
    state: SpanState<'a>,
}

enum SpanState<'a> {
    UnderWay(PortFuture<'a, Bytes>),
    Read(Bytes),
    /// Not to be read as a whole: damage elsewhere in it is not the wanted entry's.
    Failed,
}

impl SpanRead<'_> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let SpanState::UnderWay(read) = &mut self.state {
            self.state = match read.as_mut().poll(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(bytes)) => SpanState::Read(bytes),
                Poll::Ready(Err(_)) => SpanState::Failed,
            };
        }
        Poll::Ready(())
    }

    fn part(&self, extent: Extent) -> Option<Bytes> {
        let SpanState::Read(bytes) = &self.state else {
            return None;
        };
        let from = usize::try_from(extent.position.checked_sub(self.extent.position)?).ok()?;
        let to = from.checked_add(extent.length as usize)?;
        (extent.segment == self.extent.segment && to <= bytes.len()).then(|| bytes.slice(from..to))
    }
}

/// The entries of one partition's read, taken one after the other. Nothing is read before it is
/// asked for until storage has once kept the reader waiting: what is in memory is read at no more
/// cost than entry by entry.
pub(crate) struct ReadAhead<'a> {
    inner: &'a Inner,
    entries: &'a [IndexEntry],
    /// How much the reader may be given.
    bytes_max: usize,
    /// In the order of the entries; the first one's are being taken.
    reads: VecDeque<SpanRead<'a>>,
    /// Entries before this one are read, under way, or were in the tail cache.
    next: usize,
    /// Bytes of entries whose reads were begun.
    bytes_begun: usize,
    has_waited: bool,
}

impl<'a> ReadAhead<'a> {
    pub fn new(inner: &'a Inner, entries: &'a [IndexEntry], bytes_max: usize) -> Self {
        ReadAhead {
            inner,
            entries,
            bytes_max,
            reads: VecDeque::new(),
            next: 0,
            bytes_begun: 0,
            has_waited: false,
        }
    }

    /// [`Inner::entry_bytes`] of `entry`, which is the one at `at` of the entries; each is asked for
    /// once, in order.
    ///
    /// # Errors
    /// As [`Inner::entry_bytes`].
    pub async fn entry_bytes(
        &mut self,
        at: usize,
        entry: &IndexEntry,
    ) -> Result<Fetched, ReadError> {
        if let Some(pieces) = self.inner.tail.get(entry.extent) {
            return Ok(Fetched { pieces, tail: true });
        }
        while self
            .reads
            .front()
            .is_some_and(|read| read.entries_end <= at)
        {
            self.reads.pop_front();
        }
        if self.next <= at {
            self.next = at;
            self.begin(entry.extent);
        }
        poll_fn(|cx| self.poll_first(cx)).await;
        match self.reads.front().and_then(|read| read.part(entry.extent)) {
            Some(bytes) => {
                verify(&bytes, entry.extent)?;
                Ok(Fetched {
                    pieces: vec![bytes],
                    tail: false,
                })
            }
            None => self.inner.entry_bytes(entry).await,
        }
    }

    /// Ready once the first read is done; keeps others under way behind one that has to be waited for.
    fn poll_first(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let first = match self.reads.front_mut() {
            Some(first) => first.poll(cx),
            None => Poll::Ready(()),
        };
        if first.is_ready() && !self.has_waited {
            return first;
        }
        self.has_waited = true;
        if first.is_pending() {
            for read in self.reads.iter_mut().skip(1) {
                // Its result is kept until it is its turn.
                let _ = read.poll(cx);
            }
        }
        while let Some(extent) = self.extent_ahead() {
            self.begin(extent);
            if let Some(read) = self.reads.back_mut() {
                let _ = read.poll(cx);
            }
        }
        first
    }

    /// What to begin next without being asked: only what the reader has room for, and what storage
    /// alone has.
    fn extent_ahead(&self) -> Option<Extent> {
        if self.reads.len() >= READS_MAX || self.bytes_begun >= self.bytes_max {
            return None;
        }
        let extent = self.entries.get(self.next)?.extent;
        self.inner.tail.get(extent).is_none().then_some(extent)
    }

    /// Begins to read the next entry, which lies at `first`, and those that lie close behind it.
    fn begin(&mut self, first: Extent) {
        let mut end = first.position + u64::from(first.length);
        self.next += 1;
        self.bytes_begun += first.length as usize;
        while let Some(next) = self.entries.get(self.next).map(|entry| entry.extent) {
            let next_end = next.position + u64::from(next.length);
            let follows = next.segment == first.segment
                && next.position >= end
                && next.position - end <= GAP_BYTES_MAX
                && next_end - first.position <= SPAN_BYTES_MAX;
            if !follows || self.bytes_begun >= self.bytes_max {
                break;
            }
            end = next_end;
            self.next += 1;
            self.bytes_begun += next.length as usize;
        }
        let extent = Extent {
            length: u32::try_from(end - first.position).unwrap_or(first.length),
            ..first
        };
        add(&self.inner.metrics.journal_reads, 1);
        self.reads.push_back(SpanRead {
            extent,
            entries_end: self.next,
            state: SpanState::UnderWay(self.inner.journal.read(extent)),
        });
    }
}
