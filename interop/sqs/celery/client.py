"""Celery over SQS: a worker in a process of its own, killed where a check says so.

    client.py ENDPOINT BOOTSTRAP RUN_ID
"""

import os
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "..", "clients", "lib"))
from checks import Run, expect, wait_for  # noqa: E402


class Worker:
    """A worker; it and its children end with this."""

    def __init__(self, *options):
        command = [sys.executable, "-m", "celery", "-A", "app", "worker", "--concurrency=2",
                   "--loglevel=WARNING", "--without-gossip", "--without-mingle",
                   "--without-heartbeat", *options]
        self.process = subprocess.Popen(command, cwd=os.path.dirname(os.path.abspath(__file__)),
                                        start_new_session=True)

    def __enter__(self):
        return self

    def kill(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self):
        """As an operator stops it: what it does is finished first."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.kill()


class Celery:
    def __init__(self, run, log):
        import app
        self.run, self.log, self.app = run, log, app

    def lines(self, start):
        """What the tasks have noted so far that begins so."""
        try:
            with open(self.log, encoding="utf-8") as log:
                return [line.strip() for line in log if line.startswith(start)]
        except FileNotFoundError:
            return []

    def wait(self, start, count=1):
        return wait_for(lambda: time.sleep(0.05) or (len(self.lines(start)) >= count
                                                     and self.lines(start)),
                        f"{count} of `{start}`", 60)

    def left(self):
        """Messages in the queue: visible, in flight, delayed."""
        import boto3
        sqs = boto3.client("sqs", endpoint_url=sys.argv[1], region_name="us-east-1",
                           aws_access_key_id="anybody", aws_secret_access_key="anything")
        url = sqs.get_queue_url(QueueName=self.app.QUEUE)["QueueUrl"]
        got = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        return [int(got["ApproximateNumberOfMessages" + what])
                for what in ["", "NotVisible", "Delayed"]]


def tasks(c):
    """Tasks of before the worker's start and after it run, each once."""
    for n in range(10):
        c.app.add.delay(n, n)
    with Worker() as worker:
        c.wait("add ", 10)
        for n in range(10, 20):
            c.app.add.delay(n, n)
        c.wait("add ", 20)
        expect(worker.stop(), 0, "the worker's exit code")
    expect(sorted(c.lines("add "), key=lambda line: int(line[4:])),
           [f"add {2 * n}" for n in range(20)], "tasks")
    expect(c.left(), [0, 0, 0], "left in the queue")


def countdown(c):
    """A task with a countdown runs after it, and one without before it."""
    with Worker() as worker:
        sent = time.time()
        c.app.at.apply_async(["later"], countdown=3)
        c.app.at.delay("now")
        c.wait("at now")
        later = float(c.wait("at later")[0].split()[2])
        expect(later - sent >= 2.9, True, "after the countdown")
        worker.stop()
    expect(c.left(), [0, 0, 0], "left in the queue")


def retries(c):
    """A task that asks to be tried again is."""
    with Worker() as worker:
        c.app.fails_twice.delay()
        c.wait("try 2")
        worker.stop()
    expect(c.lines("try "), ["try 0", "try 1", "try 2"], "tries")
    expect(c.left(), [0, 0, 0], "left in the queue")


def killed(c):
    """A task that a killed worker had and acknowledges late goes to the next worker."""
    with Worker() as worker:
        c.app.slow.delay("one", 2)
        c.wait("start one")
        worker.kill()
    expect(c.lines("end one"), [], "ended by the kill")
    expect(sum(c.left()), 1, "left in the queue")
    with Worker() as worker:
        c.wait("end one")
        worker.stop()
    expect(len(c.lines("start one")), 2, "starts")
    expect(c.left(), [0, 0, 0], "left in the queue")


def main():
    endpoint = sys.argv[1]
    run = Run("celery", sys.argv[:1] + sys.argv[2:])
    with tempfile.TemporaryDirectory() as folder:
        log = os.path.join(folder, "log")
        os.environ.update(CELERY_LOG=log, CELERY_QUEUE=run.name("tasks"),
                          CELERY_BROKER=endpoint.replace("http://", "sqs://anybody:anything@"))
        sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
        celery = Celery(run, log)
        for check in [tasks, countdown, retries, killed]:
            run.check(check.__name__, check, celery)


if __name__ == "__main__":
    main()
