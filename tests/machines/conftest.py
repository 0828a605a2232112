"""A shop in a process of its own, three node-controllers, and whole sessions on them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec
import pytest

from pytest_metersphere.dist.client import NodeClient
from pytest_metersphere.dist.wire import NodeInfo
from pytest_metersphere.errors import NodeError
from pytest_metersphere.reports.document import Document, ScenarioResult
from tests.fakes.nodes import eventually
from tests.plugin.remote import TOKEN, remote_node

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 150.0
HOSTS = ("127.0.0.1", "127.0.0.2", "127.0.0.3")
CAPACITIES = (400, 400, 200)


class Shopping:
    """pytest on the examples, with reports and what the shop has counted in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.reports = folder / "reports"
        self._stats = folder / "stats.json"
        self._output = folder / "output"
        self._process: subprocess.Popen[bytes] | None = None

    def begin(self, *options: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        """Start a session on some of the examples."""
        plugins = ("-p", "no:asyncio", "-p", "no:cacheprovider", "-p", "tests.machines.patience")
        command = [sys.executable, "-m", "pytest", *plugins, *options]
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "CI"))}
        kept |= {"SHOP_STATS_FILE": str(self._stats), "PYTEST_MS_TOKEN": TOKEN} | dict(env or {})
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                [*command, f"--ms-report-dir={self.reports}"],
                cwd=ROOT,
                env=kept,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        return self._process

    def end(self) -> None:
        """Kill a session that a failed test has left."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def under_load(self) -> None:
        """Wait until a session that was begun has reported load."""
        eventually(
            lambda: " requests" in self.output or "ERROR" in self.output, "the first progress line", 60.0
        )
        assert "ERROR" not in self.output, self.output

    def run(self, *options: str, env: Mapping[str, str] | None = None) -> int:
        """Run a session to its end and return its exit code."""
        return self.begin(*options, env=env).wait(LIMIT)

    @property
    def output(self) -> str:
        """Return what it has printed so far."""
        return self._output.read_text(errors="replace")

    @property
    def served(self) -> int:
        """Return how many requests the shop has counted."""
        return int(json.loads(self._stats.read_text())["requests"])

    @property
    def document(self) -> Document:
        """Return results.json."""
        return msgspec.json.decode((self.reports / "results.json").read_bytes(), type=Document)

    @property
    def result(self) -> ScenarioResult:
        """Return the only scenario of results.json."""
        (result,) = self.document.scenarios
        return result


class Pool:
    """Node-controllers that run already, three of 127.0.0.1 to 127.0.0.3.

    Attributes:
        text: the pool, for --ms-pool.
        clients: one for each node; its name in the pool is its address.
    """

    def __init__(self, addresses: Sequence[str]) -> None:
        self.text = ",".join(addresses)
        self.clients = [NodeClient(address, f"http://{address}", TOKEN) for address in addresses]

    @property
    def live(self) -> int:
        """Return how many users are reserved on the nodes that answer."""
        infos = [info for info in map(_info, self.clients) if info is not None]
        return sum(info.capacity - info.free for info in infos)

    def close(self) -> None:
        """Close the clients."""
        for client in self.clients:
            client.close()


def _info(client: NodeClient) -> NodeInfo | None:
    try:
        return client.info()
    except NodeError:
        return None


@pytest.fixture
def go_shopping(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Shopping]]:
    """Return a function that gives the examples, not yet run, each time with a folder of their own."""
    with ExitStack() as stack:

        def go() -> Shopping:
            made = Shopping(tmp_path_factory.mktemp("shopping"))
            stack.callback(made.end)
            return made

        yield go


@pytest.fixture
def shopping(go_shopping: Callable[[], Shopping]) -> Shopping:
    """Return the examples, not yet run."""
    return go_shopping()


@pytest.fixture(scope="module")
def shared_pool() -> Iterator[Pool]:
    """Run a node-controller on each of three addresses, for 400, 400 and 200 users."""
    with _running() as pool:
        yield pool


@pytest.fixture
def own_pool() -> Iterator[Pool]:
    """Run the same for one test, which may kill them."""
    with _running() as pool:
        yield pool


@contextmanager
def _running() -> Iterator[Pool]:
    with ExitStack() as stack:
        pool = Pool(
            [
                stack.enter_context(remote_node(f"--capacity={capacity}", host=host))
                for host, capacity in zip(HOSTS, CAPACITIES, strict=True)
            ]
        )
        stack.callback(pool.close)
        yield pool
