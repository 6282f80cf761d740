//! What a seed decides before its run begins.

use std::time::Duration;

use levada_env::SeededRandom;

use crate::faults::Fault;

/// The broker's Kafka port.
pub const PORT: u16 = 9092;
/// The broker's SQS port.
pub const SQS_PORT: u16 = 9324;
/// Hosts that clients live on; each has its own way to the broker.
pub const CLIENT_HOSTS: [&str; 3] = ["north", "south", "west"];

/// Sizes and times of the broker's storage.
#[derive(Clone, Debug)]
pub struct Storage {
    pub file_bytes_max: u64,
    pub snapshot_bytes: u64,
    pub reserve_bytes: u64,
    pub disk_slack_bytes: u64,
    pub tail_cache_bytes: u64,
    pub maintenance_interval_ms: u64,
}

/// How many clients of each kind.
#[derive(Clone, Debug)]
pub struct Crew {
    pub idempotent: u64,
    pub plain: u64,
    pub readers: u64,
    pub groups: u64,
    pub members: u64,
    /// Workers on the queues; none: there are no queues.
    pub queues: u64,
}

/// A queue of a run.
#[derive(Clone, Debug)]
pub struct Queue {
    pub name: &'static str,
    pub is_fifo: bool,
    pub delay_s: u64,
    /// FIFO queues: without ids, by content.
    pub by_content: bool,
    /// The queue that gets what was received so often.
    pub dead_letters: Option<(&'static str, u32)>,
}

/// Begins the name of each queue: their topics are no topics to the clients of Kafka.
pub const QUEUE_NAME: &str = "jobs";

/// One run as its seed decides it.
#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    pub storage: Storage,
    pub crew: Crew,
    /// How long faults are injected.
    pub chaos: Duration,
    /// The kinds of faults of this run, and the mean time between two.
    pub faults: Vec<Fault>,
    pub fault_every: Duration,
    pub latency_max: Duration,
    /// Whether the last restart is a stop in good order instead of a power loss.
    pub stops_cleanly: bool,
    /// Dead-letter queues stand before those that name them.
    pub queues: Vec<Queue>,
}

impl Plan {
    #[must_use]
    pub fn of_seed(seed: u64) -> Self {
        let random = SeededRandom::new(seed ^ 0x5eed);
        let one_of = |choices: &[u64]| choices[random.below(choices.len() as u64) as usize];
        let storage = Storage {
            file_bytes_max: one_of(&[32, 64, 128, 512]) << 10,
            snapshot_bytes: one_of(&[16, 48, 128, 1024]) << 10,
            reserve_bytes: one_of(&[0, 64, 256]) << 10,
            disk_slack_bytes: one_of(&[0, 64, 256]) << 10,
            tail_cache_bytes: one_of(&[0, 16, 1024]) << 10,
            maintenance_interval_ms: one_of(&[150, 400, 1000]),
        };
        let crew = Crew {
            idempotent: 1 + random.below(3),
            plain: random.below(2),
            readers: 1 + random.below(2),
            groups: random.below(3),
            members: 1 + random.below(3),
            queues: 0,
        };
        // Some kinds only: faults that are there all the time hide what few of them would show.
        let share = 1 + random.below(4);
        let faults = Fault::SCHEDULED
            .iter()
            .copied()
            .filter(|_| random.below(4) < share)
            .collect();
        let mut plan = Self {
            seed,
            storage,
            crew,
            chaos: Duration::from_millis(4_000 + random.below(8_000)),
            faults,
            fault_every: Duration::from_millis(one_of(&[250, 600, 1500])),
            latency_max: Duration::from_millis(one_of(&[1, 5, 30])),
            stops_cleanly: random.one_in(4),
            queues: Vec::new(),
        };
        // Half of the runs have queues.
        plan.crew.queues = random.below(6).saturating_sub(2);
        if plan.crew.queues > 0 {
            plan.queues = queues(&random);
        }
        plan
    }
}

/// A queue of each kind with its dead-letter queue.
fn queues(random: &SeededRandom) -> Vec<Queue> {
    let dead = |name, is_fifo| Queue {
        name,
        is_fifo,
        delay_s: 0,
        by_content: false,
        dead_letters: None,
    };
    let source = |name, is_fifo, target| Queue {
        name,
        is_fifo,
        delay_s: random.below(5).saturating_sub(3),
        by_content: is_fifo && random.one_in(3),
        dead_letters: Some((target, 1 + random.below(3) as u32)),
    };
    vec![
        dead("jobs-dead", false),
        dead("jobs-dead.fifo", true),
        source("jobs", false, "jobs-dead"),
        source("jobs.fifo", true, "jobs-dead.fifo"),
    ]
}
