//! Heartbeat 0-4.

use levada_wire_kafka::messages::{HeartbeatRequest, HeartbeatResponse};

use super::codes::code;
use crate::call::Call;

pub async fn handle(call: &Call, request: HeartbeatRequest) -> HeartbeatResponse {
    let beat = call.engine().groups().heartbeat(
        &request.group_id,
        &request.member_id,
        request.group_instance_id.as_deref(),
        request.generation_id,
    );
    HeartbeatResponse {
        error_code: code(call, beat),
        ..Default::default()
    }
}
