//! Segments in a bucket, one object each; extents are ranges of it.
//!
//! Any number of journals may share a bucket: each claims an epoch when it opens, and no two of
//! them ever give a segment the same name. Objects are made with a conditional put and never
//! written again. What was staged and never named by a command is found by `list`.

mod bucket;
mod format;
mod http;
mod names;
mod s3;
mod signing;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use levada_env::{
    Env,
    port::{Budget, PortError, PortFuture, PortResult, Ticket, Urgency},
};
use levada_model::{Extent, SegmentId};
use object_store::ObjectStore;
use tokio::sync::{Semaphore, oneshot};

use self::{
    bucket::{Bucket, Found},
    format::{HEADER_BYTES, Header, Writer},
    names::Names,
};
use crate::{Journal, Staged, StoredSegment};

pub use bucket::Patience;
pub use s3::{S3Settings, open_s3, s3_store};

/// Bounds of a journal in a bucket.
#[derive(Clone, Debug)]
pub struct ObjectSettings {
    /// Names of objects begin with it and a slash. Two cells never share one.
    pub prefix: String,
    /// Uploads under way at once.
    pub uploads_max: usize,
    /// Reads under way at once.
    pub reads_max: usize,
    /// Staged bytes that are not stored yet; what comes beyond is refused.
    pub staged_bytes_max: u64,
    /// As much more for [`Urgency::Reserve`].
    pub reserve_bytes: u64,
    pub patience: Patience,
}

impl Default for ObjectSettings {
    fn default() -> Self {
        ObjectSettings {
            prefix: String::new(),
            uploads_max: 16,
            reads_max: 64,
            staged_bytes_max: 256 << 20,
            reserve_bytes: 16 << 20,
            patience: Patience::default(),
        }
    }
}

/// A journal in a bucket. Clones are the same one.
#[derive(Clone)]
pub struct ObjectJournal {
    inner: Arc<Inner>,
}

struct Inner {
    env: Env,
    bucket: Bucket,
    names: Names,
    writer: Writer,
    epoch: u64,
    next: AtomicU64,
    budget: Arc<Budget>,
    uploads: Semaphore,
    reads: Semaphore,
}

impl ObjectJournal {
    /// Claims an epoch in the bucket, so that this journal's segments have names of their own. The
    /// store must not retry by itself and must honour a conditional put.
    ///
    /// # Errors
    /// `Rejected` when the bucket refuses or does not answer.
    pub async fn open(
        env: Env,
        store: Arc<dyn ObjectStore>,
        settings: ObjectSettings,
    ) -> PortResult<ObjectJournal> {
        let bucket = Bucket::new(env.clone(), store, settings.patience);
        let names = Names::new(&settings.prefix);
        let mut writer = Writer::default();
        env.random_bytes(&mut writer);
        let epoch = claim(&bucket, &names, &writer).await?;
        let budget = Budget::new(settings.staged_bytes_max, settings.reserve_bytes);
        let inner = Inner {
            uploads: Semaphore::new(settings.uploads_max),
            reads: Semaphore::new(settings.reads_max),
            env,
            bucket,
            names,
            writer,
            epoch,
            next: AtomicU64::new(0),
            budget,
        };
        Ok(ObjectJournal {
            inner: Arc::new(inner),
        })
    }
}

/// The first epoch after all that were claimed. Claims are never removed: one that was could be
/// claimed again by somebody whose list is old.
async fn claim(bucket: &Bucket, names: &Names, writer: &Writer) -> PortResult<u64> {
    let claimed = bucket.list(&names.writers()).await?;
    let newest = claimed
        .iter()
        .filter_map(|object| names::parse_writer(&object.location))
        .max();
    let mut epoch = newest.map_or(1, |newest| newest + 1);
    loop {
        names::segment_id(epoch, 0)
            .ok_or_else(|| PortError::Rejected("every epoch of this bucket is used up".into()))?;
        let name = Bytes::copy_from_slice(writer);
        let is_ours = |found: &[u8]| found == writer;
        let head = 0..writer.len() as u64;
        let path = names.writer(epoch);
        match bucket.create(&path, name.into(), head, is_ours).await? {
            Found::Ours => return Ok(epoch),
            Found::Others => epoch += 1,
        }
    }
}

impl Inner {
    async fn upload(&self, header: Header, pieces: &[Bytes]) -> PortResult<()> {
        // Never closed.
        let _permit = self.uploads.acquire().await;
        let path = self.names.segment(header.segment);
        let payload = format::frame(header, pieces).into_iter().collect();
        let is_ours = |found: &[u8]| Header::decode(found) == Ok(header);
        let head = 0..HEADER_BYTES as u64;
        match self.bucket.create(&path, payload, head, is_ours).await? {
            Found::Ours => Ok(()),
            Found::Others => Err(PortError::Fenced(format!(
                "{path} is another's: two journals write under one epoch"
            ))),
        }
    }

    async fn read(&self, extent: Extent) -> PortResult<Bytes> {
        let path = self.names.segment(extent.segment);
        let damaged = |why: &dyn std::fmt::Display| {
            PortError::Corrupt(format!("{path} at {}: {why}", extent.position))
        };
        if extent.length == 0 {
            return Ok(Bytes::new());
        }
        let range = format::stored_range(extent.position, extent.length)
            .ok_or_else(|| damaged(&"no segment is so long"))?;
        let _permit = self.reads.acquire().await;
        let mut read = Err(damaged(&"not read"));
        // Twice: what is damaged on the way is not damaged in the bucket.
        for _ in 0..2 {
            let stored = self.bucket.read(&path, range.clone()).await?;
            let stored = stored.ok_or_else(|| damaged(&"there is no such object"))?;
            read = format::extract(extent.segment, extent.position, extent.length, stored)
                .map_err(|why| damaged(&why));
            if read.is_ok() {
                break;
            }
        }
        read
    }

    async fn list(&self) -> PortResult<Vec<StoredSegment>> {
        let objects = self.bucket.list(&self.names.segments()).await?;
        let stored = objects.into_iter().filter_map(|object| {
            let segment = names::parse_segment(&object.location)?;
            // What a newer writer stages is not ours to judge, and so not ours to delete.
            (names::epoch(segment) <= self.epoch).then_some(StoredSegment {
                segment,
                stored_bytes: object.size,
            })
        });
        let mut stored: Vec<_> = stored.collect();
        stored.sort_unstable_by_key(|stored| stored.segment);
        Ok(stored)
    }
}

impl Journal for ObjectJournal {
    fn stage(&self, pieces: Vec<Bytes>, urgency: Urgency) -> PortResult<Staged> {
        let bytes = pieces.iter().map(Bytes::len).sum::<usize>();
        let length = u32::try_from(bytes)
            .map_err(|_| PortError::Rejected("a segment has at most 4 GiB".into()))?;
        let taken = self.inner.budget.take(u64::from(length), urgency)?;
        let number = self.inner.next.fetch_add(1, Ordering::Relaxed);
        let segment = names::segment_id(self.inner.epoch, number).ok_or_else(|| {
            PortError::Rejected("every segment of this epoch is used up: restart".into())
        })?;
        let header = Header {
            segment,
            writer: self.inner.writer,
            length: u64::from(length),
        };
        let (done, durable) = oneshot::channel();
        let inner = Arc::clone(&self.inner);
        self.inner.env.spawn("upload", async move {
            let outcome = inner.upload(header, &pieces).await;
            drop((pieces, taken));
            // Whoever staged it may have gone away; then `list` tells of it.
            let _ = done.send(outcome);
        });
        Ok(Staged {
            extent: Extent {
                segment,
                position: 0,
                length,
            },
            ticket: Ticket::told(durable, "the upload was given up"),
        })
    }

    fn read(&self, extent: Extent) -> PortFuture<'_, Bytes> {
        Box::pin(self.inner.read(extent))
    }

    fn delete(&self, segment: SegmentId) -> PortFuture<'_, ()> {
        let path = self.inner.names.segment(segment);
        Box::pin(async move { self.inner.bucket.delete(&path).await })
    }

    fn list(&self) -> PortFuture<'_, Vec<StoredSegment>> {
        Box::pin(self.inner.list())
    }
}
