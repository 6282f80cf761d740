//! DescribeLogDirs 1-4 (KIP-113, KIP-827): the live bytes of partitions. There is one place; how
//! large its disk is we leave open (-1, "unknown").

use std::collections::BTreeSet;

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
    DescribeLogDirsResponse {
        results: vec![DescribeLogDirsResult {
            log_dir: KStr::from(&*call.settings().log_dir),
            topics,
            ..Default::default()
        }],
        ..Default::default()
    }
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
