//! Before the load: the topic, who drives which partitions, the prepared batches.

use levada_client::admin::NewTopic;
use levada_client::{Client, Topic};
use levada_records::{BatchBuilder, NewRecord, Producer};
use levada_wire_kafka::ErrorCode;

use super::LoadArgs;
use crate::context::Context;
use crate::error::{CliError, CliResult};

/// A batch of this size is what a busy producer sends.
const BATCH_BYTES_DEFAULT: u32 = 64 * 1024;

/// One connection's part.
#[derive(Clone, Debug)]
pub struct Share {
    pub address: String,
    pub partitions: Vec<i32>,
}

/// The topic; created with as many partitions as asked for if it does not exist.
///
/// # Errors
/// Those of the cluster, and fewer partitions than asked for.
pub async fn topic(
    client: &Client,
    args: &LoadArgs,
    create_with: Option<u32>,
) -> CliResult<(std::sync::Arc<Topic>, u32)> {
    let absent = |error: &levada_client::ClientError| {
        error.code() == Some(ErrorCode::UnknownTopicOrPartition)
    };
    let topic = match (client.topic(&args.topic, false).await, create_with) {
        (Err(error), Some(partitions)) if absent(&error) => {
            let new = NewTopic {
                name: args.topic.clone(),
                partitions: i32::try_from(partitions).ok(),
                ..Default::default()
            };
            client.create_topic(&new, false).await?;
            // A cluster may need a moment until the topic has leaders.
            client.topic_afresh(&args.topic, true).await?
        }
        (found, _) => found?,
    };
    let there = u32::try_from(topic.partitions.len()).unwrap_or(u32::MAX);
    let used = args.partitions.unwrap_or(there);
    if used > there {
        return Err(CliError::Usage(format!(
            "topic '{}' has {there} partitions, not {used}: grow it with `levada topic alter {} \
             --partitions {used}`, or name another topic",
            args.topic, args.topic
        )));
    }
    Ok((topic, used))
}

/// Spreads partitions over connections: each gets partitions of one leader only. With more
/// connections than partitions, several share one.
pub fn shares(
    client: &Client,
    topic: &Topic,
    partitions: u32,
    connections: u32,
) -> CliResult<Vec<Share>> {
    let brokers = client.brokers();
    let mut shares: Vec<Share> = Vec::new();
    for connection in 0..connections {
        let mine = if connections > partitions {
            vec![connection % partitions]
        } else {
            (connection..partitions)
                .step_by(connections as usize)
                .collect()
        };
        let first = shares.len();
        for partition in mine {
            let partition = topic.partition(partition as i32)?;
            let broker = brokers.iter().find(|broker| broker.id == partition.leader);
            let address = broker.map(levada_client::Broker::address).ok_or_else(|| {
                CliError::Failed(format!("partition {} has no leader now", partition.index))
            })?;
            let own = shares
                .iter_mut()
                .skip(first)
                .find(|share| share.address == address);
            match own {
                Some(share) => share.partitions.push(partition.index),
                None => shares.push(Share {
                    address,
                    partitions: vec![partition.index],
                }),
            }
        }
    }
    Ok(shares)
}

/// Earliest and latest offset of each partition.
///
/// # Errors
/// Those of the cluster.
pub async fn ends(client: &Client, topic: &str, partitions: u32) -> CliResult<Vec<(i64, i64)>> {
    let partitions: Vec<i32> = (0..partitions as i32).collect();
    crate::remote::ends(client, topic, &partitions).await
}

/// Records in a batch.
pub fn batch_records(args: &LoadArgs) -> u32 {
    args.batch.unwrap_or_else(|| {
        if args.rate.is_some() {
            1
        } else {
            (BATCH_BYTES_DEFAULT / (args.size + 12)).max(1)
        }
    })
}

/// A batch of `records` records with random values.
///
/// # Errors
/// Whatever the compression says.
pub fn batch(context: &Context, args: &LoadArgs, records: u32) -> CliResult<bytes::Bytes> {
    let mut builder = BatchBuilder::new(args.compression);
    let mut value = vec![0; args.size as usize];
    for _ in 0..records {
        context.env.random_bytes(&mut value);
        // Half of each value is text, so that compressions have something to do.
        let half = value.len() / 2;
        for (index, byte) in value.iter_mut().take(half).enumerate() {
            *byte = b"levada carries water to the fields "[index % 35];
        }
        builder.push(&NewRecord {
            timestamp_ms: context.env.now_ms(),
            key: None,
            value: Some(&value),
            headers: &[],
        });
    }
    builder
        .finish(Producer::NONE)
        .map_err(|error| CliError::Failed(error.to_string()))
}
