"""What befalls a JMeter under load, and how it is reported; real ones on local nodes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.jmeter.conftest import JmxProject
from tests.jmeter.plans import http, pause, plan, threads
from tests.jmeter.target import Target
from tests.plugin.projects import Done, environment

pytestmark = [pytest.mark.timeout(180), pytest.mark.needs_jmeter]
TEST = """
    import pytest

    @pytest.mark.load_scenario(
        jmx="plans/shop.jmx", users=4, hold="{hold}", graceful_stop="{grace}", properties={{"port": {port}}}
    )
    def test_shop():
        raise RuntimeError("the body ran")
"""
SHOP = plan(threads(pause(50), http("/cart")))


class Session:
    """A pytest session on a project, while it runs."""

    def __init__(self, project: JmxProject, pool: str) -> None:
        self.folder = project.folder
        self._process = subprocess.Popen(
            project.command(f"--ms-pool={pool}"),
            cwd=project.folder,
            env=environment() | project.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """Return its process id."""
        return self._process.pid

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self._process.send_signal(signal.SIGINT)

    def end(self) -> Done:
        """Wait for its end and return what came of it."""
        out, err = self._process.communicate(timeout=120)
        return Done(self.folder, self._process.returncode, out, err)

    def kill(self) -> None:
        """End it, should it still be there."""
        self._process.kill()
        self._process.communicate()


def jmeters(above: int) -> list[int]:
    """Return the JMeters among a process's descendants, in the order of their start."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(stat.parent.name)] = int(fields[1])

    def descends(pid: int) -> bool:
        while pid in parents and pid != above:
            pid = parents[pid]
        return pid == above

    return sorted(pid for pid in parents if descends(pid) and _is_jmeter(pid))


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def _is_jmeter(pid: int) -> bool:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return words[0].endswith(b"java") and b"-jar" in words


def eventually(met: Callable[[], bool], limit: float = 60.0) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + limit
    while not met():
        assert time.monotonic() < deadline, "it did not come to that in time"
        time.sleep(0.05)


@pytest.fixture
def session(jmx_project: JmxProject, target: Target) -> Iterator[Callable[[str, str, str], Session]]:
    """Return a function that starts a session: pool, hold and grace; it is under load when it returns."""
    started: list[Session] = []

    def start(pool: str, hold: str, grace: str) -> Session:
        jmx_project.write("test_shop.py", TEST.format(port=target.port, hold=hold, grace=grace))
        started.append(Session(jmx_project, pool))
        eventually(lambda: target.count > 20)
        return started[-1]

    yield start
    for each in started:
        each.kill()


def test_killed(jmx_project: JmxProject, target: Target, session: Callable[[str, str, str], Session]) -> None:
    """A JMeter that is killed is a lost worker: the run is invalid, says why, and the others are stopped."""
    jmx_project.plan(SHOP)
    running = session("local=2+2", "1h", "5s")
    first, second = jmeters(running.pid)
    command = Path(f"/proc/{first}/cmdline").read_bytes()

    os.kill(first, signal.SIGKILL)
    done = running.end()

    assert done.counts == {"error": 1}, done.text
    result = done.scenario("test_shop")
    assert result.verdict == "invalid"
    assert "JMeter ended before its time (killed by SIGKILL)" in " ".join(result.findings)
    assert {node.status for node in result.nodes} == {"lost a worker", "stopped"}
    assert not Path(f"/proc/{second}").exists()
    assert str(target.port).encode() not in command, "properties stand in the list of processes"


def test_node_controller_killed(
    jmx_project: JmxProject, target: Target, session: Callable[[str, str, str], Session]
) -> None:
    """When a node-controller is killed, its JMeter does not live on, and the run is invalid."""
    jmx_project.plan(SHOP)
    running = session("local=4", "1h", "5s")
    (jmeter,) = jmeters(running.pid)
    worker = _parent(jmeter)

    os.kill(_parent(worker), signal.SIGKILL)
    eventually(lambda: not Path(f"/proc/{jmeter}").exists())
    done = running.end()

    assert done.scenario("test_shop").verdict == "invalid"


def test_interrupted(
    jmx_project: JmxProject, target: Target, session: Callable[[str, str, str], Session]
) -> None:
    """Ctrl-C ends every JMeter, and what was measured is reported as aborted, with nothing lost."""
    jmx_project.plan(SHOP)
    running = session("local=2+2", "1h", "5s")
    both = jmeters(running.pid)

    running.interrupt()
    done = running.end()

    result = done.scenario("test_shop")
    assert result.verdict == "aborted"
    ledger = result.ledger
    assert (ledger.lost, ledger.exchanges) == (0, ledger.counted + ledger.interrupted)
    # a request may reach the server and be cut off before JMeter has made a sample of it, or the reverse
    assert abs(ledger.exchanges - target.count) <= 4
    assert not any(Path(f"/proc/{pid}").exists() for pid in both)


def test_hanging_server(jmx_project: JmxProject, session: Callable[[str, str, str], Session]) -> None:
    """Samples that do not end are cut off when graceful_stop is over, and counted as interrupted."""
    jmx_project.plan(plan(threads(pause(50), http("/cart")), threads(http("/slow?wait=100"), name="Patient")))

    done = session("local=10", "2s", "1s").end()

    result = done.scenario("test_shop")
    assert result.ledger.interrupted == 2
    assert result.totals.failures == 0
    assert done.counts == {"failed": 1}, done.text
    assert "the body ran" in done.text


def test_zero_samples(jmx_project: JmxProject) -> None:
    """A JMeter that ran nothing and exits with 0 is an error, not a pass."""
    jmx_project.plan(plan(threads(pause(1))))
    jmx_project.write("test_shop.py", TEST.format(port=1, hold="1s", grace="1s"))

    done = jmx_project.load("--ms-pool=local=10")

    assert done.counts == {"error": 1}, done.text
    assert "without a single sample" in " ".join(done.scenario("test_shop").findings)


def test_threads_die(jmx_project: JmxProject, target: Target) -> None:
    """Threads that die of an error fail the load, though JMeter exits with 0 and its summary is right."""
    dying = "${__groovy(if (vars.getIteration() > 2) throw new NoClassDefFoundError('a/B'),)}"
    jmx_project.plan(plan(threads(pause(50), http(f"/cart?id={dying}"))))
    jmx_project.write("test_shop.py", TEST.format(port=target.port, hold="1h", grace="1s"))

    done = jmx_project.load("--ms-pool=local=10")

    assert done.counts == {"error": 1}, done.text
    result = done.scenario("test_shop")
    assert result.verdict == "invalid"
    assert "a thread of JMeter's died: Uncaught Exception java.lang.NoClassDefFoundError: a/B" in " ".join(
        result.findings
    )


def test_plan_that_stops_itself(jmx_project: JmxProject, target: Target) -> None:
    """A plan that ends its test on an error ends the run on every node, as aborted, with JMeter's words."""
    group = threads(pause(50), http("/gone?status=500")).replace(">continue<", ">stoptest<")
    jmx_project.plan(plan(group))
    jmx_project.write("test_shop.py", TEST.format(port=target.port, hold="1h", grace="5s"))

    done = jmx_project.load("--ms-pool=local=2+2")

    result = done.scenario("test_shop")
    assert result.verdict == "aborted"
    assert "Test detected by thread: Buyers 1-" in result.findings[0]


def test_node_without_jmeter(jmx_project: JmxProject, tmp_path: Path) -> None:
    """A node without JMeter is named before anything is started, with what to do."""
    jmx_project.plan(SHOP)
    jmx_project.write("test_shop.py", TEST.format(port=1, hold="1s", grace="1s"))

    done = jmx_project.run("--ms-pool=local=10", env={"PYTEST_MS_JMETER_HOME": str(tmp_path)})

    assert done.code == pytest.ExitCode.USAGE_ERROR
    assert "the load is a JMeter test plan, and on the node PYTEST_MS_JMETER_HOME names" in done.text
    assert f"PYTEST_MS_JMETER_HOME names {str(tmp_path)!r}" in done.text


def test_plugin_is_missing(jmx_project: JmxProject) -> None:
    """A plan that JMeter itself cannot load ends with JMeter's own words."""
    jmx_project.plan(plan(threads(http("/cart").replace("HTTPSamplerProxy", "org.example.NoSampler"))))
    jmx_project.write("test_shop.py", TEST.format(port=1, hold="1s", grace="1s"))

    done = jmx_project.load("--ms-pool=local=10")

    assert done.counts == {"error": 1}, done.text
    assert "JMeter did not start" in done.text
    assert "org.example.NoSampler" in json.dumps(done.text)
