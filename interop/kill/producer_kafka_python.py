"""kafka-python's idempotent producer, living through kills: prints what was acknowledged."""

import sys
import time

from kafka import KafkaProducer

partition, bootstrap, topic = int(sys.argv[1]), sys.argv[2], sys.argv[3]
name = "kafka-python"
producer = KafkaProducer(
    bootstrap_servers=bootstrap, acks="all", enable_idempotence=True, linger_ms=2, request_timeout_ms=3000,
    delivery_timeout_ms=600_000, retry_backoff_ms=20, reconnect_backoff_ms=10, reconnect_backoff_max_ms=100)


def watch(count, future):
    future.add_callback(lambda meta: print(f"ACK {meta.partition} {meta.offset} {name}:{count}:", flush=True))
    future.add_errback(lambda error: print(f"VIOLATION delivery failed: {error!r}", flush=True))


count = 0
futures = []
while True:
    futures = [future for future in futures if not future.is_done]
    if len(futures) > 100:
        time.sleep(0.01)
        continue
    future = producer.send(topic, f"{name}:{count}:".ljust(40 + count % 300, ".").encode(), partition=partition)
    watch(count, future)
    futures.append(future)
    count += 1
    time.sleep(0.002)
