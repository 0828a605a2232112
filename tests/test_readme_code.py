"""Every block of code in the README that can be run does what the README says."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.action.runner import Job
from tests.fakes.sessions import wait_until
from tests.jmeter.plans import http, plan, threads
from tests.plugin.projects import Project, environment
from tests.readme import ENGLISH, ROOT, Block, Readme
from tests.wheel import copied_sources

_BLOCKS = Readme(ENGLISH).blocks
_CLOSED = "@pytest.mark.load_scenario(\n    users="
_OPEN = "@pytest.mark.load_scenario(\n    rate="
_JMX = "@pytest.mark.load_scenario(\n    jmx="
_ANSWERS_ALL = """
import http.server, threading
import pytest


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_DELETE = do_GET

    def log_message(self, *_):
        pass


@pytest.fixture(scope="session")
def base_url():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
"""


def _block(start: str) -> Block:
    """Return the only block that begins so."""
    (found,) = [block for block in _BLOCKS if block.text.startswith(start)]
    return found


def _lines(start: str) -> list[str]:
    return [line.partition(" #")[0].rstrip() for line in _block(start).text.splitlines()]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Return an empty project."""
    return Project(tmp_path / "project")


def _run(folder: Path, command: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Type a command as a user would, with this environment's programs."""
    scripts = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=environment() | {"PATH": scripts, "PYTEST_PLUGINS": "pytest_metersphere.plugin"} | env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_block_is_known_here() -> None:
    """A new block needs a test of what it says."""
    starts = (
        *("python -m pip wheel", "python -m http.server", "import pytest\n", "pytest test_load.py"),
        *(_CLOSED, _OPEN, _JMX, "@pytest_metersphere.fixture(", "[pytest]\n", "pytest examples"),
        *("pytest --ms-pool=perf --ms-kafka", "@pytest.mark.threshold(", "name: Load\n", "make demo"),
    )

    assert [block.text.partition("\n")[0] for block in _BLOCKS if not block.text.startswith(starts)] == []
    assert len(_BLOCKS) == len(starts)


@pytest.mark.timeout(180)
def test_installing_the_wheel(tmp_path: Path) -> None:
    """The wheel is built from a checkout and installed as typed; the command is there then."""
    home = tmp_path / "venv"
    venv.create(home, symlinks=True)
    # pip and the dependencies are borrowed from this environment, so that nothing is fetched
    borrowed = next(home.glob("lib/python*/site-packages")) / "borrowed.pth"
    borrowed.write_text(sysconfig.get_path("purelib") + "\n")
    checkout = copied_sources(tmp_path / "checkout")
    path = f"{home / 'bin'}{os.pathsep}{os.environ['PATH']}"
    offline = {"PATH": path, "PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0", "PYTEST_PLUGINS": ""}
    for line in _lines("python -m pip wheel"):
        done = _run(tmp_path, line.replace("path/to/checkout", str(checkout)), **offline)
        assert done.returncode == 0, done.stdout + done.stderr

    assert (home / "bin" / "pytest-metersphere").exists()


@pytest.fixture
def served(project: Project) -> Iterator[Callable[[str], str]]:
    """Start the README's server; give what puts its free port in the place of the README's."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    command = _block("python -m http.server").text.strip()
    assert "8000" in command
    server = subprocess.Popen(
        command.replace("python", sys.executable, 1).replace("8000", port).split(),
        cwd=project.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: _answers(int(port)), "the server answers")
        yield lambda text: text.replace("8000", port)
    finally:
        server.terminate()
        server.wait()


def _answers(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def test_the_first_scenario(project: Project, served: Callable[[str], str]) -> None:
    """As printed, it passes once as a functional test, and then under the load that it asks for."""
    # how fast this machine is just now is not what is tested
    project.write("test_load.py", served(_block("import pytest\n").text).replace("p95 < 300ms", "p95 < 30s"))
    once, load = _lines("pytest test_load.py")

    done = _run(project.folder, once)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (project.folder / "ms-report").exists()

    done = _run(project.folder, load)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "PASSED  test_load.py::test_front_page: users 20" in done.stdout


@pytest.mark.parametrize("start", [_CLOSED, _OPEN], ids=["closed", "open"])
def test_every_keyword_of_the_mark(project: Project, start: str) -> None:
    """The mark with all its keywords is understood."""
    mark = _block(start).text
    project.write("users.csv", "name,password\nann,secret")
    project.write("test_it.py", f"import pytest\n\n\n{mark}async def test_it(vu):\n    pass\n")

    done = project.run("--collect-only", "-q")

    assert done.code == 0, done.text


def test_the_test_plan(project: Project) -> None:
    """The scenario with a JMeter test plan is understood, and its threads are planned."""
    project.write("plans/shop.jmx", plan(threads(http("/cart"))))
    project.write("test_it.py", f"import pytest\n\n\n{_block(_JMX).text}")

    done = project.run("--ms-pool=local=400+400", "--ms-plan")

    assert done.code == 0, done.text
    assert any(line.split()[-3:] == ["600", "300", "300"] for line in done.out.splitlines()), done.text


def test_the_load_scoped_fixture(project: Project) -> None:
    """The fixture runs for each user, and its tear-down is sent."""
    text = f"import pytest\nimport pytest_metersphere\n\n\n{_block('@pytest_metersphere.fixture(').text}"
    project.write("conftest.py", _ANSWERS_ALL)
    project.write(
        "test_it.py",
        f"{text}\n\n@pytest.mark.load_scenario(users=2, iterations=1)\n"
        "async def test_it(vu, cart):\n    await vu.http.get(cart)\n",
    )

    done = project.run("--ms-pool=local")

    assert done.code == 0, done.text
    assert {label.name for label in done.scenario("test_it").labels} == {"GET /cart/{}", "DELETE /cart/{}"}


def test_the_pool_of_the_ini_file(project: Project) -> None:
    """The pool is found by its name, and divides by the capacities that are written there."""
    block = (
        _block("[pytest]\n")
        .text.replace("10.0.0.11", "10.0.0.11")
        .replace("10.0.0.12:9000", "10.0.0.12:9000")
    )
    project.write("pytest.ini", block)
    project.write(
        "test_it.py",
        "import pytest\n\n\n@pytest.mark.load_scenario(users=6)\nasync def test_it(vu):\n    pass\n",
    )

    done = project.run("--ms-pool=perf", "--ms-plan")

    assert done.code == 0, done.text
    assert any(line.split()[-3:] == ["6", "4", "2"] for line in done.out.splitlines()), done.text


def test_the_plan() -> None:
    """The plan of ten thousand users on 4000, 4000 and 2000 is printed as the README says."""
    (command,) = _lines("pytest examples")
    done = _run(ROOT, f"{command} -p no:cacheprovider")

    assert done.returncode == 0, done.stdout + done.stderr
    assert any(line.split()[-4:] == ["10000", "4000", "4000", "2000"] for line in done.stdout.splitlines())


def test_the_options_of_kafka_are_understood(project: Project) -> None:
    """The command line is taken; its brokers are nobody's, so no load is begun."""
    (command,) = _lines("pytest --ms-pool=perf --ms-kafka")
    project.write("pytest.ini", _block("[pytest]\n").text)

    done = _run(project.folder, f"{command} --collect-only")

    assert done.returncode == pytest.ExitCode.NO_TESTS_COLLECTED, done.stdout + done.stderr
    assert "results come over Kafka (kafka-1:9092,kafka-2:9092)" in done.stdout


def test_every_threshold(project: Project) -> None:
    """Each threshold is understood."""
    marks = _block("@pytest.mark.threshold(").text
    project.write(
        "test_it.py",
        f"import pytest\n\n\n@pytest.mark.load_scenario()\n{marks}async def test_it(vu):\n    pass\n",
    )

    done = project.run("--collect-only", "-q")

    assert done.code == 0, done.text


def test_the_workflow(tmp_path: Path) -> None:
    """The workflow's steps run: ours gives a verdict and a report, which the next one would keep."""
    workflow: dict[str, Any] = yaml.safe_load(_block("name: Load\n").text)
    steps = workflow["jobs"]["load"]["steps"]
    ours = next(step for step in steps if step["uses"].startswith("your-org/pytest-metersphere@"))
    keeps = steps[steps.index(ours) + 1]
    assert keeps["uses"].startswith("actions/upload-artifact@")
    workspace = tmp_path / "workspace"
    tests = workspace / "tests" / "load"
    tests.mkdir(parents=True)
    (workspace / "pytest.ini").write_text("[pytest]\n")
    (tests / "test_load.py").write_text(
        "import pytest\n\n\n@pytest.mark.load_scenario(users=20, hold='1s')\nasync def test_it(vu):\n"
        "    with vu.sample('step'):\n        await vu.sleep(0.01)\n"
    )
    env = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_PLUGINS": "pytest_metersphere.plugin"}
    job = Job(workspace, env=env)

    job.run([{**ours, "uses": "./"}, {"if": keeps["if"], "run": f"ls {keeps['with']['path']} > kept"}])

    assert not job.failed, job.results[-1].log
    assert {"report.html", "junit.xml"} <= set((workspace / "kept").read_text().split())


def test_the_targets_of_make() -> None:
    """Each target is there."""
    for line in _lines("make demo"):
        done = subprocess.run(
            [*line.split(), "--dry-run"], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
