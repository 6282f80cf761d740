//! DeleteTopics 1-6 (KIP-4, KIP-516): by name, since version 6 by id too.

use std::collections::BTreeMap;

use levada_engine::{AdminError, TopicRef};
use levada_model::TopicId;
use levada_wire_kafka::ErrorCode;
use levada_wire_kafka::messages::{
    DeletableTopicResult, DeleteTopicState, DeleteTopicsRequest, DeleteTopicsResponse,
};

use crate::call::Call;
use crate::deadline::Deadline;
use crate::errors::{Refusal, model_id, text, wire_id};

/// The first version that names topics by id too.
const STATES_FROM: i16 = 6;

pub async fn handle(call: &Call, request: DeleteTopicsRequest) -> DeleteTopicsResponse {
    let deadline = Deadline::after(call.env(), request.timeout_ms);
    let by_name = |name| DeleteTopicState {
        name: Some(name),
        ..Default::default()
    };
    let topics: Vec<_> = match call.version() >= STATES_FROM {
        true => request.topics,
        false => request.topic_names.into_iter().map(by_name).collect(),
    };
    let mut named: BTreeMap<_, usize> = BTreeMap::new();
    for topic in &topics {
        *named
            .entry((topic.name.clone(), topic.topic_id))
            .or_default() += 1;
    }
    let mut responses = Vec::with_capacity(named.len());
    for mut topic in topics {
        let result = match named.remove(&(topic.name.clone(), topic.topic_id)) {
            Some(1) => delete(call, &mut topic, deadline).await,
            Some(_) => {
                let message = "the request names this topic more than once";
                Err(Refusal::new(ErrorCode::InvalidRequest, message))
            }
            None => continue,
        };
        responses.push(answer(call, topic, result));
    }
    DeleteTopicsResponse {
        responses,
        ..Default::default()
    }
}

async fn delete(
    call: &Call,
    topic: &mut DeleteTopicState,
    deadline: Deadline,
) -> Result<TopicId, Refusal> {
    let invalid = |message: &str| Refusal::new(ErrorCode::InvalidRequest, message);
    let reference = match (&topic.name, topic.topic_id.is_zero()) {
        (Some(name), true) => TopicRef::Name(name.to_string()),
        (None, false) => TopicRef::Id(model_id(topic.topic_id)),
        (Some(_), false) => return Err(invalid("name a topic by its name or by its id, not both")),
        (None, true) => return Err(invalid("a topic has neither name nor id")),
    };
    let missing = match reference {
        TopicRef::Name(_) => AdminError::UnknownTopic,
        TopicRef::Id(_) => AdminError::UnknownTopicId,
    };
    let info = call.engine().topic(&reference).ok_or(missing)?;
    let reference = TopicRef::Id(info.id);
    let deleted = call.engine().delete_topic(&reference);
    let id = deadline.wait(call.env(), deleted).await??;
    tracing::info!(topic = %info.name, client_id = call.client_id(), "topic deleted");
    topic.name = Some(info.name.into());
    Ok(id)
}

fn answer(
    call: &Call,
    topic: DeleteTopicState,
    result: Result<TopicId, Refusal>,
) -> DeletableTopicResult {
    let (error_code, error_message, topic_id) = match result {
        Ok(id) => (0, None, wire_id(id)),
        Err(refusal) => (
            call.code(refusal.code),
            text(refusal.message),
            topic.topic_id,
        ),
    };
    DeletableTopicResult {
        name: topic.name,
        topic_id,
        error_code,
        error_message,
    }
}
