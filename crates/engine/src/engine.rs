//! The engine as a whole: what it holds, how it starts and stops.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use levada_catalog::INDEX_ENTRY_BYTES;
use levada_env::Env;
use levada_journal::Journal;
use levada_model::{Extent, SegmentId};
use levada_sequencer::Sequencer;
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore};

use crate::{
    EngineMetrics, EngineSettings, accumulator::Accumulator, committer, committer::StagedSegments,
    effects::Dispatch, groups::Groups, queue::Queues, retention, run_cache::RunCache,
    tail::TailCache, watch::Watchers,
};

/// Places that readers found damaged and a person was told of.
#[derive(Default)]
pub(crate) struct KnownDamage {
    places: Mutex<BTreeSet<(SegmentId, u64)>>,
}

impl KnownDamage {
    /// More are not told one by one.
    const PLACES_MAX: usize = 4096;

    /// Whether this place was not known; it is now.
    pub fn is_new(&self, at: Extent) -> bool {
        let mut places = self.places.lock();
        places.len() < Self::PLACES_MAX && places.insert((at.segment, at.position))
    }
}

pub(crate) struct Inner {
    pub env: Env,
    pub settings: EngineSettings,
    pub journal: Arc<dyn Journal>,
    pub sequencer: Sequencer,
    pub accumulator: Accumulator,
    /// Bytes that may be received and not yet acknowledged.
    pub in_flight: Arc<Semaphore>,
    /// Batches that may be open at once: see [`Inner::opening`].
    pub openings: Semaphore,
    pub staged: StagedSegments,
    pub tail: TailCache,
    pub damage: KnownDamage,
    pub runs: RunCache,
    /// Index entries that a partition keeps now, at most: fewer when memory for all is short.
    pub index_tail_max: AtomicUsize,
    /// Index entries in memory, as of the last round of maintenance.
    pub index_entries: AtomicUsize,
    pub watchers: Arc<Watchers>,
    pub groups: Groups,
    pub queues: Queues,
    pub metrics: Arc<EngineMetrics>,
    pub closing: AtomicBool,
    /// Nobody waits for records any more.
    pub draining: AtomicBool,
    pub stop: Notify,
    pub committer_done: Notify,
}

/// A batch of a few kilobytes may hold a hundred megabytes of records.
const OPENINGS_MAX: usize = 2;

impl Inner {
    /// Runs work that decompresses batches: off the reactor, since it may take a tenth of a second,
    /// and few at a time, since each takes as much memory as the limit for one allows.
    pub async fn opening<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        // The semaphore is never closed; if it were, only the bound would be gone.
        let _turn = self.openings.acquire().await.ok();
        self.env.blocking(work).await
    }
}

/// The service without its listeners. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    pub(crate) inner: Arc<Inner>,
}

impl Engine {
    /// Starts the engine's tasks on a recovered sequencer.
    pub fn start(
        env: Env,
        settings: EngineSettings,
        journal: Arc<dyn Journal>,
        sequencer: Sequencer,
    ) -> Engine {
        let watchers = Arc::new(Watchers::default());
        let groups = Groups::new(env.clone(), settings.groups.clone(), sequencer.clone());
        let queues = Queues::new(&settings);
        sequencer.set_sink(Arc::new(Dispatch {
            watchers: Arc::clone(&watchers),
            receivers: Arc::clone(&queues.receivers),
            groups: groups.downgrade(),
        }));
        groups.start();
        let index_tail_max = settings.index_tail_entries_max;
        let inner = Arc::new(Inner {
            in_flight: Arc::new(Semaphore::new(settings.in_flight_bytes)),
            openings: Semaphore::new(OPENINGS_MAX),
            tail: TailCache::new(settings.tail_cache_bytes),
            env: env.clone(),
            settings,
            journal,
            sequencer,
            accumulator: Accumulator::default(),
            damage: KnownDamage::default(),
            runs: RunCache::default(),
            index_tail_max: AtomicUsize::new(index_tail_max),
            index_entries: AtomicUsize::new(0),
            staged: StagedSegments::default(),
            watchers,
            groups,
            queues,
            metrics: Arc::default(),
            closing: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            stop: Notify::new(),
            committer_done: Notify::new(),
        });
        env.spawn("committer", committer::run(Arc::clone(&inner)));
        env.spawn("maintenance", retention::run(Arc::clone(&inner)));
        let engine = Engine { inner };
        engine.resume_moves();
        engine
    }

    pub fn settings(&self) -> &EngineSettings {
        &self.inner.settings
    }

    pub fn metrics(&self) -> &EngineMetrics {
        &self.inner.metrics
    }

    pub fn cluster_id(&self) -> &str {
        &self.inner.settings.cluster_id
    }

    /// Consumer groups.
    pub fn groups(&self) -> &Groups {
        &self.inner.groups
    }

    /// Topics, partitions and bytes kept in the tail cache, now.
    pub fn sizes(&self) -> EngineSizes {
        let (topics, partitions) = self
            .inner
            .sequencer
            .read(|state| (state.topic_count(), state.partition_count()));
        EngineSizes {
            topics,
            partitions,
            tail_cache_bytes: self.inner.tail.bytes(),
            index_bytes: self.inner.index_entries.load(Ordering::Relaxed) * INDEX_ENTRY_BYTES,
            in_flight_bytes: self.inner.settings.in_flight_bytes
                - self.inner.in_flight.available_permits(),
        }
    }

    /// Finishes what was submitted, wakes who waits, refuses what comes later. The caller closes
    /// the listeners first and seals the storage afterwards.
    pub async fn shutdown(&self) {
        let done = self.inner.committer_done.notified();
        tokio::pin!(done);
        done.as_mut().enable();
        if self.inner.closing.swap(true, Ordering::AcqRel) {
            return;
        }
        self.wake_waiting();
        self.inner.stop.notify_one();
        self.inner.accumulator.close();
        done.await;
        self.inner.sequencer.close().await;
    }

    /// Answers long polls, and members that wait for a rebalance, at once from now on: the service
    /// drains.
    pub fn wake_waiting(&self) {
        self.inner.draining.store(true, Ordering::SeqCst);
        self.inner.watchers.wake_all();
        self.inner.queues.receivers.wake_all();
        self.inner.groups.close();
    }
}

/// Gauges of the engine.
#[derive(Clone, Copy, Debug, Default)]
pub struct EngineSizes {
    pub topics: usize,
    pub partitions: u64,
    pub tail_cache_bytes: usize,
    /// Index entries in memory, as of the last round of maintenance.
    pub index_bytes: usize,
    pub in_flight_bytes: usize,
}
