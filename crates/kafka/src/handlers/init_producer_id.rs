//! InitProducerId 0-5 (KIP-98, KIP-360): an id for an idempotent producer.
//!
//! Transactions are not there yet: a transactional id is refused for good (see `errors`).

use levada_wire_kafka::ErrorCode;
use levada_wire_kafka::messages::{InitProducerIdRequest, InitProducerIdResponse};

use crate::call::Call;
use crate::errors::{NO_TRANSACTIONS, of_admin};

pub async fn handle(call: &Call, request: InitProducerIdRequest) -> InitProducerIdResponse {
    let result = match request.transactional_id.as_deref() {
        Some("") => Err(ErrorCode::InvalidRequest),
        // An id and an epoch come together or not at all (KIP-360).
        _ if (request.producer_id < 0) != (request.producer_epoch < 0) => {
            Err(ErrorCode::InvalidRequest)
        }
        Some(_) => Err(NO_TRANSACTIONS),
        // A producer that comes back with an id gets a new one, as in Kafka.
        None => {
            let allocated = call.engine().allocate_producer().await;
            allocated.map_err(|error| of_admin(&error))
        }
    };
    match result {
        Ok((id, epoch)) => InitProducerIdResponse {
            producer_id: id.0,
            producer_epoch: epoch.0,
            ..Default::default()
        },
        Err(error) => InitProducerIdResponse {
            error_code: call.code(error),
            producer_epoch: -1,
            ..Default::default()
        },
    }
}
