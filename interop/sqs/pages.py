"""The commands of our pages about queues, run as they stand there.

    pages.py ENDPOINT BOOTSTRAP RUN_ID

Each block ```sh is run, a page's blocks in one shell, with the default addresses replaced by those
of this run. Each line of a block ```text must be in what was printed, in this order. The server that a
page moves messages to, on port 9326, is started here. The environment's LEVADA_BIN is `levada`;
`aws` and `python3` are the first on the path.
"""

import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
sys.path.insert(0, os.path.join(TOP, "interop", "clients", "lib"))
from checks import Run, wait_for  # noqa: E402

WAIT_S = 100


def blocks(page, kind):
    """The page's blocks of this kind, each as one text."""
    with open(os.path.join(TOP, page), encoding="utf-8") as file:
        return re.findall(rf"^```{kind}\n(.*?)^```$", file.read(), re.MULTILINE | re.DOTALL)


def run_page(page, addresses):
    """Runs a page's commands; fails when one does, or when a line that it promises is missing."""
    commands, wanted = "".join(blocks(page, "sh")), "".join(blocks(page, "text"))
    for name, address in addresses.items():
        commands, wanted = commands.replace(name, address), wanted.replace(name, address)
    with tempfile.TemporaryDirectory() as folder:
        os.symlink(os.environ["LEVADA_BIN"], os.path.join(folder, "levada"))
        environment = dict(os.environ, PATH=f"{folder}:{os.environ['PATH']}",
                           LEVADA_SQS=addresses["127.0.0.1:9324"],
                           LEVADA_BROKER=addresses["127.0.0.1:9092"])
        script = f"set -eo pipefail\nshopt -s expand_aliases\n{commands}"
        done = subprocess.run(["bash", "-c", script], cwd=folder, env=environment, text=True,
                              stdout=subprocess.PIPE, timeout=WAIT_S)
    print(done.stdout, flush=True)
    if done.returncode != 0:
        raise AssertionError(f"a command of {page} ended with {done.returncode}")
    rest = done.stdout
    for line in wanted.splitlines():
        before, found, rest = rest.partition(line.strip())
        if not found:
            raise AssertionError(f"`{line.strip()}` is not in what {page} printed, or not in its place")


@contextlib.contextmanager
def another_server():
    """A second service, with data of its own; its address for SQS."""
    with tempfile.TemporaryDirectory() as folder:
        ready = os.path.join(folder, "ready.json")
        command = [os.environ["LEVADA_BIN"], "serve", "--kafka", "127.0.0.1:0", "--sqs",
                   "127.0.0.1:0", "--http", "off", "--data", folder]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            wait_for(lambda: os.path.exists(ready) or server.poll() is not None, "a second service")
            with open(ready, encoding="utf-8") as file:
                yield json.load(file)["sqs"]
        finally:
            server.terminate()
            server.wait()


def main():
    endpoint = sys.argv[1]
    run = Run("pages", sys.argv[:1] + sys.argv[2:])
    addresses = {
        "127.0.0.1:9324": endpoint.removeprefix("http://"),
        "127.0.0.1:9092": run.bootstrap,
    }
    run.check("docs/sqs.md", run_page, "docs/sqs.md", addresses)
    with another_server() as other:
        addresses["127.0.0.1:9326"] = other
        run.check("docs/from-sqs.md", run_page, "docs/from-sqs.md", addresses)


if __name__ == "__main__":
    main()
