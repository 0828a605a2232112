"""Plays a container of MeterSphere's JMeter image by a script, without Java.

It takes part in a life as the contract has it: download, ready, the plan's own gate, rows and log lines on
Kafka. `python actor.py SCRIPT` with a Script in JSON.
"""

from __future__ import annotations

import contextlib
import datetime
import io
import json
import os
import re
import sys
import time
import urllib.request
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from pytest_metersphere.dist.kafka.client.producer import Producer
from pytest_metersphere.dist.wire import KafkaAccess
from pytest_metersphere.engine.jmeter.document import read_xml

ENDED = "INFO o.a.j.e.StandardJMeterEngine: Notifying test listeners of end of test"
ZONE = datetime.timezone(datetime.timedelta(hours=8))


class Script(msgspec.Struct, kw_only=True):
    """What the container does; by default all is well.

    Attributes:
        samples: how many, one every 20 ms.
        failing: every so many-th fails, 0 for none.
        users: threads.
        took: response time of each, milliseconds.
        ahead: seconds that the node's clock is ahead.
        shuffled: the rows come before that of the gate, and backwards.
        late: seconds after the end line that the last half of the rows comes.
        sentence: what JMeter logs at its end, empty for nothing.
        completed: the listener says that it has no more.
        logs: JMeter's log comes at all.
        summary: the summary comes.
        beyond: samples that only the summary knows.
        garbage: values that are no rows.
        strange: rows of other tests.
        forged: rows of its own report id from the year 2100.
        says: a line of the log, before anything else.
        ends: where it ends before its time: `start`, `download`, `gate`, `load`; empty when it does not.
        hangs: seconds that it stays after its end.
    """

    samples: int = 50
    failing: int = 0
    users: int = 3
    took: int = 10
    ahead: float = 0.0
    shuffled: bool = False
    late: float = 0.0
    sentence: str = ENDED
    completed: bool = False
    logs: bool = True
    summary: bool = True
    beyond: int = 0
    garbage: int = 0
    strange: int = 0
    forged: int = 0
    says: str = ""
    ends: str = ""
    hangs: float = 0.0

    @property
    def argument(self) -> str:
        """Return it as a command line has it."""
        return msgspec.json.encode(self).decode()


def command(script: Script) -> Sequence[str]:
    """Return the command of a container with this script."""
    return (sys.executable, "-P", str(Path(__file__)), script.argument)


class Actor:
    """One life."""

    def __init__(self, script: Script, env: Mapping[str, str]) -> None:
        self._script = script
        self._env = env
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        self._producer: Producer | None = None
        self._parameters: dict[str, str] = {}
        self._gate = ("", "")

    def play(self) -> int:
        """Do all of it and return the exit code."""
        if self._script.ends == "start":
            return 1
        self._read(self._get(self._called("download")))
        if self._script.ends == "download":
            return 1
        while int(self._get(self._called("ready"))) > 0:
            time.sleep(0.1)
        access = KafkaAccess(servers=tuple(self._parameters["kafka.bootstrap.servers"].split(",")))
        self._producer = Producer(access, 10.0)
        try:
            self._run()
        finally:
            self._producer.close(10.0)
        time.sleep(self._script.hangs)
        return 0

    def _called(self, name: str) -> str:
        query = {
            "testId": "TEST_ID",
            "resourceId": "RESOURCE_ID",
            "ratio": "RATIO",
            "reportId": "REPORT_ID",
            "resourceIndex": "RESOURCE_INDEX",
        }
        pairs = "&".join(f"{key}={self._env[variable]}" for key, variable in query.items())
        return f"{self._env['METERSPHERE_URL']}/jmeter/{name}?{pairs}"

    def _get(self, url: str) -> bytes:
        with self._opener.open(url, timeout=60) as answer:
            return bytes(answer.read())

    def _read(self, content: bytes) -> None:
        """Take gate and listener from the plan, as JMeter does."""
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            plan = archive.read(f"{self._env['TEST_ID']}.jmx")
        root = read_xml(plan)
        for row in root.iter("elementProp"):
            name, value = (
                row.find("stringProp[@name='Argument.name']"),
                row.find("stringProp[@name='Argument.value']"),
            )
            if name is not None and value is not None:
                self._parameters[name.text or ""] = value.text or ""
        request = root.find(".//HTTPSamplerProxy")
        assert request is not None
        parts = {
            each.get("name", "").partition(".")[2]: each.text or "" for each in request.iter("stringProp")
        }
        label = request.get("testname", "")
        self._gate = (label, f"http://{parts['domain']}:{parts['port']}{parts['path']}")

    def _run(self) -> None:
        script = self._script
        if script.says:
            self._log(script.says)
        self._log("INFO o.a.j.JMeter: Version 5.4.1")
        if script.ends == "gate":
            return
        asked = time.time()
        assert self._get(self._gate[1]) == b"shut=false"
        gate = self._row(self._gate[0], asked, round((time.time() - asked) * 1000))
        held = self._load(gate)
        if script.ends == "load":
            self._log("INFO o.a.j.t.JMeterThread: Thread is running")
            return
        if script.sentence:
            self._log(script.sentence)
        self._sum_up()
        if script.late:
            time.sleep(script.late)
            self._send(held)
        if script.completed:
            self._send([{"test.reportId": self._parameters["test.reportId"], "Completed": True}])

    def _load(self, gate: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Send rows as their samples end, and return those that are held back."""
        script, half = self._script, self._script.samples // 2
        if not script.shuffled:
            self._send([gate])
            self._noise()
        held: list[dict[str, Any]] = []
        for number in range(half if script.ends == "load" else script.samples):
            row = self._sample(number)
            if script.shuffled or (script.late and number >= half):
                held.append(row)
            else:
                self._send([row])
        if script.shuffled:
            self._send([*held[::-1], gate])
        return held

    def _sample(self, number: int) -> dict[str, Any]:
        """Return a row once its sample has ended."""
        script = self._script
        begin = time.time()
        time.sleep(0.02)
        ok = not (script.failing and number % script.failing == 0)
        row = self._row("GET /cart", begin, script.took, ok=ok)
        if not ok:
            row |= {"ResponseCode": "500", "ResponseMessage": "Server Error", "ResponseBody": "x" * 2000}
        return row

    def _row(self, label: str, begin: float, took: int, *, ok: bool = True) -> dict[str, Any]:
        start = datetime.datetime.fromtimestamp(begin + self._script.ahead, ZONE)
        moment = f"{start:%Y-%m-%dT%H:%M:%S}.{start.microsecond // 1000:03d}+0800"
        own = {name: value for name, value in self._parameters.items() if name.startswith("test.")}
        return own | {
            "SampleLabel": label,
            "ThreadName": f"{label} 1-1" if label == self._gate[0] else "Buyers 1-1",
            "URL": "http://127.0.0.1/cart",
            "ContentType": "text/plain",
            "DataType": "text",
            "ResponseCode": "200",
            "ResponseTime": took,
            "ConnectTime": 0,
            "Bytes": 100,
            "SentBytes": 50,
            "AllThreads": self._script.users,
            "Success": ok,
            "FailureMessage": "",
            "AssertionResults": [],
            "SampleStartTime": moment,
            "TestElement.name": "unknown keys do no harm",
        }

    def _noise(self) -> None:
        """Send what others might."""
        script = self._script
        for number in range(script.garbage):
            self._put(
                self._parameters["kafka.topic"],
                (b"", b"\xff\x00", b"[1]", b'{"ResponseTime": "a"}')[number % 4],
            )
        row = self._row("GET /cart", time.time(), 1)
        self._send([row | {"test.reportId": number} for number in range(script.strange)])
        future = {"SampleStartTime": "2100-01-01T00:00:00.000+0800"}
        self._send([row | future for _ in range(script.forged)])

    def _sum_up(self) -> None:
        script = self._script
        if not script.summary:
            return
        samples = script.samples + 1 + script.beyond
        failed = len(range(0, script.samples, script.failing)) if script.failing else 0
        rate = f"{100 * failed / samples:.2f}"
        told = f"in 00:00:02 =   25.0/s Avg:    10 Min:    10 Max:    10 Err:     {failed} ({rate}%)"
        self._log(f"INFO o.a.j.r.Summariser: ms-summary +      1 {told}")
        self._log(f"INFO o.a.j.r.Summariser: ms-summary =      1 {told[:-20]}")
        self._log(f"INFO o.a.j.r.Summariser: ms-summary = {samples:6d} {told}")

    def _log(self, text: str) -> None:
        if self._script.logs:
            head = f"{self._env['REPORT_ID']} {self._env['RESOURCE_ID']} {self._env['RESOURCE_INDEX']}"
            self._put(self._env["LOG_TOPIC"], f"{head} 2026-11-26 20:15:00,123 {text}\n".encode())

    def _send(self, rows: Sequence[Mapping[str, Any]]) -> None:
        for row in rows:
            self._put(self._parameters["kafka.topic"], json.dumps(row).encode())

    def _put(self, topic: str, value: bytes) -> None:
        assert self._producer is not None
        self._producer.send(topic, os.urandom(8), value, lambda _error: None)


if __name__ == "__main__":
    assert re.fullmatch(r"ms-load-[0-9a-f]{16}-\d{6}-\d{9}", os.environ["TEST_ID"])
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(Actor(msgspec.json.decode(sys.argv[1], type=Script), os.environ).play())
