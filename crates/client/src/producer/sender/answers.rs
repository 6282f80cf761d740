//! What answers say of batches: written, refused for good, or to be sent again.

use std::sync::Arc;

use levada_model::Sequence;
use levada_wire_kafka::messages::ProduceResponse;
use levada_wire_kafka::{ErrorCode, Uuid};

use super::super::queue::Sent;
use super::{Place, RETRY_PAUSE, Sender};
use crate::error::{ClientError, ClientResult, check};

impl Sender {
    pub(super) fn answered(
        &mut self,
        batches: Vec<(Place, Sent)>,
        answer: ClientResult<ProduceResponse>,
        ids: &[(Uuid, Arc<str>)],
    ) {
        for (place, sent) in batches {
            let result = match &answer {
                Ok(answer) => result_of(answer, &place, ids),
                Err(error) => Err(error.clone()),
            };
            self.settle_batch(&place, sent, result);
        }
    }

    fn settle_batch(&mut self, place: &Place, sent: Sent, result: ClientResult<i64>) {
        let shared = self.shared.clone();
        let mut queues = shared.queues.lock();
        let Some(queue) = queues.get(&place.0, place.1) else {
            return;
        };
        queue.in_flight = queue.in_flight.saturating_sub(1);
        let Err(error) = result else {
            queue.known_to_broker = true;
            // A broker without state took it in spite of the gap before it: that gap is closed.
            if queue
                .renumber_from
                .is_some_and(|from| sent.sequence.wrapping_sub(from) > 0)
            {
                queue.renumber_from = Some(Sequence(sent.sequence).plus(sent.records).0);
            }
            drop(queues);
            shared.client.patience().works();
            self.settle(
                &sent.outcome,
                sent.records,
                sent.charge,
                sent.bytes.len(),
                result,
            );
            return;
        };
        let code = error.code();
        // Refused because one before it is missing, which will be sent again first.
        let behind = code == Some(ErrorCode::OutOfOrderSequenceNumber)
            && (queue.renumber_from.is_some()
                || queue
                    .again
                    .iter()
                    .any(|other| sent.sequence.wrapping_sub(other.sequence) > 0));
        if behind || error.is_retriable() {
            tracing::debug!(topic = %place.0, partition = place.1, %error, "sending again");
            queue.put_again(sent);
            let now = shared.env.monotonic();
            queue.not_before = now + RETRY_PAUSE;
            drop(queues);
            shared.client.patience().failing(&error, now);
            shared.client.forget_topic(&place.0);
            return;
        }
        let mut failed = vec![sent];
        match code {
            // The broker knows another history: only a new id can go on.
            Some(
                ErrorCode::OutOfOrderSequenceNumber
                | ErrorCode::UnknownProducerId
                | ErrorCode::InvalidProducerEpoch
                | ErrorCode::ProducerFenced,
            ) => {
                self.renewing |= self.identity.is_some();
                failed.extend(std::mem::take(&mut queue.again));
            }
            // Not written for sure: those behind it take its numbers.
            _ if self.identity.is_some() => {
                if let Some(first) = failed.first() {
                    queue.renumber_from(first.sequence);
                }
            }
            _ => {}
        }
        drop(queues);
        for sent in failed {
            self.settle(
                &sent.outcome,
                sent.records,
                sent.charge,
                0,
                Err(error.clone()),
            );
        }
    }
}

/// One partition's result: the base offset.
fn result_of(
    answer: &ProduceResponse,
    (topic, partition): &Place,
    ids: &[(Uuid, Arc<str>)],
) -> ClientResult<i64> {
    let id = ids
        .iter()
        .find(|(_, name)| name == topic)
        .map(|(id, _)| *id);
    let found = answer
        .responses
        .iter()
        .filter(|response| {
            *response.name == **topic
                || (!response.topic_id.is_zero() && Some(response.topic_id) == id)
        })
        .flat_map(|response| &response.partition_responses)
        .find(|response| response.index == *partition);
    let what = || format!("records for partition {partition} of '{topic}' were not written");
    let Some(found) = found else {
        return Err(ClientError::refused(what(), ErrorCode::UnknownServerError));
    };
    // Found again by its sequence: it was written before.
    if found.error_code == ErrorCode::DuplicateSequenceNumber.code() {
        return Ok(found.base_offset);
    }
    check(found.error_code, found.error_message.as_deref(), what)?;
    Ok(found.base_offset)
}
