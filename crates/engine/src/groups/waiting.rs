//! The two calls that wait: JoinGroup for the round, SyncGroup for the leader.

use std::sync::Arc;

use bytes::Bytes;
use levada_catalog::groups::{
    GroupCommand, GroupError, GroupReply, Join, JoinProtocol, Joined, Sync, SyncStep,
    check_group_id, check_session_timeout,
};
use tokio::sync::mpsc;

use super::Groups;
use super::desk::Signal;
use super::names::member_id;

/// A JoinGroup call.
#[derive(Clone, Debug)]
pub struct JoinRequest {
    pub group: String,
    /// Empty from a client that has none yet.
    pub member: String,
    pub instance: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub session_timeout_ms: i32,
    /// -1: as long as the session timeout.
    pub rebalance_timeout_ms: i32,
    pub protocol_type: String,
    pub protocols: Vec<JoinProtocol>,
    /// Whether a new dynamic member first gets an id and joins with it (JoinGroup 4, KIP-394).
    pub requires_member_id: bool,
    /// Whether the client knows `skip_assignment` (JoinGroup 9, KIP-814).
    pub skip_assignment: bool,
}

/// A join that was refused; `member` is the id to answer with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct JoinRefused {
    pub error: GroupError,
    pub member: String,
}

/// A SyncGroup call.
pub type SyncRequest = Sync;

/// A member's assignment, and what its generation agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synced {
    pub assignment: Bytes,
    pub protocol_type: Option<String>,
    pub protocol: Option<String>,
}

/// A registered waiter; it leaves the desk when dropped, also with a connection that breaks.
struct Waiting<'a> {
    groups: &'a Groups,
    group: Arc<str>,
    id: u64,
    signals: mpsc::UnboundedReceiver<Signal>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.groups.inner.desk.lock().leave(&self.group, self.id);
    }
}

impl Waiting<'_> {
    /// The first signal that `choose` takes.
    async fn first<T>(
        &mut self,
        mut choose: impl FnMut(Signal) -> Option<Result<T, GroupError>>,
    ) -> Result<T, GroupError> {
        while let Some(signal) = self.signals.recv().await {
            match signal {
                Signal::Closed => break,
                Signal::Removed { fenced: true } => return Err(GroupError::FencedInstanceId),
                Signal::Removed { fenced: false } => return Err(GroupError::UnknownMemberId),
                signal => {
                    if let Some(outcome) = choose(signal) {
                        return outcome;
                    }
                }
            }
        }
        Err(GroupError::CoordinatorNotAvailable)
    }
}

impl Groups {
    fn wait(&self, group: &str, member: &str, syncs: bool) -> Result<Waiting<'_>, GroupError> {
        let group: Arc<str> = Arc::from(group);
        let (id, signals) = self.inner.desk.lock().wait(&group, member, syncs);
        let waiting = Waiting {
            groups: self,
            group,
            id,
            signals,
        };
        // After registering: who registers later is refused, who did before is told.
        self.check_open()?;
        Ok(waiting)
    }

    /// Joins a group and waits until the round is complete (JoinGroup).
    ///
    /// # Errors
    /// [`JoinRefused`]; with [`GroupError::MemberIdRequired`] the id to join with.
    pub async fn join(&self, request: JoinRequest) -> Result<Joined, JoinRefused> {
        let given = request.member.clone();
        let join = match self.prepare_join(request) {
            Ok(join) => join,
            Err(Prepared::Refused(error)) => {
                return Err(JoinRefused {
                    error,
                    member: given,
                });
            }
            Err(Prepared::Pending(member)) => {
                return Err(JoinRefused {
                    error: GroupError::MemberIdRequired,
                    member,
                });
            }
        };
        let joined = self.join_and_wait(join).await;
        joined.map_err(|error| JoinRefused {
            error,
            member: given,
        })
    }

    /// Checks what needs no command, and names the member.
    fn prepare_join(&self, request: JoinRequest) -> Result<Join, Prepared> {
        self.check_open()?;
        let settings = self.settings();
        let bounds_ms = settings.session_timeout_min_ms..=settings.session_timeout_max_ms;
        let mut join = Join {
            group: request.group,
            member: request.member,
            fresh: false,
            instance: request.instance,
            client_id: request.client_id,
            client_host: request.client_host,
            session_timeout_ms: 0,
            rebalance_timeout_ms: 0,
            protocol_type: request.protocol_type,
            protocols: request.protocols,
            skip_assignment: request.skip_assignment,
            members_max: settings.members_max,
        };
        join.check()?;
        join.session_timeout_ms = check_session_timeout(request.session_timeout_ms, bounds_ms)?;
        let asked_ms = u32::try_from(request.rebalance_timeout_ms);
        join.rebalance_timeout_ms = asked_ms.unwrap_or(join.session_timeout_ms);
        if !join.member.is_empty() {
            let mut desk = self.inner.desk.lock();
            join.fresh = desk.pending.take(&join.group, &join.member, self.now_ms());
            return Ok(join);
        }
        let prefix = join.instance.as_ref().unwrap_or(&join.client_id);
        let member = member_id(&self.inner.env, prefix);
        if request.requires_member_id && join.instance.is_none() {
            self.inner
                .sequencer
                .read(|state| state.groups().check_newcomer(&join))?;
            let now_ms = self.now_ms();
            let due_ms = now_ms + u64::from(join.session_timeout_ms);
            let mut desk = self.inner.desk.lock();
            desk.pending.insert(&join.group, &member, due_ms, now_ms);
            return Err(Prepared::Pending(member));
        }
        join.member = member;
        join.fresh = true;
        Ok(join)
    }

    async fn join_and_wait(&self, join: Join) -> Result<Joined, GroupError> {
        let (group, member) = (join.group.clone(), join.member.clone());
        let session_ms = u64::from(join.session_timeout_ms);
        let mut waiting = self.wait(&group, &member, false)?;
        let joined = match self.propose(GroupCommand::Join(join)).await? {
            GroupReply::Joined(joined) => joined,
            GroupReply::Waiting { generation } => {
                let round = waiting.first(|signal| match signal {
                    Signal::Round(round) if round.generation > generation => Some(Ok(round)),
                    _ => None,
                });
                round.await?.joined(&member)
            }
            other => unreachable!("a join was answered {other:?}"),
        };
        let due_ms = self.now_ms() + session_ms;
        self.inner.desk.lock().touch(&group, &member, due_ms);
        Ok(joined)
    }

    /// Hands in the leader's assignments, or waits for them (SyncGroup).
    ///
    /// # Errors
    /// Why the member has no assignment in this generation.
    pub async fn sync(&self, request: SyncRequest) -> Result<Synced, GroupError> {
        self.check_open()?;
        check_group_id(&request.group)?;
        let (group, member) = (request.group.clone(), request.member.clone());
        let generation = request.generation;
        let mut waiting = self.wait(&group, &member, true)?;
        let (step, session_ms, protocol_type, protocol) = self.inner.sequencer.read(|state| {
            let step = state.groups().sync_step(&request)?;
            let known = state
                .groups()
                .get(&group)
                .ok_or(GroupError::UnknownMemberId)?;
            let seen = known
                .members()
                .get(&member)
                .ok_or(GroupError::UnknownMemberId)?;
            let protocol = known.protocol().map(str::to_owned);
            let protocol_type = known.protocol_type().map(str::to_owned);
            Ok((step, seen.session_timeout_ms, protocol_type, protocol))
        })?;
        self.inner
            .desk
            .lock()
            .has_synced(&group, &member, generation);
        let reply = match step {
            SyncStep::Assigned(bytes) => GroupReply::Assigned(bytes),
            SyncStep::Wait { generation } => GroupReply::Waiting { generation },
            SyncStep::Lead => self.propose(GroupCommand::Sync(request)).await?,
        };
        let assignment = match reply {
            GroupReply::Assigned(bytes) => bytes,
            GroupReply::Waiting { .. } => {
                waiting.first(|signal| assigned(signal, generation)).await?
            }
            other => unreachable!("a sync was answered {other:?}"),
        };
        let due_ms = self.now_ms() + u64::from(session_ms);
        self.inner.desk.lock().touch(&group, &member, due_ms);
        Ok(Synced {
            assignment,
            protocol_type,
            protocol,
        })
    }
}

fn assigned(signal: Signal, generation: i32) -> Option<Result<Bytes, GroupError>> {
    match signal {
        Signal::Assigned {
            generation: of,
            assignment,
        } if of == generation => Some(Ok(assignment)),
        Signal::RoundBegan { generation: of } if of == generation => {
            Some(Err(GroupError::RebalanceInProgress))
        }
        _ => None,
    }
}

/// A join that ends before it is proposed.
enum Prepared {
    Pending(String),
    Refused(GroupError),
}

impl From<GroupError> for Prepared {
    fn from(error: GroupError) -> Self {
        Prepared::Refused(error)
    }
}
