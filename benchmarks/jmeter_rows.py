"""What the rows of stock JMeters cost: rows for each second of a core, and bytes on Kafka beside our frames.

    python benchmarks/jmeter_rows.py [--rows 300000] [--turns 3]

MeterSphere's JMeter image sends each sample as a JSON object of its own. Rows of that kind are written to a
topic of four partitions, in batches of nine as the image's listener makes them, uncompressed, one in a
hundred of a failed sample. Then a process of its own, pinned to one core, reads, decodes and counts them,
with the code of a session: JMeterHub, JMeterSlice and what is below them. Rows a second are those for each
second of CPU time (user and system, all threads). The same rows are read with confluent-kafka where it is
installed.

Bytes are what the logs of a topic hold: for a million rows, and for the signed frames that the same samples
come to when five labels have 2,000 samples a second. The broker is the one of the tests (Java and Maven are
needed), or --kafka HOST:PORT.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.kafka_feed import cpu_seconds, running_broker, topic_size
from pytest_metersphere.dist.kafka.client.admin import Admin
from pytest_metersphere.dist.kafka.delivery import KafkaSink
from pytest_metersphere.dist.kafka.follower import Follower, ReaderName
from pytest_metersphere.dist.kafka.topics import ensure_topics, settings_for
from pytest_metersphere.dist.metersphere.hub import JMeterHub, JMeterTerms
from pytest_metersphere.dist.metersphere.jmeter import Identity, JMeterSlice
from pytest_metersphere.dist.metersphere.package import Package
from pytest_metersphere.dist.metersphere.rows import rows_by_report
from pytest_metersphere.dist.signing import KEY_SIZE
from pytest_metersphere.dist.wire import KafkaAccess

RUN = "00112233445566aa"
REPORT = "ms-0123456789abcdef01234567"
GATE = "ms-load gate 01234567"
IDENTITY = Identity(RUN, f"{RUN}-0", "n1", 0, f"ms-load-{RUN}-000000-000000100", REPORT, GATE)
PARTITIONS = 4
ROWS_A_BATCH = 9
LABELS = 5
LOAD = 10_000
"""Samples in each second of the load that rows tell of, when they are read."""
SLOW_LOAD = 2_000
"""The same where frames are compared with rows: what one JMeter does with that listener."""


def row(number: int, rng: random.Random, load: int) -> bytes:
    """Return the row of a sample, as the listener writes them."""
    second, place = divmod(number, load)
    took = max(1, round(rng.lognormvariate(3.0, 0.6)))
    start = f"2026-11-26T20:{second // 60:02d}:{second % 60:02d}.{place * 1000 // load:03d}+0800"
    failed = number % 100 == 99
    found: dict[str, object] = {
        "test.id": IDENTITY.container,
        "test.name": "ms-load",
        "test.reportId": REPORT,
        "TestElement.name": "Thread-17",
        "SampleLabel": GATE if number == 0 else f"GET /shop/page-{number % LABELS}",
        "ThreadName": f"Thread Group 1-{number % 100 + 1}",
        "URL": f"http://shop.test/shop/page-{number % LABELS}",
        "ContentType": "application/json",
        "DataType": "text",
        "ResponseCode": "500" if failed else "200",
        "InjectorHostname": "load-1",
        "ResponseTime": 0 if number == 0 else took,
        "Latency": took,
        "ConnectTime": 0 if number % 20 else 1,
        "IdleTime": 0,
        "Bytes": 1840,
        "SentBytes": 213,
        "BodySize": 1620,
        "AllThreads": 100,
        "GrpThreads": 100,
        "SampleCount": 1,
        "ErrorCount": int(failed),
        "Success": not failed,
        "FailureMessage": "",
        "AssertionResults": [],
        "Timestamp": start,
        "SampleStartTime": start,
        "SampleEndTime": start,
        "ElapsedTime": "2026-11-26T00:00:42.000+0800",
        "TestStartTime": 1795694400000,
    }
    if failed:
        found |= {
            "ResponseMessage": "Internal Server Error",
            "ResponseHeaders": "x" * 200,
            "ResponseBody": "y" * 600,
        }
    return json.dumps(found, separators=(",", ":")).encode()


def produce(access: KafkaAccess, topic: str, count: int, load: int) -> None:
    """Write rows to a topic, in batches as the listener's are."""
    from kafka import KafkaProducer

    rng = random.Random(1)
    size = len(row(1, rng, load)) + 20
    producer = KafkaProducer(
        bootstrap_servers=list(access.servers),
        acks=1,
        enable_idempotence=False,
        # a batch that is full is sent, and one row more would not fit
        batch_size=61 + ROWS_A_BATCH * size + size // 2,
        linger_ms=200,
    )
    for number in range(count):
        key = (int(time.time() * 1000) + number % ROWS_A_BATCH).to_bytes(8, "big")
        partition = number // ROWS_A_BATCH % PARTITIONS
        producer.send(topic, value=row(number, rng, load), key=key, partition=partition)
    producer.flush()
    producer.close()


def new_slice() -> tuple[JMeterHub, JMeterSlice]:
    """Return a slice whose load has begun, and its hub, which has nothing open."""
    hub = JMeterHub(JMeterTerms())
    jmeter = JMeterSlice(IDENTITY, hub, bytes(range(KEY_SIZE)), 0.0)
    jmeter.offer(Package(b"", (GATE,), ("buy",)))
    jmeter.passed()
    hub.know(jmeter)
    return hub, jmeter


def consume(address: str, topic: str, count: int, reader: ReaderName) -> dict[str, float]:
    """Read and count rows on one core; return CPU seconds, and memory before, half way and after (MiB)."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    hub, jmeter = new_slice()
    start = dict.fromkeys(range(PARTITIONS), 0)
    before = cpu_seconds()
    sizes = [memory()]
    follower = Follower(KafkaAccess(servers=(address,)), topic, hub.take_rows, start, reader=reader)
    after = 0
    while jmeter.counted.samples + jmeter.rejected < count:
        time.sleep(0.1)
        jmeter.cut()
        after = jmeter.frames(after, None).last_sequence
        if len(sizes) == 1 and jmeter.counted.samples > count // 2:
            sizes.append(memory())
    spent = cpu_seconds() - before
    follower.close()
    assert jmeter.rejected == 0, jmeter.rejected
    return {"cpu": spent, "before": sizes[0], "half": sizes[-1], "after": memory()}


def memory() -> float:
    """Return the resident memory of this process, MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def frames_of(count: int) -> list[bytes]:
    """Return the signed frames that as many samples come to."""
    _, jmeter = new_slice()
    rng = random.Random(1)
    found: list[bytes] = []
    for begin in range(0, count, SLOW_LOAD):
        rows, _ = rows_by_report(row(number, rng, SLOW_LOAD) for number in range(begin, begin + SLOW_LOAD))
        jmeter.went_at = time.monotonic() - begin / SLOW_LOAD
        jmeter.take_rows(rows[REPORT])
        jmeter.cut()
    jmeter.finish(stopped=False)
    after = 0
    while (batch := jmeter.frames(after, None)).frames:
        found += batch.frames
        after = batch.last_sequence
    return found


def frames_size(access: KafkaAccess, count: int) -> int:
    """Return the bytes that the frames of as many samples take on Kafka."""
    assert all(check.ok for check in ensure_topics(access))
    sink = KafkaSink(access)
    for frame in frames_of(count):
        sink.put(IDENTITY.slice, frame)
        # one a second, each in a batch of its own
        assert sink.flush(30.0), sink.trouble
    sink.close()
    return topic_size(access)


def in_a_process(address: str, topic: str, count: int, reader: str) -> dict[str, float]:
    """Return what `consume` measures in a process of its own."""
    steps = ["--consume", address, "--topic", topic, "--rows", str(count), "--reader", reader]
    done = subprocess.run([sys.executable, __file__, *steps], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def measure(address: str, arguments: argparse.Namespace) -> Iterator[str]:
    """Yield the lines of both tables."""
    count = arguments.rows
    access = KafkaAccess(servers=(address,), prefix=f"benchmark-{os.getpid()}")
    topic = f"{access.prefix}.rows"
    with contextlib.closing(Admin(access, 10.0)) as admin:
        admin.create(topic, PARTITIONS, 1, settings_for(0.0))
    produce(access, topic, count, LOAD)
    readers = ["kafka-python", *(["confluent-kafka"] if importlib.util.find_spec("confluent_kafka") else [])]
    yield "| rows read with | rows a second of one core | CPU us a row | memory before, half way, after |"
    yield "| --- | --- | --- | --- |"
    turns = [
        {name: in_a_process(address, topic, count, name) for name in readers} for _ in range(arguments.turns)
    ]
    for name in readers:
        cpu = statistics.median(turn[name]["cpu"] for turn in turns)
        sizes = "{:.0f}, {:.0f}, {:.0f}".format(
            *(max(turn[name][key] for turn in turns) for key in ("before", "half", "after"))
        )
        yield f"| {name} | {count / cpu:,.0f} | {cpu / count * 1e6:.1f} | {sizes} MiB |"
    rows_size = topic_size(KafkaAccess(servers=(address,), prefix=access.prefix), topic) / count * 1e6
    ours = frames_size(access, count) / count * 1e6
    yield ""
    yield "| a million samples take on Kafka | |"
    yield "| --- | --- |"
    yield f"| as rows of MeterSphere's listener | {rows_size / 1e6:,.0f} MB |"
    yield f"| as our frames | {ours / 1e6:.2f} MB, {rows_size / ours:,.0f} times less |"


def main() -> None:
    """Measure and print Markdown tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kafka", default="", help="a broker that runs, HOST:PORT")
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--consume", default="", help=argparse.SUPPRESS)
    parser.add_argument("--topic", default="", help=argparse.SUPPRESS)
    parser.add_argument("--reader", default="", choices=get_args(ReaderName), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.consume:
        print(json.dumps(consume(arguments.consume, arguments.topic, arguments.rows, arguments.reader)))
        return
    with running_broker(arguments.kafka) as address:
        for line in measure(address, arguments):
            print(line, flush=True)


if __name__ == "__main__":
    main()
