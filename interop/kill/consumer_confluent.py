"""librdkafka's group consumer, living through kills: prints what it was given and what it committed."""

import os
import sys

from confluent_kafka import Consumer, KafkaException

bootstrap, topic = sys.argv[1], sys.argv[2]
group = "kill-group"
consumer = Consumer({
    "bootstrap.servers": bootstrap, "group.id": group, "auto.offset.reset": "earliest", "enable.auto.commit": False,
    "session.timeout.ms": int(os.environ.get("SESSION_TIMEOUT_MS", "6000")), "heartbeat.interval.ms": 500, "fetch.wait.max.ms": 50, "socket.timeout.ms": 3000,
    "reconnect.backoff.ms": 10, "reconnect.backoff.max.ms": 100, "log_level": 0,
})
consumer.subscribe([topic])
while True:
    messages = [message for message in consumer.consume(500, 0.05) if not message.error()]
    lines = []
    for message in messages:
        value = message.value().rstrip(b".").decode()
        lines.append(f"READ {message.partition()} {message.offset()} {value}")
    if lines:
        print("\n".join(lines), flush=True)
    if messages:
        try:
            committed = consumer.commit(asynchronous=False)
        except KafkaException:
            continue  # the broker is down, or the group rebalances: nothing was promised
        for part in committed or []:
            if part.error is None and part.offset >= 0:
                print(f"COMMIT {group} {part.partition} {part.offset}", flush=True)
