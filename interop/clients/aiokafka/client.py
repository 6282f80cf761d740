"""aiokafka against one broker."""

import asyncio
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from checks import LARGE, PARTITIONS, RECORDS, WAIT_S, NotApplicable, Run, contiguous, expect  # noqa: E402

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition  # noqa: E402
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic  # noqa: E402
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType  # noqa: E402

RUN = Run("aiokafka", sys.argv)


async def wait_for(condition, what, wait_s=WAIT_S):
    deadline = time.monotonic() + wait_s
    while time.monotonic() < deadline:
        if await condition():
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"gave up after {wait_s} s waiting for: {what}")


async def with_admin(body):
    admin = AIOKafkaAdminClient(bootstrap_servers=RUN.bootstrap)
    await admin.start()
    try:
        return await body(admin)
    finally:
        await admin.close()


async def create(what, partitions=1, **configs):
    topic = RUN.name(what)
    new = NewTopic(topic, partitions, 1, topic_configs=configs)

    async def body(admin):
        response = await admin.create_topics([new])
        expect([error[1] for error in response.topic_errors], [0], "CreateTopics")

        async def known():
            described = await admin.describe_topics([topic])
            return described[0]["error_code"] == 0 and len(described[0]["partitions"]) == partitions
        await wait_for(known, "the topic in metadata", 5)
    await with_admin(body)
    return topic


async def produce(topic, records, **config):
    """Sends (key, value, partition, timestamp, headers) tuples; returns their metadata in order."""
    config = {"acks": "all", "linger_ms": 5, **config}
    producer = AIOKafkaProducer(bootstrap_servers=RUN.bootstrap, **config)
    await producer.start()
    try:
        futures = [await producer.send(topic, value, key=key, partition=partition, timestamp_ms=stamp, headers=headers)
                   for key, value, partition, stamp, headers in records]
        return await asyncio.wait_for(asyncio.gather(*futures), 20)
    finally:
        await producer.stop()


def plain(values):
    return [(None, value, 0, None, []) for value in values]


async def consumer(*topics, group=None, **config):
    c = AIOKafkaConsumer(*topics, bootstrap_servers=RUN.bootstrap, group_id=group, auto_offset_reset="earliest",
                         enable_auto_commit=False, fetch_max_wait_ms=50,
                         **{"heartbeat_interval_ms": 300, "session_timeout_ms": 6000, **config})
    await c.start()
    return c


async def take(c, count):
    messages = []

    async def some():
        batches = await c.getmany(timeout_ms=500, max_records=count - len(messages))
        for batch in batches.values():
            messages.extend(batch)
        return len(messages) >= count

    await wait_for(some, f"{count} records")
    return messages


async def read_all(topic, count, partitions=1):
    c = await consumer(max_partition_fetch_bytes=2 * LARGE)
    c.assign([TopicPartition(topic, p) for p in range(partitions)])
    messages = await take(c, count)
    await c.stop()
    return messages


async def connect():
    async def body(admin):
        expect(len((await admin.describe_cluster())["brokers"]), 1, "brokers")
    await with_admin(body)


async def produce_consume():
    topic, now = await create("produce", partitions=PARTITIONS), int(time.time() * 1000)
    records = [(b"k%d" % i, b"v%d" % i, i % PARTITIONS, now + i, [("n", b"%d" % i)]) for i in range(RECORDS)]
    acknowledged = await produce(topic, records)
    for partition in range(PARTITIONS):
        offsets = [meta.offset for meta in acknowledged if meta.partition == partition]
        contiguous(offsets, RECORDS // PARTITIONS, f"acknowledgements of partition {partition}")
    messages = await read_all(topic, RECORDS, PARTITIONS)
    for partition in range(PARTITIONS):
        mine = [m for m in messages if m.partition == partition]
        contiguous((m.offset for m in mine), RECORDS // PARTITIONS, f"partition {partition}")
        for n, m in enumerate(mine):
            i = n * PARTITIONS + partition
            expect((m.key, m.value, m.partition, m.timestamp, list(m.headers)), records[i], "record")


async def group_consume():
    topic, group = await create("group"), RUN.name("group")
    partition = TopicPartition(topic, 0)
    await produce(topic, plain(b"v%d" % i for i in range(RECORDS)))
    first = await consumer(topic, group=group)
    await take(first, 40)
    await first.commit({partition: (40, "note")})
    expect(await first.committed(partition), 40, "committed")
    await first.stop()
    second = await consumer(topic, group=group)
    contiguous((m.offset - 40 for m in await take(second, RECORDS - 40)), RECORDS - 40, "the second member")
    await second.commit()
    expect(await second.committed(partition), RECORDS, "committed at the end")
    await second.stop()


async def rebalance():
    topic, group = await create("rebalance", partitions=PARTITIONS), RUN.name("rebalance")
    members = await asyncio.gather(consumer(topic, group=group), consumer(topic, group=group))

    async def shared():
        parts = [set(member.assignment()) for member in members]
        return all(parts) and sum(map(len, parts)) == PARTITIONS and len(set().union(*parts)) == PARTITIONS

    async def alone():
        return len(members[0].assignment()) == PARTITIONS

    await wait_for(shared, "both members hold partitions")
    await members[1].stop()
    await wait_for(alone, "the remaining member holds every partition")
    await members[0].stop()


async def admin_calls():
    topic = await create("admin", partitions=2, **{"retention.ms": "3600000"})
    resource = lambda configs=None: ConfigResource(ConfigResourceType.TOPIC, topic, configs)  # noqa: E731

    async def body(admin):
        async def read():
            response = (await admin.describe_configs([resource()]))[0]
            return next(entry[1] for entry in response.resources[0][4] if entry[0] == "retention.ms")

        async def altered():
            return await read() == "7200000"

        async def grown():
            return len((await admin.describe_topics([topic]))[0]["partitions"]) == 4

        async def gone():
            return topic not in await admin.list_topics()

        expect(await read(), "3600000", "retention.ms as created")
        await admin.alter_configs([resource({"retention.ms": "7200000"})])
        await wait_for(altered, "retention.ms as altered", 5)
        await admin.create_partitions({topic: NewPartitions(4)})
        await wait_for(grown, "4 partitions", 5)
        await admin.delete_topics([topic])
        await wait_for(gone, "the topic's end", 5)
    await with_admin(body)


async def idempotence():
    topic, values = await create("idempotence"), [b"v%d" % i for i in range(500)]
    metas = await produce(topic, plain(values), enable_idempotence=True, max_batch_size=256)
    contiguous((meta.offset for meta in metas), 500, "acknowledgements")
    expect([m.value for m in await read_all(topic, 500)], values, "values")


async def compression(codec):
    topic = await create(f"compression-{codec}")
    values = [b"value %d " % i * 100 for i in range(RECORDS)]
    await produce(topic, plain(values), compression_type=None if codec == "none" else codec)
    expect([m.value for m in await read_all(topic, RECORDS)], values, "values")


async def headers():
    topic = await create("headers")
    wanted = [("a", b"1"), ("a", b"2"), ("empty", b""), ("bytes", bytes(range(256)))]
    await produce(topic, [(None, b"v", 0, None, wanted)])
    expect(list((await read_all(topic, 1))[0].headers), wanted, "headers")


async def timestamps():
    topic = await create("timestamps", **{"retention.ms": "-1"})
    await produce(topic, [(None, b"v", 0, 1_000_000 + i, []) for i in range(5)])
    expect([(m.timestamp_type, m.timestamp) for m in await read_all(topic, 5)],
           [(0, 1_000_000 + i) for i in range(5)], "timestamps")


async def append_time():
    topic = await create("append-time", **{"message.timestamp.type": "LogAppendTime"})
    before = int(time.time() * 1000)
    await produce(topic, [(None, b"v", 0, 1_000_000, [])])
    message = (await read_all(topic, 1))[0]
    expect(message.timestamp_type, 1, "kind of timestamp")
    near = before - 1000 <= message.timestamp <= before + 30_000
    expect(near, True, f"append time {message.timestamp} near {before}")


async def large_value():
    topic, value = await create("large", **{"max.message.bytes": str(2 * LARGE)}), os.urandom(LARGE)
    await produce(topic, plain([value]), max_request_size=2 * LARGE)
    expect((await read_all(topic, 1))[0].value == value, True, "the large value")


async def empty_values():
    topic, wanted = await create("empty"), [(b"k", b""), (b"k", None), (None, b"v")]
    await produce(topic, [(key, value, 0, None, []) for key, value in wanted])
    expect([(m.key, m.value) for m in await read_all(topic, 3)], wanted, "records")


async def offsets_for_times():
    topic = await create("times", **{"retention.ms": "-1"})
    partition = TopicPartition(topic, 0)
    await produce(topic, [(None, b"v", 0, 1000 * i, []) for i in range(1, 11)])
    c = await consumer()
    expect((await c.offsets_for_times({partition: 4500}))[partition].offset, 4, "first offset at or after 4500 ms")
    expect((await c.offsets_for_times({partition: 99_000}))[partition], None, "offset after the last record")
    ends = (await c.beginning_offsets([partition]))[partition], (await c.end_offsets([partition]))[partition]
    expect(ends, (0, 10), "ends")
    await c.stop()


async def static_membership():
    topic, group = await create("static", partitions=PARTITIONS), RUN.name("static")
    member = lambda n: consumer(topic, group=group, group_instance_id=f"i{n}", session_timeout_ms=20000)  # noqa: E731
    members = list(await asyncio.gather(member(0), member(1)))
    held = lambda m: set(m.assignment())  # noqa: E731

    async def both():
        return held(members[0]) and held(members[1])

    await wait_for(both, "both members hold partitions")
    before = [held(m) for m in members]
    await members[1].stop()
    members[1] = await member(1)
    await wait_for(both, "the returned member holds partitions", 10)
    expect([held(m) for m in members], before, "partitions after the return")
    for m in members:
        await m.stop()


async def cooperative():
    raise NotApplicable("aiokafka has no cooperative assignor")


def check(name, body, *arguments):
    RUN.check(name, lambda: asyncio.run(body(*arguments)))


check("connect", connect)
check("produce-consume", produce_consume)
check("group-consume", group_consume)
check("rebalance", rebalance)
check("admin", admin_calls)
check("idempotence", idempotence)
for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
    check(f"compression-{codec}", compression, codec)
check("headers", headers)
check("create-time", timestamps)
check("append-time", append_time)
check("large-value", large_value)
check("empty-null-values", empty_values)
check("offsets-for-times", offsets_for_times)
check("static-membership", static_membership)
check("cooperative-sticky", cooperative)
