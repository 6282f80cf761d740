"""kill -9 under load, again and again: what SQS clients were told still holds.

    kill.py LEVADA FOLDER ROUNDS SEED

After each restart: what was sent is there until it is deleted, what was deleted never comes back,
each group of the FIFO queue is received in its order, and receipts from before the kill delete.
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
        self.deleted, self.maybe_deleted = set(), set()
        # Of the FIFO queue: what each group received first, in order.
        self.order = {group: [] for group in range(GROUPS)}
        self.receipts = {}
        self.violations = []

    def received(self, queue, body, receipt):
        with self.lock:
            key = (queue, body)
            if key in self.deleted:
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
        if is_fifo:
            # Sent again under the same id until it is known: once in the queue.
            more = {"MessageGroupId": str(self.number), "MessageDeduplicationId": body}
        else:
            self.next += 1
        with self.ledger.lock:
            self.ledger.maybe_sent.add(key)
        self.sqs.send_message(QueueUrl=self.url(queue), MessageBody=body, **more)
        with self.ledger.lock:
            self.ledger.sent.add(key)
        if is_fifo:
            self.next += 1


class Receiver(Worker):
    """Receives and deletes; leaves one of ten to come again."""

    def __init__(self, queue, seed, *rest):
        super().__init__(*rest)
        self.queue, self.random = queue, random.Random(seed)

    def work(self):
        url = self.url(self.queue)
        got = self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
        for message in got.get("Messages", []):
            key = (self.queue, message["Body"])
            self.ledger.received(self.queue, message["Body"], message["ReceiptHandle"])
            if self.queue == "s" and self.random.random() < 0.1:
                continue
            with self.ledger.lock:
                self.ledger.maybe_deleted.add(key)
            self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            with self.ledger.lock:
                self.ledger.deleted.add(key)


def drain(server, ledger):
    """Everything that is left, until both queues are empty."""
    client = Worker(server, ledger, threading.Event())
    client.connect()
    # Receipts from before the last kill: the standard queue takes them.
    for (queue, body), receipt in list(ledger.receipts.items()):
        if queue == "s" and (queue, body) not in ledger.deleted:
            client.sqs.delete_message(QueueUrl=client.url(queue), ReceiptHandle=receipt)
            ledger.deleted.add((queue, body))
            ledger.maybe_deleted.add((queue, body))
    for queue in ["s", "f.fifo"]:
        url = client.url(queue)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            got = client.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10,
                                             WaitTimeSeconds=1).get("Messages", [])
            for message in got:
                ledger.received(queue, message["Body"], message["ReceiptHandle"])
                client.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
                ledger.deleted.add((queue, message["Body"]))
            counts = client.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
            left = [int(count) for name, count in counts["Attributes"].items()
                    if name.startswith("ApproximateNumberOfMessages")]
            if not got and sum(left) == 0:
                break
        else:
            ledger.violations.append(f"{queue} did not drain")
    for key in ledger.sent - ledger.deleted - ledger.maybe_deleted:
        ledger.violations.append(f"{key} was sent and is lost")


def main():
    binary, folder, rounds, seed = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    os.makedirs(folder, exist_ok=True)
    server, ledger, chance = Server(binary, folder), Ledger(), random.Random(seed)
    server.start()
    first = Worker(server, ledger, threading.Event())
    first.connect()
    first.sqs.create_queue(QueueName="s", Attributes={"VisibilityTimeout": "2"})
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
          f" deleted, {len(ledger.violations)} violations")
    sys.exit(1 if ledger.violations else 0)


if __name__ == "__main__":
    main()
