//! Membership: join, sync, heartbeats, leave, over a connection of its own. (JoinGroup waits for
//! the other members; on a shared connection one of them might wait behind it.)

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use levada_env::Env;
use levada_wire_kafka::messages::{
    HeartbeatRequest, JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse,
    LeaveGroupRequest, MemberIdentity, OffsetCommitRequest, SyncGroupRequest,
    SyncGroupRequestAssignment,
};
use levada_wire_kafka::{ErrorCode, KStr};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::GroupOptions;
use super::assignor::{Subscriber, assign_ranges};
use super::protocol::{read_assignment, read_subscription, write_assignment, write_subscription};
use crate::admin;
use crate::cluster::Client;
use crate::connection::Connection;
use crate::error::{ClientError, ClientResult, check};

/// The assignor that this client knows.
const ASSIGNOR: &str = "range";
const PROTOCOL_TYPE: &str = "consumer";
/// What a join may take beyond the rebalance timeout.
const JOIN_GRACE: Duration = Duration::from_secs(10);

/// What the heartbeats have learnt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    Fine,
    /// The group changes: rejoin soon, commits are still taken.
    Rebalance,
    /// The membership is gone: join anew.
    Lost,
}

/// What keeps a member alive. A coordinator that is away has not dropped anybody: its members are
/// the same when it is back, and so is what they have read and not committed.
struct Heart {
    client: Client,
    connection: Option<Arc<Connection>>,
    request: HeartbeatRequest,
}

impl Heart {
    /// One heartbeat; what it has learnt, if that is news.
    async fn beat(&mut self) -> Option<Signal> {
        let error = match self.ask().await {
            Ok(()) => return None,
            Err(error) => error,
        };
        match error.code() {
            Some(ErrorCode::RebalanceInProgress) => Some(Signal::Rebalance),
            _ if error.is_retriable() => {
                tracing::debug!(%error, "no heartbeat, trying again");
                self.connection = None; // Another broker may coordinate now.
                None
            }
            _ => Some(Signal::Lost),
        }
    }

    async fn ask(&mut self) -> ClientResult<()> {
        let open = match self.connection.as_ref().filter(|open| open.is_open()) {
            Some(open) => open.clone(),
            None => {
                let (node, _) = self.client.coordinator(&self.request.group_id).await?;
                self.client.dedicated(node).await?
            }
        };
        self.connection = Some(open.clone());
        let answer = open.call(&self.request).await?;
        check(answer.error_code, None, || "a heartbeat".to_owned())
    }
}

pub(super) struct Member {
    env: Env,
    client: Client,
    options: GroupOptions,
    connection: Option<Arc<Connection>>,
    id: KStr,
    generation: i32,
    signal: watch::Receiver<Signal>,
    heartbeats: Option<AbortHandle>,
}

impl Drop for Member {
    fn drop(&mut self) {
        self.stop_heartbeats();
    }
}

impl Member {
    pub fn new(client: &Client, options: &GroupOptions) -> Self {
        Self {
            env: client.env().clone(),
            client: client.clone(),
            options: options.clone(),
            connection: None,
            id: KStr::new(),
            generation: -1,
            signal: watch::channel(Signal::Fine).1,
            heartbeats: None,
        }
    }

    fn stop_heartbeats(&mut self) {
        if let Some(task) = self.heartbeats.take() {
            task.abort();
        }
    }

    fn group(&self) -> KStr {
        KStr::from(self.options.group.as_str())
    }

    fn instance(&self) -> Option<KStr> {
        self.options.instance_id.as_deref().map(KStr::from)
    }

    /// Completes when the member has to rejoin.
    pub async fn signalled(&mut self) -> Signal {
        loop {
            let signal = *self.signal.borrow_and_update();
            if signal != Signal::Fine {
                return signal;
            }
            if self.signal.changed().await.is_err() {
                return Signal::Lost;
            }
        }
    }

    /// Whether `error` says that this generation is over.
    pub fn must_rejoin(&self, error: &ClientError) -> bool {
        matches!(
            error.code(),
            Some(
                ErrorCode::RebalanceInProgress
                    | ErrorCode::IllegalGeneration
                    | ErrorCode::UnknownMemberId
            )
        )
    }

    async fn coordinator(&mut self) -> ClientResult<Arc<Connection>> {
        if let Some(open) = self.connection.as_ref().filter(|open| open.is_open()) {
            return Ok(open.clone());
        }
        let (node, _) = self.client.coordinator(&self.options.group).await?;
        let open = self.client.dedicated(node).await?;
        self.connection = Some(open.clone());
        Ok(open)
    }

    /// Joins and gets this member's partitions; tries again for as long as the group changes.
    ///
    /// # Errors
    /// What does not pass by rejoining. After a retriable one, call it again.
    pub async fn join(&mut self) -> ClientResult<Vec<(String, i32)>> {
        self.stop_heartbeats();
        loop {
            match self.join_once().await {
                Err(error) if error.code() == Some(ErrorCode::UnknownMemberId) => {
                    self.id = KStr::new();
                }
                Err(error) if self.must_rejoin(&error) => {}
                Err(error) => {
                    if error.is_retriable() {
                        self.connection = None; // Another broker may coordinate now.
                    }
                    return Err(error);
                }
                Ok(assigned) => {
                    self.start_heartbeats();
                    return Ok(assigned);
                }
            }
        }
    }

    async fn join_once(&mut self) -> ClientResult<Vec<(String, i32)>> {
        let connection = self.coordinator().await?;
        let joined = self.request_join(&connection).await?;
        self.id = KStr::from(&*joined.member_id);
        self.generation = joined.generation_id;
        let leads = joined.leader == joined.member_id;
        let assignments = if leads && !joined.skip_assignment {
            self.assign(&joined).await?
        } else {
            Vec::new()
        };
        let request = SyncGroupRequest {
            group_id: self.group(),
            generation_id: self.generation,
            member_id: self.id.clone(),
            group_instance_id: self.instance(),
            protocol_type: Some(KStr::from_static(PROTOCOL_TYPE)),
            protocol_name: Some(KStr::from_static(ASSIGNOR)),
            assignments,
        };
        let version = connection.version::<SyncGroupRequest>()?;
        let submitted = connection.submit(&request, version)?;
        let synced = connection
            .receive_within(submitted, self.options.rebalance_timeout + JOIN_GRACE)
            .await?;
        check(synced.error_code, None, || self.what("was not synced"))?;
        read_assignment(&synced.assignment).ok_or_else(|| ClientError::Protocol {
            address: connection.address().to_owned(),
            reason: "the member's assignment cannot be read".to_owned(),
        })
    }

    fn what(&self, did: &str) -> String {
        format!("group '{}' {did}", self.options.group)
    }

    async fn request_join(&mut self, connection: &Connection) -> ClientResult<JoinGroupResponse> {
        let millis = |duration: Duration| i32::try_from(duration.as_millis()).unwrap_or(i32::MAX);
        loop {
            let request = JoinGroupRequest {
                group_id: self.group(),
                session_timeout_ms: millis(self.options.session_timeout),
                rebalance_timeout_ms: millis(self.options.rebalance_timeout),
                member_id: self.id.clone(),
                group_instance_id: self.instance(),
                protocol_type: KStr::from_static(PROTOCOL_TYPE),
                protocols: vec![JoinGroupRequestProtocol {
                    name: KStr::from_static(ASSIGNOR),
                    metadata: write_subscription(&self.options.topics),
                }],
                reason: None,
            };
            let version = connection.version::<JoinGroupRequest>()?;
            let submitted = connection.submit(&request, version)?;
            let patience = self.options.rebalance_timeout + JOIN_GRACE;
            let joined = connection.receive_within(submitted, patience).await?;
            // The group hands out an id first, so that a lost answer leaves no ghost (KIP-394).
            if joined.error_code == ErrorCode::MemberIdRequired.code() {
                self.id = KStr::from(&*joined.member_id);
                continue;
            }
            check(joined.error_code, None, || self.what("was not joined"))?;
            return Ok(joined);
        }
    }

    /// As the leader: assigns partitions to every member.
    async fn assign(
        &self,
        joined: &JoinGroupResponse,
    ) -> ClientResult<Vec<SyncGroupRequestAssignment>> {
        let members: Vec<Subscriber> = joined
            .members
            .iter()
            .map(|member| Subscriber {
                member_id: member.member_id.to_string(),
                instance_id: member.group_instance_id.as_deref().map(str::to_owned),
                topics: read_subscription(&member.metadata)
                    .unwrap_or_default()
                    .topics,
            })
            .collect();
        let mut partitions = BTreeMap::new();
        for topic in members.iter().flat_map(|member| &member.topics) {
            if partitions.contains_key(topic) {
                continue;
            }
            // A topic that does not exist yet has nothing to assign.
            let count = match self.client.topic_afresh(topic, false).await {
                Ok(topic) => i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX),
                Err(error) if error.code() == Some(ErrorCode::UnknownTopicOrPartition) => 0,
                Err(error) => return Err(error),
            };
            partitions.insert(topic.clone(), count);
        }
        let assigned = assign_ranges(&members, &partitions);
        Ok(assigned
            .into_iter()
            .map(|(member_id, partitions)| SyncGroupRequestAssignment {
                member_id: KStr::from(member_id),
                assignment: write_assignment(&partitions),
            })
            .collect())
    }

    fn start_heartbeats(&mut self) {
        let Some(connection) = self.connection.clone() else {
            return;
        };
        let (sender, receiver) = watch::channel(Signal::Fine);
        self.signal = receiver;
        let request = HeartbeatRequest {
            group_id: self.group(),
            generation_id: self.generation,
            member_id: self.id.clone(),
            group_instance_id: self.instance(),
        };
        let mut heart = Heart {
            client: self.client.clone(),
            connection: Some(connection),
            request,
        };
        let env = self.env.clone();
        let interval = self.options.heartbeat_interval;
        let task = self.env.spawn("group heartbeats", async move {
            loop {
                env.sleep(interval).await;
                let Some(signal) = heart.beat().await else {
                    continue;
                };
                sender.send_replace(signal);
                // While the caller works on, the group must not think the member dead.
                if signal == Signal::Lost {
                    return;
                }
            }
        });
        self.heartbeats = Some(task.abort_handle());
    }

    pub async fn commit(&mut self, offsets: &BTreeMap<(String, i32), i64>) -> ClientResult<()> {
        let connection = self.coordinator().await?;
        let request = OffsetCommitRequest {
            group_id: self.group(),
            generation_id_or_member_epoch: self.generation,
            member_id: self.id.clone(),
            group_instance_id: self.instance(),
            topics: admin::commit_topics(offsets),
            ..Default::default()
        };
        admin::commit(&connection, &request).await
    }

    /// Leaves at once, over another connection if a join may be under way on this one; a static
    /// member stays, as it will be back.
    pub async fn leave(&mut self, joined: bool) -> ClientResult<()> {
        self.stop_heartbeats();
        if self.options.instance_id.is_some() {
            return Ok(());
        }
        if self.id.is_empty() {
            return Ok(());
        }
        if !joined {
            self.connection = None; // The goodbye would wait there for the group to be ready.
        }
        let connection = self.coordinator().await?;
        let request = LeaveGroupRequest {
            group_id: self.group(),
            member_id: self.id.clone(),
            members: vec![MemberIdentity {
                member_id: self.id.clone(),
                ..Default::default()
            }],
        };
        let answer = connection.call(&request).await?;
        check(answer.error_code, None, || self.what("was not left"))
    }
}
