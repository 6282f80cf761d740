"""The application whose tasks client.py has a worker run; each task leaves a line in a file."""

import os
import time

import celery

QUEUE = os.environ["CELERY_QUEUE"]
LOG = os.environ["CELERY_LOG"]
# How long a task that is not acknowledged stays with its worker.
VISIBILITY_S = 5

app = celery.Celery("interop", broker=os.environ["CELERY_BROKER"])
app.conf.update(
    task_default_queue=QUEUE,
    task_ignore_result=True,
    worker_prefetch_multiplier=1,
    worker_enable_remote_control=False,
    broker_connection_retry_on_startup=True,
    broker_transport_options={
        "region": "us-east-1",
        "is_secure": False,
        "visibility_timeout": VISIBILITY_S,
        "wait_time_seconds": 1,
        "polling_interval": 0.1,
    },
)


def note(text):
    """One line, in one write: workers share the file."""
    with open(LOG, "a", encoding="utf-8") as log:
        log.write(f"{text}\n")


@app.task
def add(a, b):
    note(f"add {a + b}")


@app.task
def at(what):
    note(f"at {what} {time.time()}")


@app.task(bind=True, max_retries=3)
def fails_twice(self):
    note(f"try {self.request.retries}")
    if self.request.retries < 2:
        raise self.retry(countdown=1)


@app.task(acks_late=True)
def slow(what, seconds):
    note(f"start {what}")
    time.sleep(seconds)
    note(f"end {what}")
