//! A journal that fails as told: refuses, delays, does the work and says it does not know, flips
//! bits, forgets what was not durable. For tests of everything above the port.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use levada_env::{
    Env,
    port::{PortError, PortFuture, PortResult, Ticket, Urgency},
};
use levada_model::{Extent, SegmentId};
use parking_lot::Mutex;

use crate::{Journal, Staged, StoredSegment};

/// What goes wrong: once in so many calls on average, never at zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JournalFaults {
    /// `stage` refuses: nothing happened.
    pub stage_rejected_one_in: u64,
    /// The segment is stored and its ticket says `Indeterminate`.
    pub stage_indeterminate_one_in: u64,
    /// `read` refuses.
    pub read_rejected_one_in: u64,
    /// `read` gives bytes with one bit flipped: whoever checks checksums must see it.
    pub read_flipped_one_in: u64,
    /// Tickets and reads take up to so long.
    pub delay_max: Duration,
}

/// How often each fault has fired.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JournalFaultCounts {
    pub stage_rejected: u64,
    pub stage_indeterminate: u64,
    pub read_rejected: u64,
    pub read_flipped: u64,
    /// Segments that were staged, not durable, and forgotten by a crash.
    pub lost: u64,
}

/// Segment and position at which a staged run starts.
type Place = (SegmentId, u64);

#[derive(Default)]
struct Inside {
    faults: JournalFaults,
    counts: JournalFaultCounts,
    /// Staged and not known to be durable, with its length.
    open: BTreeMap<Place, u64>,
    lost: BTreeMap<Place, u64>,
}

impl Inside {
    /// Whether a lost run reaches into `extent`.
    fn has_lost(&self, extent: Extent) -> bool {
        let end = extent
            .position
            .saturating_add(u64::from(extent.length).max(1));
        let before = self.lost.range(..(extent.segment, end)).next_back();
        before.is_some_and(|((segment, at), length)| {
            *segment == extent.segment && extent.position < at + length
        })
    }
}

/// A journal with faults around another. Clones are the same one.
#[derive(Clone)]
pub struct FaultJournal {
    env: Env,
    inner: Arc<dyn Journal>,
    inside: Arc<Mutex<Inside>>,
}

/// A chance of one in `n` by the world's own randomness; never for zero.
fn one_in(env: &Env, n: u64) -> bool {
    n != 0 && env.random_u64().is_multiple_of(n)
}

impl FaultJournal {
    /// Without faults until [`FaultJournal::set_faults`]. Chance and delays come from `env`.
    pub fn new(env: Env, inner: Arc<dyn Journal>) -> Self {
        FaultJournal {
            env,
            inner,
            inside: Arc::default(),
        }
    }

    /// What goes wrong from now on.
    pub fn set_faults(&self, faults: JournalFaults) {
        self.inside.lock().faults = faults;
    }

    /// How often each fault has fired.
    pub fn counts(&self) -> JournalFaultCounts {
        self.inside.lock().counts
    }

    /// Forgets every segment whose ticket has not resolved.
    pub fn crash(&self) {
        let mut inside = self.inside.lock();
        let open = std::mem::take(&mut inside.open);
        inside.counts.lost += open.len() as u64;
        inside.lost.extend(open);
    }

    /// Fires a fault of the given chance and counts it.
    fn fires(
        &self,
        chance: impl Fn(&JournalFaults) -> u64,
        count: impl Fn(&mut JournalFaultCounts) -> &mut u64,
    ) -> bool {
        let mut inside = self.inside.lock();
        let fires = one_in(&self.env, chance(&inside.faults));
        if fires {
            *count(&mut inside.counts) += 1;
        }
        fires
    }

    async fn delay(env: &Env, delay_max: Duration) {
        let nanos = u64::try_from(delay_max.as_nanos()).unwrap_or(u64::MAX);
        if nanos > 0 {
            env.sleep(Duration::from_nanos(env.random_u64() % nanos))
                .await;
        }
    }
}

impl Journal for FaultJournal {
    fn stage(&self, pieces: Vec<Bytes>, urgency: Urgency) -> PortResult<Staged> {
        if self.fires(|f| f.stage_rejected_one_in, |c| &mut c.stage_rejected) {
            return Err(PortError::Rejected("a fault: stage was refused".into()));
        }
        let staged = self.inner.stage(pieces, urgency)?;
        let place = (staged.extent.segment, staged.extent.position);
        self.inside
            .lock()
            .open
            .insert(place, u64::from(staged.extent.length));
        let unsure = self.fires(
            |f| f.stage_indeterminate_one_in,
            |c| &mut c.stage_indeterminate,
        );
        let (env, inside) = (self.env.clone(), Arc::clone(&self.inside));
        let ticket = Ticket::new(async move {
            let delay_max = inside.lock().faults.delay_max;
            FaultJournal::delay(&env, delay_max).await;
            staged.ticket.await?;
            let mut inside = inside.lock();
            if inside.lost.contains_key(&place) {
                return Err(PortError::Indeterminate("a fault: it crashed".into()));
            }
            inside.open.remove(&place);
            match unsure {
                true => Err(PortError::Indeterminate("a fault: a timeout".into())),
                false => Ok(()),
            }
        });
        Ok(Staged {
            extent: staged.extent,
            ticket,
        })
    }

    fn read(&self, extent: Extent) -> PortFuture<'_, Bytes> {
        Box::pin(async move {
            let delay_max = self.inside.lock().faults.delay_max;
            FaultJournal::delay(&self.env, delay_max).await;
            if self.fires(|f| f.read_rejected_one_in, |c| &mut c.read_rejected) {
                return Err(PortError::Rejected("a fault: read was refused".into()));
            }
            if self.inside.lock().has_lost(extent) {
                return Err(PortError::Corrupt("a fault: lost in a crash".into()));
            }
            let bytes = self.inner.read(extent).await?;
            if bytes.is_empty() || !self.fires(|f| f.read_flipped_one_in, |c| &mut c.read_flipped) {
                return Ok(bytes);
            }
            let mut bytes = bytes.to_vec();
            let bit = self.env.random_u64() as usize % (bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            Ok(bytes.into())
        })
    }

    fn delete(&self, segment: SegmentId) -> PortFuture<'_, ()> {
        self.inner.delete(segment)
    }

    fn reclaim_bytes_max(&self) -> u64 {
        self.inner.reclaim_bytes_max()
    }

    fn list(&self) -> PortFuture<'_, Vec<StoredSegment>> {
        self.inner.list()
    }
}
