"""kafka-python against one broker."""

import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from checks import LARGE, PARTITIONS, RECORDS, Run, contiguous, expect, rebalanced, wait_for  # noqa: E402

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, OffsetAndMetadata, TopicPartition  # noqa: E402
from kafka.admin import ConfigResource, ConfigResourceType  # noqa: E402
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor  # noqa: E402

RUN = Run("kafka-python", sys.argv)
ADMIN = KafkaAdminClient(bootstrap_servers=RUN.bootstrap)


def create(what, partitions=1, **configs):
    topic = RUN.name(what)
    options = {"num_partitions": partitions, "replication_factor": 1, "configs": configs}
    ADMIN.create_topics({topic: options}, wait_for_metadata=True)
    return topic


def produce(topic, records, **config):
    """Sends (key, value, partition, timestamp, headers) tuples; returns their metadata in order."""
    config = {"acks": "all", "linger_ms": 5, **config}
    producer = KafkaProducer(bootstrap_servers=RUN.bootstrap, **config)
    futures = [producer.send(topic, key=key, value=value, partition=partition, timestamp_ms=stamp, headers=headers)
               for key, value, partition, stamp, headers in records]
    producer.flush(20)
    result = [future.get(10) for future in futures]
    producer.close()
    return result


def plain(values):
    return [(None, value, 0, None, []) for value in values]


def consumer(group=None, **config):
    return KafkaConsumer(bootstrap_servers=RUN.bootstrap, group_id=group, auto_offset_reset="earliest",
                         enable_auto_commit=False, fetch_max_wait_ms=50,
                         **{"heartbeat_interval_ms": 300, **config})


def take(c, count):
    messages = []

    def some():
        for batch in c.poll(500, max_records=count - len(messages)).values():
            messages.extend(batch)
        return len(messages) >= count

    wait_for(some, f"{count} records")
    return messages


def read_all(topic, count, partitions=1):
    c = consumer(max_partition_fetch_bytes=2 * LARGE)
    c.assign([TopicPartition(topic, p) for p in range(partitions)])
    messages = take(c, count)
    c.close()
    return messages


def connect():
    expect(len(ADMIN.describe_cluster()["brokers"]), 1, "brokers")


def produce_consume():
    topic, now = create("produce", partitions=PARTITIONS), int(time.time() * 1000)
    records = [(b"k%d" % i, b"v%d" % i, i % PARTITIONS, now + i, [("n", b"%d" % i)]) for i in range(RECORDS)]
    acknowledged = produce(topic, records)
    for partition in range(PARTITIONS):
        offsets = [meta.offset for meta in acknowledged if meta.partition == partition]
        contiguous(offsets, RECORDS // PARTITIONS, f"acknowledgements of partition {partition}")
    messages = read_all(topic, RECORDS, PARTITIONS)
    for partition in range(PARTITIONS):
        mine = [m for m in messages if m.partition == partition]
        contiguous((m.offset for m in mine), RECORDS // PARTITIONS, f"partition {partition}")
        for n, m in enumerate(mine):
            i = n * PARTITIONS + partition
            expect((m.key, m.value, m.partition, m.timestamp, list(m.headers)), records[i], "record")


def group_consume():
    topic, group = create("group"), RUN.name("group")
    partition = TopicPartition(topic, 0)
    produce(topic, plain(b"v%d" % i for i in range(RECORDS)))
    first = consumer(group)
    first.subscribe([topic])
    take(first, 40)
    first.commit({partition: OffsetAndMetadata(40, "note", -1)})
    expect(first.committed(partition), 40, "committed")
    first.close()
    second = consumer(group)
    second.subscribe([topic])
    contiguous((m.offset - 40 for m in take(second, RECORDS - 40)), RECORDS - 40, "the second member")
    second.commit()
    expect(second.committed(partition), RECORDS, "committed at the end")
    second.close()


def poll_all(members):
    """All at once, as in programs of their own. This client (3.0.12) forgets the answer to a join that comes
    while the member is not polled, and joins again: two members polled in turns can do so to each other for ever."""
    with ThreadPoolExecutor(len(members)) as pool:
        list(pool.map(lambda member: member.poll(500), members))


def assigned(member):
    return {p.partition for p in member.assignment()}


def join(members, topic):
    """One after the other: two members that meet in an empty group can leave it with nothing assigned for ever,
    when this client elects a leader that does not know the topic yet (seen against Apache Kafka)."""
    members[0].subscribe([topic])
    wait_for(lambda: poll_all(members[:1]) or len(assigned(members[0])) == PARTITIONS, "the first member holds all")
    members[1].subscribe([topic])


def rebalance(what="rebalance", **config):
    topic, group = create(what, partitions=PARTITIONS), RUN.name(what)
    members = [consumer(group, session_timeout_ms=6000, **config) for _ in range(2)]
    join(members, topic)
    rebalanced(poll_all, assigned, lambda member: member.close(), members)
    members[0].close()


def admin_calls():
    topic = create("admin", partitions=2, **{"retention.ms": "3600000"})
    partitions = lambda: len(ADMIN.describe_topics([topic])[0]["partitions"])  # noqa: E731
    expect(partitions(), 2, "partitions")

    def read():
        found = ADMIN.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)], config_filter="all")
        return str(find(found, "retention.ms"))

    def find(value, key):
        if isinstance(value, dict):
            if key in value:
                entry = value[key]
                return entry.get("value") if isinstance(entry, dict) else entry
            value = list(value.values())
        return next((hit for hit in (find(v, key) for v in value) if hit is not None), None) \
            if isinstance(value, list) else None

    expect(read(), "3600000", "retention.ms as created")
    ADMIN.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs={"retention.ms": "7200000"})])
    wait_for(lambda: read() == "7200000", "retention.ms as altered", 5)
    ADMIN.create_partitions({topic: 4})
    wait_for(lambda: partitions() == 4, "4 partitions", 5)
    ADMIN.delete_topics([topic])
    wait_for(lambda: topic not in ADMIN.list_topics(), "the topic's end", 5)


def idempotence():
    topic, values = create("idempotence"), [b"v%d" % i for i in range(500)]
    metas = produce(topic, plain(values), enable_idempotence=True, batch_size=256)
    contiguous((meta.offset for meta in metas), 500, "acknowledgements")
    expect([m.value for m in read_all(topic, 500)], values, "values")


def compression(codec):
    topic = create(f"compression-{codec}")
    values = [b"value %d " % i * 100 for i in range(RECORDS)]
    produce(topic, plain(values), compression_type=None if codec == "none" else codec)
    expect([m.value for m in read_all(topic, RECORDS)], values, "values")


def headers():
    topic = create("headers")
    wanted = [("a", b"1"), ("a", b"2"), ("empty", b""), ("bytes", bytes(range(256)))]
    produce(topic, [(None, b"v", 0, None, wanted)])
    expect(list(read_all(topic, 1)[0].headers), wanted, "headers")


def timestamps():
    topic = create("timestamps", **{"retention.ms": "-1"})
    produce(topic, [(None, b"v", 0, 1_000_000 + i, []) for i in range(5)])
    expect([(m.timestamp_type, m.timestamp) for m in read_all(topic, 5)],
           [(0, 1_000_000 + i) for i in range(5)], "timestamps")


def append_time():
    topic = create("append-time", **{"message.timestamp.type": "LogAppendTime"})
    before = int(time.time() * 1000)
    produce(topic, [(None, b"v", 0, 1_000_000, [])])
    message = read_all(topic, 1)[0]
    expect(message.timestamp_type, 1, "kind of timestamp")
    near = before - 1000 <= message.timestamp <= before + 30_000
    expect(near, True, f"append time {message.timestamp} near {before}")


def large_value():
    topic, value = create("large", **{"max.message.bytes": str(2 * LARGE)}), os.urandom(LARGE)
    produce(topic, plain([value]), max_request_size=2 * LARGE)
    expect(read_all(topic, 1)[0].value == value, True, "the large value")


def empty_values():
    topic, wanted = create("empty"), [(b"k", b""), (b"k", None), (None, b"v")]
    produce(topic, [(key, value, 0, None, []) for key, value in wanted])
    expect([(m.key, m.value) for m in read_all(topic, 3)], wanted, "records")


def offsets_for_times():
    topic = create("times", **{"retention.ms": "-1"})
    partition = TopicPartition(topic, 0)
    produce(topic, [(None, b"v", 0, 1000 * i, []) for i in range(1, 11)])
    c = consumer()
    expect(c.offsets_for_times({partition: 4500})[partition].offset, 4, "first offset at or after 4500 ms")
    expect(c.offsets_for_times({partition: 99_000})[partition], None, "offset after the last record")
    expect((c.beginning_offsets([partition])[partition], c.end_offsets([partition])[partition]), (0, 10), "ends")
    c.close()


def static_membership():
    topic, group = create("static", partitions=PARTITIONS), RUN.name("static")
    member = lambda n: consumer(group, group_instance_id=f"i{n}", session_timeout_ms=20000)  # noqa: E731
    members = [member(0), member(1)]
    join(members, topic)
    wait_for(lambda: poll_all(members) or all(map(assigned, members)), "both members hold partitions")
    before = [assigned(m) for m in members]
    members[1].close()
    members[1] = member(1)
    members[1].subscribe([topic])
    wait_for(lambda: poll_all(members) or assigned(members[1]), "the returned member holds partitions", 10)
    expect([assigned(m) for m in members], before, "partitions after the return")
    for m in members:
        m.close()


RUN.check("connect", connect)
RUN.check("produce-consume", produce_consume)
RUN.check("group-consume", group_consume)
RUN.check("rebalance", rebalance)
RUN.check("admin", admin_calls)
RUN.check("idempotence", idempotence)
for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
    RUN.check(f"compression-{codec}", compression, codec)
RUN.check("headers", headers)
RUN.check("create-time", timestamps)
RUN.check("append-time", append_time)
RUN.check("large-value", large_value)
RUN.check("empty-null-values", empty_values)
RUN.check("offsets-for-times", offsets_for_times)
RUN.check("static-membership", static_membership)
RUN.check("cooperative-sticky",
          lambda: rebalance("cooperative", partition_assignment_strategy=[CooperativeStickyAssignor]))
