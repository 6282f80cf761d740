//! What is known of groups besides their state: deadlines and waiters. Nothing of it is durable.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use levada_catalog::groups::{Group, GroupEffect, Phase, RoundView};
use tokio::sync::mpsc;

use super::GroupSettings;
use super::names::PendingMembers;
use super::timers::{Key, Timers};

/// How long an expiry that had no effect (storage refused, state changed) rests before it is tried
/// again.
const RETRY_MS: u64 = 1_000;

/// What a waiter is told. It looks for what it waits for and skips the rest.
#[derive(Clone, Debug)]
pub(super) enum Signal {
    Round(Arc<RoundView>),
    Assigned { generation: i32, assignment: Bytes },
    RoundBegan { generation: i32 },
    Removed { fenced: bool },
    Closed,
}

struct Waiter {
    id: u64,
    member: String,
    syncs: bool,
    tell: mpsc::UnboundedSender<Signal>,
}

/// A round that gathers.
struct Gathering {
    generation: i32,
    due_ms: u64,
    /// `Some` for the first round of an empty group: what is left of the time by which it may be
    /// prolonged.
    prolong_ms: Option<u64>,
    newcomer: bool,
}

/// Members that have to ask for their assignment.
struct Syncing {
    generation: i32,
    due_ms: u64,
    missing: BTreeSet<String>,
}

#[derive(Default)]
struct Watch {
    /// Deadlines of sessions, by member id; each has one timer.
    members: HashMap<String, u64, FixedState>,
    waiters: Vec<Waiter>,
    gathering: Option<Gathering>,
    syncing: Option<Syncing>,
}

/// What the timer task has to see to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// The member's session is over, as far as heartbeats go.
    Member(Arc<str>, String),
    Round(Arc<str>, i32),
    /// These did not ask for their assignment in time.
    Sync(Arc<str>, i32, Vec<String>),
}

pub(super) struct Desk {
    watches: HashMap<Arc<str>, Watch, FixedState>,
    pub timers: Timers,
    pub pending: PendingMembers,
    initial_delay_ms: u64,
    next_waiter: u64,
}

impl Desk {
    pub fn new(settings: &GroupSettings) -> Self {
        Desk {
            watches: HashMap::with_hasher(FixedState::default()),
            timers: Timers::default(),
            pending: PendingMembers::new(settings.pending_members_max),
            initial_delay_ms: settings.initial_rebalance_delay_ms.into(),
            next_waiter: 0,
        }
    }

    fn watch(&mut self, group: &Arc<str>) -> &mut Watch {
        self.watches.entry(group.clone()).or_default()
    }

    /// Takes over a group that has members, as the state has it after a start.
    pub fn adopt(&mut self, group: &Group, now_ms: u64) {
        let name = group.name();
        for (id, member) in group.members() {
            self.set_deadline(name, id, now_ms + u64::from(member.session_timeout_ms));
        }
        let due_ms = now_ms + u64::from(group.rebalance_timeout_ms());
        let generation = group.generation();
        match group.phase() {
            Phase::Preparing { initial } => {
                self.gather(
                    name,
                    generation,
                    initial,
                    group.rebalance_timeout_ms(),
                    now_ms,
                );
            }
            Phase::Completing => {
                let missing = group.members().keys().cloned().collect();
                self.await_syncs(name, generation, missing, due_ms);
            }
            Phase::Empty | Phase::Stable => {}
        }
    }

    /// Makes an effect known. Returns whether the timer task has to be woken.
    pub fn notice(&mut self, effect: &GroupEffect, now_ms: u64) -> bool {
        let group = effect.group();
        let woken = match effect {
            GroupEffect::MemberAdded {
                member,
                session_timeout_ms,
                ..
            } => {
                if let Some(gathering) = &mut self.watch(group).gathering {
                    gathering.newcomer = true;
                }
                self.set_deadline(group, member, now_ms + u64::from(*session_timeout_ms))
            }
            GroupEffect::MemberRemoved { member, fenced, .. } => {
                let watch = self.watch(group);
                watch.members.remove(member);
                if let Some(syncing) = &mut watch.syncing {
                    syncing.missing.remove(member);
                }
                watch.tell(|waiter| {
                    (waiter.member == *member).then_some(Signal::Removed { fenced: *fenced })
                });
                false
            }
            GroupEffect::RebalanceStarted {
                generation,
                initial,
                timeout_ms,
                ..
            } => {
                let generation = *generation;
                let watch = self.watch(group);
                watch.syncing = None;
                watch.tell(|waiter| waiter.syncs.then_some(Signal::RoundBegan { generation }));
                self.gather(group, generation, *initial, *timeout_ms, now_ms)
            }
            GroupEffect::RoundCompleted { round, .. } => self.complete(group, round, now_ms),
            GroupEffect::Assigned {
                generation,
                assignments,
                ..
            } => {
                self.watch(group).tell(|waiter| {
                    let own = assignments.binary_search_by(|(id, _)| id.cmp(&waiter.member));
                    let own = own.ok().and_then(|index| assignments.get(index));
                    let assignment = own.filter(|_| waiter.syncs)?.1.clone();
                    Some(Signal::Assigned {
                        generation: *generation,
                        assignment,
                    })
                });
                false
            }
            GroupEffect::Emptied { .. } | GroupEffect::Removed { .. } => {
                let watch = self.watch(group);
                watch.gathering = None;
                watch.syncing = None;
                watch.members.clear();
                false
            }
        };
        self.forget_if_idle(group);
        woken
    }

    fn gather(
        &mut self,
        group: &Arc<str>,
        generation: i32,
        initial: bool,
        timeout_ms: u32,
        now_ms: u64,
    ) -> bool {
        let timeout_ms = u64::from(timeout_ms);
        let delay_ms = if initial {
            timeout_ms.min(self.initial_delay_ms)
        } else {
            timeout_ms
        };
        let due_ms = now_ms + delay_ms;
        self.watch(group).gathering = Some(Gathering {
            generation,
            due_ms,
            prolong_ms: initial.then_some(timeout_ms - delay_ms),
            newcomer: false,
        });
        self.timers
            .push(due_ms, Key::Round(group.clone(), generation))
    }

    fn await_syncs(
        &mut self,
        group: &Arc<str>,
        generation: i32,
        missing: BTreeSet<String>,
        due_ms: u64,
    ) -> bool {
        self.watch(group).syncing = Some(Syncing {
            generation,
            due_ms,
            missing,
        });
        self.timers
            .push(due_ms, Key::Sync(group.clone(), generation))
    }

    /// Every member starts the generation with a full session timeout.
    fn complete(&mut self, group: &Arc<str>, round: &Arc<RoundView>, now_ms: u64) -> bool {
        self.watch(group).gathering = None;
        let mut woken = false;
        for member in &round.members {
            let due_ms = now_ms + u64::from(member.session_timeout_ms);
            woken |= self.set_deadline(group, &member.member, due_ms);
        }
        let missing = round
            .members
            .iter()
            .map(|member| member.member.clone())
            .collect();
        let due_ms = now_ms + u64::from(round.rebalance_timeout_ms);
        woken |= self.await_syncs(group, round.generation, missing, due_ms);
        self.watch(group).tell(|waiter| {
            (!waiter.syncs && round.has(&waiter.member)).then(|| Signal::Round(round.clone()))
        });
        woken
    }

    fn set_deadline(&mut self, group: &Arc<str>, member: &str, due_ms: u64) -> bool {
        let watch = self.watches.entry(group.clone()).or_default();
        if let Some(deadline) = watch.members.get_mut(member) {
            *deadline = due_ms;
            return false;
        }
        watch.members.insert(member.to_owned(), due_ms);
        let key = Key::Member(group.clone(), member.to_owned());
        self.timers.push(due_ms, key)
    }

    /// A sign of life.
    pub fn touch(&mut self, group: &str, member: &str, due_ms: u64) {
        let watch = self.watches.get_mut(group);
        if let Some(deadline) = watch.and_then(|watch| watch.members.get_mut(member)) {
            *deadline = due_ms;
        }
    }

    /// The member asks for its assignment.
    pub fn has_synced(&mut self, group: &str, member: &str, generation: i32) {
        let Some(watch) = self.watches.get_mut(group) else {
            return;
        };
        if let Some(syncing) = &mut watch.syncing
            && syncing.generation == generation
        {
            syncing.missing.remove(member);
            if syncing.missing.is_empty() {
                watch.syncing = None;
            }
        }
    }

    /// Whether a SyncGroup call of the member waits: that is a sign of life too.
    pub fn waits_for_assignment(&self, group: &str, member: &str) -> bool {
        let watch = self.watches.get(group);
        watch.is_some_and(|watch| watch.waiters.iter().any(|w| w.syncs && w.member == member))
    }

    /// Registers a waiter; returns its number for [`Desk::leave`].
    pub fn wait(
        &mut self,
        group: &Arc<str>,
        member: &str,
        syncs: bool,
    ) -> (u64, mpsc::UnboundedReceiver<Signal>) {
        self.next_waiter += 1;
        let id = self.next_waiter;
        let (tell, signals) = mpsc::unbounded_channel();
        self.watch(group).waiters.push(Waiter {
            id,
            member: member.to_owned(),
            syncs,
            tell,
        });
        (id, signals)
    }

    /// A waiter has its answer, or its client is gone.
    pub fn leave(&mut self, group: &Arc<str>, id: u64) {
        if let Some(watch) = self.watches.get_mut(group) {
            watch.waiters.retain(|waiter| waiter.id != id);
            self.forget_if_idle(group);
        }
    }

    fn forget_if_idle(&mut self, group: &Arc<str>) {
        if self.watches.get(group).is_some_and(Watch::is_idle) {
            self.watches.remove(group);
        }
    }

    /// Everybody who waits is told that it is over.
    pub fn close(&mut self) {
        for watch in self.watches.values() {
            watch.tell(|_| Some(Signal::Closed));
        }
    }

    /// The next thing that is due. It is set again to a later time, in case nothing comes of it.
    pub fn next_due(&mut self, now_ms: u64) -> Option<Due> {
        while let Some(key) = self.timers.pop_due(now_ms) {
            let due = match key {
                Key::Member(group, member) => self.member_due(group, member, now_ms),
                Key::Round(group, generation) => self.round_due(group, generation, now_ms),
                Key::Sync(group, generation) => self.sync_due(group, generation, now_ms),
            };
            if due.is_some() {
                return due;
            }
        }
        None
    }

    fn member_due(&mut self, group: Arc<str>, member: String, now_ms: u64) -> Option<Due> {
        let deadline = self.watches.get_mut(&group)?.members.get_mut(&member)?;
        let over = *deadline <= now_ms;
        if over {
            *deadline = now_ms + RETRY_MS;
        }
        let key = Key::Member(group.clone(), member.clone());
        self.timers.push(*deadline, key);
        over.then_some(Due::Member(group, member))
    }

    fn round_due(&mut self, group: Arc<str>, generation: i32, now_ms: u64) -> Option<Due> {
        let gathering = self.watches.get_mut(&group)?.gathering.as_mut()?;
        if gathering.generation != generation {
            return None;
        }
        let mut over = gathering.due_ms <= now_ms;
        if over {
            let step_ms = gathering.prolong_ms.unwrap_or(0).min(self.initial_delay_ms);
            if gathering.newcomer && step_ms > 0 {
                gathering.newcomer = false;
                gathering.prolong_ms = gathering.prolong_ms.map(|left| left - step_ms);
                gathering.due_ms = now_ms + step_ms;
                over = false;
            } else {
                gathering.due_ms = now_ms + RETRY_MS;
            }
        }
        let key = Key::Round(group.clone(), generation);
        self.timers.push(gathering.due_ms, key);
        over.then_some(Due::Round(group, generation))
    }

    fn sync_due(&mut self, group: Arc<str>, generation: i32, now_ms: u64) -> Option<Due> {
        let syncing = self.watches.get_mut(&group)?.syncing.as_mut()?;
        if syncing.generation != generation {
            return None;
        }
        let over = syncing.due_ms <= now_ms;
        if over {
            syncing.due_ms = now_ms + RETRY_MS;
        }
        let missing = syncing.missing.iter().cloned().collect();
        let key = Key::Sync(group.clone(), generation);
        self.timers.push(syncing.due_ms, key);
        over.then_some(Due::Sync(group, generation, missing))
    }

    /// Groups with something to watch, and calls that wait.
    pub fn sizes(&self) -> (usize, usize) {
        let waiting = self.watches.values().map(|watch| watch.waiters.len());
        (self.watches.len(), waiting.sum())
    }
}

impl Watch {
    fn tell(&self, signal: impl Fn(&Waiter) -> Option<Signal>) {
        for waiter in &self.waiters {
            if let Some(signal) = signal(waiter) {
                // A waiter that is just going away does not listen any more.
                let _ = waiter.tell.send(signal);
            }
        }
    }

    fn is_idle(&self) -> bool {
        self.members.is_empty()
            && self.waiters.is_empty()
            && self.gathering.is_none()
            && self.syncing.is_none()
    }
}
