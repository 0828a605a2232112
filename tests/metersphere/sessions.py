"""What sessions on stock nodes share: the settings, the scenario, and what a result must add up to."""

from __future__ import annotations

import contextlib
import dataclasses
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.fakes.nodes import eventually
from tests.metersphere.stand_in import StandIn
from tests.plugin.projects import Done, Project, environment
from tests.plugin.servers import SERVER

TOLD_WITHIN = 15.0
"""Seconds within which the loss of a container is reported."""
IMAGE = "pytest-metersphere-runner:test"
SCENARIO = """
import pytest

@pytest.mark.load_scenario(users=10, hold="4s", think="100ms")
@pytest.mark.threshold("p95 < 5s")
async def test_cart(vu, base_url):
    reply = await vu.http.get(f"{base_url}/cart", label="cart")
    assert reply.json()["status"] == "queued"
"""


@dataclasses.dataclass(frozen=True)
class Machines:
    """Stock nodes, and the Kafka over which their containers are spoken to.

    Attributes:
        stand_ins: their node-controllers.
        kafka: bootstrap server.
        prefix: of the topics.
        image: what containers run.
    """

    stand_ins: Sequence[StandIn]
    kafka: str
    prefix: str
    image: str = IMAGE

    @property
    def env(self) -> dict[str, str]:
        """Return the variables by which a session can use them."""
        return {
            "PYTEST_MS_KAFKA": self.kafka,
            "PYTEST_MS_KAFKA_PREFIX": self.prefix,
            "PYTEST_MS_RUNNER_IMAGE": self.image,
        }

    def pool(self, *capacities: int) -> str:
        """Return the nodes s1, s2 and so on as a pool's text."""
        pairs = enumerate(zip(self.stand_ins, capacities, strict=False), 1)
        return ",".join(f"s{number}@{one.address}={capacity}" for number, (one, capacity) in pairs)


def assert_whole(done: Done, rejected: int = 0) -> None:
    """Assert that a session passed, and that what it counted is what its server has served."""
    assert done.code == 0, done.text
    result = done.scenario("test_cart")
    assert result.verdict == "passed", done.text
    assert result.validity.valid
    ledger = result.ledger
    assert ledger.sent == ledger.received > 0
    assert (ledger.lost, ledger.duplicates, ledger.rejected) == (0, 0, rejected)
    assert ledger.exchanges == int((done.folder / "served").read_text())


def shop(folder: Path) -> Project:
    """Return a project with a server and a scenario."""
    made = Project(folder)
    made.write("conftest.py", SERVER)
    made.write("test_shop.py", SCENARIO)
    return made


class Begun:
    """A session that is running."""

    def __init__(self, project: Project, *options: str, env: Mapping[str, str]) -> None:
        self._folder = project.folder
        self._output = project.folder / "output"
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                project.command(*options),
                cwd=project.folder,
                env=environment() | dict(env),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def output(self) -> str:
        """Return what it has printed so far."""
        return self._output.read_text(errors="replace")

    def under_load(self) -> None:
        """Wait until it has reported load."""
        eventually(
            lambda: " requests" in self.output or self._process.poll() is not None, "the first progress", 90.0
        )
        assert self._process.poll() is None, self.output

    def tells_of_loss(self, *, goes_on: bool) -> None:
        """Wait until it has told, within 15 s, that something was lost; and ended, unless it goes on."""
        deadline = time.monotonic() + TOLD_WITHIN
        told = "the load goes on" if goes_on else "the load is stopped"
        eventually(lambda: told in self.output, "what has happened", TOLD_WITHIN)
        if not goes_on:
            over = deadline - time.monotonic()
            eventually(lambda: self._process.poll() is not None, "the report", over)

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def end(self) -> Done:
        """Wait for its end and return what came of it."""
        code = self._process.wait(120.0)
        return Done(self._folder, code, self.output, "")

    def close(self) -> None:
        """Kill it, if a failed test has left it."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


@contextlib.contextmanager
def begin(project: Project, *options: str, env: Mapping[str, str]) -> Iterator[Begun]:
    """Start a session; it does not outlive the block."""
    session = Begun(project, *options, env=env)
    try:
        yield session
    finally:
        session.close()


def assert_lost(done: Done, node: str) -> None:
    """Assert that a run is invalid because a node's container is gone, and for no other reason."""
    result = done.scenario("test_cart")
    assert done.code == 1, done.text
    assert result.verdict == "invalid"
    (reason,) = result.validity.reasons
    assert reason.startswith(f"node {node}: its container ms-load-{result.run_id}-"), reason
    assert "lost after second" in reason
    assert [one.name for one in result.nodes if one.status == "lost"] == [node]
