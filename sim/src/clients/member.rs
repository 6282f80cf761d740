//! Members of consumer groups: they join, read what they are given, commit, leave or vanish.

use std::collections::BTreeMap;
use std::time::Duration;

use levada_client::Connection;
use levada_client::group::assignor::{Subscriber, assign_ranges};
use levada_client::group::protocol::{
    read_assignment, read_subscription, write_assignment, write_subscription,
};
use levada_model::Offset;
use levada_wire_kafka::messages::{
    HeartbeatRequest, JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse,
    LeaveGroupRequest, MemberIdentity, OffsetCommitRequest, OffsetCommitRequestPartition,
    OffsetCommitRequestTopic, OffsetFetchRequest, OffsetFetchRequestGroup,
    OffsetFetchRequestTopics, SyncGroupRequest, SyncGroupRequestAssignment,
};
use levada_wire_kafka::{ErrorCode, KStr};

use super::fetch::{By, fetch};
use super::link::{Link, by_name, is};
use crate::history::{Answer, End, Note, Op, Place, Topic};
use crate::world::KnownTopic;

/// Greatest versions that name topics by name.
const COMMIT_BY_NAME_MAX: i16 = 9;
const SESSION_MS: i32 = 1_500;
const REBALANCE_MS: i32 = 1_500;
/// How long a join may take in all.
const JOIN_PATIENCE: Duration = Duration::from_millis(4_000);

struct Member {
    link: Link,
    group: String,
    id: KStr,
    generation: i32,
    /// What is read, and from where.
    positions: BTreeMap<(String, i32), (KnownTopic, Offset)>,
}

/// Why a generation is over for a member.
enum Over {
    Rejoin,
    /// The group does not know the member any more.
    Forgotten,
    Left,
}

/// Takes part until the run is calm.
pub async fn work(link: Link, group: String) {
    let mut member = Member {
        link,
        group,
        id: KStr::new(),
        generation: -1,
        positions: BTreeMap::new(),
    };
    member.link.rest(1_000).await;
    while !member.link.is_ending() {
        member.link.rest(100).await;
        if !member.join().await {
            continue;
        }
        match member.take_part().await {
            Over::Rejoin => {}
            Over::Forgotten => member.id = KStr::new(),
            Over::Left => {
                member.id = KStr::new();
                member.link.rest(2_000).await;
            }
        }
    }
}

impl Member {
    fn group_id(&self) -> KStr {
        KStr::from(self.group.as_str())
    }

    async fn join(&mut self) -> bool {
        let Some(open) = self.link.open().await else {
            return false;
        };
        let group = self.group.clone();
        let call = self
            .link
            .recorder()
            .invoke(self.link.id, Op::Join { group });
        let env = self.link.env.clone();
        let code = match env.timeout(JOIN_PATIENCE, self.join_and_sync(&open)).await {
            Ok(Ok(assigned)) => {
                let assignment = assigned.iter().map(|(name, partition)| Place {
                    topic: Topic {
                        name: name.clone(),
                        id: None,
                    },
                    partition: *partition,
                });
                let joined = Answer::Joined {
                    generation: self.generation,
                    assignment: assignment.collect(),
                };
                self.link.recorder().ok(call, joined);
                return self.begin(assigned).await;
            }
            Ok(Err(Some(code))) => code,
            Ok(Err(None)) | Err(_) => {
                self.link.recorder().unknown(call, "no answer");
                self.link.hang_up();
                return false;
            }
        };
        self.link.recorder().refused(call, code);
        if is(code, ErrorCode::UnknownMemberId) {
            self.id = KStr::new();
        }
        false
    }

    /// `Err(None)`: no answer.
    async fn join_and_sync(
        &mut self,
        open: &Connection,
    ) -> Result<Vec<(String, i32)>, Option<i16>> {
        let joined = self.request_join(open).await?;
        self.id = KStr::from(&*joined.member_id);
        self.generation = joined.generation_id;
        let leads = joined.leader == joined.member_id && !joined.skip_assignment;
        let request = SyncGroupRequest {
            group_id: self.group_id(),
            generation_id: self.generation,
            member_id: self.id.clone(),
            protocol_type: Some(KStr::from_static("consumer")),
            protocol_name: Some(KStr::from_static("range")),
            assignments: match leads {
                true => self.assign(&joined),
                false => Vec::new(),
            },
            ..Default::default()
        };
        let synced = open.call(&request).await.map_err(|_| None)?;
        match synced.error_code {
            0 => read_assignment(&synced.assignment).ok_or(None),
            code => Err(Some(code)),
        }
    }

    async fn request_join(&mut self, open: &Connection) -> Result<JoinGroupResponse, Option<i16>> {
        let mut topics: Vec<String> = self.known().keys().cloned().collect();
        topics.truncate(3);
        loop {
            let request = JoinGroupRequest {
                group_id: self.group_id(),
                session_timeout_ms: SESSION_MS,
                rebalance_timeout_ms: REBALANCE_MS,
                member_id: self.id.clone(),
                protocol_type: KStr::from_static("consumer"),
                protocols: vec![JoinGroupRequestProtocol {
                    name: KStr::from_static("range"),
                    metadata: write_subscription(&topics),
                }],
                ..Default::default()
            };
            let joined = open.call(&request).await.map_err(|_| None)?;
            match joined.error_code {
                0 => return Ok(joined),
                code if is(code, ErrorCode::MemberIdRequired) => {
                    self.id = KStr::from(&*joined.member_id);
                }
                code => return Err(Some(code)),
            }
        }
    }

    /// Topics for groups by name, as far as is known.
    fn known(&self) -> BTreeMap<String, KnownTopic> {
        let topics = self.link.world.topics.lock();
        let by_name = |topic: &KnownTopic| (topic.name.clone(), topic.clone());
        let own = topics.iter().filter(|t| !t.is_name_reused());
        own.map(by_name).collect()
    }

    fn assign(&self, joined: &JoinGroupResponse) -> Vec<SyncGroupRequestAssignment> {
        let members: Vec<Subscriber> = joined
            .members
            .iter()
            .map(|member| Subscriber {
                member_id: member.member_id.to_string(),
                instance_id: None,
                topics: read_subscription(&member.metadata)
                    .unwrap_or_default()
                    .topics,
            })
            .collect();
        let known = self.known();
        let partitions = known
            .iter()
            .map(|(name, topic)| (name.clone(), topic.partitions));
        assign_ranges(&members, &partitions.collect())
            .into_iter()
            .map(|(member_id, partitions)| SyncGroupRequestAssignment {
                member_id: KStr::from(member_id),
                assignment: write_assignment(&partitions),
            })
            .collect()
    }

    /// Finds out where to go on. False if nobody could be asked.
    async fn begin(&mut self, assigned: Vec<(String, i32)>) -> bool {
        self.positions.clear();
        let known = self.known();
        for (name, partition) in assigned {
            let Some(topic) = known.get(&name) else {
                continue;
            };
            let group = self.group.clone();
            let committed = fetch_committed(&mut self.link, &group, topic, partition).await;
            let position = match committed {
                Some(Ok(Some(offset))) => offset,
                Some(Ok(None)) => match self.restart(topic, partition).await {
                    Some(offset) => offset,
                    None => continue,
                },
                Some(Err(_)) => continue,
                None => return false,
            };
            let place = (name, partition);
            self.positions.insert(place, (topic.clone(), position));
        }
        true
    }

    /// Begins at the log's start.
    async fn restart(&mut self, topic: &KnownTopic, partition: i32) -> Option<Offset> {
        let earliest = self.link.list_offset(topic, partition, End::Earliest).await;
        let offset = earliest?.ok()?;
        self.link.recorder().note(Note::GroupBegins {
            group: self.group.clone(),
            at: by_name(topic, partition),
            offset,
        });
        Some(offset)
    }

    async fn take_part(&mut self) -> Over {
        let rounds = 3 + self.link.random.below(40);
        for _ in 0..rounds {
            if self.link.is_ending() {
                return Over::Rejoin;
            }
            if let Some(over) = self.heartbeat().await {
                if self.link.random.one_in(2) {
                    self.commit_all().await;
                }
                return over;
            }
            let places: Vec<_> = self.positions.keys().cloned().collect();
            for place in places {
                self.read(&place).await;
            }
            if self.link.random.one_in(3) {
                self.commit_all().await;
            }
            self.link.rest(150).await;
        }
        match self.link.random.below(3) {
            0 => self.leave().await,
            // It vanishes, or it joins once more for no reason.
            1 => Over::Left,
            _ => Over::Rejoin,
        }
    }

    async fn heartbeat(&mut self) -> Option<Over> {
        let request = HeartbeatRequest {
            group_id: self.group_id(),
            generation_id: self.generation,
            member_id: self.id.clone(),
            ..Default::default()
        };
        let code = self.link.ask(&request).await?.error_code;
        match code {
            0 => None,
            code if is(code, ErrorCode::UnknownMemberId) => Some(Over::Forgotten),
            code if is(code, ErrorCode::RebalanceInProgress) => Some(Over::Rejoin),
            code if is(code, ErrorCode::IllegalGeneration) => Some(Over::Rejoin),
            _ => None,
        }
    }

    async fn read(&mut self, place: &(String, i32)) {
        let Some((topic, from)) = self.positions.get(place).cloned() else {
            return;
        };
        let partition = place.1;
        match fetch(&mut self.link, &topic, partition, from, 20, By::Either).await {
            Some(Ok(fetched)) if fetched.next > from => {
                self.link.recorder().note(Note::Delivered {
                    group: self.group.clone(),
                    client: self.link.id,
                    at: by_name(&topic, partition),
                    from,
                    until: fetched.next,
                });
                self.positions.insert(place.clone(), (topic, fetched.next));
            }
            Some(Err(code)) if is(code, ErrorCode::OffsetOutOfRange) => {
                match self.restart(&topic, partition).await {
                    Some(offset) => self.positions.insert(place.clone(), (topic, offset)),
                    None => self.positions.remove(place),
                };
            }
            // Damaged or gone: this member reads it no more.
            Some(Err(_)) => {
                self.positions.remove(place);
            }
            Some(Ok(_)) | None => {}
        }
    }

    async fn commit_all(&mut self) {
        let positions = self.positions.clone();
        for ((name, partition), (topic, offset)) in positions {
            let request = OffsetCommitRequest {
                group_id: self.group_id(),
                generation_id_or_member_epoch: self.generation,
                member_id: self.id.clone(),
                topics: vec![OffsetCommitRequestTopic {
                    name: KStr::from(name),
                    partitions: vec![OffsetCommitRequestPartition {
                        partition_index: partition,
                        committed_offset: offset.0,
                        ..Default::default()
                    }],
                    ..Default::default()
                }],
                ..Default::default()
            };
            let op = Op::Commit {
                group: self.group.clone(),
                generation: Some(self.generation),
                at: by_name(&topic, partition),
                offset,
            };
            let answer = self.link.call(op, &request, COMMIT_BY_NAME_MAX).await;
            let Some((call, answer)) = answer else { return };
            let done = answer.topics.first().and_then(|t| t.partitions.first());
            let code = done.map_or(-1, |partition| partition.error_code);
            if self.link.end(call, code, Answer::Done).is_err() {
                return;
            }
        }
    }

    async fn leave(&mut self) -> Over {
        let request = LeaveGroupRequest {
            group_id: self.group_id(),
            member_id: self.id.clone(),
            members: vec![MemberIdentity {
                member_id: self.id.clone(),
                ..Default::default()
            }],
        };
        self.link.ask(&request).await;
        Over::Left
    }
}

/// What a group has committed in a partition. `None`: no answer.
pub async fn fetch_committed(
    link: &mut Link,
    group: &str,
    topic: &KnownTopic,
    partition: i32,
) -> Option<Result<Option<Offset>, i16>> {
    let request = OffsetFetchRequest {
        groups: vec![OffsetFetchRequestGroup {
            group_id: KStr::from(group),
            topics: Some(vec![OffsetFetchRequestTopics {
                name: KStr::from(topic.name.as_str()),
                partition_indexes: vec![partition],
                ..Default::default()
            }]),
            ..Default::default()
        }],
        ..Default::default()
    };
    let op = Op::FetchCommitted {
        group: group.to_owned(),
        at: by_name(topic, partition),
    };
    let (call, answer) = link.call(op, &request, COMMIT_BY_NAME_MAX).await?;
    let group = answer.groups.first();
    let found = group.and_then(|group| group.topics.first()?.partitions.first());
    let code = match (group, found) {
        (Some(group), _) if group.error_code != 0 => group.error_code,
        (_, Some(found)) => found.error_code,
        _ => -1,
    };
    let offset = found.map(|found| found.committed_offset);
    let offset = offset.filter(|offset| *offset >= 0).map(Offset);
    let ended = link.end(call, code, Answer::Committed(offset));
    Some(ended.map(|()| offset))
}
