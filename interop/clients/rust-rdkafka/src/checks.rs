//! The checks themselves, named as in every other client.

use std::time::{Duration, SystemTime};

use rdkafka::consumer::Consumer;
use rdkafka::{Offset, TopicPartitionList};

use crate::Failure;
use crate::kafka::{Kafka, LARGE, Member, PARTITIONS, RECORDS, Record, expect, wait_for};

const CALL: Duration = Duration::from_secs(10);

fn now_millis() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as i64)
}

fn values(count: usize) -> Vec<Record> {
    (0..count).map(|i| Record::of(format!("v{i}"))).collect()
}

/// Produces to partition 0 and fails unless what is read equals it.
fn round_trip(
    kafka: &Kafka,
    topic: &str,
    sent: &[Record],
    extra: &[(&str, &str)],
) -> Result<(), Failure> {
    let offsets = kafka.produce(topic, sent, extra)?;
    expect(
        offsets,
        (0..sent.len() as i64).collect(),
        "acknowledged offsets",
    )?;
    let read = kafka.read_all(topic, 1, sent.len())?;
    for (i, (found, wanted)) in read.into_iter().zip(sent).enumerate() {
        let millis = wanted.millis.or(found.millis);
        expect(
            found,
            Record {
                offset: i as i64,
                millis,
                ..wanted.clone()
            },
            "record",
        )?;
    }
    Ok(())
}

pub fn connect(kafka: &Kafka) -> Result<(), Failure> {
    expect(
        kafka.reader.fetch_metadata(None, CALL)?.brokers().len(),
        1,
        "brokers",
    )
}

pub fn produce_consume(kafka: &Kafka) -> Result<(), Failure> {
    let topic = kafka.create("produce", PARTITIONS, &[])?;
    let now = now_millis();
    let sent: Vec<Record> = (0..RECORDS)
        .map(|i| Record {
            partition: i as i32 % PARTITIONS,
            offset: i as i64 / i64::from(PARTITIONS),
            key: Some(format!("k{i}").into()),
            headers: vec![("n".into(), Some(i.to_string().into()))],
            millis: Some(now + i as i64),
            ..Record::of(format!("v{i}"))
        })
        .collect();
    let offsets = kafka.produce(&topic, &sent, &[])?;
    expect(
        offsets,
        sent.iter().map(|record| record.offset).collect(),
        "acknowledged offsets",
    )?;
    let mut read = kafka.read_all(&topic, PARTITIONS, RECORDS)?;
    read.sort_by_key(|record| (record.offset, record.partition));
    expect(read, sent, "records")
}

pub fn group_consume(kafka: &Kafka) -> Result<(), Failure> {
    let (topic, group) = (kafka.create("group", 1, &[])?, kafka.name("group"));
    kafka.produce(&topic, &values(RECORDS), &[])?;
    let first = kafka.member(&group, &[])?;
    first.consumer.subscribe(&[&topic])?;
    first.take(40)?;
    first.commit(&topic, 40)?;
    expect(first.committed(&topic)?, Offset::Offset(40), "committed")?;
    drop(first);
    let second = kafka.member(&group, &[])?;
    second.consumer.subscribe(&[&topic])?;
    let offsets = second
        .take(RECORDS - 40)?
        .iter()
        .map(|record| record.offset)
        .collect();
    expect(
        offsets,
        (40..RECORDS as i64).collect::<Vec<_>>(),
        "offsets of the second member",
    )?;
    second.commit(&topic, RECORDS as i64)?;
    expect(
        second.committed(&topic)?,
        Offset::Offset(RECORDS as i64),
        "committed at the end",
    )
}

fn share(kafka: &Kafka, what: &str, extra: &[(&str, &str)]) -> Result<(), Failure> {
    let (topic, group) = (kafka.create(what, PARTITIONS, &[])?, kafka.name(what));
    let (first, second) = (kafka.member(&group, extra)?, kafka.member(&group, extra)?);
    first.consumer.subscribe(&[&topic])?;
    second.consumer.subscribe(&[&topic])?;
    both_hold(&first, &second)?;
    drop(second);
    wait_for("the remaining member holds every partition", || {
        first.poll()?;
        Ok(first.assigned()?.len() == PARTITIONS as usize)
    })
}

fn both_hold(first: &Member, second: &Member) -> Result<(), Failure> {
    wait_for("both members hold partitions", || {
        first.poll()?;
        second.poll()?;
        let (a, b) = (first.assigned()?, second.assigned()?);
        let total = a.len() + b.len();
        Ok(!a.is_empty() && !b.is_empty() && a.is_disjoint(&b) && total == PARTITIONS as usize)
    })
}

pub fn rebalance(kafka: &Kafka) -> Result<(), Failure> {
    share(kafka, "rebalance", &[])
}

pub fn cooperative(kafka: &Kafka) -> Result<(), Failure> {
    share(
        kafka,
        "cooperative",
        &[("partition.assignment.strategy", "cooperative-sticky")],
    )
}

pub fn static_membership(kafka: &Kafka) -> Result<(), Failure> {
    let (topic, group) = (
        kafka.create("static", PARTITIONS, &[])?,
        kafka.name("static"),
    );
    let join = |instance: &str| -> Result<Member, Failure> {
        let member = kafka.member(
            &group,
            &[
                ("group.instance.id", instance),
                ("session.timeout.ms", "20000"),
            ],
        )?;
        member.consumer.subscribe(&[&topic])?;
        Ok(member)
    };
    let (first, second) = (join("i0")?, join("i1")?);
    both_hold(&first, &second)?;
    let before = (first.assigned()?, second.assigned()?);
    drop(second);
    let second = join("i1")?;
    both_hold(&first, &second)?;
    expect(
        (first.assigned()?, second.assigned()?),
        before,
        "partitions after the return",
    )
}

pub fn admin(kafka: &Kafka) -> Result<(), Failure> {
    let topic = kafka.create("admin", 2, &[("retention.ms", "3600000")])?;
    let read = || kafka.topic_config(&topic, "retention.ms");
    expect(
        read()?.as_deref(),
        Some("3600000"),
        "retention.ms as created",
    )?;
    kafka.alter_config(&topic, "retention.ms", "7200000")?;
    wait_for("retention.ms as altered", || {
        Ok(read()?.as_deref() == Some("7200000"))
    })?;
    kafka.create_partitions(&topic, 4)?;
    wait_for("four partitions", || Ok(kafka.partitions(&topic)? == 4))?;
    kafka.delete(&topic)?;
    wait_for("the topic's end", || {
        let all = kafka.reader.fetch_metadata(None, CALL)?;
        Ok(all.topics().iter().all(|found| found.name() != topic))
    })
}

pub fn idempotence(kafka: &Kafka) -> Result<(), Failure> {
    let topic = kafka.create("idempotence", 1, &[])?;
    let extra = [("enable.idempotence", "true"), ("batch.num.messages", "10")];
    round_trip(kafka, &topic, &values(500), &extra)
}

pub fn compression(kafka: &Kafka, codec: &str) -> Result<(), Failure> {
    let topic = kafka.create(&format!("compression-{codec}"), 1, &[])?;
    let sent: Vec<Record> = (0..RECORDS)
        .map(|i| Record::of(format!("value {i} ").repeat(100)))
        .collect();
    round_trip(kafka, &topic, &sent, &[("compression.type", codec)])
}

pub fn headers(kafka: &Kafka) -> Result<(), Failure> {
    let topic = kafka.create("headers", 1, &[])?;
    let pairs: [(&str, Option<Vec<u8>>); 5] = [
        ("a", Some(b"1".to_vec())),
        ("a", Some(b"2".to_vec())),
        ("empty", Some(Vec::new())),
        ("null", None),
        ("bytes", Some((0..=255).collect())),
    ];
    let headers = pairs
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect();
    round_trip(
        kafka,
        &topic,
        &[Record {
            headers,
            ..Record::of("v")
        }],
        &[],
    )
}

pub fn create_time(kafka: &Kafka) -> Result<(), Failure> {
    let topic = kafka.create("timestamps", 1, &[("retention.ms", "-1")])?;
    let at = |i: i64| Record {
        millis: Some(1_000_000 + i),
        ..Record::of("v")
    };
    round_trip(kafka, &topic, &(0..5).map(at).collect::<Vec<_>>(), &[])
}

pub fn append_time(kafka: &Kafka) -> Result<(), Failure> {
    let topic = kafka.create(
        "append-time",
        1,
        &[("message.timestamp.type", "LogAppendTime")],
    )?;
    let before = now_millis();
    kafka.produce(
        &topic,
        &[Record {
            millis: Some(1_000_000),
            ..Record::of("v")
        }],
        &[],
    )?;
    let read = kafka.read_all(&topic, 1, 1)?;
    expect(read[0].is_append_time, true, "kind of timestamp")?;
    let stamp = read[0].millis.unwrap_or(0);
    expect(
        (before - 1000..before + 30_000).contains(&stamp),
        true,
        "append time near now",
    )
}

pub fn large_value(kafka: &Kafka) -> Result<(), Failure> {
    let topic = kafka.create("large", 1, &[("max.message.bytes", "2097152")])?;
    let value: Vec<u8> = (0..LARGE).map(|i| (i * 31 % 251) as u8).collect();
    round_trip(
        kafka,
        &topic,
        &[Record::of(value)],
        &[("message.max.bytes", "2097152")],
    )
}

pub fn empty_values(kafka: &Kafka) -> Result<(), Failure> {
    let topic = kafka.create("empty", 1, &[])?;
    let key = || Some(b"k".to_vec());
    let sent = [
        Record {
            key: key(),
            ..Record::of("")
        },
        Record {
            key: key(),
            ..Record::default()
        },
        Record::of("v"),
    ];
    round_trip(kafka, &topic, &sent, &[])
}

pub fn offsets_for_times(kafka: &Kafka) -> Result<(), Failure> {
    let topic = kafka.create("times", 1, &[("retention.ms", "-1")])?;
    let at = |i: i64| Record {
        millis: Some(1000 * i),
        ..Record::of("v")
    };
    kafka.produce(&topic, &(1..=10).map(at).collect::<Vec<_>>(), &[])?;
    let find = |millis| -> Result<Offset, Failure> {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&topic, 0, Offset::Offset(millis))?;
        let found = kafka.reader.offsets_for_times(list, CALL)?;
        Ok(found
            .elements()
            .first()
            .map_or(Offset::Invalid, |element| element.offset()))
    };
    expect(
        find(4500)?,
        Offset::Offset(4),
        "first offset at or after 4500 ms",
    )?;
    expect(find(99_000)?, Offset::End, "offset after the last record")?;
    expect(
        kafka.reader.fetch_watermarks(&topic, 0, CALL)?,
        (0, 10),
        "watermarks",
    )
}
