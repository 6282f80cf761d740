//! A table with two topics, and short ways to say what clients do.

use bytes::Bytes;
use levada_catalog::groups::{
    CommitOffsets, Group, GroupCommand, GroupEffect, GroupError, GroupReply, GroupTable, Join,
    JoinProtocol, Joined, Leaving, OffsetToCommit, Phase, Sync, TopicLookup,
};
use levada_model::{Offset, TopicId};

pub const ORDERS: TopicId = TopicId([1; 16]);
pub const CLICKS: TopicId = TopicId([2; 16]);
pub const GROUP: &str = "g";

pub struct Topics;

impl TopicLookup for Topics {
    fn partition_count(&self, topic: TopicId) -> Option<u32> {
        [ORDERS, CLICKS].contains(&topic).then_some(4)
    }

    fn topic_name(&self, topic: TopicId) -> Option<&str> {
        match topic {
            ORDERS => Some("orders"),
            CLICKS => Some("clicks"),
            _ => None,
        }
    }
}

#[derive(Default)]
pub struct World {
    pub table: GroupTable,
    pub effects: Vec<GroupEffect>,
    pub now_ms: i64,
}

/// A subscription to `orders`, as the Java client writes it.
pub fn subscription() -> Bytes {
    Bytes::from_static(b"\x00\x01\0\0\0\x01\0\x06orders\xff\xff\xff\xff\0\0\0\0")
}

pub fn protocols(names: &[&str]) -> Vec<JoinProtocol> {
    let one = |name: &&str| JoinProtocol {
        name: (*name).to_owned(),
        metadata: subscription(),
    };
    names.iter().map(one).collect()
}

pub fn join(member: &str) -> Join {
    Join {
        group: GROUP.into(),
        member: member.into(),
        fresh: false,
        instance: None,
        client_id: "client".into(),
        client_host: "/127.0.0.1".into(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 60_000,
        protocol_type: "consumer".into(),
        protocols: protocols(&["range"]),
        skip_assignment: true,
        members_max: 100,
    }
}

pub fn fresh(member: &str) -> Join {
    Join {
        fresh: true,
        ..join(member)
    }
}

pub fn fresh_static(member: &str, instance: &str) -> Join {
    Join {
        instance: Some(instance.into()),
        ..fresh(member)
    }
}

pub fn sync(member: &str, generation: i32, assignments: &[(&str, &'static str)]) -> Sync {
    let one = |(member, bytes): &(&str, &'static str)| ((*member).to_owned(), Bytes::from(*bytes));
    Sync {
        group: GROUP.into(),
        member: member.into(),
        instance: None,
        generation,
        protocol_type: None,
        protocol: None,
        assignments: assignments.iter().map(one).collect(),
    }
}

pub fn commit(member: &str, generation: i32) -> CommitOffsets {
    CommitOffsets {
        group: GROUP.into(),
        generation,
        member: member.into(),
        instance: None,
        offsets: vec![offset(ORDERS, 0, 7)],
    }
}

pub fn offset(topic: TopicId, partition: i32, offset: i64) -> OffsetToCommit {
    OffsetToCommit {
        topic,
        partition,
        offset: Offset(offset),
        leader_epoch: -1,
        metadata: "note".into(),
    }
}

pub fn refused(error: GroupError) -> GroupReply {
    GroupReply::Refused(error)
}

impl World {
    pub fn apply(&mut self, command: GroupCommand) -> GroupReply {
        self.effects.clear();
        self.table
            .apply(command, self.now_ms, &Topics, &mut self.effects)
    }

    pub fn join(&mut self, join: Join) -> GroupReply {
        self.apply(GroupCommand::Join(join))
    }

    pub fn joined(&mut self, join: Join) -> Joined {
        match self.join(join) {
            GroupReply::Joined(joined) => joined,
            other => panic!("expected an answer at once, got {other:?}"),
        }
    }

    pub fn sync(&mut self, sync: Sync) -> GroupReply {
        self.apply(GroupCommand::Sync(sync))
    }

    pub fn leave(&mut self, member: &str, instance: Option<&str>) -> GroupReply {
        self.apply(GroupCommand::Leave {
            group: GROUP.into(),
            members: vec![Leaving {
                member: member.into(),
                instance: instance.map(Into::into),
            }],
        })
    }

    pub fn expire(&mut self, member: &str) -> GroupReply {
        let group = self.group();
        let attempt = group.members()[member].attempt;
        let command = GroupCommand::ExpireMember {
            group: GROUP.into(),
            member: member.into(),
            generation: group.generation(),
            attempt,
        };
        self.apply(command)
    }

    pub fn time_is_up(&mut self) -> GroupReply {
        let generation = self.group().generation();
        self.apply(GroupCommand::CompleteRebalance {
            group: GROUP.into(),
            generation,
        })
    }

    pub fn commit(&mut self, commit: CommitOffsets) -> GroupReply {
        self.apply(GroupCommand::CommitOffsets(commit))
    }

    pub fn group(&self) -> &Group {
        self.table.get(GROUP).expect("the group exists")
    }

    pub fn phase(&self) -> Phase {
        self.group().phase()
    }

    /// A stable group of these members; the first leads. Generation 1.
    pub fn stable(members: &[&str]) -> World {
        let mut world = World::default();
        for member in members {
            world.join(fresh(member));
        }
        world.settle(members[0]);
        world
    }

    /// Ends the round and assigns its own id to each member.
    pub fn settle(&mut self, leader: &str) {
        self.time_is_up();
        let generation = self.group().generation();
        let members = self.group().members().keys();
        let assignments = members.map(|id| (id.clone(), Bytes::from(id.clone())));
        let lead = Sync {
            assignments: assignments.collect(),
            ..sync(leader, generation, &[])
        };
        let reply = self.sync(lead);
        assert_eq!(reply, GroupReply::Assigned(Bytes::from(leader.to_owned())));
        assert_eq!(self.phase(), Phase::Stable);
    }

    /// The round that completed in the last command.
    pub fn completed(&self) -> Option<i32> {
        self.effects.iter().find_map(|effect| match effect {
            GroupEffect::RoundCompleted { round, .. } => Some(round.generation),
            _ => None,
        })
    }

    pub fn rebalance_started(&self) -> bool {
        let started = |effect: &GroupEffect| matches!(effect, GroupEffect::RebalanceStarted { .. });
        self.effects.iter().any(started)
    }
}
