"""`pytest-metersphere node`: how it starts, what it says, how it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pytest_metersphere.dist.client import NodeClient
from pytest_metersphere.dist.node.config import available_cores
from pytest_metersphere.dist.wire import PROTOCOL
from tests.fakes.certificates import Authority
from tests.fakes.nodes import (
    PATIENCE,
    TOKEN,
    assert_gone,
    children_in,
    is_alive,
    running,
    scripted,
)
from tests.fakes.worker import Script

ROOT = Path(__file__).resolve().parents[2]
Starter = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    """Return the folder in which nodes of this test make theirs."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    return folder


@pytest.fixture
def start(temporary: Path) -> Iterator[Starter]:
    """Return a function that starts a Python program with arguments; all are gone afterwards."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str, **variables: str) -> subprocess.Popen[str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
        process = subprocess.Popen(
            [sys.executable, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=kept | {"TMPDIR": str(temporary)} | variables,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def node(start: Starter, *arguments: str, **variables: str) -> subprocess.Popen[str]:
    """Start the command on a free port."""
    return start("-m", "pytest_metersphere", "node", "--port", "0", *arguments, **variables)


def line_of(process: subprocess.Popen[str]) -> str:
    """Return the next line of standard output."""
    assert process.stdout is not None
    return process.stdout.readline()


def outcome(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Wait for the end of a process that needs nothing more; return exit code, output and errors."""
    output, errors = process.communicate(timeout=PATIENCE)
    return process.returncode, output, errors


def test_it_says_where_it_listens_and_its_token(start: Starter) -> None:
    """Without a token one is made and printed, and with it the node answers."""
    process = node(start, "--name", "n7", "--capacity", "400")
    where, what, secret = (line_of(process) for _ in range(3))
    url = where.split()[-1]
    token = secret.split()[-1]
    with NodeClient("n7", url, token) as client:
        info = client.info()

    assert where == f"node n7 listens on {url}\n"
    assert "400 users" in what
    assert re.fullmatch(r"[\w-]{40,}", token)
    assert (info.name, info.capacity, info.workers) == ("n7", 400, available_cores())


def test_one_line_of_json_is_for_programs(start: Starter) -> None:
    """With --announce=json the port and the name are one line, and a token that was given is not shown."""
    process = node(start, "--announce=json", "--name=n7", "--workers=3", PYTEST_MS_TOKEN=TOKEN)
    said = json.loads(line_of(process))
    with NodeClient("n7", f"http://127.0.0.1:{said['port']}", TOKEN) as client:
        info = client.info()

    assert said == {"port": said["port"], "name": "n7", "capacity": 3000}
    assert (info.workers, info.capacity) == (3, 3000)


def test_the_token_may_come_from_a_file(start: Starter, tmp_path: Path) -> None:
    """A token file goes before the environment, and blanks around the token do not count."""
    file = tmp_path / "token"
    file.write_text(f"  {TOKEN}\n")
    process = node(start, "--announce=json", "--token-file", str(file), PYTEST_MS_TOKEN="another-token")
    port = json.loads(line_of(process))["port"]
    with NodeClient("n", f"http://127.0.0.1:{port}", TOKEN) as client:
        protocol = client.info().protocol

    assert protocol == PROTOCOL


def test_the_end_of_standard_input_is_the_end(start: Starter, temporary: Path) -> None:
    """With --until-stdin-closes a node does not outlive whoever started it."""
    process = node(start, "--announce=json", "--until-stdin-closes", PYTEST_MS_TOKEN=TOKEN)
    line_of(process)
    assert list(temporary.iterdir()) != []

    assert outcome(process) == (0, "", "")
    assert list(temporary.iterdir()) == []


def test_standard_input_is_otherwise_ignored(start: Starter) -> None:
    """A node of its own goes on without a terminal."""
    process = node(start, "--announce=json", PYTEST_MS_TOKEN=TOKEN)
    port = json.loads(line_of(process))["port"]
    assert process.stdin is not None
    process.stdin.close()
    with NodeClient("n", f"http://127.0.0.1:{port}", TOKEN) as client:
        client.status()
    process.stdin = None

    assert process.poll() is None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_end_it(start: Starter, temporary: Path, number: signal.Signals) -> None:
    """The usual signals end a node in order, without a word."""
    process = node(start, "--announce=json", PYTEST_MS_TOKEN=TOKEN)
    line_of(process)
    process.send_signal(number)

    assert outcome(process) == (0, "", "")
    assert list(temporary.iterdir()) == []


def loaded(start: Starter) -> tuple[subprocess.Popen[str], list[int]]:
    """Start a node with a running slice of stubborn workers; return it and their processes."""
    process = start("-m", "tests.fakes.node_process")
    url = f"http://127.0.0.1:{int(line_of(process))}"
    with NodeClient("n1", url, TOKEN) as client:
        info = running(client, scripted(Script(stubborn=True, ends=False, spawns=True)))
        pids = [*info.workers, *children_in(client.log("s1"))]
    assert len(pids) == 4
    assert all(is_alive(pid) for pid in pids)
    return process, pids


def test_a_node_that_is_told_to_end_takes_its_workers_with_it(start: Starter, temporary: Path) -> None:
    """When the node is gone, so are its workers, their children and its files."""
    process, pids = loaded(start)
    process.terminate()

    assert outcome(process) == (0, "", "")
    assert [pid for pid in pids[:2] if is_alive(pid)] == []
    assert_gone(pids)
    assert list(temporary.iterdir()) == []


def test_a_node_whose_parent_is_gone_takes_its_workers_with_it(start: Starter, temporary: Path) -> None:
    """The end of standard input ends a node under load as well."""
    process, pids = loaded(start)

    assert outcome(process) == (0, "", "")
    assert_gone(pids)
    assert list(temporary.iterdir()) == []


def test_workers_do_not_survive_a_killed_node(start: Starter) -> None:
    """A node that is killed cannot clean up: its workers notice and take their children with them."""
    process, pids = loaded(start)
    process.kill()

    assert_gone(pids)


def test_a_port_in_use_is_one_line(start: Starter) -> None:
    """A port that another process has is named, with what to do; exit code 1."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, output, errors = outcome(start("-m", "pytest_metersphere", "node", "--port", str(port)))

    assert (code, output) == (1, "")
    assert errors.startswith(f"pytest-metersphere node: error: cannot listen on 127.0.0.1:{port}: ")
    assert "--port" in errors
    assert errors.count("\n") == 1


@pytest.mark.parametrize("host", ["192.0.2.1", "no..name"])
def test_an_address_that_is_not_ours_is_one_line(start: Starter, host: str) -> None:
    """An address of another machine, or none at all, is an error without a traceback."""
    code, _, errors = outcome(node(start, "--host", host))

    assert code == 1
    assert errors.startswith(f"pytest-metersphere node: error: cannot listen on {host}:0: ")
    assert errors.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["--port", "65536"],
        ["--port", "x"],
        ["--port=-1"],
        ["--capacity", "0"],
        ["--workers", "many"],
        ["--max-slices", "1.5"],
        ["--name", "a b"],
        ["--announce", "xml"],
        ["--token-file", "/nonexistent/token"],
        ["--unknown"],
    ],
    ids=" ".join,
)
def test_bad_values_are_explained(start: Starter, arguments: list[str]) -> None:
    """A value that cannot be is named on the last line, exit code 2, no traceback."""
    code, output, errors = outcome(node(start, *arguments))
    last = errors.splitlines()[-1]

    assert (code, output) == (2, "")
    assert last.startswith("pytest-metersphere node: error: ") or "unrecognized arguments" in last
    assert arguments[-1].removeprefix("--port=") in last


@pytest.mark.parametrize("token", ["short", "with blank in it", "ümlaut-ümlaut"])
def test_an_unfit_token_is_refused(start: Starter, token: str) -> None:
    """A token that no header can carry, or that can be guessed, is refused and not shown."""
    code, _, errors = outcome(node(start, PYTEST_MS_TOKEN=token))

    assert code == 2
    assert "PYTEST_MS_TOKEN: a token has 8 to 512" in errors
    assert token not in errors


def test_it_speaks_tls_with_a_certificate(start: Starter, tmp_path: Path) -> None:
    """It says https, answers those who trust the authority, and wants the key beside the certificate."""
    authority = Authority(tmp_path)
    cert, key = authority.certificate("127.0.0.1")
    process = node(start, "--tls-cert", str(cert), "--tls-key", str(key), "--name=n7", PYTEST_MS_TOKEN=TOKEN)
    url = line_of(process).split()[-1]
    with NodeClient("n7", url, TOKEN, cafile=authority.cafile) as client:
        info = client.info()
    code, _, errors = outcome(node(start, "--tls-cert", str(cert), PYTEST_MS_TOKEN=TOKEN))

    assert url.startswith("https://127.0.0.1:")
    assert info.name == "n7"
    assert (code, errors.splitlines()[-1]) == (
        2,
        "pytest-metersphere node: error: --tls-cert needs --tls-key beside it",
    )


def test_a_node_on_the_network_is_warned_about(start: Starter) -> None:
    """Listening beyond loopback without TLS is allowed, and said in one line."""
    process = node(start, "--host", "0.0.0.0", "--announce=json", PYTEST_MS_TOKEN=TOKEN)  # noqa: S104
    line_of(process)
    process.terminate()
    code, _, errors = outcome(process)

    assert code == 0
    assert errors == (
        "pytest-metersphere node: warning: 0.0.0.0 is open to the network without TLS;"
        " --tls-cert and --tls-key switch it on\n"
    )


@pytest.mark.parametrize(
    ("options", "who", "network"),
    [
        (["--host=127.0.0.1"], "every user of this machine", ""),
        (
            ["--host=0.0.0.0"],
            r"whoever reaches port \d+ \(--metersphere-allow limits it\)",
            "pytest-metersphere node: warning: 0.0.0.0 is open to the network without TLS\n",
        ),
        (
            ["--host=127.0.0.1", "--metersphere-allow=10.0.0.5", "--metersphere-allow=127.0.0.0/8"],
            "whoever has an address in 10.0.0.5/32, 127.0.0.0/8",
            "",
        ),
    ],
    ids=["loopback", "network", "allowed"],
)
def test_a_node_without_a_login_is_warned_about(
    start: Starter, tmp_path: Path, options: list[str], who: str, network: str
) -> None:
    """For MeterSphere's servers there is none: who can do what is said at the start."""
    command = ["--launcher=docker", "--metersphere-api", *options]
    process = node(start, *command, PYTEST_MS_TOKEN=TOKEN, DOCKER_HOST=f"unix://{tmp_path}/docker.sock")
    said = [line_of(process) for _ in range(4)]
    process.terminate()
    code, _, errors = outcome(process)

    assert code == 0
    assert (
        said[-1] == "MeterSphere's servers can start containers here, without a login (--metersphere-api)\n"
    )
    assert re.match(
        f"pytest-metersphere node: warning: --metersphere-api has no login: {who} can start any image of this"
        f" machine, with its network, and stop what was started so\n{network}Docker does not answer",
        errors,
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--metersphere-api"], "--metersphere-api starts containers; add --launcher=docker"),
        (["--metersphere-allow=10.0.0.5"], "--metersphere-allow is about --metersphere-api"),
        (["--launcher=docker", "--metersphere-api", "--metersphere-allow=x"], "'x' is no address"),
    ],
)
def test_metersphere_api_is_refused_where_it_makes_no_sense(
    start: Starter, options: list[str], message: str
) -> None:
    """Above all without Docker."""
    code, output, errors = outcome(node(start, *options, PYTEST_MS_TOKEN=TOKEN))

    assert (code, output) == (2, "")
    assert message in errors
    assert errors.count("\n") == 1


def test_the_help_lists_the_options_and_no_secret(start: Starter) -> None:
    """`node --help` says what can be set, and nothing of what is set."""
    code, output, _ = outcome(start("-m", "pytest_metersphere", "node", "--help", PYTEST_MS_TOKEN=TOKEN))

    assert code == 0
    assert TOKEN not in output
    for option in ("--host", "--port", "--name", "--capacity", "--workers", "--max-slices", "--token-file"):
        assert option in output


def test_a_command_is_needed(start: Starter) -> None:
    """Without a command the usage is shown, exit code 2."""
    code, output, errors = outcome(start("-m", "pytest_metersphere"))

    assert (code, output) == (2, "")
    assert "COMMAND" in errors


def test_a_node_imports_only_what_it_needs() -> None:
    """Neither pytest nor what only a controller needs is loaded in a node."""
    program = (
        "import sys, pytest_metersphere.cli, pytest_metersphere.dist.node.main,"
        " pytest_metersphere.dist.node.service; print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    modules = set(done.stdout.split())

    assert "aiohttp" in modules
    assert modules & {"pytest", "_pytest", "requests", "jinja2", "junit_xml"} == set()


def test_the_temporary_folder_is_private(start: Starter, temporary: Path) -> None:
    """Nobody else may look into a node's folder."""
    process = node(start, "--announce=json", PYTEST_MS_TOKEN=TOKEN)
    line_of(process)
    (folder,) = temporary.iterdir()

    assert folder.stat().st_mode & 0o777 == 0o700
