"""confluent-kafka for Python (librdkafka) against one broker."""

import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from checks import LARGE, PARTITIONS, RECORDS, Run, contiguous, expect, rebalanced, wait_for  # noqa: E402

from confluent_kafka import (  # noqa: E402
    OFFSET_BEGINNING, TIMESTAMP_CREATE_TIME, TIMESTAMP_LOG_APPEND_TIME, Consumer, KafkaException, Producer,
    TopicPartition)
from confluent_kafka.admin import (  # noqa: E402
    AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewPartitions, NewTopic)

RUN = Run("confluent-python", sys.argv)


ADMIN = AdminClient({"bootstrap.servers": RUN.bootstrap})


def done(futures):
    return {name: future.result(10) for name, future in futures.items()}


def create(what, partitions=1, **config):
    topic = RUN.name(what)
    done(ADMIN.create_topics([NewTopic(topic, num_partitions=partitions, replication_factor=1, config=config)]))
    return topic


def producer(**config):
    return Producer({"bootstrap.servers": RUN.bootstrap, "acks": "all", "linger.ms": 5, **config})


def produce(p, topic, records):
    """Sends dicts of Producer.produce's arguments; returns the delivered messages in order."""
    delivered = []

    def on_delivery(error, message):
        if error is not None:
            raise KafkaException(error)
        delivered.append(message)

    for record in records:
        p.produce(topic, on_delivery=on_delivery, **record)
        p.poll(0)
    expect(p.flush(20), 0, "messages still unsent")
    return delivered


def consumer(group, **config):
    return Consumer({"bootstrap.servers": RUN.bootstrap, "group.id": group, "auto.offset.reset": "earliest",
                     "enable.auto.commit": False, "fetch.wait.max.ms": 50, "topic.metadata.refresh.interval.ms": 500,
                     **config})


def take(c, count):
    messages = []

    def some():
        for message in c.consume(count - len(messages), 0.5):
            if message.error():
                raise KafkaException(message.error())
            messages.append(message)
        return len(messages) >= count

    wait_for(some, f"{count} records")
    return messages


def read_all(topic, count, partitions=1):
    c = consumer(RUN.name("reader"))
    c.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in range(partitions)])
    messages = take(c, count)
    c.close()
    return messages


def connect():
    metadata = ADMIN.list_topics(timeout=10)
    expect(len(metadata.brokers), 1, "brokers")


def produce_consume():
    topic = create("produce", partitions=PARTITIONS)
    now = int(time.time() * 1000)
    records = [{"key": f"k{i}", "value": f"v{i}", "partition": i % PARTITIONS, "timestamp": now + i,
                "headers": [("n", str(i).encode())]} for i in range(RECORDS)]
    delivered = produce(producer(), topic, records)
    expect(len(delivered), RECORDS, "acknowledged")
    messages = read_all(topic, RECORDS, PARTITIONS)
    for partition in range(PARTITIONS):
        mine = [m for m in messages if m.partition() == partition]
        contiguous((m.offset() for m in mine), RECORDS // PARTITIONS, f"partition {partition}")
        for n, message in enumerate(mine):
            i = n * PARTITIONS + partition
            expect((message.key(), message.value()), (b"k%d" % i, b"v%d" % i), "key and value")
            expect(message.headers(), [("n", b"%d" % i)], "headers")
            expect(message.timestamp(), (TIMESTAMP_CREATE_TIME, now + i), "timestamp")


def group_consume():
    topic, group = create("group"), RUN.name("group")
    produce(producer(), topic, [{"value": f"v{i}"} for i in range(RECORDS)])
    first = consumer(group)
    first.subscribe([topic])
    messages = take(first, 40)
    first.commit(message=messages[39], asynchronous=False)
    expect(first.committed([TopicPartition(topic, 0)], 10)[0].offset, 40, "committed")
    first.close()
    second = consumer(group)
    second.subscribe([topic])
    contiguous((m.offset() - 40 for m in take(second, RECORDS - 40)), RECORDS - 40, "the second member")
    second.commit(asynchronous=False)
    expect(second.committed([TopicPartition(topic, 0)], 10)[0].offset, RECORDS, "committed at the end")
    second.close()


def poll_all(members):
    for member in members:
        member.poll(0.1)


def assigned(member):
    return {p.partition for p in member.assignment()}


def rebalance(what="rebalance", **config):
    topic, group = create(what, partitions=PARTITIONS), RUN.name(what)
    members = [consumer(group, **{"session.timeout.ms": 6000, "heartbeat.interval.ms": 300, **config}) for _ in range(2)]
    for member in members:
        member.subscribe([topic])
    rebalanced(poll_all, assigned, lambda member: member.close(), members)
    members[0].close()


def admin_calls():
    a, topic = ADMIN, create("admin", partitions=2, **{"retention.ms": "3600000"})
    described = wait_for(lambda: a.list_topics(timeout=5).topics.get(topic), "the topic in metadata")
    expect(len(described.partitions), 2, "partitions")
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
    read = lambda: list(done(a.describe_configs([resource])).values())[0]["retention.ms"].value  # noqa: E731
    expect(read(), "3600000", "retention.ms as created")
    change = ConfigEntry("retention.ms", "7200000", incremental_operation=AlterConfigOpType.SET)
    done(a.incremental_alter_configs([ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[change])]))
    wait_for(lambda: read() == "7200000", "retention.ms as altered", 5)
    done(a.create_partitions([NewPartitions(topic, 4)]))
    wait_for(lambda: len(a.list_topics(topic, timeout=5).topics[topic].partitions) == 4, "4 partitions", 5)
    done(a.delete_topics([topic]))
    wait_for(lambda: topic not in a.list_topics(timeout=5).topics, "the topic's end", 5)


def idempotence():
    topic = create("idempotence")
    p = producer(**{"enable.idempotence": True, "batch.num.messages": 10})
    delivered = produce(p, topic, [{"value": f"v{i}"} for i in range(500)])
    contiguous((m.offset() for m in delivered), 500, "acknowledgements")
    messages = read_all(topic, 500)
    expect([m.value() for m in messages], [b"v%d" % i for i in range(500)], "values")


def compression(codec):
    topic = create(f"compression-{codec}")
    values = [b"value %d " % i * 100 for i in range(RECORDS)]
    produce(producer(**{"compression.type": codec}), topic, [{"value": v} for v in values])
    expect([m.value() for m in read_all(topic, RECORDS)], values, "values")


def headers():
    topic = create("headers")
    wanted = [("a", b"1"), ("a", b"2"), ("empty", b""), ("null", None), ("bytes", bytes(range(256)))]
    produce(producer(), topic, [{"value": "v", "headers": wanted}])
    expect(read_all(topic, 1)[0].headers(), wanted, "headers")


def timestamps():
    topic = create("timestamps", **{"retention.ms": "-1"})
    produce(producer(), topic, [{"value": "v", "timestamp": 1_000_000 + i} for i in range(5)])
    stamps = [m.timestamp() for m in read_all(topic, 5)]
    expect(stamps, [(TIMESTAMP_CREATE_TIME, 1_000_000 + i) for i in range(5)], "timestamps")


def append_time():
    topic = create("append-time", **{"message.timestamp.type": "LogAppendTime"})
    before = int(time.time() * 1000)
    produce(producer(), topic, [{"value": "v", "timestamp": 1_000_000}])
    kind, stamp = read_all(topic, 1)[0].timestamp()
    expect(kind, TIMESTAMP_LOG_APPEND_TIME, "kind of timestamp")
    expect(before - 1000 <= stamp <= before + 30_000, True, f"append time {stamp} near {before}")


def large_value():
    topic, value = create("large", **{"max.message.bytes": str(2 * LARGE)}), os.urandom(LARGE)
    produce(producer(**{"message.max.bytes": 2 * LARGE}), topic, [{"value": value}])
    expect(read_all(topic, 1)[0].value() == value, True, "the large value")


def empty_values():
    topic = create("empty")
    produce(producer(), topic, [{"key": "k", "value": b""}, {"key": "k", "value": None}, {"key": None, "value": b"v"}])
    expect([(m.key(), m.value()) for m in read_all(topic, 3)], [(b"k", b""), (b"k", None), (None, b"v")], "records")


def offsets_for_times():
    topic = create("times", **{"retention.ms": "-1"})
    produce(producer(), topic, [{"value": "v", "timestamp": 1000 * i} for i in range(1, 11)])
    c = consumer(RUN.name("times"))
    found = c.offsets_for_times([TopicPartition(topic, 0, 4500)], 10)[0].offset
    expect(found, 4, "first offset at or after 4500 ms")
    found = c.offsets_for_times([TopicPartition(topic, 0, 99_000)], 10)[0].offset
    expect(found, -1, "offset after the last record")
    expect(c.get_watermark_offsets(TopicPartition(topic, 0), 10), (0, 10), "watermarks")
    c.close()


def static_membership():
    topic, group = create("static", partitions=PARTITIONS), RUN.name("static")
    member = lambda n: consumer(group, **{"group.instance.id": f"i{n}", "session.timeout.ms": 20000})  # noqa: E731
    members = [member(0), member(1)]
    for m in members:
        m.subscribe([topic])
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
          lambda: rebalance("cooperative", **{"partition.assignment.strategy": "cooperative-sticky"}))
