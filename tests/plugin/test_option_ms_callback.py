"""--ms-callback: where the JMeter containers of stock nodes call pytest."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.fakes.nodes import free_port
from tests.metersphere.actor import Script, command
from tests.metersphere.engines import ProcessEngine
from tests.metersphere.jmx import IMAGE, JMeterMachines, log_sender, new_prefix, new_topics, write_plan
from tests.metersphere.stand_in import StandIn
from tests.plugin.projects import Done, Project

pytestmark = [pytest.mark.needs_kafka, pytest.mark.timeout(120)]
TEST = """
    import pytest

    @pytest.mark.load_scenario(jmx="plans/shop.jmx", users=3, hold="1s")
    def test_shop(load_result):
        assert load_result.requests == 5
"""


@pytest.fixture
def machines(kafka: str) -> Iterator[JMeterMachines]:
    """Return one stock node whose containers are played."""
    with ExitStack() as stack:
        engine = ProcessEngine({IMAGE: command(Script(samples=5))})
        stack.callback(engine.close)
        log = stack.enter_context(log_sender(kafka))
        stand_in = stack.enter_context(StandIn(engine, log))
        yield JMeterMachines([stand_in], kafka, new_prefix(kafka), "", IMAGE, new_topics())


def run(folder: Path, machines: JMeterMachines, *options: str, ini: str = "", **env: str) -> tuple[Done, str]:
    """Run a session; return it, and where its container was told to call."""
    project = Project(folder / "project", *filter(None, [ini]))
    write_plan(project)
    project.write("test_shop.py", TEST)
    options = ("--ms-pool=" + machines.pool(10), "--ms-preflight=off", *options)
    done = project.run(*options, env=machines.env | env)
    started = machines.stand_ins[0].started
    return done, started[-1]["METERSPHERE_URL"] if started else ""


def test_the_address_that_leads_to_a_node(tmp_path: Path, machines: JMeterMachines) -> None:
    """Without it containers call the address of this machine that leads to their node."""
    done, url = run(tmp_path, machines)

    assert done.counts == {"passed": 1}, done.text
    assert url.startswith("http://127.0.0.1:")


def test_another_address_and_port(tmp_path: Path, machines: JMeterMachines) -> None:
    """They are what containers call, and pytest listens on that port."""
    port = free_port()
    done, url = run(tmp_path, machines, f"--ms-callback=localhost:{port}")

    assert done.counts == {"passed": 1}, done.text
    assert url.startswith(f"http://localhost:{port}/")


def test_the_variable_and_the_ini_value(tmp_path: Path, machines: JMeterMachines) -> None:
    """The variable wins over the ini value."""
    done, url = run(tmp_path / "ini", machines, ini="ms_callback = 127.0.0.2")
    assert done.counts == {"passed": 1}, done.text
    assert url.startswith("http://127.0.0.2:")

    done, url = run(
        tmp_path / "both", machines, ini="ms_callback = 192.0.2.1", PYTEST_MS_CALLBACK="127.0.0.3"
    )
    assert done.counts == {"passed": 1}, done.text
    assert url.startswith("http://127.0.0.3:")


def test_a_port_that_is_taken(tmp_path: Path, machines: JMeterMachines) -> None:
    """Nothing is started, and the port is named."""
    port = machines.stand_ins[0].address.partition(":")[2]
    done, url = run(tmp_path, machines, f"--ms-callback=127.0.0.1:{port}")

    assert url == ""
    assert done.code == 1, done.text
    assert f"port {port} cannot be listened on" in done.text


@pytest.mark.parametrize(
    "text", ["", "http://10.0.0.5:8080", "10.0.0.5:", "10.0.0.5:99999", "a b", "::1", "host:port"]
)
def test_what_is_no_address(tmp_path: Path, text: str) -> None:
    """The option is named, with a correct example."""
    project = Project(tmp_path / "project")
    project.write("test_nothing.py", "def test_nothing(): pass")
    done = project.run(f"--ms-callback={text}")

    assert done.code == 4, done.text
    assert f"--ms-callback: {text!r} is no HOST or HOST:PORT; write for example 10.0.0.5:18081" in done.text
