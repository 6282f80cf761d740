//! What one run shares: its disk, its network, its clock, the topics that exist, what is recorded.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use levada_env::fault::FaultFs;
use levada_env::{Clock, Env, Gate, SeededRandom, SimulatedClock};
use levada_model::TopicId;
use parking_lot::Mutex;

use crate::faults::{Fault, Tally};
use crate::history::{Note, Recorder, Retention};
use crate::network::SimulatedNetwork;
use crate::plan::Plan;

/// 2026-01-01T00:00:00Z, where every run begins.
const EPOCH_MS: i64 = 1_767_225_600_000;

thread_local! {
    /// Simulated time where no host runs.
    static BETWEEN_HOSTS_US: Cell<u64> = const { Cell::new(0) };
}

/// Microseconds since the run began.
pub fn now_us() -> u64 {
    match turmoil::sim_elapsed() {
        Some(elapsed) => elapsed.as_micros() as u64,
        None => BETWEEN_HOSTS_US.get(),
    }
}

/// Tells the time of the step that begins.
pub fn set_now(elapsed: Duration) {
    BETWEEN_HOSTS_US.set(elapsed.as_micros() as u64);
}

/// What the run is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Clients work, faults are injected.
    Chaos,
    /// No more faults: clients end what they have begun.
    Calm,
    /// Everything that is left is read back.
    Audit,
}

/// How the broker is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Broker {
    /// It starts, or recovers.
    Starting,
    Up,
    /// It refused to start, and why.
    Refused(String),
    /// Its log failed: the process has ended itself.
    Failed(String),
    /// It was asked to stop and has.
    Stopped,
}

/// A topic that exists as far as clients know.
#[derive(Clone, Debug)]
pub struct KnownTopic {
    pub name: String,
    pub id: TopicId,
    pub partitions: i32,
    pub retention: Retention,
}

/// Names of topics that groups read. They are never used again: a commit names its topic by name
/// only, and one that comes late would be taken for the successor's.
pub const UNIQUE_NAME: &str = "t";

impl KnownTopic {
    /// Whether other topics may have had, or may get, the same name.
    pub fn is_name_reused(&self) -> bool {
        !self.name.starts_with(UNIQUE_NAME)
    }
}

/// One run.
pub struct World {
    pub plan: Plan,
    pub recorder: Recorder,
    pub disk: FaultFs,
    pub network: SimulatedNetwork,
    pub tally: Tally,
    pub topics: Mutex<Vec<KnownTopic>>,
    pub broker: Mutex<Broker>,
    /// The broker was asked to stop in good order.
    pub stop_asked: AtomicBool,
    phase: Mutex<Phase>,
    /// How far the broker's wall clock is off.
    pub skew_ms: Arc<AtomicI64>,
    gate: Mutex<Arc<CrashGate>>,
    boots: AtomicU64,
}

impl World {
    pub fn new(plan: Plan) -> Arc<Self> {
        Arc::new(Self {
            recorder: Recorder::new(now_us),
            disk: FaultFs::new(plan.seed ^ 0xd15c),
            network: SimulatedNetwork::default(),
            tally: Tally::default(),
            topics: Mutex::default(),
            broker: Mutex::new(Broker::Starting),
            stop_asked: AtomicBool::new(false),
            phase: Mutex::new(Phase::Chaos),
            skew_ms: Arc::default(),
            gate: Mutex::default(),
            boots: AtomicU64::new(0),
            plan,
        })
    }

    pub fn phase(&self) -> Phase {
        *self.phase.lock()
    }

    pub fn set_phase(&self, phase: Phase) {
        *self.phase.lock() = phase;
    }

    /// Whether clients are to end.
    pub fn is_ending(&self) -> bool {
        self.phase() != Phase::Chaos
    }

    pub fn broker(&self) -> Broker {
        self.broker.lock().clone()
    }

    /// The environment of the broker's next start, and the gate that can stop it.
    pub fn broker_env(&self) -> (Env, Arc<CrashGate>) {
        let boot = self.boots.fetch_add(1, Relaxed);
        let gate = Arc::new(CrashGate::default());
        *self.gate.lock() = gate.clone();
        let seed = self.plan.seed.wrapping_mul(1009).wrapping_add(boot);
        let env = Env::simulated(seed, Arc::new(self.disk.clone()))
            .with_clock(Arc::new(HostClock::new(self.skew_ms.clone())))
            .with_network(Arc::new(self.network.clone()))
            .with_gate(gate.clone());
        (env, gate)
    }

    /// The gate of the broker that runs.
    pub fn gate(&self) -> Arc<CrashGate> {
        self.gate.lock().clone()
    }

    /// The environment of a client.
    pub fn client_env(&self, client: u32) -> Env {
        let seed = self.plan.seed.wrapping_mul(2003) ^ u64::from(client);
        Env::simulated(seed, Arc::new(FaultFs::new(seed)))
            .with_clock(Arc::new(HostClock::new(Arc::default())))
            .with_network(Arc::new(self.network.clone()))
    }

    /// Counts a fault and puts it into the trace.
    pub fn fault(&self, fault: Fault, what: String) {
        self.tally.add(fault, 1);
        self.recorder.note(Note::Fault { what });
    }

    /// A topic that exists, as far as is known.
    pub fn any_topic(&self, random: &SeededRandom) -> Option<KnownTopic> {
        let topics = self.topics.lock();
        let index = random.below(topics.len() as u64) as usize;
        topics.get(index).cloned()
    }
}

/// The wall clock follows the run's time and goes on over restarts; the monotonic one begins again.
struct HostClock {
    skew_ms: Arc<AtomicI64>,
    run: SimulatedClock,
}

impl HostClock {
    fn new(skew_ms: Arc<AtomicI64>) -> Self {
        Self {
            skew_ms,
            run: SimulatedClock::new(),
        }
    }
}

impl Clock for HostClock {
    fn now_ms(&self) -> i64 {
        EPOCH_MS + (now_us() / 1000) as i64 + self.skew_ms.load(Relaxed)
    }

    fn monotonic(&self) -> Duration {
        self.run.monotonic()
    }
}

/// Stops the broker's tasks before one of their polls: a crash at any await.
#[derive(Default)]
pub struct CrashGate {
    /// Polls until it closes; zero: it is not armed.
    polls_left: AtomicU64,
    closed: AtomicBool,
}

impl CrashGate {
    /// Closes at the `polls`-th poll from now.
    pub fn arm(&self, polls: u64) {
        self.polls_left.store(polls, Relaxed);
    }

    pub fn close(&self) {
        self.closed.store(true, Relaxed);
    }

    pub fn is_closed(&self) -> bool {
        self.closed.load(Relaxed)
    }
}

impl Gate for CrashGate {
    fn enter(&self) -> bool {
        if self.polls_left.load(Relaxed) > 0 && self.polls_left.fetch_sub(1, Relaxed) == 1 {
            self.close();
        }
        !self.is_closed()
    }
}
