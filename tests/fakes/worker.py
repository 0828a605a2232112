"""A stand-in for the worker process: does what a script in the bundle says, and speaks the real protocol."""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import msgspec

from pytest_metersphere.engine.messages import Broken, Channel, Ended, Go, Job, Ready, Second, Stop
from pytest_metersphere.metrics.frame import Tally

COMMAND = (sys.executable, "-P", str(Path(__file__)))


class Script(msgspec.Struct, kw_only=True):
    """What the worker does, in this order.

    Attributes:
        stubborn: SIGTERM and Stop are ignored.
        prints: text for standard output.
        prints_environment: prints the names of its environment variables.
        spawns: starts a child that sleeps, and prints `child PID`.
        exits: ends with this code before it is ready.
        sends: sends these bytes instead of Ready.
        hangs_up: closes the socket, and lives on.
        broken: says Broken with this reason.
        waits_for: is ready only once this file exists.
        seconds: what it reports right after go.
        beats: then it reports an empty second whenever one is over, until it is told to stop.
        ends: it ends by itself after `seconds`; otherwise it waits for Stop, or for `until`.
        until: path of a file; once it exists, the worker ends by itself.
        aborted: the reason of its Ended.
        lingers: does not exit after Ended.
        scenario_ends: the ends of the scenarios in its Ended.
    """

    stubborn: bool = False
    prints: str = ""
    prints_environment: bool = False
    spawns: bool = False
    exits: int | None = None
    sends: bytes = b""
    hangs_up: bool = False
    broken: str = ""
    waits_for: str = ""
    seconds: list[Second] = []
    beats: bool = False
    ends: bool = True
    until: str = ""
    aborted: str = ""
    lingers: bool = False
    scenario_ends: list[float] = []


def _say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")


class _Worker:
    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._channel = Channel(sock)
        self._go = threading.Event()
        self._stop = threading.Event()
        self._go_at = 0.0
        job = self._channel.receive()
        assert isinstance(job, Job)
        self._job = job

    def run(self) -> None:
        number = self._job.worker
        own = Path(f"script-{number}")
        script = msgspec.msgpack.decode((own if own.exists() else Path("script")).read_bytes(), type=Script)
        if script.stubborn:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        threading.Thread(target=self._listen, args=(script,), daemon=True).start()
        _say(f"worker {number} of {self._job.node}: users {[part.users for part in self._job.parts]}")
        self._prepare(script)
        self._channel.send(Ready())
        self._go.wait()
        self._stop.wait(max(0.0, self._go_at - time.monotonic()))
        for second in script.seconds:
            self._channel.send(second)
        if not script.ends:
            self._work(script, len(script.seconds))
        at = max(0.0, time.monotonic() - self._go_at)
        self._channel.send(Ended(at=at, aborted=script.aborted, ends=script.scenario_ends))
        if script.lingers:
            threading.Event().wait()

    def _prepare(self, script: Script) -> None:
        if script.prints_environment:
            _say("environment", *sorted(os.environ))
        if script.spawns:
            _say("child", subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]).pid)
        _say(script.prints)
        if script.exits is not None:
            sys.exit(script.exits)
        if script.hangs_up:
            self._sock.shutdown(socket.SHUT_RDWR)
            threading.Event().wait()
        if script.sends:
            self._sock.sendall(script.sends)
            threading.Event().wait()
        if script.broken:
            self._channel.send(Broken(script.broken, "the text behind it"))
            threading.Event().wait()
        while script.waits_for and not Path(script.waits_for).exists():
            self._stop.wait(0.02)

    def _work(self, script: Script, second: int) -> None:
        while not self._stop.is_set() and not (script.until and Path(script.until).exists()):
            if script.beats and time.monotonic() >= self._go_at + second + 1:
                tallies = [Tally(users=len(part.users)) for part in self._job.parts]
                self._channel.send(Second(second, "measured", complete=True, tallies=tallies))
                second += 1
            self._stop.wait(0.02)

    def _listen(self, script: Script) -> None:
        while True:
            message = None if script.hangs_up else self._channel.receive()
            if message is None and not script.hangs_up:
                os.killpg(0, signal.SIGKILL)
            elif isinstance(message, Go):
                self._go_at = message.at
                self._go.set()
            elif isinstance(message, Stop) and not script.stubborn:
                self._stop.set()
            elif message is None:
                return


def main() -> None:
    """Run one job."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--fd", type=int, required=True)
    _Worker(socket.socket(fileno=parser.parse_args().fd)).run()


if __name__ == "__main__":
    main()
