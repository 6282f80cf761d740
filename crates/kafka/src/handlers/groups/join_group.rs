//! JoinGroup 0-9: waits until the group's round is complete.

use levada_engine::groups::{JoinProtocol, JoinRefused, JoinRequest, Joined};
use levada_wire_kafka::messages::{JoinGroupRequest, JoinGroupResponse, JoinGroupResponseMember};

use super::codes::{code, owned, text, unless_over};
use crate::call::Call;

/// The first version in which a newcomer is given its id first (KIP-394).
const MEMBER_ID_FROM: i16 = 4;
/// The first version that knows skip_assignment (KIP-814).
const SKIP_ASSIGNMENT_FROM: i16 = 9;

pub async fn handle(call: &Call, request: JoinGroupRequest) -> JoinGroupResponse {
    let given = request.member_id.clone();
    let protocols = request.protocols.iter().map(|protocol| JoinProtocol {
        name: protocol.name.to_string(),
        metadata: owned(&protocol.metadata),
    });
    let join = JoinRequest {
        group: request.group_id.to_string(),
        member: request.member_id.to_string(),
        instance: text(&request.group_instance_id),
        client_id: call.client_id().to_owned(),
        client_host: call.client_host(),
        session_timeout_ms: request.session_timeout_ms,
        rebalance_timeout_ms: request.rebalance_timeout_ms,
        protocol_type: request.protocol_type.to_string(),
        protocols: protocols.collect(),
        requires_member_id: call.version() >= MEMBER_ID_FROM,
        skip_assignment: call.version() >= SKIP_ASSIGNMENT_FROM,
    };
    // It may wait for minutes: the frame goes now.
    drop(request);
    match unless_over(call, call.engine().groups().join(join)).await {
        Ok(Ok(joined)) => answer(joined),
        Ok(Err(JoinRefused { error, member })) => JoinGroupResponse {
            error_code: code(call, Err(error)),
            protocol_name: None,
            member_id: member.into(),
            ..Default::default()
        },
        Err(error) => JoinGroupResponse {
            error_code: code(call, Err(error)),
            protocol_name: None,
            member_id: given,
            ..Default::default()
        },
    }
}

fn answer(joined: Joined) -> JoinGroupResponse {
    let listed = if joined.with_members {
        &joined.round.members[..]
    } else {
        &[]
    };
    let members = listed.iter().map(|member| JoinGroupResponseMember {
        member_id: member.member.as_str().into(),
        group_instance_id: member.instance.as_deref().map(Into::into),
        metadata: member.metadata.clone(),
    });
    JoinGroupResponse {
        generation_id: joined.round.generation,
        protocol_type: Some(joined.round.protocol_type.as_str().into()),
        protocol_name: Some(joined.round.protocol.as_str().into()),
        leader: joined.leader.into(),
        skip_assignment: joined.skip_assignment,
        members: members.collect(),
        member_id: joined.member.into(),
        ..Default::default()
    }
}
