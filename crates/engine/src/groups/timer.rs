//! The one task that lets time act on all groups.

use std::time::Duration;

use futures_util::future::join_all;
use levada_catalog::groups::{GroupCommand, GroupError, GroupReply, Phase};

use super::Groups;
use super::desk::Due;

/// Most proposals under way at once.
const PROPOSALS_MAX: usize = 512;
/// Groups that one look at the state visits for expired offsets.
const SCAN_GROUPS_MAX: usize = 256;

/// Runs until the groups are closed.
pub(super) async fn run(groups: Groups) {
    let interval_ms = duration_ms(groups.settings().offsets_check_interval);
    let mut check_ms = groups.now_ms().saturating_add(interval_ms);
    loop {
        while groups.act_on_due().await && !groups.is_closed() {}
        if groups.now_ms() >= check_ms {
            groups.expire_offsets().await;
            check_ms = groups.now_ms().saturating_add(interval_ms);
        }
        if groups.is_closed() {
            return;
        }
        let until_ms = groups.inner.desk.lock().timers.sleep(check_ms);
        let sleep = Duration::from_millis(until_ms.saturating_sub(groups.now_ms()));
        // Which of the two it was shows in what is due.
        let _ = groups
            .inner
            .env
            .timeout(sleep, groups.inner.wake.notified())
            .await;
        groups.inner.desk.lock().timers.awake();
    }
}

fn duration_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Groups {
    /// Every member of the recovered state has its full session timeout.
    pub(super) fn adopt(&self) {
        let mut after = None;
        loop {
            let now_ms = self.now_ms();
            let (page, next) = self.inner.sequencer.read(|state| {
                let page = state.groups().after(after.as_deref()).take(SCAN_GROUPS_MAX);
                let page: Vec<_> = page.collect();
                let next = page.last().map(|group| group.name().to_string());
                let alive = page
                    .into_iter()
                    .filter(|group| group.phase() != Phase::Empty);
                (alive.cloned().collect::<Vec<_>>(), next)
            });
            let mut desk = self.inner.desk.lock();
            for group in &page {
                desk.adopt(group, now_ms);
            }
            if next.is_none() {
                return;
            }
            after = next;
        }
    }

    /// Proposes what a batch of due timers leads to; whether there may be more.
    async fn act_on_due(&self) -> bool {
        let now_ms = self.now_ms();
        let mut due = Vec::new();
        {
            let mut desk = self.inner.desk.lock();
            while due.len() < PROPOSALS_MAX
                && let Some(next) = desk.next_due(now_ms)
            {
                due.push(next);
            }
        }
        let more = due.len() == PROPOSALS_MAX;
        let commands = due.into_iter().flat_map(|due| self.consequences(due));
        let proposals = commands.map(|command| self.propose_from_timer(command));
        join_all(proposals).await;
        more
    }

    /// Storage that refuses is asked again: what is due is set anew before it is proposed.
    async fn propose_from_timer(&self, command: GroupCommand) {
        let outcome: Result<GroupReply, GroupError> = self.propose(command).await;
        if let Err(error) = outcome {
            tracing::debug!(%error, "a group's timer had no effect");
        }
    }

    fn consequences(&self, due: Due) -> Vec<GroupCommand> {
        match due {
            Due::Round(group, generation) => vec![GroupCommand::CompleteRebalance {
                group: group.to_string(),
                generation,
            }],
            Due::Member(group, member) => self.expiry(&group, &member).into_iter().collect(),
            Due::Sync(group, generation, missing) => self.inner.sequencer.read(|state| {
                let known = state.groups().get(&group);
                let known = known.filter(|known| known.generation() == generation);
                let late = missing.into_iter().filter_map(|member| {
                    Some(GroupCommand::ExpireMember {
                        group: group.to_string(),
                        attempt: known?.members().get(&member)?.attempt,
                        generation,
                        member,
                    })
                });
                late.collect()
            }),
        }
    }

    /// The session of a member is over by its heartbeats. A member that waits for an answer of
    /// ours is alive.
    fn expiry(&self, group: &str, member: &str) -> Option<GroupCommand> {
        let syncs = self.inner.desk.lock().waits_for_assignment(group, member);
        self.inner.sequencer.read(|state| {
            let known = state.groups().get(group)?;
            let seen = known.members().get(member)?;
            let waits = match known.phase() {
                Phase::Preparing { .. } => seen.joined,
                Phase::Completing => syncs,
                Phase::Empty | Phase::Stable => false,
            };
            (!waits).then(|| GroupCommand::ExpireMember {
                group: group.to_owned(),
                member: member.to_owned(),
                generation: known.generation(),
                attempt: seen.attempt,
            })
        })
    }

    /// Looks once through all groups for offsets that nobody needs any more.
    async fn expire_offsets(&self) {
        let retention_ms = duration_ms(self.settings().offsets_retention);
        let mut after = None;
        while !self.is_closed() {
            let now_ms = self.inner.env.now_ms();
            let (names, next) = self.inner.sequencer.read(|state| {
                state.expirable_groups(after.as_deref(), SCAN_GROUPS_MAX, retention_ms, now_ms)
            });
            let commands = names.into_iter().map(|group| GroupCommand::ExpireOffsets {
                group,
                retention_ms,
            });
            join_all(commands.map(|command| self.propose_from_timer(command))).await;
            if next.is_none() {
                return;
            }
            after = next;
        }
    }
}
