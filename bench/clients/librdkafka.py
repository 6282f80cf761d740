"""librdkafka under load, through confluent-kafka: writes or reads a topic's only partition, checks
every offset, and prints the figures of `levada bench` as JSON. With a rate the loop is open: a record
is due at its time, and its latency counts from then; without, from the call that takes it."""

import argparse
import json
import sys
import time

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

# Nothing for so long, and the run has failed.
STALL_S = 30


def quantile_us(sorted_s, share):
    return round(sorted_s[min(len(sorted_s) - 1, int(len(sorted_s) * share))] * 1e6, 1) if sorted_s else 0.0


def figures(seconds, records, errors, first_error, verified, latencies):
    latencies.sort()
    print(json.dumps({
        "records": records, "seconds": seconds, "records_per_s": round(records / seconds, 1),
        "p50_us": quantile_us(latencies, 0.5), "p99_us": quantile_us(latencies, 0.99),
        "errors": errors, "first_error": first_error, "verified": verified and errors == 0,
    }))
    sys.exit(0 if verified and errors == 0 else 1)


def produce(args):
    settings = {"bootstrap.servers": args.broker, "acks": "all"}
    if args.rate:
        settings["linger.ms"] = 0
    producer = Producer(settings)
    # Not measured: the first record waits until the topic is there.
    producer.produce(args.topic, b"first")
    if producer.flush(STALL_S):
        raise SystemExit(f"{args.broker} does not take a record")
    latencies, offsets, failures = [], [], []
    value = bytes(i * 7919 % 251 for i in range(args.size))

    def delivered(error, message, due=None):
        if error is not None:
            failures.append(str(error))
            return
        latencies.append(message.latency() if due is None else time.monotonic() - due)
        offsets.append(message.offset())

    start = time.monotonic()
    for number in range(args.count):
        callback = delivered
        if args.rate:
            due = start + number / args.rate
            while (left := due - time.monotonic()) > 0:
                producer.poll(left)
            callback = lambda error, message, due=due: delivered(error, message, due)
        while True:
            try:
                producer.produce(args.topic, value, on_delivery=callback)
                break
            except BufferError:
                producer.poll(0.1)
        if number % 64 == 0:
            producer.poll(0)
    left = producer.flush(STALL_S)
    seconds = time.monotonic() - start
    contiguous = bool(offsets) and offsets == list(range(offsets[0], offsets[0] + len(offsets)))
    figures(seconds, len(offsets), len(failures) + left, failures[0] if failures else None,
            contiguous and len(offsets) == args.count, latencies)


def consume(args):
    consumer = Consumer({
        "bootstrap.servers": args.broker, "group.id": "load", "enable.auto.commit": False, "check.crcs": True,
    })
    start = moved = time.monotonic()
    consumer.assign([TopicPartition(args.topic, 0, 0)])
    records, errors, first_error = 0, 0, None
    while records < args.count and time.monotonic() - moved < STALL_S:
        for message in consumer.consume(num_messages=2000, timeout=1.0):
            moved = time.monotonic()
            if message.error() is not None:
                raise KafkaException(message.error())
            if message.offset() != records or len(message.value()) != args.size:
                errors += 1
                first_error = first_error or f"offset {message.offset()} where {records} was due"
            records += 1
    seconds = time.monotonic() - start
    consumer.close()
    figures(seconds, records, errors, first_error, records >= args.count, [])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=["produce", "consume"])
    parser.add_argument("--broker", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--rate", type=int)
    args = parser.parse_args()
    {"produce": produce, "consume": consume}[args.kind](args)


main()
