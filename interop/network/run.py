#!/usr/bin/env python3
"""Metadata's one address through destination NAT and through haproxy (DESIGN, "One address").

usage: run.py LEVADA FOLDER      (root, iproute2, nftables, haproxy, kcat)

    client 10.77.1.2 --- 10.77.1.1, .100, .101, .102 router 10.77.2.1 --- 10.77.2.2 server

All three are network namespaces of this run. The client has no route beyond the router's own
addresses, so it can only work through what the broker names in its metadata. Logs and data stay
in FOLDER.
"""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

RUN = f"levada-{os.getpid()}"
CLIENT, ROUTER, SERVER = (f"{RUN}-{role}" for role in ("client", "router", "server"))
NAMESPACES = (CLIENT, ROUTER, SERVER)

SERVER_ADDRESS = "10.77.2.2"
NAT_BROKER = f"{SERVER_ADDRESS}:19092"
NAT_VIP = "10.77.1.100:9092"
PROXY_BROKER = f"{SERVER_ADDRESS}:19093"
# Two addresses of one haproxy in front of one broker: each client must be told its own.
PROXY_VIPS = ("10.77.1.101:9093", "10.77.1.102:9093")

RECORDS = [f"record {number} of a run through the router" for number in range(1000)]
COMMAND_SECONDS_MAX = 20
START_SECONDS_MAX = 20
POLL_SECONDS = 0.005

NAT_RULES = f"""
table ip levada {{
    chain prerouting {{
        type nat hook prerouting priority dstnat;
        ip daddr {NAT_VIP.split(':')[0]} tcp dport 9092 dnat to {NAT_BROKER}
    }}
    chain forward {{
        type filter hook forward priority filter; policy drop;
        ct status dnat accept
    }}
}}
"""

HAPROXY = f"""
defaults
    mode tcp
    timeout connect 5s
    timeout client 60s
    timeout server 60s
listen kafka
    bind {PROXY_VIPS[0]}
    bind {PROXY_VIPS[1]}
    server levada {PROXY_BROKER} send-proxy-v2
"""


class Unavailable(Exception):
    """This machine does not let us build the network."""


class Failed(Exception):
    """A check found something else than it should."""


def need(condition, what):
    if not condition:
        raise Failed(what)


def setup(*command, stdin=None):
    """A step of the network; what fails here is the machine, not the broker."""
    try:
        done = subprocess.run(command, input=stdin, capture_output=True, text=True,
                              timeout=COMMAND_SECONDS_MAX)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(str(error)) from error
    if done.returncode != 0:
        raise Unavailable(f"`{' '.join(command)}`: {(done.stderr or done.stdout).strip()}")


def inside(namespace, *command):
    return ["ip", "netns", "exec", namespace, *command]


def build_network():
    for namespace in NAMESPACES:
        setup("ip", "netns", "add", namespace)
        setup("ip", "-n", namespace, "link", "set", "lo", "up")
    # Made inside the namespaces, so that their names never meet those of the machine.
    for namespace, link in ((CLIENT, "client"), (SERVER, "server")):
        setup("ip", "-n", namespace, "link", "add", "router", "type", "veth",
              "peer", "name", link, "netns", ROUTER)
    addresses = [(CLIENT, "router", "10.77.1.2"), (SERVER, "router", SERVER_ADDRESS),
                 (ROUTER, "client", "10.77.1.1"), (ROUTER, "server", "10.77.2.1")]
    for vip in (NAT_VIP, *PROXY_VIPS):
        addresses.append((ROUTER, "client", vip.split(":")[0]))
    for namespace, link, address in addresses:
        setup("ip", "-n", namespace, "address", "add", f"{address}/24", "dev", link)
        setup("ip", "-n", namespace, "link", "set", link, "up")
    setup("ip", "-n", SERVER, "route", "add", "default", "via", "10.77.2.1")
    setup(*inside(ROUTER, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"))
    setup(*inside(ROUTER, "nft", "-f", "-"), stdin=NAT_RULES)


def start_haproxy(folder):
    """Returns once haproxy listens: with -D it goes to the background only then."""
    settings = folder / "haproxy.cfg"
    settings.write_text(HAPROXY)
    with open(folder / "haproxy.log", "w") as log:
        done = subprocess.run(inside(ROUTER, "haproxy", "-D", "-f", str(settings)),
                              stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                              timeout=COMMAND_SECONDS_MAX)
    if done.returncode != 0:
        raise Unavailable(f"haproxy: {(folder / 'haproxy.log').read_text().strip()}")


def tear_down():
    """Ends what still runs in our namespaces, then deletes them and the links with them."""
    for namespace in NAMESPACES:
        if not Path("/run/netns", namespace).exists():
            continue
        found = subprocess.run(["ip", "netns", "pids", namespace], capture_output=True, text=True)
        for pid in found.stdout.split():
            try:
                os.kill(int(pid), signal.SIGKILL)
            except ProcessLookupError:
                pass
        subprocess.run(["ip", "netns", "delete", namespace])


class Broker:
    """`levada serve` in the server's namespace."""

    def __init__(self, levada, folder, *arguments):
        self.log = folder / "broker.log"
        self.ready = folder / "data" / "ready.json"
        folder.mkdir()
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(
                inside(SERVER, levada, "serve", "--http", "off", "--sqs", "off",
                       "--data", str(folder / "data"), *arguments),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def wait(self):
        """Waits for ready.json, which the broker renames into place once it accepts."""
        deadline = time.monotonic() + START_SECONDS_MAX
        while not self.ready.exists():
            ended = self.process.poll() is not None
            need(not ended and time.monotonic() < deadline,
                 f"the broker did not get ready; its log ends: {self.log.read_text()[-500:]}")
            time.sleep(POLL_SECONDS)
        return json.loads(self.ready.read_text())


def kcat(address, *arguments, stdin=""):
    """Runs kcat in the client's namespace and returns its lines."""
    command = inside(CLIENT, "kcat", "-b", address, "-q", "-X", "fetch.wait.max.ms=50", *arguments)
    try:
        done = subprocess.run(command, input=stdin, capture_output=True, text=True,
                              timeout=COMMAND_SECONDS_MAX)
    except subprocess.TimeoutExpired as error:
        raise Failed(f"kcat was not done after {COMMAND_SECONDS_MAX} s: {error.stderr}") from error
    need(done.returncode == 0, f"kcat left with {done.returncode}: {done.stderr[-500:]}")
    return done.stdout.splitlines()


def brokers_named(address):
    answer = json.loads("".join(kcat(address, "-L", "-J")))
    return [broker["name"] for broker in answer["brokers"]]


def names_only(address):
    found = brokers_named(address)
    need(found == [address], f"metadata names {found}, not only {address}")


def round_trip(address, topic):
    kcat(address, "-P", "-t", topic, "-X", "acks=all", stdin="\n".join(RECORDS) + "\n")
    found = kcat(address, "-C", "-e", "-o", "beginning", "-t", topic)
    need(found == RECORDS, f"{len(found)} records came back, or in another order")


def group(address, topic):
    """The second member of the group goes on where the first one stopped."""
    half = len(RECORDS) // 2
    for wanted in (RECORDS[:half], RECORDS[half:]):
        found = kcat(address, "-G", f"group-of-{topic}", "-c", str(half),
                     "-X", "auto.offset.reset=earliest", topic)
        need(found == wanted, f"the group got {len(found)} records, from {found[:1]}")


def server_is_out_of_reach():
    """Otherwise every check below could pass with the wrong address in the metadata."""
    program = (f"import socket; s = socket.socket(); s.settimeout(1); "
               f"raise SystemExit(s.connect_ex(({SERVER_ADDRESS!r}, 19092)))")
    done = subprocess.run(inside(CLIENT, sys.executable, "-c", program),
                          timeout=COMMAND_SECONDS_MAX)
    need(done.returncode == errno.ENETUNREACH, f"connecting gave error {done.returncode}")


def open_bind_is_refused(levada, folder):
    broker = Broker(levada, folder, "--kafka", NAT_BROKER)
    try:
        code = broker.process.wait(timeout=COMMAND_SECONDS_MAX)
    except subprocess.TimeoutExpired as error:
        raise Failed("it went on to serve") from error
    said = broker.log.read_text()
    need(code == 1, f"exit code {code}, not 1")
    need(NAT_BROKER in said and "--insecure" in said, f"the message does not help: {said}")
    need(not broker.ready.exists(), "it was ready for a moment")


def ready_names(broker, address):
    found = broker.wait()["kafka"]
    need(found == address, f"ready.json says {found}")


def checks(levada, folder):
    """Every check in order: its name and what runs it."""
    yield "open-bind-refused", lambda: open_bind_is_refused(levada, folder / "refused")

    nat = Broker(levada, folder / "nat", "--kafka", NAT_BROKER, "--insecure",
                 "--kafka-advertised", NAT_VIP)
    proxied = Broker(levada, folder / "proxied", "--kafka", PROXY_BROKER, "--insecure",
                     "--kafka-proxy-protocol")
    yield "nat-ready", lambda: ready_names(nat, NAT_BROKER)
    yield "nat-server-out-of-reach", server_is_out_of_reach
    yield "nat-metadata-names-the-vip", lambda: names_only(NAT_VIP)
    yield "nat-produce-consume", lambda: round_trip(NAT_VIP, "nat")
    yield "nat-group", lambda: group(NAT_VIP, "nat")

    yield "haproxy-ready", lambda: ready_names(proxied, PROXY_BROKER)
    for number, vip in enumerate(PROXY_VIPS, 1):
        topic = f"proxied-{number}"
        yield f"haproxy-{number}-metadata-names-what-was-dialled", lambda: names_only(vip)
        yield f"haproxy-{number}-produce-consume", lambda: round_trip(vip, topic)
    yield "haproxy-group", lambda: group(PROXY_VIPS[0], "proxied-1")


def run_checks(levada, folder):
    passed = failed = 0
    for name, check in checks(levada, folder):
        try:
            check()
            passed += 1
            print(f"CHECK {name} ok", flush=True)
        except Exception as error:  # whatever a check dies of is that check's failure
            failed += 1
            print(f"CHECK {name} FAIL {error!r}", flush=True)
    return passed, failed


def main():
    levada, folder = str(Path(sys.argv[1]).resolve()), Path(sys.argv[2]).resolve()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    passed = failed = skipped = 0
    try:
        build_network()
        start_haproxy(folder)
        passed, failed = run_checks(levada, folder)
    except Unavailable as error:
        line = "!" * 72
        print(f"{line}\n!! SKIPPED the network checks, they need root and NET_ADMIN: {error}\n{line}")
        skipped = 1
        if os.environ.get("CI") == "true":
            failed, skipped = 1, 0
    finally:
        tear_down()
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    sys.exit(1 if failed else 0)


main()
