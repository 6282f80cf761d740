//! Topics made, grown, described and deleted, and every way in which that is refused.

use levada_wire_kafka::messages::*;
use levada_wire_kafka::{KStr, Uuid};

use super::cluster::metadata;
use super::{TOPIC, UNKNOWN};
use crate::session::Session;

/// A topic to create.
pub fn creatable(name: &str, partitions: i32, configs: &[(&str, Option<&str>)]) -> CreatableTopic {
    let config = |(name, value): &(&str, Option<&str>)| CreatableTopicConfig {
        name: KStr::from(*name),
        value: value.map(KStr::from),
    };
    CreatableTopic {
        name: name.into(),
        num_partitions: partitions,
        replication_factor: 1,
        assignments: Vec::new(),
        configs: configs.iter().map(config).collect(),
    }
}

fn create(topics: Vec<CreatableTopic>) -> CreateTopicsRequest {
    CreateTopicsRequest {
        topics,
        ..CreateTopicsRequest::default()
    }
}

/// Creates a topic and waits until metadata has it. The script's records are of 1970: they are kept.
pub fn make(session: &mut Session, name: &str, partitions: i32, configs: &[(&str, Option<&str>)]) {
    let mut configs = configs.to_vec();
    if !configs.iter().any(|(name, _)| *name == "retention.ms") {
        configs.push(("retention.ms", Some("-1")));
    }
    let request = create(vec![creatable(name, partitions, &configs)]);
    let answer = session.call(&format!("create {name}"), 7, &request);
    for topic in answer.into_iter().flat_map(|answer| answer.topics) {
        session
            .topic_ids
            .insert(topic.name.to_string(), topic.topic_id);
    }
    session.until(9, &metadata(&[name]), |answer| {
        answer.topics.iter().all(|topic| topic.error_code == 0)
    });
    // A partition that metadata has may not take a record yet.
    let latest = ListOffsetsRequest {
        replica_id: -1,
        topics: vec![ListOffsetsTopic {
            name: name.into(),
            partitions: (0..partitions)
                .map(|partition_index| ListOffsetsPartition {
                    partition_index,
                    timestamp: -1,
                    ..ListOffsetsPartition::default()
                })
                .collect(),
        }],
        ..ListOffsetsRequest::default()
    };
    session.until(8, &latest, |answer| {
        let partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
        partitions
            .into_iter()
            .all(|partition| partition.error_code == 0)
    });
}

pub fn run(session: &mut Session) {
    make(session, TOPIC, 2, &[]);
    session.every_version("one by version", |_, version| {
        create(vec![creatable(&format!("made-by-v{version}"), 1, &[])])
    });
    refused_creations(session);
    session.every_version("the topic", |_, _| metadata(&[TOPIC]));
    let by_id = MetadataRequest {
        topics: Some(vec![MetadataRequestTopic {
            topic_id: session.topic_id(TOPIC),
            name: None,
        }]),
        allow_auto_topic_creation: false,
        ..MetadataRequest::default()
    };
    session.call("by id", 12, &by_id);
    session.call(
        "two of which one is unknown",
        12,
        &metadata(&[TOPIC, UNKNOWN]),
    );
    session.call("the same twice", 12, &metadata(&[TOPIC, TOPIC]));
    let all = MetadataRequest {
        topics: None,
        ..MetadataRequest::default()
    };
    session.call("all", 12, &all);
    grow(session);
    describe_partitions(session);
}

fn refused_creations(session: &mut Session) {
    let refused: &[(&str, CreatableTopic)] = &[
        ("existing", creatable(TOPIC, 1, &[])),
        ("no name", creatable("", 1, &[])),
        ("a dot", creatable(".", 1, &[])),
        ("a bad character", creatable("a b", 1, &[])),
        ("249 characters", creatable(&"x".repeat(249), 1, &[])),
        ("250 characters", creatable(&"x".repeat(250), 1, &[])),
        ("no partitions", creatable("zero", 0, &[])),
        ("negative partitions", creatable("negative", -2, &[])),
        ("default partitions", creatable("default", -1, &[])),
        (
            "replication 3",
            CreatableTopic {
                replication_factor: 3,
                ..creatable("three", 1, &[])
            },
        ),
        (
            "replication 0",
            CreatableTopic {
                replication_factor: 0,
                ..creatable("none", 1, &[])
            },
        ),
        (
            "replication -1",
            CreatableTopic {
                replication_factor: -1,
                ..creatable("default2", 1, &[])
            },
        ),
        (
            "unknown config",
            creatable("c1", 1, &[("no.such.config", Some("1"))]),
        ),
        (
            "config out of range",
            creatable("c2", 1, &[("max.message.bytes", Some("-1"))]),
        ),
        (
            "config not a number",
            creatable("c3", 1, &[("retention.ms", Some("soon"))]),
        ),
        ("null config", creatable("c4", 1, &[("retention.ms", None)])),
        (
            "bad policy",
            creatable("c5", 1, &[("cleanup.policy", Some("burn"))]),
        ),
        (
            "bad time type",
            creatable("c6", 1, &[("message.timestamp.type", Some("Never"))]),
        ),
        ("colliding name", creatable("made_by.v2", 1, &[])),
        ("internal name", creatable("__consumer_offsets", 1, &[])),
    ];
    for (what, topic) in refused {
        session.call(what, 7, &create(vec![topic.clone()]));
    }
    special_creations(session);
}

/// Creations that are wrong, or right, as a whole.
fn special_creations(session: &mut Session) {
    let dry = CreateTopicsRequest {
        validate_only: true,
        ..create(vec![creatable("dry", 1, &[])])
    };
    session.call("validate only", 7, &dry);
    session.call("not there after validation", 12, &metadata(&["dry"]));
    let twice = vec![creatable("twice", 1, &[]), creatable("twice", 1, &[])];
    session.call("the same name twice", 7, &create(twice));
    session.call("nothing", 7, &create(Vec::new()));
    let assigned = |brokers: Vec<Vec<i32>>| CreatableTopic {
        num_partitions: -1,
        replication_factor: -1,
        assignments: (0..)
            .zip(brokers)
            .map(|(partition_index, broker_ids)| CreatableReplicaAssignment {
                partition_index,
                broker_ids,
            })
            .collect(),
        ..creatable("assigned", -1, &[])
    };
    session.call(
        "assigned to an unknown broker",
        7,
        &create(vec![assigned(vec![vec![99]])]),
    );
    session.call(
        "assigned twice to one",
        7,
        &create(vec![assigned(vec![vec![1, 1]])]),
    );
    session.call(
        "assigned",
        7,
        &create(vec![assigned(vec![vec![1], vec![1]])]),
    );
}

fn grow(session: &mut Session) {
    make(session, "grows", 1, &[]);
    let grow = |name: &str, count, assignments| CreatePartitionsRequest {
        topics: vec![CreatePartitionsTopic {
            name: name.into(),
            count,
            assignments,
        }],
        timeout_ms: 5000,
        validate_only: false,
    };
    session.every_version("grow", |_, version| {
        grow("grows", i32::from(version) + 2, None)
    });
    for (what, name, count) in [
        ("same", "grows", 5),
        ("fewer", "grows", 2),
        ("none", "grows", 0),
        ("negative", "grows", -1),
        ("unknown topic", UNKNOWN, 3),
        ("bad name", "a b", 3),
    ] {
        session.call(what, 3, &grow(name, count, None));
    }
    let to = |broker: i32| {
        Some(vec![CreatePartitionsAssignment {
            broker_ids: vec![broker],
        }])
    };
    session.call(
        "assigned to an unknown broker",
        3,
        &grow("grows", 6, to(99)),
    );
    session.call("too few assignments", 3, &grow("grows", 7, to(1)));
    session.call("assigned", 3, &grow("grows", 6, to(1)));
    let dry = CreatePartitionsRequest {
        validate_only: true,
        ..grow("grows", 9, None)
    };
    session.call("validate only", 3, &dry);
    session.until(9, &metadata(&["grows"]), |answer| {
        answer
            .topics
            .iter()
            .all(|topic| topic.partitions.len() == 6)
    });
    session.call("after growing", 12, &metadata(&["grows"]));
}

fn describe_partitions(session: &mut Session) {
    let ask = |names: &[&str], limit, cursor: Option<(&str, i32)>| DescribeTopicPartitionsRequest {
        topics: names
            .iter()
            .map(|name| DescribeTopicPartitionsRequestTopicRequest {
                name: KStr::from(*name),
            })
            .collect(),
        response_partition_limit: limit,
        cursor: cursor.map(|(name, partition_index)| Cursor {
            topic_name: name.into(),
            partition_index,
        }),
    };
    session.call("two topics", 0, &ask(&["grows", TOPIC], 2000, None));
    session.call("a page", 0, &ask(&["grows"], 4, None));
    session.call("the next page", 0, &ask(&["grows"], 4, Some(("grows", 4))));
    session.call("unknown", 0, &ask(&[UNKNOWN], 10, None));
    session.call(
        "a negative cursor",
        0,
        &ask(&["grows"], 4, Some(("grows", -1))),
    );
    session.call("limit 0", 0, &ask(&["grows"], 0, None));
}

/// Deletes what the script made, and what is not there.
pub fn delete(session: &mut Session) {
    session.every_version("one by version", |_, version| {
        let name = KStr::from(format!("made-by-v{}", version.clamp(2, 7)));
        DeleteTopicsRequest {
            topics: vec![DeleteTopicState {
                name: Some(name.clone()),
                topic_id: Uuid::ZERO,
            }],
            topic_names: vec![name],
            timeout_ms: 5000,
        }
    });
    let id = session.topic_id(TOPIC);
    let state = |name: Option<&str>, topic_id| DeleteTopicsRequest {
        topics: vec![DeleteTopicState {
            name: name.map(KStr::from),
            topic_id,
        }],
        timeout_ms: 5000,
        ..DeleteTopicsRequest::default()
    };
    session.call("unknown name", 6, &state(Some(UNKNOWN), Uuid::ZERO));
    session.call("unknown id", 6, &state(None, Uuid([9; 16])));
    session.call("neither name nor id", 6, &state(None, Uuid::ZERO));
    session.call("name and id", 6, &state(Some("grows"), id));
    session.call("by id", 6, &state(None, id));
    session.call("by id again", 6, &state(None, id));
    let gone = metadata(&[TOPIC]);
    session.until(9, &gone, |answer| {
        answer.topics.iter().all(|topic| topic.error_code == 3)
    });
    session.call("after deletion", 12, &gone);
    let twice = DeleteTopicsRequest {
        topics: ["grows", "grows"]
            .map(|name| DeleteTopicState {
                name: Some(name.into()),
                topic_id: Uuid::ZERO,
            })
            .to_vec(),
        timeout_ms: 5000,
        ..DeleteTopicsRequest::default()
    };
    session.call("the same name twice", 6, &twice);
}
