"""kill -9 under load, again and again: what SQS clients were told still holds.

    kill.py LEVADA FOLDER ROUNDS SEED

Over all restarts: what was sent is there until it is deleted, what was deleted never comes back, each
group of the FIFO queue is received in its order and has what was sent again once, receipts from before
a kill delete, no delayed message comes early, and what nobody deletes goes to the dead-letter queue
after so many deliveries, and not later.
"""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

START_S = 30
GROUPS = 5
DELAY_S = 1
# Deliveries after which a message of the standard queue goes to the dead-letter queue.
DELIVERIES_MAX = 3
DEAD = "dead"


class Server:
    """`levada serve`, on the same folder and port in every life."""

    def __init__(self, binary, folder):
        self.binary, self.data = binary, os.path.join(folder, "data")
        self.log = open(os.path.join(folder, "server.log"), "ab")
        self.address, self.child = "127.0.0.1:0", None

    def start(self):
        self.child = subprocess.Popen(
            [self.binary, "serve", "--data", self.data, "--sqs", self.address, "--kafka", "off",
             "--http", "off"],
            stdout=self.log, stderr=self.log)
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            try:
                with open(os.path.join(self.data, "ready.json"), encoding="utf-8") as file:
                    ready = json.load(file)
                if ready["pid"] == self.child.pid:
                    self.address = ready["sqs"]
                    return
            except (OSError, ValueError):
                pass
            if self.child.poll() is not None:
                raise SystemExit(f"levada ended with {self.child.returncode}: see server.log")
            time.sleep(0.01)
        raise SystemExit("levada did not start")

    def kill(self):
        self.child.send_signal(signal.SIGKILL)
        self.child.wait()


class Ledger:
    """What clients were told."""

    def __init__(self):
        self.lock = threading.Lock()
        self.sent, self.maybe_sent = set(), set()
        # What is deleted, with the time of the answer.
        self.deleted, self.maybe_deleted = {}, set()
        # Of the FIFO queue: what each group received first, in order.
        self.order = {group: [] for group in range(GROUPS)}
        self.receipts = {}
        # When a delayed message may come; the sequence number of each FIFO message.
        self.due, self.sequences = {}, {}
        self.poison, self.dead = set(), set()
        self.late_deletes = 0
        self.violations = []

    def received(self, queue, message, since):
        """`since`: when the receive began; one under way may still give what is being deleted."""
        body, receipt = message["Body"], message["ReceiptHandle"]
        told = message["Attributes"]
        with self.lock:
            if queue == DEAD:
                self.dead.add(("s", body))
                if ("s", body) not in self.sent | self.maybe_sent:
                    self.violations.append(f"{body} is in the dead-letter queue and was never sent")
                return
            key = (queue, body)
            if time.monotonic() < self.due.get(key, 0):
                self.violations.append(f"{key} was delayed and came early")
            if queue == "s" and int(told["ApproximateReceiveCount"]) > DELIVERIES_MAX:
                self.violations.append(f"{key} was delivered too often: {told}")
            sequence = told.get("SequenceNumber")
            if self.sequences.setdefault(key, sequence) != sequence:
                self.violations.append(f"{key} stands there twice")
            if self.deleted.get(key, since) < since:
                self.violations.append(f"{key} was deleted and came back")
            if key not in self.sent and key not in self.maybe_sent:
                self.violations.append(f"{key} was never sent")
            if queue == "f.fifo":
                group, number = (int(part) for part in body.split(":"))
                seen = self.order[group]
                if not seen or number > seen[-1]:
                    # All before it that were sent must be done or on their way to be.
                    for earlier in range(seen[-1] + 1 if seen else 0, number):
                        if (queue, f"{group}:{earlier}") in self.sent:
                            self.violations.append(f"group {group}: {number} before {earlier}")
                    seen.append(number)
            self.receipts[key] = receipt


class Worker(threading.Thread):
    """A client that goes on over outages until it is told to stop."""

    def __init__(self, server, ledger, stop):
        super().__init__(daemon=True)
        self.server, self.ledger, self.stop = server, ledger, stop
        self.sqs = None

    def connect(self):
        config = Config(retries={"max_attempts": 0}, connect_timeout=2, read_timeout=10)
        self.sqs = boto3.client("sqs", endpoint_url=f"http://{self.server.address}",
                                region_name="us-east-1", aws_access_key_id="a",
                                aws_secret_access_key="b", config=config)

    def url(self, queue):
        return f"http://{self.server.address}/000000000000/{queue}"

    def run(self):
        self.connect()
        while not self.stop.is_set():
            try:
                self.work()
            except (BotoCoreError, ClientError, OSError):
                time.sleep(0.02)


def receive(sqs, url):
    got = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1,
                              AttributeNames=["All"])
    return got.get("Messages", [])


class Sender(Worker):
    """Sends to the standard queue, or in order to a group of the FIFO queue."""

    def __init__(self, number, *rest):
        super().__init__(*rest)
        self.number, self.next = number, 0

    def work(self):
        is_fifo = self.number < GROUPS
        queue = "f.fifo" if is_fifo else "s"
        body = f"{self.number}:{self.next}"
        key = (queue, body)
        more = {}
        is_poison = not is_fifo and self.next % 50 == 0
        if is_poison:
            body += " poison"
            key = (queue, body)
        if is_fifo:
            # Sent again under the same id until it is known: once in the queue.
            more = {"MessageGroupId": str(self.number), "MessageDeduplicationId": body}
        else:
            if self.next % 7 == 0:
                more = {"DelaySeconds": DELAY_S}
            self.next += 1
        with self.ledger.lock:
            self.ledger.maybe_sent.add(key)
            if "DelaySeconds" in more:
                self.ledger.due[key] = time.monotonic() + DELAY_S - 0.01
        self.sqs.send_message(QueueUrl=self.url(queue), MessageBody=body, **more)
        with self.ledger.lock:
            self.ledger.sent.add(key)
            if is_poison:
                self.ledger.poison.add(key)
        if is_fifo:
            self.next += 1


class Receiver(Worker):
    """Receives and deletes; leaves one of ten to come again."""

    def __init__(self, queue, seed, *rest):
        super().__init__(*rest)
        self.queue, self.random = queue, random.Random(seed)

    def work(self):
        url = self.url(self.queue)
        since = time.monotonic()
        got = receive(self.sqs, url)
        for message in got:
            key = (self.queue, message["Body"])
            self.ledger.received(self.queue, message, since)
            if message["Body"].endswith("poison"):
                continue
            if self.queue == "s" and self.random.random() < 0.1:
                continue
            with self.ledger.lock:
                self.ledger.maybe_deleted.add(key)
            self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            with self.ledger.lock:
                self.ledger.deleted.setdefault(key, time.monotonic())


def drain(server, ledger):
    """Everything that is left, until both queues are empty."""
    client = Worker(server, ledger, threading.Event())
    client.connect()
    # Receipts from before the last kill: the standard queue takes them.
    for (queue, body), receipt in list(ledger.receipts.items()):
        is_open = (queue, body) not in ledger.deleted and not body.endswith("poison")
        if queue == "s" and is_open:
            ledger.late_deletes += 1
            client.sqs.delete_message(QueueUrl=client.url(queue), ReceiptHandle=receipt)
            ledger.deleted[queue, body] = time.monotonic()
            ledger.maybe_deleted.add((queue, body))
    for queue in ["s", "f.fifo", DEAD]:
        url = client.url(queue)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            since = time.monotonic()
            got = receive(client.sqs, url)
            for message in got:
                ledger.received(queue, message, since)
                if queue == "s" and message["Body"].endswith("poison"):
                    continue
                client.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
                ledger.deleted.setdefault((queue, message["Body"]), time.monotonic())
            counts = client.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
            left = [int(count) for name, count in counts["Attributes"].items()
                    if name.startswith("ApproximateNumberOfMessages")]
            if not got and sum(left) == 0:
                break
        else:
            ledger.violations.append(f"{queue} did not drain")
    for key in ledger.sent - ledger.deleted.keys() - ledger.maybe_deleted - ledger.dead:
        ledger.violations.append(f"{key} was sent and is lost")
    for key in ledger.poison - ledger.dead:
        ledger.violations.append(f"{key} was never deleted and is not in the dead-letter queue")


def main():
    binary, folder, rounds, seed = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    os.makedirs(folder, exist_ok=True)
    server, ledger, chance = Server(binary, folder), Ledger(), random.Random(seed)
    server.start()
    first = Worker(server, ledger, threading.Event())
    first.connect()
    first.sqs.create_queue(QueueName=DEAD)
    policy = {"deadLetterTargetArn": f"arn:aws:sqs:us-east-1:000000000000:{DEAD}",
              "maxReceiveCount": DELIVERIES_MAX}
    first.sqs.create_queue(QueueName="s", Attributes={"VisibilityTimeout": "2",
                                                      "RedrivePolicy": json.dumps(policy)})
    first.sqs.create_queue(QueueName="f.fifo",
                           Attributes={"VisibilityTimeout": "2", "FifoQueue": "true"})
    stop = threading.Event()
    rest = (server, ledger, stop)
    workers = [Sender(number, *rest) for number in range(GROUPS + 2)]
    workers += [Receiver(queue, seed + n, *rest) for n, queue in enumerate(["s", "s", "f.fifo"])]
    for worker in workers:
        worker.start()
    for _ in range(rounds):
        time.sleep(chance.uniform(0.2, 0.8))
        server.kill()
        server.start()
    stop.set()
    for worker in workers:
        worker.join(30)
    drain(server, ledger)
    server.kill()
    for violation in ledger.violations[:20]:
        print(f"VIOLATION {violation}")
    print(f"{rounds} kills (seed {seed}): {len(ledger.sent)} messages sent and {len(ledger.deleted)}"
          f" deleted, {ledger.late_deletes} by receipts from before, {len(ledger.due)} delayed,"
          f" {len(ledger.dead)} given up, {len(ledger.violations)} violations")
    sys.exit(1 if ledger.violations else 0)


if __name__ == "__main__":
    main()
