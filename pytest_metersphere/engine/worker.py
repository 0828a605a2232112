"""The worker process: `python -m pytest_metersphere.engine.worker --fd N`.

It runs a pytest session of its own on the unpacked bundle, so that conftest files, parametrization,
import modes and assertion rewriting work as on the controller; the load takes the place of pytest's
run loop. N is the worker's end of a socket pair (see engine.messages).
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import os
import queue
import signal
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_metersphere.engine.health import raise_descriptor_limit
from pytest_metersphere.engine.messages import Broken, Channel, FromWorker, Go, Job, Stop
from pytest_metersphere.engine.worker_session import WorkerSession

if TYPE_CHECKING:
    from pytest_metersphere.engine.jmeter.session import JMeterSession

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Run one job and end; the exit code is 0 unless the process broke down."""
    parser = argparse.ArgumentParser(prog="pytest_metersphere.engine.worker")
    parser.add_argument("--fd", type=int, required=True)
    channel = Channel(socket.socket(fileno=parser.parse_args().fd))
    die_with_parent()
    raise_descriptor_limit()
    job = channel.receive()
    if not isinstance(job, Job):
        os._exit(2)
    outbox = _Outbox(channel)
    session = _session_for(job, outbox.put)
    threading.Thread(target=_listen, args=(channel, session), daemon=True).start()
    code = 0
    try:
        if isinstance(session, WorkerSession):
            _run(job, session, outbox.put)
        else:
            session.run()
    except BaseException as error:  # noqa: BLE001 - the process ends here, whatever it was
        code = 1
        sys.excepthook(type(error), error, error.__traceback__)
    outbox.flush()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _session_for(job: Job, send: Callable[[FromWorker], None]) -> WorkerSession | JMeterSession:
    """Return who runs a job: JMeter for a test plan, else a pytest session of its own."""
    if not any(part.scenario.jmx for part in job.parts):
        return WorkerSession(job, send, new_event_loop)
    # what reads test plans is imported only where there is one: most workers have none
    from pytest_metersphere.engine.jmeter.session import JMeterSession

    return JMeterSession(job, send)


def die_with_parent() -> None:
    """Ask Linux to kill this process when its parent dies; elsewhere the closed socket must do."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Return the fastest event loop that there is: uvloop's, where that can be had."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def _run(job: Job, session: WorkerSession, send: Callable[[FromWorker], None]) -> None:
    os.chdir(job.root)
    sys.path[:0] = [os.path.normpath(Path(job.root, folder)) for folder in job.collection.sys_path]
    code = pytest.main(pytest_arguments(job), plugins=[session])
    if not session.finished:
        reason, detail = session.collection_error or (f"pytest ended with exit code {code}", "")
        send(Broken(reason, detail))


def pytest_arguments(job: Job) -> list[str]:
    """Return the command line of the worker's pytest session."""
    collection = job.collection
    arguments = [part.scenario.base_nodeid for part in job.parts]
    arguments += ["-c", os.devnull, "--rootdir", job.root, "--confcutdir", job.root]
    arguments += ["-s", "-q", "--no-header", "-p", "no:cacheprovider", "-p", "no:junitxml"]
    arguments += ["--disable-plugin-autoload", "-p", "pytest_metersphere.plugin"]
    arguments += [f"--import-mode={collection.import_mode}"]
    for line in collection.ini:
        arguments += ["-o", line]
    return list(dict.fromkeys(arguments[: len(job.parts)])) + arguments[len(job.parts) :]


def _listen(channel: Channel, session: WorkerSession | JMeterSession) -> None:
    """Hand the supervisor's words to the session; when the supervisor is gone, so is this process."""
    while True:
        try:
            message = channel.receive()
        except OSError:
            message = None
        if message is None:
            _end_group()
        elif isinstance(message, Go):
            session.go(message.at)
        elif isinstance(message, Stop):
            session.stop(message.grace)


def _end_group() -> None:
    """Kill this process and what the scenario has started."""
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpgrp(), signal.SIGKILL)
    os._exit(1)


class _Outbox:
    """Sends messages from a thread of its own, so that the load never waits for the supervisor."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._queue: queue.SimpleQueue[FromWorker | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._pump, daemon=True)
        self._thread.start()

    def put(self, message: FromWorker) -> None:
        self._queue.put(message)

    def flush(self) -> None:
        self._queue.put(None)
        self._thread.join()

    def _pump(self) -> None:
        while (message := self._queue.get()) is not None:
            self._channel.send(message)


if __name__ == "__main__":
    main()
