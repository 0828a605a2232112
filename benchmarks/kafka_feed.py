"""What results over Kafka cost: bytes for each node and second, and the collector's CPU time.

    python benchmarks/kafka_feed.py [--nodes 1 50 200] [--labels 50] [--seconds 20] [--requests 40]

Frames are made by the real code: samples recorded into histograms, merged over two workers, pressed,
signed. A process of its own sends them through Kafka, one frame for each node and second. Then they are
read by KafkaFeed and merged by the Collector, as fast as it goes, in a process pinned to one core.
Printed are the size of a frame, what the topic's logs grew by, and CPU seconds (user and system) for
each second of feed; below 1 the collector keeps up in real time on one core. The broker is the one of
the tests (Java and Maven are needed), or --kafka HOST:PORT.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pytest_metersphere.dist.collect import Collector, SliceData
from pytest_metersphere.dist.kafka.delivery import KafkaFeed, KafkaSink, end_offsets
from pytest_metersphere.dist.kafka.topics import ensure_topics
from pytest_metersphere.dist.node.frames import Press
from pytest_metersphere.dist.node.seconds import Span
from pytest_metersphere.dist.signing import KEY_SIZE, sign
from pytest_metersphere.dist.wire import KafkaAccess
from pytest_metersphere.metrics.frame import Tally, WorkerHealth
from tests.kafka.broker import Broker, Recipe, jars

RUN = "00112233445566aa"
KEY = bytes(range(KEY_SIZE))
WORKERS = 2
KINDS = 64
"""Different seconds of load; each frame is one of them, under the name of its node."""


def second_of(labels: int, requests: int, seed: int) -> Tally:
    """Return what one node did in one second: `requests` samples of each label."""
    rng = random.Random(seed)
    merged = Tally()
    for _ in range(WORKERS):
        tally = Tally(users=25, iterations=requests, exchanges=labels * requests // WORKERS)
        for number in range(labels):
            label = tally.label(f"GET /shop/page-{number}/{{}}", "request")
            middle = math.log(0.01 + 0.002 * number)
            for _ in range(requests // WORKERS):
                response = rng.lognormvariate(middle, 0.5)
                label.requests += 1
                label.bytes_sent += 220
                label.bytes_received += 4800
                label.response.record(response)
                label.service.record(response * 0.97)
        merged.merge_parallel(tally)
    return merged


def signed_frames(nodes: int, labels: int, requests: int, seconds: int) -> Iterator[tuple[str, bytes]]:
    """Yield slice and signed frame, second by second, for all nodes."""
    tallies = [second_of(labels, requests, seed) for seed in range(KINDS)]
    health = [WorkerHealth(worker, 0.5, 0.002) for worker in range(WORKERS)]
    presses = {f"{RUN}-{node}": Press(RUN, f"{RUN}-{node}", 1) for node in range(nodes)}
    for second in range(seconds):
        for node, (slice_id, press) in enumerate(presses.items()):
            span = Span(second, "measured", True, [tallies[(node + second) % KINDS]], health)
            for _, frame in press.pack(span):
                yield slice_id, sign(KEY, frame)


def produce(access: KafkaAccess, arguments: argparse.Namespace, nodes: int) -> dict[str, float]:
    """Send everything through one sink and return the size of a frame and the CPU time of sending."""
    sink, sizes, spent = KafkaSink(access), [], 0.0
    pause = (16 << 20) // 100_000
    for slice_id, frame in signed_frames(nodes, arguments.labels, arguments.requests, arguments.seconds):
        begin = time.thread_time()
        sink.put(slice_id, frame)
        spent += time.thread_time() - begin
        sizes.append(len(frame))
        if len(sizes) % pause == 0:
            sink.flush(60.0)
    assert sink.flush(60.0), sink.trouble
    assert not sink.dropped, sink.trouble
    sink.close()
    return {"frame": sum(sizes) / len(sizes), "put": spent / len(sizes)}


def collect(access: KafkaAccess, start: dict[int, int], nodes: int, seconds: int) -> dict[str, float]:
    """Read and merge everything on one core; return wall and CPU seconds."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    slices = {f"{RUN}-{node}": SliceData(f"n{node}", 1) for node in range(nodes)}
    collector = Collector(RUN, KEY, slices, 1)
    feed = KafkaFeed(access, start)
    received, settled = 0, 0
    before, begin = cpu_seconds(), time.monotonic()
    while received < nodes * seconds:
        for arrival in feed.receive(0.25):
            for frame in arrival.frames:
                collector.add(frame)
            received += len(arrival.frames)
        if collector.settled() > settled:
            settled = collector.settled()
            collector.scenarios[0].series.at(settled - 1)
    wall, cpu = time.monotonic() - begin, cpu_seconds() - before
    feed.close()
    assert not collector.rejected, collector.rejected
    assert not sum(data.lost for data in slices.values())
    return {"wall": wall, "cpu": cpu, "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def cpu_seconds() -> float:
    """Return the CPU time of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def topic_size(access: KafkaAccess, topic: str = "") -> int:
    """Return the bytes that the logs of a topic hold, of that for frames if none is named."""
    from kafka import KafkaAdminClient

    with contextlib.closing(KafkaAdminClient(bootstrap_servers=list(access.servers))) as admin:
        found = json.loads(json.dumps(admin.describe_log_dirs(), default=str))
    return sum(_sizes(found, topic or access.results_topic))


def _sizes(found: object, topic: str) -> Iterator[int]:
    """Yield the sizes of a topic's partitions, wherever they stand."""
    if isinstance(found, list):
        for each in found:
            yield from _sizes(each, topic)
    elif isinstance(found, dict):
        if found.get("name") == topic or found.get("topic") == topic:
            yield from (partition["partition_size"] for partition in found["partitions"])
        else:
            yield from _sizes(list(found.values()), topic)


def measure(address: str, arguments: argparse.Namespace, nodes: int) -> str:
    """Return one row of the table."""
    access = KafkaAccess(servers=(address,), prefix=f"benchmark-{nodes}-{os.getpid()}")
    assert all(check.ok for check in ensure_topics(access))
    start = end_offsets(access)
    sent = produce(access, arguments, nodes)
    size = topic_size(access) / nodes / arguments.seconds
    steps = ["--collect", address, "--prefix", access.prefix, "--seconds", str(arguments.seconds)]
    command = [sys.executable, __file__, *steps, "--nodes", str(nodes), "--start", json.dumps(start)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    got = json.loads(done.stdout)
    per_second = got["cpu"] / arguments.seconds
    cells = [
        f"{nodes}",
        f"{arguments.labels}",
        f"{sent['frame'] / 1024:.1f}",
        f"{size / 1024:.1f}",
        f"{sent['put'] * 1e6:.0f}",
        f"{per_second:.3f}",
        f"{per_second / nodes * 1e3:.2f}",
        f"{got['memory']:.0f}",
        "yes" if per_second < 1 else "NO",
    ]
    return f"| {' | '.join(cells)} |"


@contextlib.contextmanager
def running_broker(given: str) -> Iterator[str]:
    """Return the address of a broker."""
    if given:
        yield given
        return
    java, maven = shutil.which("java"), shutil.which("mvn")
    if java is None or maven is None:
        raise SystemExit("name a broker with --kafka, or: apt-get install default-jre-headless maven")
    with tempfile.TemporaryDirectory() as folder, Broker(java, jars(maven), Path(folder), Recipe()) as broker:
        yield broker.address


def main() -> None:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kafka", default="", help="a broker that runs, HOST:PORT")
    parser.add_argument("--nodes", type=int, nargs="+", default=[1, 50, 200])
    parser.add_argument("--labels", type=int, default=50)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--requests", type=int, default=40, help="a second, of each label on each node")
    parser.add_argument("--collect", default="", help=argparse.SUPPRESS)
    parser.add_argument("--prefix", default="", help=argparse.SUPPRESS)
    parser.add_argument("--start", type=json.loads, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.collect:
        access = KafkaAccess(servers=(arguments.collect,), prefix=arguments.prefix)
        start = {int(partition): offset for partition, offset in arguments.start.items()}
        print(json.dumps(collect(access, start, arguments.nodes[0], arguments.seconds)))
        return
    print(
        f"{arguments.seconds} s of feed, {arguments.requests} requests a second of each label on each node\n"
    )
    print(
        "| nodes | labels | KiB a frame | KiB on Kafka a node-second | us to put a frame | "
        "collector CPU s a second | ms a node-second | MiB | real time on one core |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    with running_broker(arguments.kafka) as address:
        for nodes in arguments.nodes:
            print(measure(address, arguments, nodes), flush=True)


if __name__ == "__main__":
    main()
