"""A real worker process, spoken to as its supervisor does, on small bundles."""

from __future__ import annotations

import contextlib
import math
import os
import select
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec
import pytest

from pytest_metersphere.dist.node.launcher import worker_environment
from pytest_metersphere.engine.messages import (
    Broken,
    Collection,
    Ended,
    FromWorker,
    Go,
    Job,
    Part,
    Ready,
    Second,
    Stop,
    ToWorker,
    message_size,
    pack,
)
from pytest_metersphere.metrics.frame import Tally
from pytest_metersphere.scenario import travel
from pytest_metersphere.scenario.model import Scenario
from pytest_metersphere.scenario.profile import Profile, plain_stages
from tests.engine.server import PATIENCE, WebServer, wait_until

INI = ["python_files=test_*.py *_test.py", "python_classes=Test", "python_functions=test"]


class Worker:
    """A worker process and the supervisor's end of its socket.

    Attributes:
        heard: what it has said so far.
    """

    def __init__(self, root: Path) -> None:
        ours, its = socket.socketpair()
        its.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        command = [sys.executable, "-P", "-m", "pytest_metersphere.engine.worker", "--fd", str(its.fileno())]
        with its:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=root,
                env=worker_environment(),
                pass_fds=(its.fileno(),),
                start_new_session=True,
            )
        self.heard: list[FromWorker] = []
        self._sock = ours
        self._sock.settimeout(PATIENCE)
        self._decoder = msgspec.msgpack.Decoder(FromWorker)
        self._printed = bytearray()
        self._reader = threading.Thread(target=self._read_output)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._sock.close()

    def _read_output(self) -> None:
        assert self._process.stdout is not None
        while chunk := os.read(self._process.stdout.fileno(), 65536):
            self._printed += chunk

    @property
    def printed(self) -> str:
        """Return what it has printed so far."""
        return self._printed.decode(errors="replace")

    def send(self, message: ToWorker) -> None:
        """Tell it something."""
        self._sock.sendall(pack(message))

    def hang_up(self) -> None:
        """Close the socket, as a supervisor that dies does."""
        self._sock.close()

    def hear(self) -> FromWorker | None:
        """Wait for the next thing it says; None when it has closed its end."""
        head = self._read(4)
        if not head:
            return None
        message: FromWorker = self._decoder.decode(self._read(message_size(head)))
        self.heard.append(message)
        return message

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            chunk = self._sock.recv(size - len(data))
            if not chunk:
                return b""
            data += chunk
        return data

    def wait_ready(self) -> None:
        """Wait for Ready."""
        assert self.hear() == Ready(), (self.heard, self.printed)

    def go(self) -> None:
        """Wait for Ready and start the load."""
        self.wait_ready()
        self.send(Go(time.monotonic()))

    def end(self) -> int:
        """Listen until it hangs up, and return its exit code."""
        deadline = time.monotonic() + PATIENCE
        while self.hear() is not None:
            assert time.monotonic() < deadline, (self.heard[-3:], self.printed)
        return self._process.wait(PATIENCE)

    def wait_gone(self) -> int:
        """Wait until neither the process nor what holds its output is there; return its exit code."""
        self._reader.join(PATIENCE)
        assert not self._reader.is_alive(), "something still holds the output open"
        return self._process.wait(PATIENCE)

    @property
    def broken(self) -> Broken:
        """Return why it cannot run: the only thing it has said."""
        (message,) = self.heard
        assert isinstance(message, Broken), (message, self.printed)
        return message

    @property
    def ended(self) -> Ended:
        """Return its last word, which must be Ended."""
        assert self.heard, self.printed
        message = self.heard[-1]
        assert isinstance(message, Ended), (message, self.printed)
        return message

    @property
    def seconds(self) -> list[Second]:
        """Return the seconds it has reported."""
        return [message for message in self.heard if isinstance(message, Second)]

    def total(self, part: int = 0) -> Tally:
        """Return the sum of all seconds for one scenario."""
        total = Tally()
        for second in self.seconds:
            total.merge(second.tallies[part])
        return total

    @property
    def errors(self) -> list[tuple[str, str, int]]:
        """Return kind, message and count of the first scenario's failures."""
        return [(error.kind, error.message, error.count) for error in self.total().errors]


class Bundle:
    """An unpacked bundle.

    Attributes:
        root: its folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.write("called", "")

    def write(self, name: str, text: str) -> None:
        """Add a file."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))

    @property
    def called(self) -> list[str]:
        """Return the lines that the scenarios have written into the file `called`."""
        return (self.root / "called").read_text().splitlines()

    def start(
        self,
        *parts: Part,
        mode: str = "prepend",
        sys_path: tuple[str, ...] = (),
        ini: list[str] | None = None,
    ) -> Worker:
        """Start a worker on scenarios and give it its job."""
        worker = Worker(self.root)
        collection = Collection(root="", sys_path=list(sys_path), ini=ini or INI, import_mode=mode)
        job = Job(root=str(self.root), node="node-1", worker=0, collection=collection, parts=list(parts))
        worker.send(job)
        return worker

    def run(self, *parts: Part, **options: Any) -> Worker:
        """Run scenarios to their end, which must be a good one."""
        with self.start(*parts, **options) as worker:
            worker.go()
            assert worker.end() == 0, worker.printed
            assert worker.ended.aborted == ""
            return worker

    def refuse(self, *parts: Part, **options: Any) -> Broken:
        """Let a worker find out that it cannot run; return why."""
        with self.start(*parts, **options) as worker:
            assert worker.end() == 0, worker.printed
            return worker.broken


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    """Return an empty bundle."""
    return Bundle(tmp_path)


def a_part(
    nodeid: str,
    *,
    users: int = 1,
    iterations: int | None = 1,
    hold: float = math.inf,
    warmup: float = 0.0,
    grace: float = 30.0,
    think: float = 0.0,
    is_async: bool = True,
    values: Mapping[str, object] | None = None,
    local: tuple[str, ...] = (),
) -> Part:
    """Return a scenario with users from 1 on; by default one user that iterates once."""
    profile = Profile(
        stages=plain_stages(users, 0.0, hold), warmup=warmup, iterations=iterations, graceful_stop=grace
    )
    path, _, name = nodeid.partition("::")
    scenario = Scenario(
        nodeid=nodeid,
        name=name.rpartition("::")[2],
        path=path,
        line=1,
        profile=profile,
        think=(think, think),
        is_async=is_async,
    )
    return Part(
        scenario=scenario,
        users=list(range(1, users + 1)),
        values={name: travel.encode(value) for name, value in (values or {}).items()},
        local_params=list(local),
    )


COUNTING = """
import pathlib

def note(*words):
    with pathlib.Path("called").open("a") as file:
        file.write(" ".join(map(str, words)) + "\\n")
"""


@pytest.fixture
def counting(bundle: Bundle) -> Bundle:
    """Return a bundle with a module whose `note` writes a line into the file `called`."""
    bundle.write("counting.py", COUNTING)
    return bundle


@pytest.fixture
def server() -> Iterator[WebServer]:
    """Return a server that counts."""
    with WebServer() as server:
        yield server


@pytest.mark.parametrize("is_async", [True, False], ids=["async", "thread"])
def test_all_that_happens_is_reported(counting: Bundle, server: WebServer, *, is_async: bool) -> None:
    """Over all seconds the samples, iterations and exchanges are those that took place."""
    word, wait = ("async def", "await ") if is_async else ("def", "")
    counting.write(
        "test_shop.py",
        f"""
        from counting import note

        {word} test_cart(vu, base_url):
            {wait}vu.http.get(f"{{base_url}}/redirect/1")
            with vu.transaction("checkout"):
                {wait}vu.sleep(0.1)
            {wait}vu.http.get(f"{{base_url}}/status/500", expect=500)
            note(vu.id, vu.iteration, vu.node)
            assert vu.iteration % 2
        """,
    )
    part = a_part(
        "test_shop.py::test_cart", users=5, iterations=12, is_async=is_async, values={"base_url": server.url}
    )

    worker = counting.run(part, sys_path=(".",))

    total = worker.total()
    assert sorted(counting.called) == sorted(
        f"{user} {turn} node-1" for user in range(1, 6) for turn in range(12)
    )
    assert total.exchanges == len(server.seen) == 3 * 60
    assert (total.iterations, total.failed_iterations, total.interrupted) == (60, 30, 0)
    labels = {label: (tally.kind, tally.requests, tally.failures) for label, tally in total.labels.items()}
    assert labels == {
        "GET /redirect/{}": ("request", 60, 0),
        "GET /status/{}": ("request", 60, 0),
        "checkout": ("transaction", 60, 0),
    }
    assert total.users == 5
    assert worker.ended.at >= 1.2


def test_seconds_come_in_order(bundle: Bundle) -> None:
    """Every second from go to the end is reported once as complete, in order, with the worker's health."""
    bundle.write("test_shop.py", "async def test_cart(vu):\n    await vu.sleep(0.01)\n")

    worker = bundle.run(a_part("test_shop.py::test_cart", iterations=None, hold=2.2, warmup=1.5))

    complete = [second.second for second in worker.seconds if second.complete]
    assert complete == list(range(len(complete)))
    assert len(complete) >= 3
    assert [s.second for s in worker.seconds] == sorted(s.second for s in worker.seconds)
    assert {s.phase for s in worker.seconds} == {"warmup", "measured"}
    assert sum(s.health is not None for s in worker.seconds) == len(complete)
    assert 2.2 <= worker.ended.at < 2.2 + PATIENCE


def test_several_scenarios(counting: Bundle) -> None:
    """Each scenario of a job has its own users and its own tally, also with two sets of one test."""
    counting.write(
        "test_shop.py",
        """
        import pytest
        from counting import note

        async def test_cart(vu):
            note("cart", vu.id)

        @pytest.mark.parametrize("size", [1, 2])
        def test_order(vu, size):
            note("order", size, vu.id)
        """,
    )

    worker = counting.run(
        a_part("test_shop.py::test_cart", users=3),
        a_part("test_shop.py::test_order[1]", iterations=2, is_async=False, values={"size": 1}),
        a_part("test_shop.py::test_order[2]", users=2, is_async=False, values={"size": 2}),
        sys_path=(".",),
    )

    assert sorted(counting.called) == [
        *("cart 1", "cart 2", "cart 3"),
        *("order 1 1", "order 1 1", "order 2 1", "order 2 2"),
    ]
    assert [worker.total(part).iterations for part in range(3)] == [3, 2, 2]


def test_hooks_of_absent_plugins(counting: Bundle) -> None:
    """Hooks of plugins that only the controller has are no mistake, in whichever conftest they stand."""
    counting.write(
        "conftest.py",
        """
        def pytest_xdist_auto_num_workers(config):
            raise AssertionError

        def pytest_html_report_title(report):
            raise AssertionError
        """,
    )
    counting.write(
        "shop/conftest.py", "def pytest_xdist_setupnodes(config, specs):\n    raise AssertionError\n"
    )
    counting.write("shop/test_shop.py", "from counting import note\nasync def test_cart(vu):\n    note(1)\n")

    counting.run(a_part("shop/test_shop.py::test_cart"), sys_path=(".",))

    assert counting.called == ["1"]


def test_values_travel(counting: Bundle) -> None:
    """Parameters and values of ordinary fixtures are those of the controller, not made here."""
    counting.write(
        "test_shop.py",
        """
        import pytest
        from counting import note

        @pytest.fixture
        def token():
            raise AssertionError("made on the node")

        @pytest.mark.parametrize(("colour", "sizes"), [("red", (1, 2)), ("blue", ())], ids=["warm", "cold"])
        async def test_cart(vu, colour, sizes, token):
            note(colour, sizes, token)
        """,
    )
    values = {"colour": "red", "sizes": (1, 2), "token": {"id": 5}}

    counting.run(a_part("test_shop.py::test_cart[warm]", values=values), sys_path=(".",))

    assert counting.called == ["red (1, 2) {'id': 5}"]


LOCAL = """
import pytest
from counting import note

@pytest.mark.parametrize("price", [lambda: 5, lambda: 7], ids=["cheap", "dear"])
async def test_cart(vu, price):
    note(price())
"""


def test_local_parameters(counting: Bundle) -> None:
    """A parameter that cannot travel is taken from the worker's own item of the same id."""
    counting.write("test_shop.py", LOCAL)

    counting.run(a_part("test_shop.py::test_cart[dear]", local=("price",)), sys_path=(".",))

    assert counting.called == ["7"]


def test_local_parameter_without_its_item(counting: Bundle) -> None:
    """Without an item of the same id there is no such parameter: it says so."""
    counting.write("test_shop.py", LOCAL)

    broken = counting.refuse(a_part("test_shop.py::test_cart[free]", local=("price",)), sys_path=(".",))

    assert "parameter 'price' of test_shop.py::test_cart[" in broken.reason
    assert "same id" in broken.reason


@pytest.mark.parametrize("is_async", [True, False], ids=["async", "thread"])
def test_class(counting: Bundle, *, is_async: bool) -> None:
    """Each user has an instance of the test's class of its own, and keeps it."""
    word = "async def" if is_async else "def"
    counting.write(
        "test_shop.py",
        f"""
        from counting import note

        class TestShop:
            turns = 0

            {word} test_cart(self, vu):
                self.turns += 1
                note(vu.id, self.turns)
        """,
    )

    part = a_part("test_shop.py::TestShop::test_cart", users=2, iterations=3, is_async=is_async)
    counting.run(part, sys_path=(".",))

    assert sorted(counting.called) == ["1 1", "1 2", "1 3", "2 1", "2 2", "2 3"]


@pytest.mark.parametrize("mode", ["prepend", "append", "importlib"])
def test_package_with_relative_imports(counting: Bundle, mode: str) -> None:
    """A test inside a package imports its neighbours relatively, in every import mode."""
    counting.write("shop/__init__.py", "")
    counting.write("shop/model.py", "PRICE = 5\n")
    counting.write("shop/tests/__init__.py", "")
    counting.write(
        "shop/tests/test_model.py",
        """
        from counting import note
        from shop import model
        from ..model import PRICE

        async def test_price(vu):
            note(PRICE, model.PRICE, __name__)
        """,
    )

    counting.run(a_part("shop/tests/test_model.py::test_price"), mode=mode, sys_path=(".",))

    assert counting.called == ["5 5 shop.tests.test_model"]


@pytest.mark.parametrize("mode", ["prepend", "importlib"])
def test_folders_on_the_path(counting: Bundle, mode: str) -> None:
    """Folders that hold top-level modules are on the path, in the order in which they are named."""
    counting.write("src/shop/__init__.py", "PRICE = 5\n")
    counting.write("lib/shop.py", "PRICE = 6\n")
    counting.write("lib/extra.py", "PRICE = 7\n")
    counting.write(
        "tests/test_shop.py",
        """
        async def test_price(vu):
            import extra, shop
            from counting import note
            note(shop.PRICE, extra.PRICE)
        """,
    )

    counting.run(a_part("tests/test_shop.py::test_price"), mode=mode, sys_path=(".", "src", "lib"))

    assert counting.called == ["5 7"]


def test_assertions_are_rewritten(bundle: Bundle) -> None:
    """A failed assertion shows its values, in tests as in conftest.py."""
    bundle.write("conftest.py", "def check(order):\n    assert order == 'paid'\n")
    bundle.write(
        "test_shop.py",
        """
        import conftest

        async def test_direct(vu):
            status = "queued"
            assert status == "paid"

        async def test_in_conftest(vu):
            conftest.check("lost")
        """,
    )

    worker = bundle.run(a_part("test_shop.py::test_direct"), a_part("test_shop.py::test_in_conftest"))

    (error,) = worker.total(0).errors
    assert (error.kind, error.message) == ("assert", "assert 'queued' == 'paid'")
    assert "node node-1, user 1, iteration 0" in error.exemplars[0]
    assert 'File "test_shop.py", line 6' in error.exemplars[0]
    assert worker.total(1).errors[0].message == "assert 'lost' == 'paid'"


def test_overridden_load_fixtures(counting: Bundle) -> None:
    """A load-scoped fixture stands before one of its name in conftest.py, and may ask for it."""
    counting.write(
        "conftest.py",
        """
        import pytest_metersphere
        from counting import note

        @pytest_metersphere.fixture(scope="user")
        async def account(vu):
            note("conftest", vu.id)
            yield f"account {vu.id}"
            note("conftest closed")

        @pytest_metersphere.fixture(scope="worker")
        def catalogue():
            note("worker")
            yield "catalogue"
            note("worker closed")
        """,
    )
    counting.write(
        "test_shop.py",
        """
        import pytest_metersphere
        from counting import note

        @pytest_metersphere.fixture(scope="user")
        async def account(account, catalogue, region):
            note("module")
            yield f"{account} in {region} with {catalogue}"
            note("module closed")

        async def test_cart(vu, account):
            note(account)
        """,
    )
    part = a_part("test_shop.py::test_cart", iterations=2, values={"region": "north"})

    counting.run(part, sys_path=(".",))

    assert sorted(counting.called[:3]) == ["conftest 1", "module", "worker"]
    assert counting.called[3:] == [
        *["account 1 in north with catalogue"] * 2,
        *("module closed", "conftest closed", "worker closed"),
    ]


def test_fixture_in_a_class(counting: Bundle) -> None:
    """A load-scoped fixture that is a method runs on the user's own instance."""
    counting.write(
        "test_shop.py",
        """
        import pytest_metersphere
        from counting import note

        class TestShop:
            @pytest_metersphere.fixture(scope="user")
            async def account(self, vu):
                self.owner = vu.id
                return f"account {vu.id}"

            async def test_cart(self, account):
                note(account, self.owner)
        """,
    )

    counting.run(a_part("test_shop.py::TestShop::test_cart", users=2), sys_path=(".",))

    assert sorted(counting.called) == ["account 1 1", "account 2 2"]


def test_the_folder_is_the_root(bundle: Bundle) -> None:
    """Scenarios run in the folder that stands for the rootdir, wherever their file lies."""
    bundle.write(
        "deep/down/test_shop.py",
        """
        import os, pathlib

        async def test_cart(vu):
            pathlib.Path("called").write_text(os.getcwd())
        """,
    )

    bundle.run(a_part("deep/down/test_shop.py::test_cart"))

    assert bundle.called == [os.path.realpath(bundle.root)]


@pytest.mark.parametrize("sys_path", [(), (".",)], ids=["not on the path", "on the path"])
def test_the_standard_library_is_not_shadowed(bundle: Bundle, sys_path: tuple[str, ...]) -> None:
    """A bundled module with the name of one that the worker needs does not get into its way."""
    for name in ("queue", "socket", "asyncio", "pytest", "aiohttp", "pytest_metersphere"):
        bundle.write(f"{name}.py", "raise RuntimeError('not what was meant')\n")
    bundle.write("test_shop.py", "async def test_cart(vu):\n    await vu.sleep(0)\n")

    assert bundle.run(a_part("test_shop.py::test_cart"), sys_path=sys_path).total().iterations == 1


def test_the_surroundings_do_not_matter(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither pytest's variables of whoever starts the worker nor ini files of the bundle disturb it."""
    monkeypatch.setenv("PYTEST_ADDOPTS", "--collect-only --no-such-option")
    monkeypatch.setenv("PYTEST_PLUGINS", "no_such_plugin")
    monkeypatch.setenv("PYTEST_MS_TOKEN", "secret")
    bundle.write("pytest.ini", "[pytest]\naddopts = --no-such-option\nrequired_plugins = pytest-nowhere\n")
    bundle.write(
        "test_shop.py",
        """
        import os

        async def test_cart(vu):
            assert "PYTEST_MS_TOKEN" not in os.environ
        """,
    )

    assert bundle.run(a_part("test_shop.py::test_cart")).errors == []


def test_prints_go_to_the_log(bundle: Bundle) -> None:
    """What scenarios print is not captured and not lost when the worker ends."""
    bundle.write("test_shop.py", "def test_cart(vu):\n    print('over there', end='')\n")

    worker = bundle.run(a_part("test_shop.py::test_cart", is_async=False))

    assert "over there" in worker.printed


def test_file_that_cannot_be_imported(bundle: Bundle) -> None:
    """A collection error is told with its file and its reason, and with its whole text behind."""
    bundle.write("test_shop.py", "import no_such_module\n\nasync def test_cart(vu): ...\n")

    broken = bundle.refuse(a_part("test_shop.py::test_cart"))

    assert broken.reason.startswith("test_shop.py could not be collected here: ")
    assert "No module named 'no_such_module'" in broken.reason
    assert "\n" not in broken.reason
    assert "test_shop.py:1" in broken.detail


def test_conftest_that_cannot_be_imported(bundle: Bundle) -> None:
    """A conftest.py that fails is told with its reason."""
    bundle.write("conftest.py", "import no_such_module\n")
    bundle.write("test_shop.py", "async def test_cart(vu): ...\n")

    broken = bundle.refuse(a_part("test_shop.py::test_cart"))

    assert "conftest.py" in broken.reason
    assert "No module named 'no_such_module'" in broken.reason
    assert "\n" not in broken.reason


def test_hook_that_fails(bundle: Bundle) -> None:
    """A hook of the project's that raises is told with its reason."""
    bundle.write("conftest.py", "def pytest_collection_modifyitems():\n    raise KeyError('stock')\n")
    bundle.write("test_shop.py", "async def test_cart(vu): ...\n")

    broken = bundle.refuse(a_part("test_shop.py::test_cart"))

    assert "KeyError: 'stock'" in broken.reason
    assert "\n" not in broken.reason


@pytest.mark.parametrize(
    "nodeid",
    ["test_shop.py::test_order", "test_shop.py::TestShop::test_cart", "test_bank.py::test_cart"],
)
def test_missing_test(bundle: Bundle, nodeid: str) -> None:
    """A test that is not in the bundle is named."""
    bundle.write("test_shop.py", "async def test_cart(vu): ...\n")

    broken = bundle.refuse(a_part(nodeid))

    assert nodeid in broken.reason
    assert "\n" not in broken.reason


def test_deselected_test(bundle: Bundle) -> None:
    """A test that the bundle's own conftest.py deselects is named."""
    bundle.write("conftest.py", "def pytest_collection_modifyitems(items):\n    items.clear()\n")
    bundle.write("test_shop.py", "async def test_cart(vu): ...\n")

    assert "test_shop.py::test_cart" in bundle.refuse(a_part("test_shop.py::test_cart")).reason


def test_missing_value(bundle: Bundle) -> None:
    """A fixture whose value was not sent is named."""
    bundle.write(
        "test_shop.py",
        """
        import pytest

        @pytest.fixture
        def token():
            return "made on the node"

        async def test_cart(vu, token): ...
        """,
    )

    assert "'token'" in bundle.refuse(a_part("test_shop.py::test_cart")).reason


def test_stop_before_go(counting: Bundle) -> None:
    """A load that is stopped before it began does not begin, and the process ends."""
    counting.write("test_shop.py", "from counting import note\nasync def test_cart(vu):\n    note(1)\n")
    with counting.start(a_part("test_shop.py::test_cart"), sys_path=(".",)) as worker:
        worker.wait_ready()
        worker.send(Stop(0.0))

        assert worker.end() == 0
        assert worker.heard == [Ready()]
    assert counting.called == []


def test_stop_right_behind_go(bundle: Bundle) -> None:
    """A load that is stopped as soon as it was let go says that it has ended."""
    bundle.write("test_shop.py", "async def test_cart(vu):\n    await vu.sleep(0.01)\n")
    with bundle.start(a_part("test_shop.py::test_cart", iterations=None)) as worker:
        worker.wait_ready()
        worker._sock.sendall(pack(Go(time.monotonic())) + pack(Stop(0.0)))

        assert worker.end() == 0
        assert worker.ended.aborted == ""
        assert 0 <= worker.ended.at < PATIENCE


def test_stop_before_ready(bundle: Bundle) -> None:
    """A load that is stopped while it is prepared ends once it is prepared."""
    bundle.write("test_shop.py", "async def test_cart(vu): ...\n")
    with bundle.start(a_part("test_shop.py::test_cart")) as worker:
        worker.send(Stop(0.0))

        assert worker.end() == 0
        assert worker.heard == [Ready()]


@pytest.mark.parametrize("is_async", [True, False], ids=["async", "thread"])
def test_stop_during_the_load(counting: Bundle, *, is_async: bool) -> None:
    """A load that is stopped lets its iterations end and loses nothing."""
    word, wait = ("async def", "await ") if is_async else ("def", "")
    counting.write(
        "test_shop.py",
        f"""
        from counting import note

        {word} test_cart(vu):
            with vu.sample("step"):
                {wait}vu.sleep(0.05)
            note(vu.id)
        """,
    )
    part = a_part("test_shop.py::test_cart", users=4, iterations=None, is_async=is_async)
    with counting.start(part, sys_path=(".",)) as worker:
        worker.go()
        wait_until(lambda: len(set(counting.called)) == 4, "every user to iterate")
        worker.send(Stop(10.0))
        assert worker.end() == 0

        total = worker.total()
        assert worker.ended.aborted == ""
        assert total.iterations == total.labels["step"].requests == len(counting.called)
        assert total.errors == []


@pytest.mark.parametrize("is_async", [True, False], ids=["async", "thread"])
def test_stop_without_grace(bundle: Bundle, server: WebServer, *, is_async: bool) -> None:
    """Requests under way at a stop without grace are counted as interrupted, nothing as failed."""
    word, wait = ("async def", "await ") if is_async else ("def", "")
    bundle.write(
        "test_shop.py",
        f"""
        {word} test_cart(vu, base_url):
            {wait}vu.http.get(base_url + "/echo")
            {wait}vu.http.get(base_url + "/slow")
        """,
    )
    part = a_part("test_shop.py::test_cart", users=3, is_async=is_async, values={"base_url": server.url})
    with bundle.start(part) as worker:
        worker.go()
        wait_until(lambda: len(server.seen) == 6, "the slow requests")
        worker.send(Stop(0.0))
        assert worker.end() == 0

        total = worker.total()
        assert (total.exchanges, total.interrupted, total.iterations) == (3, 3, 0)
        assert total.exchanges + total.interrupted == len(server.seen)
        assert (total.requests, total.errors) == (3, [])


@pytest.mark.parametrize("is_async", [True, False], ids=["async", "thread"])
def test_exit_ends_the_load(counting: Bundle, *, is_async: bool) -> None:
    """pytest.exit ends the load of all users, and its reason is told."""
    word, wait = ("async def", "await ") if is_async else ("def", "")
    counting.write(
        "test_shop.py",
        f"""
        import pytest
        from counting import note

        {word} test_cart(vu):
            {wait}vu.sleep(0.01)
            note(vu.id)
            if vu.id == 2 and vu.iteration == 3:
                pytest.exit("the shop burns")
        """,
    )
    part = a_part("test_shop.py::test_cart", users=3, iterations=None, is_async=is_async)
    with counting.start(part, sys_path=(".",)) as worker:
        worker.go()
        assert worker.end() == 0

        assert worker.ended.aborted == "the shop burns"
        assert worker.total().failed_iterations == 0
    assert counting.called.count("2") == 4


def test_failures_of_every_kind(bundle: Bundle) -> None:
    """Whatever a scenario raises fails its iteration and nothing more; skipping is told with its reason."""
    bundle.write(
        "test_shop.py",
        r"""
        import sys
        import pytest

        async def test_cart(vu):
            match vu.iteration:
                case 0: raise KeyError("stock")
                case 1: pytest.fail("out of stock")
                case 2: pytest.skip("closed")
                case 3: sys.exit(3)
                case 4: raise ValueError("no text: \udce9")
                case 5: vu.sample("no text: \udce9").__enter__().__exit__(None, None, None)
        """,
    )

    worker = bundle.run(a_part("test_shop.py::test_cart", iterations=7))

    total = worker.total()
    assert (total.iterations, total.failed_iterations, total.skipped_iterations) == (7, 4, 1)
    assert sorted(worker.errors) == [
        ("exception", "KeyError: 'stock'", 1),
        ("exception", "SystemExit: {}", 1),
        ("exception", "ValueError: no text: \\udce9", 1),
        ("failed", "out of stock", 1),
        ("skipped", "closed", 1),
    ]
    assert list(total.labels) == ["no text: \\udce9"]


def _hang_up_under_load(worker: Worker, bundle: Bundle) -> None:
    worker.go()
    wait_until(lambda: len(bundle.called) == 1, "the load")
    worker.hang_up()


def _hang_up_before_go(worker: Worker, _bundle: Bundle) -> None:
    worker.wait_ready()
    worker.hang_up()


@pytest.mark.parametrize(
    "hang_up", [_hang_up_under_load, _hang_up_before_go], ids=["under load", "before go"]
)
def test_supervisor_that_is_gone(bundle: Bundle, hang_up: Callable[[Worker, Bundle], None]) -> None:
    """No load runs on its own: without its supervisor the process dies, with what it has started."""
    bundle.write(
        "test_shop.py",
        """
        import pathlib, subprocess, sys

        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])

        def test_cart(vu):
            pathlib.Path("called").write_text("called")
            while True:
                vu.sleep(600)
        """,
    )
    with bundle.start(a_part("test_shop.py::test_cart", is_async=False)) as worker:
        hang_up(worker, bundle)

        assert worker.wait_gone() == -signal.SIGKILL


def test_supervisor_that_dies_before_the_job(tmp_path: Path) -> None:
    """A worker that never gets its job ends."""
    with Worker(tmp_path) as worker:
        worker.hang_up()

        assert worker.wait_gone() == 2


def test_the_load_does_not_wait_for_its_supervisor(counting: Bundle) -> None:
    """A supervisor that does not read does not hold up the load; later it gets everything."""
    counting.write(
        "test_shop.py",
        """
        from counting import note

        async def test_cart(vu):
            for number in range(400):
                with vu.sample(f"step {'x' * 150} {number}"):
                    pass
            await vu.sleep(0.25)
            note(vu.iteration)
        """,
    )
    with counting.start(a_part("test_shop.py::test_cart", iterations=6), sys_path=(".",)) as worker:
        worker.go()
        wait_until(lambda: len(counting.called) == 6, "the load to end without a listener")
        assert select.select([worker._sock], [], [], PATIENCE)[0]

        assert worker.end() == 0
        assert worker.total().requests == 6 * 400
        assert worker.total().iterations == 6


@pytest.mark.parametrize(
    ("is_async", "stuck"),
    [
        (True, "await swallow()"),
        (True, "await asyncio.to_thread(time.sleep, 600)"),
        (False, "time.sleep(600)"),
    ],
    ids=["swallowing", "blocked executor", "blocked thread"],
)
def test_users_that_nothing_interrupts_do_not_hold_up_the_end(
    bundle: Bundle, stuck: str, *, is_async: bool
) -> None:
    """They are left behind, the others are told of, and the process ends."""
    bundle.write("conftest.py", "from pytest_metersphere.engine import runner\nrunner._STUCK_AFTER = 0.2\n")
    bundle.write(
        "test_shop.py",
        f"""
        import asyncio
        import time

        async def swallow():
            while True:
                try:
                    await asyncio.sleep(600)
                except asyncio.CancelledError:
                    pass

        {"async def" if is_async else "def"} test_cart(vu):
            if vu.id == 1:
                {stuck}
        """,
    )
    part = a_part("test_shop.py::test_cart", users=2, iterations=1, hold=0.1, grace=0.1, is_async=is_async)
    with bundle.start(part) as worker:
        worker.go()
        assert worker.end() == 0, worker.printed

        assert worker.ended.aborted == ""
        assert worker.total().iterations == 1
