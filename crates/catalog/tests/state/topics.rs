//! Topics: names, sizes, settings, ends.

use levada_catalog::topic_config::{DEFINITIONS, Kind, definition};
use levada_catalog::{Command, Effect, TopicConfig, TopicError};
use levada_model::limits::TOPIC_PARTITIONS_MAX;
use levada_model::{Offset, PartitionId, SegmentId, TopicId};

use crate::support::{Cell, batch, create, topic_id};

fn alter(changes: &[(&str, Option<&str>)]) -> Command {
    let changes = changes.iter();
    Command::AlterTopic {
        topic: topic_id(1),
        changes: changes
            .map(|(name, value)| ((*name).to_owned(), value.map(str::to_owned)))
            .collect(),
    }
}

#[test]
fn a_new_topic_is_found_by_name_and_id_with_its_partitions() {
    let mut cell = Cell::new();
    assert_eq!(cell.topic(&create(1, "orders", 3, &[])), Ok(topic_id(1)));
    assert_eq!(cell.effects, [Effect::TopicCreated { topic: topic_id(1) }]);
    let topic = cell.state.topic_named("orders").unwrap();
    assert_eq!(topic.id, topic_id(1));
    assert_eq!(topic.created_ms, cell.now_ms);
    assert_eq!(topic.partition_count(), 3);
    assert_eq!(topic.partition(2), Some(PartitionId(2)));
    assert_eq!(topic.partition(3), None);
    assert_eq!(topic.partition(-1), None);
    let partition = cell.partition(PartitionId(2));
    assert_eq!((partition.topic(), partition.index()), (topic_id(1), 2));
    assert_eq!(partition.high_watermark(), Offset::ZERO);
}

#[test]
fn names_that_kafka_refuses_are_refused() {
    let long = "a".repeat(250);
    for name in ["", ".", "..", "a b", "a/b", "ä", "a\0", &long] {
        let result = Cell::new().topic(&create(1, name, 1, &[]));
        assert!(matches!(result, Err(TopicError::InvalidName(_))), "{name}");
    }
    let longest = "a".repeat(249);
    for name in ["a", "A.b_c-9", "...", &longest] {
        assert!(
            Cell::new().topic(&create(1, name, 1, &[])).is_ok(),
            "{name}"
        );
    }
}

#[test]
fn names_that_differ_only_in_dot_and_underscore_collide_until_the_first_is_deleted() {
    let mut cell = Cell::new();
    cell.topic(&create(1, "a.b_c", 1, &[])).unwrap();
    let result = cell.topic(&create(2, "a_b.c", 1, &[]));
    assert!(matches!(result, Err(TopicError::InvalidName(_))));
    let again = cell.topic(&create(2, "a.b_c", 1, &[]));
    assert_eq!(again, Err(TopicError::Exists("a.b_c".to_owned())));
    cell.topic(&Command::DeleteTopic { topic: topic_id(1) })
        .unwrap();
    assert!(cell.topic(&create(2, "a_b.c", 1, &[])).is_ok());
}

#[test]
fn kafkas_own_topics_exist_already_for_whoever_creates_them() {
    for name in ["__consumer_offsets", "__transaction_state"] {
        let result = Cell::new().topic(&create(1, name, 1, &[]));
        assert_eq!(result, Err(TopicError::Exists(name.to_owned())));
    }
}

#[test]
fn a_topic_id_is_used_once_and_never_zero() {
    let mut cell = Cell::with_topic(1, &[]);
    assert!(cell.topic(&create(1, "other", 1, &[])).is_err());
    assert!(cell.topic(&create(0, "other", 1, &[])).is_err());
    assert!(cell.state.topic(TopicId::NONE).is_none());
}

#[test]
fn partition_counts_have_limits() {
    for count in [0, TOPIC_PARTITIONS_MAX + 1] {
        let result = Cell::new().topic(&create(1, "t", count, &[]));
        assert!(matches!(result, Err(TopicError::InvalidPartitions(_))));
    }
}

#[test]
fn a_topic_grows_but_never_shrinks() {
    let mut cell = Cell::with_topic(2, &[]);
    cell.topic(&create(2, "between", 1, &[])).unwrap();
    let grow = |total| Command::CreatePartitions {
        topic: topic_id(1),
        total,
    };
    for total in [0, 1, 2] {
        let result = cell.topic(&grow(total));
        assert!(matches!(result, Err(TopicError::InvalidPartitions(_))));
    }
    cell.take_effects();
    cell.topic(&grow(4)).unwrap();
    assert_eq!(
        cell.effects,
        [Effect::PartitionsAdded { topic: topic_id(1) }]
    );
    let topic = cell.state.topic(topic_id(1)).unwrap();
    let ids: Vec<_> = topic.partitions().collect();
    assert_eq!(ids, [0, 1, 3, 4].map(PartitionId));
    assert_eq!(topic.partition(3), Some(PartitionId(4)));
    for from in 0..=topic.partition_count() + 1 {
        let behind = topic.partitions().skip(from as usize);
        assert!(topic.partitions_from(from).eq(behind), "from {from}");
    }
    assert_eq!(cell.partition(PartitionId(4)).index(), 3);
    let unknown = Command::CreatePartitions {
        topic: topic_id(9),
        total: 9,
    };
    assert_eq!(cell.topic(&unknown), Err(TopicError::Unknown));
}

#[test]
fn a_deleted_topic_gives_back_its_bytes_and_its_ids_are_never_used_again() {
    let mut cell = Cell::with_topic(2, &[]);
    cell.commit_at(
        5,
        0,
        vec![batch(PartitionId(0), 2), batch(PartitionId(1), 3)],
    );
    cell.take_effects();
    let delete = Command::DeleteTopic { topic: topic_id(1) };
    cell.topic(&delete).unwrap();
    let deleted = Effect::TopicDeleted {
        topic: topic_id(1),
        name: "t".to_owned(),
        partitions: vec![PartitionId(0), PartitionId(1)],
    };
    assert_eq!(cell.effects, [Effect::SegmentDead(SegmentId(5)), deleted]);
    assert_eq!(cell.state.partition_count(), 0);
    assert!(cell.state.partition(PartitionId(0)).is_none());
    assert_eq!(cell.topic(&delete), Err(TopicError::Unknown));
    cell.topic(&create(1, "t", 1, &[])).unwrap();
    let topic = cell.state.topic_named("t").unwrap();
    assert_eq!(topic.partition(0), Some(PartitionId(2)));
}

#[test]
fn settings_act_are_changed_and_fall_back_to_their_defaults() {
    let mut cell = Cell::with_topic(1, &[("retention.ms", " 1000 "), ("retention.bytes", "5")]);
    let config = |cell: &Cell| cell.state.topic(topic_id(1)).unwrap().config.clone();
    assert_eq!(config(&cell).retention_ms, Some(1000));
    assert_eq!(config(&cell).retention_bytes, Some(5));
    let changes = [
        ("retention.ms", Some("-1")),
        ("retention.bytes", None),
        ("cleanup.policy", Some("compact, delete")),
    ];
    cell.topic(&alter(&changes)).unwrap();
    assert_eq!(config(&cell).retention_ms, None);
    assert_eq!(config(&cell).retention_bytes, None);
    assert!(config(&cell).compacts && config(&cell).deletes);
    let resets = [("retention.ms", None), ("cleanup.policy", None)];
    cell.topic(&alter(&resets)).unwrap();
    assert_eq!(*config(&cell), TopicConfig::default());
    assert!(cell.state.topic(topic_id(1)).unwrap().overrides.is_empty());
}

#[test]
fn a_refused_change_changes_nothing_and_says_what_is_allowed() {
    let mut cell = Cell::with_topic(1, &[("retention.ms", "7")]);
    let before = cell.state.digest();
    let bad = [
        ("retention.ms", "soon", "a whole number from -1 to"),
        ("retention.ms", "-2", "a whole number from -1 to"),
        (
            "max.message.bytes",
            "3000000000",
            "a whole number from 0 to 2147483647",
        ),
        ("cleanup.policy", "compact,erase", "compact, delete"),
        (
            "message.timestamp.type",
            "createtime",
            "CreateTime, LogAppendTime",
        ),
        ("preallocate", "yes", "true or false"),
        ("min.cleanable.dirty.ratio", "1.5", "a number from 0 to 1"),
        ("no.such.setting", "1", "unknown topic setting"),
    ];
    for (name, value, says) in bad {
        let changes = [("retention.bytes", Some("1")), (name, Some(value))];
        match cell.topic(&alter(&changes)) {
            Err(TopicError::InvalidConfig(text)) => assert!(text.contains(says), "{text}"),
            other => panic!("{name}={value}: {other:?}"),
        }
    }
    let lags = [
        ("min.compaction.lag.ms", Some("9")),
        ("max.compaction.lag.ms", Some("8")),
    ];
    assert!(matches!(
        cell.topic(&alter(&lags)),
        Err(TopicError::InvalidConfig(_))
    ));
    assert!(cell.topic(&alter(&[("no.such.setting", None)])).is_err());
    assert_eq!(cell.state.digest(), before);
}

#[test]
fn checks_before_a_proposal_say_what_apply_would_say() {
    let mut cell = Cell::with_topic(1, &[]);
    let Command::CreateTopic(new) = create(1, "t", 1, &[]) else {
        unreachable!("a create is a create")
    };
    let refused = cell.state.check_create_topic(&new);
    assert_eq!(
        cell.topic(&Command::CreateTopic(new)),
        Err(refused.unwrap_err())
    );
    assert!(cell.state.check_create_partitions(topic_id(1), 1).is_err());
    assert_eq!(cell.state.check_create_partitions(topic_id(1), 2), Ok(()));
    let change = [("segment.bytes".to_owned(), Some("1".to_owned()))];
    assert!(cell.state.check_alter_topic(topic_id(1), &change).is_err());
}

#[test]
fn the_table_of_settings_is_sorted_and_its_defaults_are_allowed() {
    assert!(
        DEFINITIONS
            .windows(2)
            .all(|pair| pair[0].name < pair[1].name)
    );
    for known in DEFINITIONS {
        assert!(known.kind.allows(known.default), "{}", known.name);
        assert_eq!(definition(known.name), Some(known));
        assert!(!known.doc.is_empty());
    }
    assert!(matches!(
        definition("cleanup.policy").unwrap().kind,
        Kind::ListOf(_)
    ));
    assert_eq!(TopicConfig::default().max_message_bytes, 1_048_588);
    assert_eq!(TopicConfig::default().retention_ms, Some(604_800_000));
    assert_eq!(TopicConfig::default().retention_bytes, None);
}
