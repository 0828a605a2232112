"""A headless Chromium, driven through its debugging pipe.

`--dump-dom` needs JavaScript itself, so a page without it can only be read by the DevTools protocol
(https://chromedevtools.github.io/devtools-protocol/): JSON messages, each ended by a zero byte, that
Chromium reads from descriptor 3 and writes to descriptor 4.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_DEADLINE = 30.0
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--hide-scrollbars",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--remote-debugging-pipe",
)
_WITH_PIPES = """
import fcntl, os, sys
reader, writer = (fcntl.fcntl(int(fd), fcntl.F_DUPFD, 10) for fd in sys.argv[1:3])
os.dup2(reader, 3)
os.dup2(writer, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


@dataclass(frozen=True)
class Opened:
    """What the browser made of a page.

    Attributes:
        html: the document after its scripts ran.
        complaints: what the browser logged: refusals by the policy, errors of scripts.
        width: how wide the content is, in CSS pixels.
    """

    html: str
    complaints: list[str]
    width: float


class Chromium:
    """A running browser; see `chromium`."""

    def __init__(self, reader: int, writer: int) -> None:
        """Speak through a pair of descriptors."""
        self._reader, self._writer = reader, writer
        self._buffer = b""
        self._last = 0
        self._events: list[dict[str, Any]] = []

    def open(self, path: Path, *, scripts: bool = True, width: int = 1200, then: str = "") -> Opened:
        """Open a file in a window of a width, with JavaScript or without, run `then`, and read it back."""
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        tab = self._ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Log", "Runtime"):
            self._ask(f"{domain}.enable", tab)
        self._ask("Emulation.setScriptExecutionDisabled", tab, value=not scripts)
        self._ask(
            "Emulation.setDeviceMetricsOverride",
            tab,
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=False,
        )
        self._events.clear()
        self._ask("Page.navigate", tab, url=path.as_uri())
        self._await_event("Page.loadEventFired")
        if then:
            self._ask("Runtime.evaluate", tab, expression=then)
        root = self._ask("DOM.getDocument", tab, depth=0)["root"]["nodeId"]
        html = self._ask("DOM.getOuterHTML", tab, nodeId=root)["outerHTML"]
        size = self._ask("Page.getLayoutMetrics", tab)["cssContentSize"]
        self._ask("Target.closeTarget", targetId=target)
        return Opened(html, self._complaints(), size["width"])

    def _complaints(self) -> list[str]:
        told = {"Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled"}
        return [json.dumps(event["params"]) for event in self._events if event["method"] in told]

    def _ask(self, method: str, session: str | None = None, **params: object) -> dict[str, Any]:
        self._last += 1
        message: dict[str, object] = {"id": self._last, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        os.write(self._writer, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + _DEADLINE
        while True:
            answer = self._read(deadline)
            if answer.get("id") == self._last:
                assert "error" not in answer, f"{method}: {answer['error']}"
                result: dict[str, Any] = answer["result"]
                return result

    def _await_event(self, method: str) -> None:
        deadline = time.monotonic() + _DEADLINE
        while not any(event["method"] == method for event in self._events):
            self._read(deadline)

    def _read(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._reader], [], [], max(0, deadline - time.monotonic()))
            assert ready, "Chromium does not answer"
            chunk = os.read(self._reader, 1 << 16)
            assert chunk, "Chromium is gone"
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        if "method" in message:
            self._events.append(message)
        return message


@contextmanager
def chromium(binary: str, profile: Path) -> Iterator[Chromium]:
    """Start a browser with an empty profile; it is gone at the end."""
    (its_reader, writer), (reader, its_writer) = os.pipe(), os.pipe()
    try:
        process = subprocess.Popen(
            [
                *(sys.executable, "-c", _WITH_PIPES, str(its_reader), str(its_writer)),
                *(binary, *_FLAGS, f"--user-data-dir={profile}"),
            ],
            pass_fds=(its_reader, its_writer),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    finally:
        os.close(its_reader)
        os.close(its_writer)
    try:
        yield Chromium(reader, writer)
    finally:
        os.close(writer)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(reader)
