"""Each way in which a node can be unfit has a message of its own, provoked here by its real cause."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from pytest_metersphere.dist.client import NodeClient
from tests.fakes import listeners
from tests.fakes.certificates import Authority
from tests.fakes.nodes import eventually, free_port
from tests.fakes.stock import StockController
from tests.parts import require
from tests.plugin.projects import Project, environment
from tests.plugin.remote import TOKEN, remote_node
from tests.preflight import environments
from tests.preflight.messages import assert_told
from tests.preflight.trial import Trial, assert_found_in_time, jmeter_trial

OTHER = "9.9"
LONG = """
    import pytest

    @pytest.mark.load_scenario(users=8, hold="10m")
    async def test_long(vu):
        await vu.sleep(1)
"""


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Return an authority that signs the certificates of this test."""
    return Authority(tmp_path)


def test_a_session_where_all_is_fit_runs(trial: Trial) -> None:
    """What the others must not leave behind is left behind then."""
    with remote_node() as address:
        done = trial.run(f"--ms-pool=n1@{address}=9")

    assert done.code == 0, done.text
    assert trial.has_run


@pytest.mark.parametrize(
    "cause",
    [
        "`--ms-pool=10.0.0.11=many`",
        "`--ms-pool=10.0.0.11:port=9`",
        "`--ms-pool=http://10.0.0.11:8082`",
        "`--ms-pool=fd00::11=9`",
        "`--ms-pool=10.0.0.11,10.0.0.12`",
        "`--ms-pool=n_1!@10.0.0.11=9`",
        "`--ms-pool=n1@10.0.0.11=9,n1@10.0.0.12=9`",
        "`--ms-pool=prefs`",
    ],
)
def test_texts_that_are_not_understood(trial: Trial, cause: str) -> None:
    """The piece that is wrong is named, with one that is right."""
    trial.project.write("pytest.ini", "[pytest]\nms_pools = perf: 10.0.0.11=4000")

    assert_told("Nodes", cause, trial.refuses(cause.strip("`")))


@pytest.mark.parametrize(
    ("cause", "prefix"),
    [
        ("a host name that DNS does not know", "n1@"),
        ("a name for several nodes, `dns+…`, that DNS does not know", "dns+"),
    ],
)
def test_a_name_that_nobody_knows(trial: Trial, cause: str, prefix: str) -> None:
    """The name is in the message."""
    assert_told("Nodes", cause, trial.refuses(f"--ms-pool={prefix}node.invalid:8082=9"))


def test_a_port_where_nothing_listens(trial: Trial) -> None:
    """The node-controller is not running."""
    address = f"127.0.0.1:{free_port()}"

    assert_found_in_time(address)
    assert_told("Nodes", "nothing listens on the port", trial.refuses(f"--ms-pool=n1@{address}=9"))


@pytest.mark.parametrize(
    ("cause", "handle"),
    [
        ("the port takes connections and never answers", listeners.keeps_silent),
        ("the port takes connections and ends them", listeners.hangs_up),
        ("an ssh server listens on the port", listeners.greets_as_ssh),
        ("something else listens on the port", listeners.says(b"220 mail.example.org\r\n")),
    ],
)
def test_a_port_of_something_else(trial: Trial, cause: str, handle: listeners.Handler) -> None:
    """What it is is said, as far as it can be heard."""
    with listeners.listener(handle) as port:
        assert_found_in_time(f"127.0.0.1:{port}")
        message = trial.refuses(f"--ms-pool=n1@127.0.0.1:{port}=9")

    assert_told("Nodes", cause, message)


def test_a_web_server(trial: Trial) -> None:
    """Whatever it answers, it is no node-controller."""
    with listeners.http_server() as port:
        assert_found_in_time(f"127.0.0.1:{port}")
        message = trial.refuses(f"--ms-pool=n1@127.0.0.1:{port}=9")

    assert_told("Nodes", "a web server listens on the port", message)


def test_a_stock_node_controller(trial: Trial) -> None:
    """It is told from other web servers."""
    with StockController() as stock:
        assert_found_in_time(stock.address)
        message = trial.refuses(f"--ms-pool=n1@{stock.address}=9")

    assert_told("Nodes", "a stock MeterSphere node-controller listens on the port", message)


@pytest.mark.parametrize(
    ("cause", "token"),
    [("another token than the node's", "not-the-token-of-the-node"), ("no token", "")],
)
def test_a_token_that_is_not_the_node_s(trial: Trial, cause: str, token: str) -> None:
    """Where it is to be set is said; the token is not."""
    with remote_node() as address:
        assert_found_in_time(address, token=token)
        message = trial.refuses(f"--ms-pool=n1@{address}=9", env={"PYTEST_MS_TOKEN": token})

    assert token not in message or not token
    assert_told("Nodes", cause, message)


def test_another_version(trial: Trial, tmp_path: Path) -> None:
    """Both versions are named."""
    with remote_node(env=environments.other_release(tmp_path / "other", OTHER)) as address:
        assert_found_in_time(address)
        message = trial.refuses(f"--ms-pool=n1@{address}=9")

    ours = version("pytest-metersphere")
    assert ours in message
    assert_told("Nodes", "another version of pytest-metersphere on the node", message.replace(ours, "0.1.0"))


@pytest.mark.parametrize(
    ("cause", "offset"), [("a clock that is ahead", "+2h"), ("a clock that is behind", "-2h")]
)
def test_a_clock_that_is_off(trial: Trial, pytestconfig: pytest.Config, cause: str, offset: str) -> None:
    """By how much is said."""
    require(pytestconfig, "faketime", hint="apt-get install faketime")
    with remote_node(env=environments.wrong_clock(offset)) as address:
        assert_found_in_time(address)
        message = trial.refuses(f"--ms-pool=n1@{address}=9")

    assert_told("Nodes", cause, message)


@pytest.mark.parametrize(
    ("cause", "installed"),
    [
        ("a package that the tests import is missing on the node", None),
        ("a package that the tests import has another version on the node", OTHER),
    ],
)
def test_packages_that_differ(tmp_path: Path, cause: str, installed: str | None) -> None:
    """The node's Python is that of an environment of its own; what to type there is in the message."""
    here = version("trustme")
    trial = Trial(tmp_path, head="import trustme")
    site = environments.environment_without(tmp_path / "venv", {f"trustme-{here}.dist-info"})
    if installed:
        environments.install_metadata(site, "trustme", installed)
    with remote_node(python=environments.python_of(tmp_path / "venv")) as address:
        message = trial.refuses(f"--ms-pool=n1@{address}=9")

    assert_told("Nodes", cause, message.replace(f"trustme {here}", "trustme 1.2.1").replace(here, "1.2.1"))


@pytest.mark.parametrize(
    ("cause", "java"),
    [
        ("no Java on the node, and the load is a JMeter test plan", False),
        ("no JMeter on the node, and the load is a JMeter test plan", True),
    ],
)
def test_a_node_without_jmeter(tmp_path: Path, cause: str, java: bool) -> None:  # noqa: FBT001 - a column
    """What is missing is named, with what to install and to set."""
    trial = jmeter_trial(tmp_path)
    programs = tmp_path / "bin"
    programs.mkdir()
    if java:
        programs.joinpath("java").touch(mode=0o755)
    with remote_node(env={"PATH": str(programs), "JAVA_HOME": ""}) as address:
        message = trial.refuses(f"--ms-pool=n1@{address}=9")

    assert_told("Nodes", cause, message)


def test_a_java_that_does_not_start(tmp_path: Path) -> None:
    """The program alone is not enough: its own words say what is wrong with it."""
    programs = tmp_path / "bin"
    programs.mkdir()
    programs.joinpath("ApacheJMeter.jar").touch()
    java = programs / "java"
    java.write_text("#!/bin/sh\necho 'Unable to locate a Java Runtime.' >&2\nexit 1\n")
    java.chmod(0o755)
    env = {"PATH": str(programs), "JAVA_HOME": "", "PYTEST_MS_JMETER_HOME": str(tmp_path)}
    with remote_node(env=env) as address:
        message = jmeter_trial(tmp_path).refuses(f"--ms-pool=n1@{address}=9")

    cause = "a Java that does not start, and the load is a JMeter test plan"
    assert_told("Nodes", cause, message.replace(str(programs), "/usr/bin"))


def test_tls_that_is_expected(trial: Trial, authority: Authority) -> None:
    """A node with TLS is told from a stranger when the controller comes without."""
    cert, key = authority.certificate("127.0.0.1")
    with remote_node(f"--tls-cert={cert}", f"--tls-key={key}") as address:
        assert_found_in_time(address)
        message = trial.refuses(f"--ms-pool=n1@{address}=9")

    assert_told("Nodes", "the node speaks TLS, the controller does not", message)


def test_tls_that_is_not_expected(trial: Trial, authority: Authority) -> None:
    """A node without TLS is told from a stranger when the controller comes with it."""
    with remote_node() as address:
        assert_found_in_time(address, cafile=authority.cafile)
        message = trial.refuses(f"--ms-pool=n1@{address}=9", env={"PYTEST_MS_NODE_CAFILE": authority.cafile})

    assert_told("Nodes", "the node speaks without TLS, the controller wants it", message)


@pytest.mark.parametrize(
    ("cause", "trusted", "host"),
    [
        ("the node's certificate is from an unknown authority", "stranger", "127.0.0.1"),
        ("the node's certificate is for another name", "ca", "node.example.org"),
    ],
)
def test_certificates_that_do_not_vouch_for_the_node(
    trial: Trial, tmp_path: Path, authority: Authority, cause: str, trusted: str, host: str
) -> None:
    """The token is not sent to such a node."""
    Authority(tmp_path, "stranger")
    cafile = str(tmp_path / f"{trusted}.pem")
    cert, key = authority.certificate(host)
    with remote_node(f"--tls-cert={cert}", f"--tls-key={key}") as address:
        assert_found_in_time(address, cafile=cafile)
        message = trial.refuses(f"--ms-pool=n1@{address}=9", env={"PYTEST_MS_NODE_CAFILE": cafile})

    assert cafile in message
    assert_told("Nodes", cause, message.replace(cafile, "nodes-ca.pem"))


def test_a_file_of_certificates_with_none_in_it(trial: Trial) -> None:
    """Nothing is connected."""
    trial.project.write("nodes-ca.pem", "no certificate")
    env = {"PYTEST_MS_NODE_CAFILE": "nodes-ca.pem"}
    message = trial.refuses("--ms-pool=n1@127.0.0.1:8082=9", env=env)

    path = str(trial.project.folder / "nodes-ca.pem")
    assert_told("Nodes", "the file of certificates holds none", message.replace(path, "nodes-ca.pem"))


@contextlib.contextmanager
def another_run(folder: Path, address: str) -> Iterator[None]:
    """Let another session have eight users on a node, from when they are reserved there to the end."""
    project = Project(folder)
    project.write("test_long.py", LONG)
    process = subprocess.Popen(
        project.command(f"--ms-pool=n1@{address}"),
        cwd=project.folder,
        env=environment() | {"PYTEST_MS_TOKEN": TOKEN},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        with NodeClient("n1", f"http://{address}", TOKEN) as client:
            eventually(lambda: client.info().free == 2, "eight of ten users are taken")
        yield
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    ("cause", "options"),
    [
        ("another run has so many users that these do not fit", ()),
        ("another run has the only slice of the node", ("--max-slices=1",)),
    ],
)
def test_another_run_that_takes_the_room(
    trial: Trial, tmp_path: Path, cause: str, options: tuple[str, ...]
) -> None:
    """The numbers are told: how many are wanted, and how many there are."""
    with remote_node("--capacity=10", *options) as address, another_run(tmp_path / "other", address):
        message = trial.refuses(f"--ms-pool=n1@{address}")

    assert_told("Nodes", cause, message)
