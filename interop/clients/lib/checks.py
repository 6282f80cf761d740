"""The frame of the Python clients: names of checks, the line each one prints, bounded waiting."""

import sys
import time
import traceback

PARTITIONS = 4
RECORDS = 100
LARGE = 1024 * 1024
WAIT_S = 25


class NotApplicable(Exception):
    """The client lacks the feature: a fact of the client, not of the broker."""


class Run:
    """One run of one client against one broker."""

    def __init__(self, client, argv):
        if len(argv) != 3:
            sys.exit(f"usage: {argv[0]} BOOTSTRAP RUN_ID")
        self.client, self.bootstrap, self.run_id = client, argv[1], argv[2]

    def name(self, what):
        """A topic or group name that no other run uses."""
        return f"{self.client}-{what}-{self.run_id}"

    def check(self, name, body, *arguments):
        """Runs one check and prints its line."""
        started = time.monotonic()
        try:
            body(*arguments)
            print(f"CHECK {name} ok {time.monotonic() - started:.1f} s", flush=True)
        except NotApplicable as why:
            print(f"CHECK {name} n/a {why}", flush=True)
        except Exception as error:  # the line must come whatever happened
            traceback.print_exc()
            text = " ".join(f"{type(error).__name__}: {error}".split())
            print(f"CHECK {name} FAIL {text[:300]}", flush=True)


def expect(actual, wanted, what):
    """Fails unless both are equal."""
    if actual != wanted:
        raise AssertionError(f"{what}: got {str(actual)[:120]}, wanted {str(wanted)[:120]}")


def wait_for(condition, what, wait_s=WAIT_S):
    """Calls `condition` until it returns something true; that is the result."""
    deadline = time.monotonic() + wait_s
    while time.monotonic() < deadline:
        result = condition()
        if result:
            return result
    raise AssertionError(f"gave up after {wait_s} s waiting for: {what}")


def contiguous(offsets, count, what):
    """Fails unless the offsets are 0..count, each once, in order."""
    expect(list(offsets), list(range(count)), f"offsets of {what}")


def rebalanced(poll, assigned, leave, members, partitions=PARTITIONS):
    """Two members share the partitions; when one leaves, the other gets all.

    `poll()` drives every member once, `assigned(m)` is its set of partitions, `leave(m)` closes it.
    """
    def shared():
        poll(members)
        parts = [assigned(member) for member in members]
        return all(parts) and sum(map(len, parts)) == partitions and len(set().union(*parts)) == partitions

    wait_for(shared, "both members hold partitions")
    leave(members[1])

    def alone():
        poll(members[:1])
        return len(assigned(members[0])) == partitions

    wait_for(alone, "the remaining member holds every partition")
