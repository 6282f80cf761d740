//! FindCoordinator 0-6 (KIP-699): there is one node, so it coordinates everything.

use levada_wire_kafka::messages::{Coordinator, FindCoordinatorRequest, FindCoordinatorResponse};
use levada_wire_kafka::{ErrorCode, KStr};

use crate::NODE_ID;
use crate::call::Call;

/// The first version that asks for many keys at once.
const BATCHED_FROM: i16 = 4;
const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;

pub async fn handle(call: &Call, request: FindCoordinatorRequest) -> FindCoordinatorResponse {
    let known = matches!(request.key_type, GROUP | TRANSACTION);
    let (error, node_id, (host, port)) = if known {
        (ErrorCode::None, NODE_ID, call.endpoint())
    } else {
        (ErrorCode::InvalidRequest, -1, (KStr::new(), -1))
    };
    if call.version() >= BATCHED_FROM {
        let coordinator = |key| Coordinator {
            key,
            node_id,
            host: host.clone(),
            port,
            error_code: code(call, error),
            error_message: Some(KStr::new()),
        };
        let keys = request.coordinator_keys.into_iter();
        return FindCoordinatorResponse {
            coordinators: keys.map(coordinator).collect(),
            ..Default::default()
        };
    }
    FindCoordinatorResponse {
        error_code: code(call, error),
        error_message: Some(KStr::from_static(error.name())),
        node_id,
        host,
        port,
        ..Default::default()
    }
}

fn code(call: &Call, error: ErrorCode) -> i16 {
    match error {
        ErrorCode::None => ErrorCode::None.code(),
        error => call.code(error),
    }
}
