//! SyncGroup 0-5: hands in the leader's assignments; followers wait for theirs.

use levada_engine::GroupError;
use levada_engine::groups::SyncRequest;
use levada_wire_kafka::messages::{SyncGroupRequest, SyncGroupResponse};

use super::codes::{code, owned, text, unless_over};
use crate::call::Call;

/// The first version in which a client must say what it believes (KIP-559).
const PROTOCOL_FROM: i16 = 5;

pub async fn handle(call: &Call, request: SyncGroupRequest) -> SyncGroupResponse {
    let told = request.protocol_type.is_some() && request.protocol_name.is_some();
    if call.version() >= PROTOCOL_FROM && !told {
        return refuse(call, GroupError::InconsistentGroupProtocol);
    }
    let assignments = request.assignments.iter();
    let sync = SyncRequest {
        group: request.group_id.to_string(),
        member: request.member_id.to_string(),
        instance: text(&request.group_instance_id),
        generation: request.generation_id,
        protocol_type: text(&request.protocol_type),
        protocol: text(&request.protocol_name),
        assignments: assignments
            .map(|given| (given.member_id.to_string(), owned(&given.assignment)))
            .collect(),
    };
    drop(request);
    let waits = unless_over(call, call.engine().groups().sync(sync));
    match waits.await.and_then(|outcome| outcome) {
        Ok(synced) => SyncGroupResponse {
            protocol_type: synced.protocol_type.map(Into::into),
            protocol_name: synced.protocol.map(Into::into),
            assignment: synced.assignment,
            ..Default::default()
        },
        Err(error) => refuse(call, error),
    }
}

fn refuse(call: &Call, error: GroupError) -> SyncGroupResponse {
    SyncGroupResponse {
        error_code: code(call, Err(error)),
        ..Default::default()
    }
}
