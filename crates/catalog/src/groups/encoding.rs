//! The stored form of group commands and of a group's row. Ordinals are frozen.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use levada_model::codec::{DecodeError, Decoder, Encoder};
use levada_model::{Offset, TopicId};

use super::command::{
    CommitOffsets, GroupCommand, Join, JoinProtocol, Leaving, OffsetToCommit, Sync,
};
use super::group::{CommittedOffset, Group, Member, Phase};
use super::table::GroupTable;

/// The form of a row that is written now.
const ROW_VERSION: u8 = 1;

impl GroupCommand {
    /// Writes the command.
    pub fn encode(&self, out: &mut Encoder) {
        match self {
            GroupCommand::Join(join) => {
                out.u8(1);
                encode_join(join, out);
            }
            GroupCommand::Sync(sync) => {
                out.u8(2);
                encode_sync(sync, out);
            }
            GroupCommand::Leave { group, members } => {
                out.u8(3);
                out.text(group);
                out.list(members.iter(), |out, leaving| {
                    out.text(&leaving.member);
                    put_option(out, leaving.instance.as_deref());
                });
            }
            GroupCommand::ExpireMember {
                group,
                member,
                generation,
                attempt,
            } => {
                out.u8(4);
                out.text(group);
                out.text(member);
                out.signed((*generation).into());
                out.varint((*attempt).into());
            }
            GroupCommand::CompleteRebalance { group, generation } => {
                out.u8(5);
                out.text(group);
                out.signed((*generation).into());
            }
            GroupCommand::CommitOffsets(commit) => {
                out.u8(6);
                encode_commit(commit, out);
            }
            GroupCommand::DeleteOffsets { group, partitions } => {
                out.u8(7);
                out.text(group);
                out.list(partitions.iter(), |out, (topic, partition)| {
                    put_key(out, *topic, *partition);
                });
            }
            GroupCommand::DeleteGroup { group } => {
                out.u8(8);
                out.text(group);
            }
            GroupCommand::ExpireOffsets {
                group,
                retention_ms,
            } => {
                out.u8(9);
                out.text(group);
                out.varint(*retention_ms);
            }
        }
    }

    /// Reads what [`GroupCommand::encode`] wrote.
    ///
    /// # Errors
    /// When the bytes are not a group command.
    pub fn decode(input: &mut Decoder) -> Result<Self, DecodeError> {
        Ok(match input.u8()? {
            1 => GroupCommand::Join(decode_join(input)?),
            2 => GroupCommand::Sync(decode_sync(input)?),
            3 => GroupCommand::Leave {
                group: text(input)?,
                members: input.list(|input| {
                    Ok(Leaving {
                        member: text(input)?,
                        instance: input.option(text)?,
                    })
                })?,
            },
            4 => GroupCommand::ExpireMember {
                group: text(input)?,
                member: text(input)?,
                generation: int(input)?,
                attempt: uint(input)?,
            },
            5 => GroupCommand::CompleteRebalance {
                group: text(input)?,
                generation: int(input)?,
            },
            6 => GroupCommand::CommitOffsets(decode_commit(input)?),
            7 => GroupCommand::DeleteOffsets {
                group: text(input)?,
                partitions: input.list(key)?,
            },
            8 => GroupCommand::DeleteGroup {
                group: text(input)?,
            },
            9 => GroupCommand::ExpireOffsets {
                group: text(input)?,
                retention_ms: input.varint()?,
            },
            _ => return Err(DecodeError("unknown group command")),
        })
    }
}

fn encode_join(join: &Join, out: &mut Encoder) {
    out.text(&join.group);
    out.text(&join.member);
    out.flag(join.fresh);
    put_option(out, join.instance.as_deref());
    out.text(&join.client_id);
    out.text(&join.client_host);
    out.varint(join.session_timeout_ms.into());
    out.varint(join.rebalance_timeout_ms.into());
    out.text(&join.protocol_type);
    put_protocols(out, &join.protocols);
    out.flag(join.skip_assignment);
    out.varint(join.members_max.into());
}

fn decode_join(input: &mut Decoder) -> Result<Join, DecodeError> {
    Ok(Join {
        group: text(input)?,
        member: text(input)?,
        fresh: input.flag()?,
        instance: input.option(text)?,
        client_id: text(input)?,
        client_host: text(input)?,
        session_timeout_ms: uint(input)?,
        rebalance_timeout_ms: uint(input)?,
        protocol_type: text(input)?,
        protocols: protocols(input)?,
        skip_assignment: input.flag()?,
        members_max: uint(input)?,
    })
}

fn encode_sync(sync: &Sync, out: &mut Encoder) {
    out.text(&sync.group);
    out.text(&sync.member);
    put_option(out, sync.instance.as_deref());
    out.signed(sync.generation.into());
    put_option(out, sync.protocol_type.as_deref());
    put_option(out, sync.protocol.as_deref());
    out.list(sync.assignments.iter(), |out, (member, assignment)| {
        out.text(member);
        out.blob(assignment);
    });
}

fn decode_sync(input: &mut Decoder) -> Result<Sync, DecodeError> {
    Ok(Sync {
        group: text(input)?,
        member: text(input)?,
        instance: input.option(text)?,
        generation: int(input)?,
        protocol_type: input.option(text)?,
        protocol: input.option(text)?,
        assignments: input.list(|input| Ok((text(input)?, blob(input)?)))?,
    })
}

fn encode_commit(commit: &CommitOffsets, out: &mut Encoder) {
    out.text(&commit.group);
    out.signed(commit.generation.into());
    out.text(&commit.member);
    put_option(out, commit.instance.as_deref());
    out.list(commit.offsets.iter(), |out, offset| {
        put_key(out, offset.topic, offset.partition);
        out.signed(offset.offset.0);
        out.signed(offset.leader_epoch.into());
        out.text(&offset.metadata);
    });
}

fn decode_commit(input: &mut Decoder) -> Result<CommitOffsets, DecodeError> {
    Ok(CommitOffsets {
        group: text(input)?,
        generation: int(input)?,
        member: text(input)?,
        instance: input.option(text)?,
        offsets: input.list(|input| {
            let (topic, partition) = key(input)?;
            Ok(OffsetToCommit {
                topic,
                partition,
                offset: Offset(input.signed()?),
                leader_epoch: int(input)?,
                metadata: text(input)?,
            })
        })?,
    })
}

impl Group {
    /// Writes the group's row: all of its state, its name first.
    pub fn encode_row(&self, out: &mut Encoder) {
        out.u8(ROW_VERSION);
        out.text(&self.name);
        out.u8(match self.phase {
            Phase::Empty => 0,
            Phase::Preparing { initial: false } => 1,
            Phase::Preparing { initial: true } => 2,
            Phase::Completing => 3,
            Phase::Stable => 4,
        });
        out.signed(self.generation.into());
        out.signed(self.since_ms);
        put_option(out, self.protocol_type.as_deref());
        put_option(out, self.protocol.as_deref());
        put_option(out, self.leader.as_deref());
        out.list(self.members.iter(), |out, (id, member)| {
            out.text(id);
            encode_member(member, out);
        });
        out.list(
            self.offsets.iter(),
            |out, ((topic, partition), committed)| {
                put_key(out, *topic, *partition);
                out.signed(committed.offset.0);
                out.signed(committed.leader_epoch.into());
                out.text(&committed.metadata);
                out.signed(committed.commit_ms);
            },
        );
    }

    fn decode_row(input: &mut Decoder) -> Result<Self, DecodeError> {
        if input.u8()? != ROW_VERSION {
            return Err(DecodeError("unknown version of a group's row"));
        }
        let name = Arc::from(input.text()?);
        let phase = match input.u8()? {
            0 => Phase::Empty,
            1 => Phase::Preparing { initial: false },
            2 => Phase::Preparing { initial: true },
            3 => Phase::Completing,
            4 => Phase::Stable,
            _ => return Err(DecodeError("unknown phase of a group")),
        };
        let generation = int(input)?;
        let since_ms = input.signed()?;
        let protocol_type = input.option(text)?;
        let protocol = input.option(text)?;
        let leader = input.option(text)?;
        let members = input.list(|input| Ok((text(input)?, decode_member(input)?)))?;
        let members: BTreeMap<String, Member> = members.into_iter().collect();
        let instances = members
            .iter()
            .filter_map(|(id, member)| Some((member.instance.clone()?, id.clone())));
        let offsets = input.list(|input| {
            let key = key(input)?;
            let committed = CommittedOffset {
                offset: Offset(input.signed()?),
                leader_epoch: int(input)?,
                metadata: input.text()?.into(),
                commit_ms: input.signed()?,
            };
            Ok((key, committed))
        })?;
        Ok(Group {
            name,
            phase,
            generation,
            protocol_type,
            protocol,
            leader,
            instances: instances.collect(),
            members,
            offsets: offsets.into_iter().collect(),
            since_ms,
        })
    }
}

impl GroupTable {
    /// Takes in a row that [`Group::encode_row`] wrote, in place of one of the same name.
    ///
    /// # Errors
    /// When the bytes are not a group's row.
    pub fn insert_row(&mut self, input: &mut Decoder) -> Result<(), DecodeError> {
        self.insert(Group::decode_row(input)?);
        Ok(())
    }
}

fn encode_member(member: &Member, out: &mut Encoder) {
    put_option(out, member.instance.as_deref());
    out.text(&member.client_id);
    out.text(&member.client_host);
    out.varint(member.session_timeout_ms.into());
    out.varint(member.rebalance_timeout_ms.into());
    put_protocols(out, &member.protocols);
    out.blob(&member.assignment);
    out.flag(member.joined);
    out.varint(member.attempt.into());
}

fn decode_member(input: &mut Decoder) -> Result<Member, DecodeError> {
    Ok(Member {
        instance: input.option(text)?,
        client_id: text(input)?,
        client_host: text(input)?,
        session_timeout_ms: uint(input)?,
        rebalance_timeout_ms: uint(input)?,
        protocols: protocols(input)?,
        assignment: blob(input)?,
        joined: input.flag()?,
        attempt: uint(input)?,
    })
}

fn put_option(out: &mut Encoder, value: Option<&str>) {
    out.option(value, Encoder::text);
}

fn put_protocols(out: &mut Encoder, protocols: &[JoinProtocol]) {
    out.list(protocols.iter(), |out, protocol| {
        out.text(&protocol.name);
        out.blob(&protocol.metadata);
    });
}

fn protocols(input: &mut Decoder) -> Result<Vec<JoinProtocol>, DecodeError> {
    input.list(|input| {
        Ok(JoinProtocol {
            name: text(input)?,
            metadata: blob(input)?,
        })
    })
}

fn put_key(out: &mut Encoder, topic: TopicId, partition: i32) {
    out.raw(&topic.0);
    out.signed(partition.into());
}

fn key(input: &mut Decoder) -> Result<(TopicId, i32), DecodeError> {
    Ok((TopicId(input.bytes16()?), int(input)?))
}

fn text(input: &mut Decoder) -> Result<String, DecodeError> {
    input.text().map(str::to_owned)
}

fn blob(input: &mut Decoder) -> Result<Bytes, DecodeError> {
    input.blob().map(Bytes::copy_from_slice)
}

fn int(input: &mut Decoder) -> Result<i32, DecodeError> {
    i32::try_from(input.signed()?).map_err(|_| DecodeError("number does not fit 32 bits"))
}

fn uint(input: &mut Decoder) -> Result<u32, DecodeError> {
    u32::try_from(input.varint()?).map_err(|_| DecodeError("number does not fit 32 bits"))
}
