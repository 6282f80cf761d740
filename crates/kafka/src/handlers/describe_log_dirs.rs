//! DescribeLogDirs 1-4 (KIP-113, KIP-827): the live bytes of partitions. There is one place, on one
//! disk.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use levada_engine::TopicRef;
use levada_wire_kafka::KStr;
use levada_wire_kafka::messages::{
    DescribeLogDirsPartition, DescribeLogDirsRequest, DescribeLogDirsResponse,
    DescribeLogDirsResult, DescribeLogDirsTopic,
};

use crate::call::Call;

pub async fn handle(call: &Call, request: DescribeLogDirsRequest) -> DescribeLogDirsResponse {
    let topics = match request.topics {
        None => {
            let all = call.engine().topics().into_iter();
            all.filter_map(|topic| sizes(call, KStr::from(topic.name), None))
                .collect()
        }
        Some(topics) => {
            let asked = topics.into_iter().filter_map(|topic| {
                let partitions = topic.partitions.into_iter().collect();
                sizes(call, topic.topic, Some(partitions))
            });
            asked.collect()
        }
    };
    let (total_bytes, usable_bytes) = disk(call).await;
    DescribeLogDirsResponse {
        results: vec![DescribeLogDirsResult {
            log_dir: KStr::from(&*call.settings().log_dir),
            topics,
            total_bytes,
            usable_bytes,
            ..Default::default()
        }],
        ..Default::default()
    }
}

/// Size of the disk and what may still be written to it; -1 where the system does not tell.
async fn disk(call: &Call) -> (i64, i64) {
    let (fs, dir) = (call.env().fs().clone(), call.settings().log_dir.clone());
    let told =
        |bytes: io::Result<u64>| bytes.map_or(-1, |bytes| i64::try_from(bytes).unwrap_or(i64::MAX));
    let asked = call.env().blocking(move || {
        let dir = Path::new(&dir);
        (told(fs.total_bytes(dir)), told(fs.available_bytes(dir)))
    });
    asked.await
}

/// The partitions of a topic that were asked for; what does not exist is left out, as in Kafka.
fn sizes(call: &Call, name: KStr, asked: Option<BTreeSet<i32>>) -> Option<DescribeLogDirsTopic> {
    let sizes = call.engine().log_sizes(&TopicRef::Name(name.to_string()));
    let wanted = |index: &i32| asked.as_ref().is_none_or(|asked| asked.contains(index));
    let partitions: Vec<_> = sizes
        .into_iter()
        .filter(|(index, _)| wanted(index))
        .map(|(partition_index, bytes)| DescribeLogDirsPartition {
            partition_index,
            partition_size: i64::try_from(bytes).unwrap_or(i64::MAX),
            ..Default::default()
        })
        .collect();
    (!partitions.is_empty()).then_some(DescribeLogDirsTopic { name, partitions })
}
