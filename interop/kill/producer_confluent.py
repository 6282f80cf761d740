"""librdkafka's idempotent producer, living through kills: prints what was acknowledged."""

import sys
import time

from confluent_kafka import Producer

partition, bootstrap, topic = int(sys.argv[1]), sys.argv[2], sys.argv[3]
name = "confluent"
producer = Producer({
    "bootstrap.servers": bootstrap, "acks": "all", "enable.idempotence": True, "linger.ms": 2,
    "message.timeout.ms": 0, "request.timeout.ms": 3000, "retry.backoff.ms": 20,
    "reconnect.backoff.ms": 10, "reconnect.backoff.max.ms": 100, "log_level": 0,
    "error_cb": lambda error: print(f"VIOLATION {error}", flush=True) if error.fatal() else None,
})


def delivered(error, message):
    if error is not None:
        print(f"VIOLATION delivery failed: {error}", flush=True)
        return
    if message.offset() is None:
        return  # a retry from before the broker's window: kept, but where is not said; a loss would show as a gap
    value = message.value().rstrip(b".").decode()
    print(f"ACK {message.partition()} {message.offset()} {value}", flush=True)


count = 0
while True:
    if len(producer) > 200:
        producer.poll(0.05)
        continue
    value = f"{name}:{count}:".ljust(40 + count % 300, ".")
    producer.produce(topic, value, partition=partition, on_delivery=delivered)
    count += 1
    producer.poll(0)
    time.sleep(0.001)
