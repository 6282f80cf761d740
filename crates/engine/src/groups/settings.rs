//! The knobs of consumer groups, named as in Kafka.

use std::time::Duration;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupSettings {
    /// `group.min.session.timeout.ms`.
    pub session_timeout_min_ms: u32,
    /// `group.max.session.timeout.ms`.
    pub session_timeout_max_ms: u32,
    /// `group.initial.rebalance.delay.ms`: how long the first round of an empty group waits for
    /// more members, prolonged while they come. Kafka takes 3 s, which every start of a consumer
    /// pays; consumers that start together are within a tenth of a second of each other.
    pub initial_rebalance_delay_ms: u32,
    /// `group.max.size`.
    pub members_max: u32,
    /// `offsets.retention.minutes`, as a duration.
    pub offsets_retention: Duration,
    /// `offsets.retention.check.interval.ms`, as a duration.
    pub offsets_check_interval: Duration,
    /// Member ids given out and not used yet; the oldest are forgotten first.
    pub pending_members_max: usize,
}

impl Default for GroupSettings {
    fn default() -> Self {
        GroupSettings {
            session_timeout_min_ms: 6_000,
            session_timeout_max_ms: 1_800_000,
            initial_rebalance_delay_ms: 150,
            members_max: 10_000,
            offsets_retention: Duration::from_secs(7 * 24 * 60 * 60),
            offsets_check_interval: Duration::from_secs(10 * 60),
            pending_members_max: 100_000,
        }
    }
}
