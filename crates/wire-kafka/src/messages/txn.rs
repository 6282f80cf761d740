//! Producers' ids.

use crate::table::message;
use crate::types::KStr;

message! {
    /// Asks for a producer id and epoch (KIP-98, KIP-360, KIP-588).
    message InitProducerIdRequest, flexible 2 {
        transactional_id:       Option<KStr>, 0.., default Some(KStr::new());
        transaction_timeout_ms: i32,          0..;
        producer_id:            i64,          3.., default -1;
        producer_epoch:         i16,          3.., default -1;
    }

    /// The producer id and epoch.
    message InitProducerIdResponse, flexible 2 {
        throttle_time_ms: i32, 0..;
        error_code:       i16, 0..;
        producer_id:      i64, 0.., default -1;
        producer_epoch:   i16, 0..;
    }
}
