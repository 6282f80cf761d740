//! Topics, settings, offsets, producer ids: what is done and what is refused.

use levada_kafka::NODE_ID;
use levada_wire_kafka::messages::*;
use levada_wire_kafka::{ErrorCode, KStr, Uuid};

use crate::support::*;

fn topic(name: &str, num_partitions: i32) -> CreatableTopic {
    CreatableTopic {
        name: KStr::from(name),
        num_partitions,
        replication_factor: -1,
        ..Default::default()
    }
}

fn create(topics: Vec<CreatableTopic>) -> CreateTopicsRequest {
    CreateTopicsRequest {
        topics,
        ..Default::default()
    }
}

fn config(name: &'static str, value: &'static str) -> CreatableTopicConfig {
    CreatableTopicConfig {
        name: KStr::from_static(name),
        value: Some(KStr::from_static(value)),
    }
}

#[tokio::test]
async fn topics_are_created_grown_and_deleted_in_every_version() {
    let service = start().await;
    let mut client = service.connect().await;
    for version in 2..=7 {
        let name = format!("t{version}");
        let answer = client.call(&create(vec![topic(&name, 2)]), version).await;
        let made = &answer.topics[0];
        assert_eq!(made.error_code, 0, "{made:?}");
        if version >= 5 {
            assert_eq!((made.num_partitions, made.replication_factor), (2, 1));
            let configs = made.configs.as_ref().unwrap();
            assert!(
                configs
                    .rows()
                    .iter()
                    .any(|config| config.name == "retention.ms")
            );
        }
        let again = client.call(&create(vec![topic(&name, 2)]), version).await;
        let exists = ErrorCode::TopicAlreadyExists.code();
        assert_eq!(again.topics[0].error_code, exists);
    }
    for version in 0..=3 {
        let name = format!("t{}", version + 2);
        let grow = |count| CreatePartitionsRequest {
            topics: vec![CreatePartitionsTopic {
                name: KStr::from(name.clone()),
                count,
                assignments: None,
            }],
            ..Default::default()
        };
        let answer = client.call(&grow(5), version).await;
        assert_eq!(answer.results[0].error_code, 0);
        let fewer = client.call(&grow(3), version).await;
        let invalid = ErrorCode::InvalidPartitions.code();
        assert_eq!(fewer.results[0].error_code, invalid);
    }
    let known = client.call(&metadata(&["t3"]), 12).await.topics.remove(0);
    assert_eq!(known.partitions.len(), 5);
    for version in 1..=5 {
        let delete = DeleteTopicsRequest {
            topic_names: vec![KStr::from(format!("t{}", version + 2))],
            ..Default::default()
        };
        let answer = client.call(&delete, version).await;
        assert_eq!(answer.responses[0].error_code, i16::from(version == 6));
    }
    let by_id = |topic_id| DeleteTopicsRequest {
        topics: vec![DeleteTopicState {
            topic_id,
            name: None,
        }],
        ..Default::default()
    };
    let again = client.call(&by_id(known.topic_id), 6).await;
    let unknown = ErrorCode::UnknownTopicId.code();
    assert_eq!(again.responses[0].error_code, unknown);
    let last = client.call(&metadata(&["t2"]), 12).await.topics.remove(0);
    let gone = client.call(&by_id(last.topic_id), 6).await;
    assert_eq!(gone.responses[0].error_code, 0);
    assert_eq!(gone.responses[0].name, Some(KStr::from_static("t2")));
}

#[tokio::test]
async fn wrong_topics_are_refused_one_by_one() {
    let service = start().await;
    let mut client = service.connect().await;
    let mut replicated = topic("replicated", 1);
    replicated.replication_factor = 3;
    let mut configured = topic("configured", 1);
    configured.configs = vec![config("retention.ms", "soon")];
    let mut unknown = topic("unknown", 1);
    unknown.configs = vec![config("no.such.setting", "1")];
    let mut assigned = topic("assigned", -1);
    assigned.assignments = vec![CreatableReplicaAssignment {
        partition_index: 0,
        broker_ids: vec![2],
    }];
    let mut placed = topic("placed", -1);
    placed.assignments = (0..3)
        .map(|partition_index| CreatableReplicaAssignment {
            partition_index,
            broker_ids: vec![NODE_ID],
        })
        .collect();
    let request = create(vec![
        topic("good", -1),
        topic("a b", 1),
        topic("none", 0),
        replicated,
        configured,
        unknown,
        assigned,
        placed,
        topic("twice", 1),
        topic("twice", 1),
    ]);
    let answer = client.call(&request, 7).await;
    let errors: Vec<_> = answer.topics.iter().map(|topic| topic.error_code).collect();
    let wanted = [
        ErrorCode::None,
        ErrorCode::InvalidTopicException,
        ErrorCode::InvalidPartitions,
        ErrorCode::InvalidReplicationFactor,
        ErrorCode::InvalidConfig,
        ErrorCode::InvalidConfig,
        ErrorCode::InvalidReplicaAssignment,
        ErrorCode::None,
        ErrorCode::InvalidRequest,
    ];
    assert_eq!(errors, wanted.map(ErrorCode::code));
    assert_eq!(answer.topics[7].num_partitions, 3);
    let mut dry = create(vec![topic("dry", 4)]);
    dry.validate_only = true;
    let answer = client.call(&dry, 7).await;
    assert_eq!(answer.topics[0].error_code, 0);
    // As on Kafka: an id, but no topic ever has it.
    let told = answer.topics[0].topic_id;
    assert_ne!(told, Uuid::ZERO);
    let real = service.engine.topics();
    assert!(real.iter().all(|topic| topic.id.0 != told.0));
    let mut names: Vec<_> = service
        .engine
        .topics()
        .into_iter()
        .map(|t| t.name)
        .collect();
    names.sort();
    assert_eq!(names, ["good", "placed"]);
}

fn describe(resource_type: i8, name: &str, keys: Option<Vec<KStr>>) -> DescribeConfigsRequest {
    DescribeConfigsRequest {
        resources: vec![DescribeConfigsResource {
            resource_type,
            resource_name: KStr::from(name),
            configuration_keys: keys,
        }],
        include_synonyms: true,
        include_documentation: true,
    }
}

fn change(
    name: &'static str,
    op: i8,
    value: Option<&'static str>,
) -> IncrementalAlterConfigsRequest {
    IncrementalAlterConfigsRequest {
        resources: vec![IncrementalAlterConfigsRequestAlterConfigsResource {
            resource_type: 2,
            resource_name: KStr::from_static("t"),
            configs: vec![IncrementalAlterConfigsRequestAlterableConfig {
                name: KStr::from_static(name),
                config_operation: op,
                value: value.map(KStr::from_static),
            }],
        }],
        ..Default::default()
    }
}

#[tokio::test]
async fn settings_are_changed_told_and_put_back() {
    let service = start().await;
    let mut client = service.connect().await;
    client.call(&create(vec![topic("t", 1)]), 7).await;
    let key = || Some(vec![KStr::from_static("retention.ms")]);
    for version in 0..=1 {
        let answer = client
            .call(&change("retention.ms", 0, Some("5000")), version)
            .await;
        assert_eq!(answer.responses[0].error_code, 0, "{answer:?}");
    }
    for version in 1..=4 {
        let answer = client.call(&describe(2, "t", key()), version).await;
        let config = &answer.results[0].configs[0];
        assert_eq!(config.value, Some(KStr::from_static("5000")));
        assert_eq!(config.config_source, 1);
        assert_eq!(config.synonyms.len(), 2);
        if version >= 3 {
            assert_eq!(config.config_type, 5);
            assert!(
                config
                    .documentation
                    .as_ref()
                    .is_some_and(|doc| !doc.is_empty())
            );
        }
    }
    for (request, error) in [
        (
            change("retention.ms", 0, Some("x")),
            ErrorCode::InvalidConfig,
        ),
        (
            change("retention.ms", 2, Some("1")),
            ErrorCode::InvalidConfig,
        ),
        (change("retention.ms", 0, None), ErrorCode::InvalidRequest),
        (
            change("retention.ms", 9, Some("1")),
            ErrorCode::InvalidRequest,
        ),
    ] {
        let answer = client.call(&request, 1).await;
        assert_eq!(answer.responses[0].error_code, error.code(), "{answer:?}");
    }
    let replace = AlterConfigsRequest {
        resources: vec![AlterConfigsResource {
            resource_type: 2,
            resource_name: KStr::from_static("t"),
            configs: vec![AlterableConfig {
                name: KStr::from_static("segment.bytes"),
                value: Some(KStr::from_static("2000000")),
            }],
        }],
        validate_only: false,
    };
    for version in 0..=2 {
        let answer = client.call(&replace, version).await;
        assert_eq!(answer.responses[0].error_code, 0, "{answer:?}");
    }
    let answer = client.call(&describe(2, "t", key()), 4).await;
    assert_eq!(
        answer.results[0].configs[0].config_source, 5,
        "back to the default"
    );
    for all in [None, Some(Vec::new())] {
        let answer = client.call(&describe(2, "t", all), 4).await;
        assert!(answer.results[0].configs.len() > 20);
    }
}

#[tokio::test]
async fn broker_settings_are_told_and_not_changed() {
    let service = start().await;
    let mut client = service.connect().await;
    let answer = client.call(&describe(4, "1", None), 4).await;
    let configs = &answer.results[0].configs;
    assert!(configs.iter().all(|config| config.read_only));
    assert!(configs.is_sorted_by_key(|config| config.name.to_string()));
    let invalid = ErrorCode::InvalidRequest.code();
    for (resource_type, name) in [(4, "7"), (8, "1"), (99, "x")] {
        let answer = client.call(&describe(resource_type, name, None), 4).await;
        assert_eq!(answer.results[0].error_code, invalid);
    }
    let answer = client.call(&describe(2, "absent", None), 4).await;
    let unknown = ErrorCode::UnknownTopicOrPartition.code();
    assert_eq!(answer.results[0].error_code, unknown);
    let mut broker = change("num.partitions", 0, Some("3"));
    broker.resources[0].resource_type = 4;
    broker.resources[0].resource_name = KStr::from_static("1");
    let answer = client.call(&broker, 1).await;
    assert_eq!(answer.responses[0].error_code, invalid);
    assert!(
        answer.responses[0]
            .error_message
            .as_ref()
            .unwrap()
            .contains("restart")
    );
}

#[tokio::test]
async fn offsets_are_found_and_records_deleted() {
    let service = start().await;
    let mut client = service.connect().await;
    client.call(&metadata(&["t"]), 9).await;
    for text in ["a", "b", "c"] {
        client.call(&produce("t", 0, -1, batch(&[text])), 9).await;
    }
    let ask = |timestamp| ListOffsetsRequest {
        replica_id: -1,
        topics: vec![ListOffsetsTopic {
            name: KStr::from_static("t"),
            partitions: vec![ListOffsetsPartition {
                timestamp,
                ..Default::default()
            }],
        }],
        ..Default::default()
    };
    let part = |answer: ListOffsetsResponse| answer.topics[0].partitions[0].clone();
    for version in 1..=10 {
        for (timestamp, offset) in [(-1, 3), (-2, 0), (0, 0), (1_800_000_000_000, -1)] {
            let found = part(client.call(&ask(timestamp), version).await);
            assert_eq!(
                (found.error_code, found.offset),
                (0, offset),
                "v{version} {timestamp}"
            );
        }
        for (timestamp, since, offset) in [(-3, 7, 0), (-4, 8, 0), (-5, 9, -1)] {
            let found = part(client.call(&ask(timestamp), version).await);
            if version >= since {
                assert_eq!((found.error_code, found.offset), (0, offset), "{timestamp}");
            } else {
                assert_eq!(found.error_code, ErrorCode::UnsupportedVersion.code());
            }
        }
    }
    for version in 0..=2 {
        let delete = |offset| DeleteRecordsRequest {
            topics: vec![DeleteRecordsTopic {
                name: KStr::from_static("t"),
                partitions: vec![DeleteRecordsPartition {
                    partition_index: 0,
                    offset,
                }],
            }],
            ..Default::default()
        };
        let answer = client.call(&delete(i64::from(version)), version).await;
        let part = &answer.topics[0].partitions[0];
        assert_eq!(
            (part.error_code, part.low_watermark),
            (0, i64::from(version))
        );
        let answer = client.call(&delete(99), version).await;
        let part = &answer.topics[0].partitions[0];
        assert_eq!(part.error_code, ErrorCode::OffsetOutOfRange.code());
        assert_eq!(part.low_watermark, -1);
    }
    assert_eq!(part(client.call(&ask(-2), 5).await).offset, 2);
    let answer = client.call(&fetch("t", 0, 0), 11).await;
    assert_eq!(
        fetched(&answer).error_code,
        ErrorCode::OffsetOutOfRange.code()
    );
    for version in 2..=4 {
        let request = OffsetForLeaderEpochRequest {
            topics: vec![OffsetForLeaderTopic {
                topic: KStr::from_static("t"),
                partitions: vec![OffsetForLeaderPartition {
                    partition: 0,
                    current_leader_epoch: 0,
                    leader_epoch: 0,
                }],
            }],
            ..Default::default()
        };
        let answer = client.call(&request, version).await;
        assert_eq!(answer.topics[0].partitions[0].end_offset, 3);
    }
}

#[tokio::test]
async fn producers_get_ids_and_transactions_are_refused_for_good() {
    let service = start().await;
    let mut client = service.connect().await;
    let mut last = -1;
    for version in 0..=5 {
        let plain = InitProducerIdRequest {
            transactional_id: None,
            ..Default::default()
        };
        let answer = client.call(&plain, version).await;
        assert_eq!((answer.error_code, answer.producer_epoch), (0, 0));
        assert!(answer.producer_id > last);
        last = answer.producer_id;
        let transactional = InitProducerIdRequest {
            transactional_id: Some(KStr::from_static("tx")),
            ..Default::default()
        };
        let answer = client.call(&transactional, version).await;
        let error = ErrorCode::try_from(answer.error_code).unwrap();
        assert!(error != ErrorCode::None && !error.is_retriable());
    }
}

#[tokio::test]
async fn the_cluster_its_partitions_and_their_sizes_are_described() {
    let service = start().await;
    let mut client = service.connect().await;
    client
        .call(&create(vec![topic("a", 3), topic("b", 4)]), 7)
        .await;
    client.call(&produce("a", 1, -1, batch(&["v"])), 9).await;
    for version in 0..=2 {
        let ask = DescribeClusterRequest::default();
        let answer = client.call(&ask, version).await;
        assert_eq!(answer.brokers[0].broker_id, NODE_ID);
        assert_eq!(answer.controller_id, NODE_ID);
    }
    let controllers = DescribeClusterRequest {
        endpoint_type: 2,
        ..Default::default()
    };
    let answer = client.call(&controllers, 1).await;
    assert_eq!(answer.error_code, ErrorCode::MismatchedEndpointType.code());
    for version in 1..=4 {
        let answer = client
            .call(&DescribeLogDirsRequest { topics: None }, version)
            .await;
        let [disk] = answer.results.as_slice() else {
            panic!("{answer:?}");
        };
        // The fields came with version 4.
        assert_eq!(disk.total_bytes > 0, version >= 4, "{disk:?}");
        assert_eq!(disk.usable_bytes > 0, version >= 4, "{disk:?}");
        let topics = &disk.topics;
        assert_eq!(topics.len(), 2);
        let sizes: Vec<_> = topics[0]
            .partitions
            .iter()
            .map(|p| p.partition_size > 0)
            .collect();
        assert_eq!(sizes, [false, true, false]);
    }
    let mut pages = DescribeTopicPartitionsRequest {
        response_partition_limit: 2,
        ..Default::default()
    };
    let mut seen = Vec::new();
    loop {
        let answer = client.call(&pages, 0).await;
        for topic in &answer.topics {
            let name = topic.name.clone().unwrap();
            let indexes = topic.partitions.iter().map(|p| p.partition_index);
            seen.extend(indexes.map(|index| format!("{name}{index}")));
        }
        let Some(next) = answer.next_cursor else {
            break;
        };
        pages.cursor = Some(Cursor {
            topic_name: next.topic_name,
            partition_index: next.partition_index,
        });
    }
    assert_eq!(seen, ["a0", "a1", "a2", "b0", "b1", "b2", "b3"]);
}

#[tokio::test]
async fn a_compacted_topic_needs_keys_and_keeps_its_records() {
    let service = start().await;
    let mut client = service.connect().await;
    let mut compacted = topic("t", 1);
    compacted.configs = vec![config("cleanup.policy", "compact")];
    client.call(&create(vec![compacted]), 7).await;
    let keyless = client
        .call(&produce("t", 0, -1, batch(&["v", "w"])), 9)
        .await;
    let invalid = ErrorCode::InvalidRecord.code();
    assert_eq!(produced(&keyless).error_code, invalid);
    assert_eq!(produced(&keyless).log_start_offset, 0);
    assert_eq!(named(&keyless), [0, 1]);
    let request = produce("t", 0, -1, keyed_batch(Some("k"), &["v"]));
    let keyed = client.call(&request, 9).await;
    assert_eq!(
        (produced(&keyed).error_code, produced(&keyed).base_offset),
        (0, 0)
    );
    let delete = DeleteRecordsRequest {
        topics: vec![DeleteRecordsTopic {
            name: KStr::from_static("t"),
            partitions: vec![DeleteRecordsPartition {
                partition_index: 0,
                offset: 1,
            }],
        }],
        ..Default::default()
    };
    let answer = client.call(&delete, 2).await;
    let refused = ErrorCode::PolicyViolation.code();
    assert_eq!(answer.topics[0].partitions[0].error_code, refused);
}

/// The records that an answer names as the reason.
fn named(answer: &ProduceResponse) -> Vec<i32> {
    let errors = &produced(answer).record_errors;
    errors.iter().map(|error| error.batch_index).collect()
}

#[tokio::test]
async fn records_whose_time_is_not_allowed_are_named() {
    let service = start().await;
    let mut client = service.connect().await;
    let mut strict = topic("t", 1);
    strict.configs = vec![config("message.timestamp.before.max.ms", "1000")];
    client.call(&create(vec![strict]), 7).await;
    // Its records are of 2023.
    let late = client
        .call(&produce("t", 0, -1, batch(&["v", "w"])), 9)
        .await;
    let invalid = ErrorCode::InvalidTimestamp.code();
    assert_eq!(produced(&late).error_code, invalid);
    assert_eq!(produced(&late).log_start_offset, 0);
    assert_eq!(named(&late), [0, 1]);
}

#[tokio::test]
async fn requests_and_errors_are_counted() {
    let service = start().await;
    let mut client = service.connect().await;
    client.call(&metadata(&["t"]), 9).await;
    client.call(&metadata(&["a b"]), 9).await;
    let counted = service.listener.metrics().snapshot();
    let api = counted
        .apis
        .iter()
        .find(|api| api.api == "Metadata")
        .unwrap();
    assert_eq!((api.requests, api.errors), (2, 1));
    assert_eq!(api.latency.iter().sum::<u64>(), 2);
    assert_eq!(counted.connections, 1);
    assert!(counted.bytes_in > 0 && counted.bytes_out > 0);
    assert_eq!(
        service.listener.clients().list()[0].client_id(),
        Some("test")
    );
}
