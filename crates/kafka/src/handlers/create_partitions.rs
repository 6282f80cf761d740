//! CreatePartitions 0-3 (KIP-195): more partitions for a topic.

use std::collections::BTreeMap;

use levada_engine::{AdminError, TopicRef};
use levada_wire_kafka::messages::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreatePartitionsTopic,
    CreatePartitionsTopicResult,
};
use levada_wire_kafka::{ErrorCode, KStr};

use crate::NODE_ID;
use crate::call::Call;
use crate::deadline::Deadline;
use crate::errors::{Refusal, text};

pub async fn handle(call: &Call, request: CreatePartitionsRequest) -> CreatePartitionsResponse {
    let deadline = Deadline::after(call.env(), request.timeout_ms);
    let mut named: BTreeMap<KStr, usize> = BTreeMap::new();
    for topic in &request.topics {
        *named.entry(topic.name.clone()).or_default() += 1;
    }
    let mut results = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let result = match named.remove(&topic.name) {
            Some(1) => grow(call, &topic, request.validate_only, deadline).await,
            Some(_) => {
                let message = "the request names this topic more than once";
                Err(Refusal::new(ErrorCode::InvalidRequest, message))
            }
            None => continue,
        };
        let (error_code, error_message) = match result {
            Ok(()) => (0, None),
            Err(refusal) => (call.code(refusal.code), text(refusal.message)),
        };
        results.push(CreatePartitionsTopicResult {
            name: topic.name,
            error_code,
            error_message,
        });
    }
    CreatePartitionsResponse {
        results,
        ..Default::default()
    }
}

async fn grow(
    call: &Call,
    topic: &CreatePartitionsTopic,
    validate_only: bool,
    deadline: Deadline,
) -> Result<(), Refusal> {
    let info = call.engine().topic(&TopicRef::Name(topic.name.to_string()));
    let info = info.ok_or(AdminError::UnknownTopic)?;
    let total = u32::try_from(topic.count)
        .ok()
        .filter(|total| *total > info.partitions);
    let Some(total) = total else {
        let message = format!(
            "the topic has {} partitions already; {} is not more",
            info.partitions, topic.count
        );
        return Err(Refusal::new(ErrorCode::InvalidPartitions, message));
    };
    if let Some(assignments) = &topic.assignments {
        let right = assignments
            .iter()
            .all(|assignment| assignment.broker_ids == [NODE_ID]);
        if !right || assignments.len() != (total - info.partitions) as usize {
            let message = "each new partition must be assigned to node 1, once";
            return Err(Refusal::new(ErrorCode::InvalidReplicaAssignment, message));
        }
    }
    let grown = call.engine().grow_topic(&topic.name, total, validate_only);
    Ok(deadline.wait(call.env(), grown).await??)
}
