//! DescribeCluster 0-2 (KIP-700, KIP-919): the one node.

use levada_wire_kafka::messages::{
    DescribeClusterBroker, DescribeClusterRequest, DescribeClusterResponse,
};
use levada_wire_kafka::{ErrorCode, KStr};

use super::metadata::{CLUSTER_OPERATIONS, NOT_ASKED};
use crate::NODE_ID;
use crate::call::Call;
use crate::errors::text;

const BROKERS: i8 = 1;
const CONTROLLERS: i8 = 2;

pub async fn handle(call: &Call, request: DescribeClusterRequest) -> DescribeClusterResponse {
    let refuse = |error, message: &str| DescribeClusterResponse {
        error_code: call.code(error),
        error_message: text(message),
        ..Default::default()
    };
    match request.endpoint_type {
        BROKERS => {}
        CONTROLLERS => {
            let message = "this address serves brokers; there are no separate controllers";
            return refuse(ErrorCode::MismatchedEndpointType, message);
        }
        _ => return refuse(ErrorCode::UnsupportedEndpointType, "unknown endpoint type"),
    }
    let (host, port) = call.endpoint();
    DescribeClusterResponse {
        endpoint_type: BROKERS,
        cluster_id: KStr::from(call.engine().cluster_id()),
        controller_id: NODE_ID,
        brokers: vec![DescribeClusterBroker {
            broker_id: NODE_ID,
            host,
            port,
            ..Default::default()
        }],
        cluster_authorized_operations: match request.include_cluster_authorized_operations {
            true => CLUSTER_OPERATIONS,
            false => NOT_ASKED,
        },
        ..Default::default()
    }
}
