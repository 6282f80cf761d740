//! LeaveGroup 0-5: one member, or from version 3 on many (KIP-345).

use levada_engine::groups::Leaving;
use levada_wire_kafka::messages::{
    LeaveGroupRequest, LeaveGroupResponse, MemberIdentity, MemberResponse,
};

use super::codes::{Results, code, text};
use crate::call::Call;

/// The first version with many members.
const BATCHED_FROM: i16 = 3;

pub async fn handle(call: &Call, request: LeaveGroupRequest) -> LeaveGroupResponse {
    let batched = call.version() >= BATCHED_FROM;
    let members = if batched {
        request.members
    } else {
        vec![MemberIdentity {
            member_id: request.member_id,
            ..Default::default()
        }]
    };
    let leaving = members.iter().map(|member| Leaving {
        member: member.member_id.to_string(),
        instance: text(&member.group_instance_id),
    });
    let groups = call.engine().groups();
    let results = match groups.leave(&request.group_id, leaving.collect()).await {
        Ok(results) => results,
        Err(error) => {
            return LeaveGroupResponse {
                error_code: code(call, Err(error)),
                ..Default::default()
            };
        }
    };
    let mut results = Results::new(results);
    if !batched {
        return LeaveGroupResponse {
            error_code: results.next(call),
            ..Default::default()
        };
    }
    let members = members.into_iter().map(|member| MemberResponse {
        member_id: member.member_id,
        group_instance_id: member.group_instance_id,
        error_code: results.next(call),
    });
    LeaveGroupResponse {
        members: members.collect(),
        ..Default::default()
    }
}
