"""boto3 against a service: what a user of Amazon SQS relies on.

    client.py NAME ENDPOINT BOOTSTRAP RUN_ID

The same script runs on a boto3 that speaks JSON and on one that speaks the older query protocol.
"""

import json
import os
import sys
import threading
import time

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "clients", "lib"))
from checks import Run, expect, wait_for  # noqa: E402


def connect(endpoint, **settings):
    """A client that does not hide errors behind retries."""
    config = Config(retries={"max_attempts": 0}, read_timeout=40, **settings)
    return boto3.client(
        "sqs",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="anybody",
        aws_secret_access_key="anything",
        config=config,
    )


class Sqs:
    """One run against one service."""

    def __init__(self, endpoint, run):
        self.endpoint, self.run = endpoint, run
        self.sqs = connect(endpoint)

    def queue(self, what, attributes=None, suffix=""):
        """A queue that no other run uses; its URL."""
        made = self.sqs.create_queue(
            QueueName=self.run.name(what) + suffix,
            Attributes={name: str(value) for name, value in (attributes or {}).items()},
        )
        return made["QueueUrl"]

    def attributes(self, url):
        """All of a queue's attributes."""
        return self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]

    def arn(self, url):
        return self.attributes(url)["QueueArn"]

    def receive(self, url, count=10, wait_s=0, **more):
        """Up to `count` messages."""
        answer = self.sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=count, WaitTimeSeconds=wait_s, **more
        )
        return answer.get("Messages", [])

    def delete(self, url, message):
        self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])

    def refused(self, code, call, **arguments):
        """Fails unless the call is refused with one of these codes (JSON's or the older one)."""
        try:
            call(**arguments)
        except ClientError as error:
            got = error.response["Error"]["Code"]
            short = got.split(".")[-1].split("#")[-1]
            if short not in code.split("|"):
                raise AssertionError(f"refused with {got}, wanted {code}") from error
            return
        raise AssertionError(f"not refused, wanted {code}")


def bodies(messages):
    return [message["Body"] for message in messages]


def queues(s):
    """Made, found, listed, changed, deleted."""
    url = s.queue("made", {"VisibilityTimeout": 7, "DelaySeconds": 0})
    name = s.run.name("made")
    expect(url.rsplit("/", 2)[1:], ["000000000000", name], "URL")
    expect(s.sqs.get_queue_url(QueueName=name)["QueueUrl"], url, "GetQueueUrl")
    expect(s.queue("made", {"VisibilityTimeout": 7}), url, "made again")
    s.refused("QueueNameExists|QueueAlreadyExists", s.queue, what="made",
              attributes={"VisibilityTimeout": 8})
    listed = s.sqs.list_queues(QueueNamePrefix=name)["QueueUrls"]
    expect(listed, [url], "ListQueues")
    had = s.attributes(url)
    expect((had["VisibilityTimeout"], had["MessageRetentionPeriod"]), ("7", "345600"), "attributes")
    expect(had["QueueArn"].rsplit(":", 1)[1], name, "ARN")
    s.sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "9"})
    expect(s.attributes(url)["VisibilityTimeout"], "9", "changed")
    s.refused("InvalidAttributeValue|InvalidParameterValue", s.sqs.set_queue_attributes,
              QueueUrl=url, Attributes={"VisibilityTimeout": "43201"})
    s.refused("InvalidAttributeName", s.sqs.set_queue_attributes,
              QueueUrl=url, Attributes={"Colour": "red"})
    s.sqs.delete_queue(QueueUrl=url)
    s.refused("QueueDoesNotExist|NonExistentQueue", s.sqs.get_queue_url, QueueName=name)
    s.refused("QueueDoesNotExist|NonExistentQueue", s.sqs.send_message, QueueUrl=url,
              MessageBody="x")
    s.refused("InvalidParameterValue", s.sqs.create_queue, QueueName="no/name")


def round_trip(s):
    """Sent, received, deleted; boto3 checks the digests."""
    url = s.queue("round")
    attributes = {
        "colour": {"DataType": "String", "StringValue": "reddish ✓"},
        "count": {"DataType": "Number", "StringValue": "12.5"},
        "raw": {"DataType": "Binary.png", "BinaryValue": b"\x00\x01\xff"},
    }
    sent = s.sqs.send_message(
        QueueUrl=url, MessageBody="hello <&> ünï", MessageAttributes=attributes,
        MessageSystemAttributes={
            "AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1-5-6"}
        },
    )
    got = s.receive(url, MessageAttributeNames=["All"], AttributeNames=["All"])
    expect(bodies(got), ["hello <&> ünï"], "body")
    expect(got[0]["MessageId"], sent["MessageId"], "id")
    expect(got[0]["MessageAttributes"], attributes, "attributes")
    told = got[0]["Attributes"]
    expect(told["ApproximateReceiveCount"], "1", "receive count")
    expect(told["AWSTraceHeader"], "Root=1-5-6", "trace")
    for name in ["SentTimestamp", "ApproximateFirstReceiveTimestamp"]:
        expect(abs(int(told[name]) / 1000 - time.time()) < 60, True, name)
    expect(s.receive(url), [], "while it is hidden")
    counts = s.attributes(url)
    expect(counts["ApproximateNumberOfMessagesNotVisible"], "1", "in flight")
    s.delete(url, got[0])
    s.delete(url, got[0])
    counts = s.attributes(url)
    expect((counts["ApproximateNumberOfMessages"],
            counts["ApproximateNumberOfMessagesNotVisible"]), ("0", "0"), "counts")
    some = s.sqs.send_message(QueueUrl=url, MessageBody="m", MessageAttributes=attributes)
    expect("MD5OfMessageAttributes" in some, True, "digest of the attributes")
    got = s.receive(url, MessageAttributeNames=["co.*"])
    expect(sorted(got[0]["MessageAttributes"]), ["colour", "count"], "chosen attributes")


def batches(s):
    """Ten at once, each with its own outcome."""
    url = s.queue("batch")
    entries = [{"Id": f"n{n}", "MessageBody": f"body {n}"} for n in range(10)]
    sent = s.sqs.send_message_batch(QueueUrl=url, Entries=entries)
    expect(sorted(one["Id"] for one in sent["Successful"]), sorted(e["Id"] for e in entries), "ids")
    got = s.receive(url)
    expect(bodies(got), [f"body {n}" for n in range(10)], "bodies")
    handles = [{"Id": str(n), "ReceiptHandle": m["ReceiptHandle"]} for n, m in enumerate(got)]
    handles[3]["ReceiptHandle"] = "nonsense"
    gone = s.sqs.delete_message_batch(QueueUrl=url, Entries=handles)
    expect(len(gone["Successful"]), 9, "deleted")
    expect([one["Id"] for one in gone["Failed"]], ["3"], "refused")
    expect(gone["Failed"][0]["Code"].split(".")[-1], "ReceiptHandleIsInvalid", "code")
    send = s.sqs.send_message_batch
    s.refused("EmptyBatchRequest|MissingParameter", send, QueueUrl=url, Entries=[])
    eleven = [{"Id": str(n), "MessageBody": "x"} for n in range(11)]
    s.refused("TooManyEntriesInBatchRequest", send, QueueUrl=url, Entries=eleven)
    twice = [{"Id": "a", "MessageBody": "x"}] * 2
    s.refused("BatchEntryIdsNotDistinct", send, QueueUrl=url, Entries=twice)
    odd = [{"Id": "no id!", "MessageBody": "x"}]
    s.refused("InvalidBatchEntryId", send, QueueUrl=url, Entries=odd)
    large = [{"Id": str(n), "MessageBody": "x" * 600_000} for n in range(2)]
    s.refused("BatchRequestTooLong", send, QueueUrl=url, Entries=large)


def limits(s):
    """A megabyte passes, a byte more does not; neither does what XML cannot say."""
    url = s.queue("limits")
    body = "é" * (512 * 1024)
    s.sqs.send_message(QueueUrl=url, MessageBody=body)
    expect(bodies(s.receive(url)) == [body], True, "a megabyte")
    s.refused("InvalidParameterValue|MessageTooLong", s.sqs.send_message, QueueUrl=url,
              MessageBody=body + "x")
    s.refused("InvalidMessageContents|InvalidParameterValue", s.sqs.send_message, QueueUrl=url,
              MessageBody="\u0001")
    s.refused("MissingParameter|InvalidParameterValue", s.sqs.send_message, QueueUrl=url,
              MessageBody="")
    for count, wait in [(11, 0), (0, 0), (1, 21)]:
        s.refused("InvalidParameterValue|ReadCountOutOfRange", s.receive, url=url, count=count,
                  wait_s=wait)


def visibility(s):
    """Hidden for its time, longer when asked, shown at once with zero."""
    url = s.queue("hidden", {"VisibilityTimeout": 1})
    s.sqs.send_message(QueueUrl=url, MessageBody="m")
    first = s.receive(url)[0]
    expect(s.receive(url), [], "hidden")
    again = s.receive(url, wait_s=5, AttributeNames=["ApproximateReceiveCount"])
    expect(bodies(again), ["m"], "visible again")
    expect(again[0]["Attributes"]["ApproximateReceiveCount"], "2", "receive count")
    change = s.sqs.change_message_visibility
    s.refused("MessageNotInflight", change, QueueUrl=url, ReceiptHandle=first["ReceiptHandle"],
              VisibilityTimeout=5)
    change(QueueUrl=url, ReceiptHandle=again[0]["ReceiptHandle"], VisibilityTimeout=30)
    expect(s.receive(url, wait_s=2), [], "hidden for longer")
    change(QueueUrl=url, ReceiptHandle=again[0]["ReceiptHandle"], VisibilityTimeout=0)
    expect(bodies(s.receive(url)), ["m"], "shown at once")
    s.refused("ReceiptHandleIsInvalid", change, QueueUrl=url, ReceiptHandle="nonsense",
              VisibilityTimeout=1)


def long_polls(s):
    """A waiting receive answers when a message comes, long before its time is over."""
    url = s.queue("poll")
    got = []
    other = connect(s.endpoint)

    def wait():
        answer = other.receive_message(QueueUrl=url, WaitTimeSeconds=20)
        got.append((time.monotonic(), bodies(answer.get("Messages", []))))

    waiting = threading.Thread(target=wait)
    waiting.start()
    # Long enough that it waits, whichever comes first is fine.
    time.sleep(0.5)
    sent = time.monotonic()
    s.sqs.send_message(QueueUrl=url, MessageBody="m")
    waiting.join(25)
    expect(got[0][1], ["m"], "what came")
    expect(got[0][0] - sent < 5, True, "woken at once")


def delays(s):
    """A message that is delayed comes after its delay."""
    url = s.queue("delay")
    s.sqs.send_message(QueueUrl=url, MessageBody="later", DelaySeconds=2)
    expect(s.receive(url), [], "not yet")
    expect(s.attributes(url)["ApproximateNumberOfMessagesDelayed"], "1", "delayed")
    expect(bodies(s.receive(url, wait_s=10)), ["later"], "after the delay")


def fifo(s):
    """Order by group, one receiver of a group at a time, no message twice."""
    url = s.queue("order", {"FifoQueue": "true"}, ".fifo")
    for n in range(5):
        for group in ["a", "b"]:
            sent = s.sqs.send_message(QueueUrl=url, MessageBody=f"{group}{n}",
                                      MessageGroupId=group, MessageDeduplicationId=f"{group}{n}")
            expect(len(sent["SequenceNumber"]), 20, "sequence number")
    again = s.sqs.send_message(QueueUrl=url, MessageBody="other", MessageGroupId="b",
                               MessageDeduplicationId="b4")
    expect((again["MessageId"], again["SequenceNumber"]),
           (sent["MessageId"], sent["SequenceNumber"]), "a duplicate's identity")
    first = s.receive(url, count=1, AttributeNames=["All"])
    group = first[0]["Attributes"]["MessageGroupId"]
    got = {"a": [], "b": []}
    got[group].append(first[0]["Body"])
    others = s.receive(url, AttributeNames=["MessageGroupId"])
    expect({m["Attributes"]["MessageGroupId"] for m in others}, {"a", "b"} - {group}, "groups")
    s.delete(url, first[0])
    messages = others
    while messages:
        for message in messages:
            got[message["Body"][0]].append(message["Body"])
            s.delete(url, message)
        messages = s.receive(url)
    for name in ["a", "b"]:
        expect(got[name], [f"{name}{n}" for n in range(5)], f"group {name}")
    s.refused("MissingParameter|InvalidParameterValue", s.sqs.send_message, QueueUrl=url,
              MessageBody="x", MessageDeduplicationId="1")
    s.refused("InvalidParameterValue", s.sqs.send_message, QueueUrl=url, MessageBody="x",
              MessageGroupId="a")
    s.refused("InvalidParameterValue", s.queue, what="nofifo", attributes={"FifoQueue": "true"})
    by_content = s.queue("content", {"FifoQueue": "true", "ContentBasedDeduplication": "true"},
                         ".fifo")
    for _ in range(2):
        s.sqs.send_message(QueueUrl=by_content, MessageBody="same", MessageGroupId="g")
    expect(bodies(s.receive(by_content)), ["same"], "by content")


def dead_letters(s):
    """What fails too often moves, and stays itself."""
    dead = s.queue("dead")
    policy = {"deadLetterTargetArn": s.arn(dead), "maxReceiveCount": 2}
    url = s.queue("failing", {"VisibilityTimeout": 0, "RedrivePolicy": json.dumps(policy)})
    sent = s.sqs.send_message(QueueUrl=url, MessageBody="poison")
    for _ in range(2):
        expect(bodies(s.receive(url, wait_s=2)), ["poison"], "a try")
    expect(s.receive(url), [], "moved")
    got = s.receive(dead, wait_s=5, AttributeNames=["All"])
    expect(got[0]["MessageId"], sent["MessageId"], "id")
    expect(got[0]["Attributes"]["DeadLetterQueueSourceArn"], s.arn(url), "source")
    sources = s.sqs.list_dead_letter_source_queues(QueueUrl=dead)["queueUrls"]
    expect(sources, [url], "sources")
    expect(json.loads(s.attributes(url)["RedrivePolicy"]), policy, "policy")


def purge(s):
    """Everything goes, once a minute."""
    url = s.queue("purge")
    for n in range(3):
        s.sqs.send_message(QueueUrl=url, MessageBody=str(n))
    s.sqs.purge_queue(QueueUrl=url)
    expect(s.receive(url), [], "purged")
    s.refused("PurgeQueueInProgress", s.sqs.purge_queue, QueueUrl=url)


def tags(s):
    """Tags and permissions are kept."""
    url = s.queue("tags")
    s.sqs.tag_queue(QueueUrl=url, Tags={"team": "a", "cost": "b"})
    s.sqs.untag_queue(QueueUrl=url, TagKeys=["cost"])
    expect(s.sqs.list_queue_tags(QueueUrl=url)["Tags"], {"team": "a"}, "tags")
    s.sqs.add_permission(QueueUrl=url, Label="l", AWSAccountIds=["111122223333"],
                         Actions=["SendMessage"])
    policy = json.loads(s.attributes(url)["Policy"])
    expect([one["Sid"] for one in policy["Statement"]], ["l"], "policy")
    s.sqs.remove_permission(QueueUrl=url, Label="l")


def errors(s):
    """Each error is the SDK's own class of it, under both protocols."""
    url, errors = s.queue("errors"), s.sqs.exceptions

    def refused(kind, call, **arguments):
        try:
            call(**arguments)
        except kind:
            return
        raise AssertionError(f"not refused, wanted {kind.__name__}")

    gone, entry = url + "-gone", {"Id": "a", "MessageBody": "x"}
    refused(errors.QueueDoesNotExist, s.sqs.get_queue_url, QueueName=s.run.name("gone"))
    refused(errors.QueueDoesNotExist, s.sqs.send_message, QueueUrl=gone, MessageBody="x")
    refused(errors.QueueDoesNotExist, s.sqs.receive_message, QueueUrl=gone)
    refused(errors.QueueNameExists, s.queue, what="errors", attributes={"VisibilityTimeout": 8})
    refused(errors.ReceiptHandleIsInvalid, s.sqs.delete_message, QueueUrl=url,
            ReceiptHandle="nonsense")
    send = s.sqs.send_message_batch
    refused(errors.TooManyEntriesInBatchRequest, send, QueueUrl=url, Entries=[entry] * 11)
    refused(errors.BatchEntryIdsNotDistinct, send, QueueUrl=url, Entries=[entry] * 2)


def competing(s):
    """Eight receivers, 500 messages, each once."""
    url = s.queue("shared")
    for start in range(0, 500, 10):
        entries = [{"Id": str(n), "MessageBody": str(n)} for n in range(start, start + 10)]
        s.sqs.send_message_batch(QueueUrl=url, Entries=entries)
    got, lock = [], threading.Lock()

    def work():
        own = connect(s.endpoint)
        while True:
            some = own.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
            if not some:
                return
            own.delete_message_batch(QueueUrl=url, Entries=[
                {"Id": str(n), "ReceiptHandle": m["ReceiptHandle"]} for n, m in enumerate(some)])
            with lock:
                got.extend(bodies(some))

    workers = [threading.Thread(target=work) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    expect(sorted(got, key=int), [str(n) for n in range(500)], "messages")


def with_kafka(s):
    """A queue is a topic: what either protocol sends, the other reads."""
    from kafka import KafkaConsumer, KafkaProducer, TopicPartition

    url = s.queue("both")
    topic = s.run.name("both")
    s.sqs.send_message(QueueUrl=url, MessageBody="by SQS", MessageAttributes={
        "colour": {"DataType": "String", "StringValue": "red"}})
    consumer = KafkaConsumer(bootstrap_servers=s.run.bootstrap, auto_offset_reset="earliest")
    consumer.assign([TopicPartition(topic, 0)])
    records = wait_for(lambda: sum(consumer.poll(1000).values(), []), "the message as a record")
    expect(records[0].value, b"by SQS", "value")
    expect(("colour", b"red") in [(h[0], h[1]) for h in records[0].headers], True, "header")
    consumer.close()
    producer = KafkaProducer(bootstrap_servers=s.run.bootstrap)
    producer.send(topic, b"by Kafka", headers=[("shape", b"round")]).get(20)
    producer.close()
    got = s.receive(url, MessageAttributeNames=["All"])
    expect(bodies(got), ["by SQS", "by Kafka"], "as a queue")
    expect(got[1]["MessageAttributes"]["shape"]["StringValue"], "round", "attribute")


CHECKS = [
    queues, round_trip, batches, limits, visibility, long_polls, delays, fifo, dead_letters, purge,
    tags, errors, competing, with_kafka,
]


def main():
    name, endpoint = sys.argv[1:3]
    run = Run(name, sys.argv[:1] + sys.argv[3:])
    sqs = Sqs(endpoint, run)
    for check in CHECKS:
        run.check(check.__name__, check, sqs)


if __name__ == "__main__":
    main()
