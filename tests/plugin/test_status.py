"""`pytest-metersphere status`: the nodes of the pool and Kafka, as they are."""

from __future__ import annotations

import json
import platform
import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

import pytest_metersphere
from pytest_metersphere.inspection.values import STATUS_SCHEMA, NodeStatus, StatusReport
from tests.fakes.certificates import Authority
from tests.fakes.listeners import http_server, keeps_silent, listener
from tests.fakes.nodes import free_port
from tests.fakes.stock import StockController
from tests.kafka.rules import change_topic, make_topic, operator
from tests.plugin.commands import run_command
from tests.plugin.projects import Done, environment, mentions
from tests.plugin.remote import TOKEN, remote_node

WITH_TOKEN = {"PYTEST_MS_TOKEN": TOKEN}


@pytest.fixture(scope="module")
def node() -> Iterator[str]:
    """Return the address of a node that runs, and carries 300 users."""
    with remote_node("--capacity=300") as address:
        yield address


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with an empty pytest.ini."""
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    return tmp_path


def report_of(done: Done) -> StatusReport:
    """Return what --json printed, which is one object of the documented shape and nothing else."""
    assert done.err == ""
    report = msgspec.json.decode(done.out, type=StatusReport)
    assert msgspec.to_builtins(report) == json.loads(done.out)
    assert report.schema == STATUS_SCHEMA
    return report


def only_node(done: Done) -> NodeStatus:
    """Return the only node of what --json printed."""
    (row,) = report_of(done).nodes
    return row


def cells(done: Done, first: str) -> list[str]:
    """Return the cells of the table's line that begins with a word."""
    (line,) = [line for line in done.out.splitlines() if line.startswith(f"{first} ")]
    return [cell.strip() for cell in line.split("  ") if cell.strip()]


def complaint(done: Done) -> str:
    """Return the one message about settings that are not understood; nothing else was printed."""
    assert (done.code, done.out) == (4, ""), done.text
    assert done.err.count("error: ") == 1
    return done.err.partition("error: ")[2].strip()


def test_a_table_of_nodes_that_are_well(folder: Path, node: str) -> None:
    """Two names for two nodes, what they carry and have free, and exit code 0."""
    with remote_node("--capacity=200", host="127.0.0.2") as second:
        done = run_command("status", f"--ms-pool=a@{node}=100,b@{second}", folder=folder, env=WITH_TOKEN)

    assert done.code == 0, done.text
    assert cells(done, "node") == [
        *("node", "address", "state", "version", "python"),
        *("capacity", "declared", "in use", "free", "slices", "clock"),
    ]
    own = [pytest_metersphere.__version__, platform.python_version()]
    assert cells(done, "a") == ["a", node, "up", *own, "300", "100", "0", "100", "0", "+0.0 s"]
    assert cells(done, "b") == ["b", second, "up", *own, "200", "-", "0", "200", "0", "+0.0 s"]
    assert done.out.splitlines()[-1] == "all is well"
    assert TOKEN not in done.text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pytest.ini", "[pytest]\nms_pool = perf\nms_pools =\n    perf: a@{node}\n"),
        ("pyproject.toml", '[tool.pytest.ini_options]\nms_pool = "perf"\nms_pools = ["perf: a@{node}"]\n'),
        ("tox.ini", "[pytest]\nms_pool = perf\nms_pools = perf: a@{node}\n"),
        ("setup.cfg", "[tool:pytest]\nms_pool = perf\nms_pools = perf: a@{node}\n"),
    ],
)
def test_ini_values_are_found_as_pytest_finds_them(tmp_path: Path, node: str, name: str, text: str) -> None:
    """In whichever file they stand, and from a folder below it."""
    (tmp_path / name).write_text(text.format(node=node))
    (tmp_path / "tests").mkdir()

    done = run_command("status", "--json", folder=tmp_path / "tests", env=WITH_TOKEN)

    assert done.code == 0, done.text
    assert report_of(done).pool == "perf"
    assert (only_node(done).name, only_node(done).state) == ("a", "up")


def test_another_ini_file_and_rootdir(tmp_path: Path, node: str) -> None:
    """`-c` and `--rootdir` mean what they mean to pytest."""
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "load.ini").write_text(f"[pytest]\nms_pool = a@{node}\n")

    done = run_command("status", "-c", "there/load.ini", "--rootdir=there", folder=tmp_path, env=WITH_TOKEN)

    assert done.code == 0, done.text


def test_the_option_wins_over_the_variable_over_the_ini_value(tmp_path: Path) -> None:
    """With the short names, too."""
    (tmp_path / "pytest.ini").write_text("[pytest]\nms_pool = local=1\n")
    variable = {"PYTEST_MS_POOL": "local=2"}

    def capacity(*options: str, **env: str) -> int | None:
        return only_node(run_command("status", "--json", *options, folder=tmp_path, env=env)).capacity

    assert capacity() == 1
    assert capacity(**variable) == 2
    assert capacity(PYTEST_ADDOPTS="--ms-pool=local=3", **variable) == 3
    assert capacity("--ms-pool=local=4", PYTEST_ADDOPTS="--ms-pool=local=3", **variable) == 4
    assert capacity("--pool=local=5", **variable) == 5


def test_a_project_of_many_plugins_is_no_trouble(tmp_path: Path, node: str) -> None:
    """Options of plugins, a conftest that is broken, warnings as errors: none of it matters here."""
    (tmp_path / "pytest.ini").write_text(
        f"[pytest]\nms_pool = a@{node}\naddopts = --ms-plan -n 4 --cov src --ff --strict-config -W error -q\n"
        "required_plugins = pytest-of-nobody\nfilterwarnings = error\nnobodys_value = 1\n"
    )
    (tmp_path / "conftest.py").write_text("raise RuntimeError('this is the conftest')")
    before = sorted(tmp_path.iterdir())

    done = run_command("status", "--json", folder=tmp_path, env=WITH_TOKEN)

    assert done.code == 0, done.text
    assert only_node(done).state == "up"
    assert sorted(tmp_path.iterdir()) == before


def test_each_trouble_has_its_word(folder: Path, node: str) -> None:
    """All in one pool, each in its row with what to do; one is enough for exit code 1."""
    dead = f"127.0.0.1:{free_port()}"
    with (
        StockController() as stock,
        listener(keeps_silent) as silent,
        http_server() as web,
        remote_node(token="another-token") as other,
    ):
        pool = (
            f"well@{node},dead@{dead},stock@{stock.address},silent@127.0.0.1:{silent},web@127.0.0.1:{web},"
            f"other@{other},lost@nowhere.invalid,dns@dns+nowhere.invalid:1"
        )
        done = run_command("status", f"--pool={pool}", "--json", folder=folder, env=WITH_TOKEN)

    rows = {row.name: row for row in report_of(done).nodes}
    assert done.code == 1
    assert {name: (row.state, row.ok) for name, row in rows.items()} == {
        "well": ("up", True),
        "dead": ("down", False),
        "stock": ("not set up", False),
        "silent": ("down", False),
        "web": ("not ours", False),
        "other": ("wrong token", False),
        "lost": ("unknown host", False),
        "dns": ("unknown host", False),
    }
    assert list(rows) == ["well", "dead", "stock", "silent", "web", "other", "lost", "dns"]
    assert rows["dead"].detail == (
        f"http://{dead} refused the connection: start `pytest-metersphere node` there"
    )
    assert "PYTEST_MS_TOKEN" in rows["other"].detail
    assert "stock MeterSphere node-controller" in rows["stock"].detail
    assert [asked.partition(" ")[0] for asked in stock.asked] == ["GET"] * len(stock.asked)
    assert TOKEN not in done.text


def test_what_is_wrong_stands_below_the_table(folder: Path, node: str) -> None:
    """The table says the word, the note the whole sentence, the last line who is not well."""
    dead = f"127.0.0.1:{free_port()}"
    done = run_command("status", f"--ms-pool=well@{node},dead@{dead}", folder=folder, env=WITH_TOKEN)

    assert done.code == 1
    assert cells(done, "dead")[:4] == ["dead", dead, "down", "-"]
    assert f"  node dead: http://{dead} refused the connection" in done.out
    assert done.out.splitlines()[-1] == "not well: node dead"


def test_local_nodes_are_not_started(folder: Path) -> None:
    """They are listed with what they would carry, and are no trouble."""
    done = run_command("status", "--ms-pool=local=40+20", "--json", folder=folder)
    shown = run_command("status", "--ms-pool=local=40+20", folder=folder)

    rows = report_of(done).nodes
    assert (done.code, shown.code) == (0, 0)
    assert [(row.name, row.state, row.capacity, row.version) for row in rows] == [
        ("local-1", "local", 40, None),
        ("local-2", "local", 20, None),
    ]
    assert "node local-1: pytest starts it for each session; there is none now" in shown.out


def test_a_node_on_ipv6(folder: Path, request: pytest.FixtureRequest) -> None:
    """Its address stands in brackets."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        if request.config.getoption("--require-all"):
            pytest.fail("needs IPv6 on loopback: sysctl net.ipv6.conf.lo.disable_ipv6=0", pytrace=False)
        pytest.skip("needs IPv6 on loopback: sysctl net.ipv6.conf.lo.disable_ipv6=0")
    with remote_node(host="::1") as address:
        done = run_command("status", f"--ms-pool={address}", "--json", folder=folder, env=WITH_TOKEN)

    assert done.code == 0, done.text
    assert only_node(done).address == address


def test_a_dns_name_is_a_row_for_each_address(folder: Path, node: str) -> None:
    """Named by number; a node that is in the pool twice in this way is told."""
    port = node.rpartition(":")[2]
    done = run_command("status", f"--ms-pool=dns+localhost:{port}", "--json", folder=folder, env=WITH_TOKEN)
    pool = f"a@{node},dns+localhost:{port}"
    twice = run_command("status", f"--ms-pool={pool}", "--json", folder=folder, env=WITH_TOKEN)

    assert done.code == 0, done.text
    assert (only_node(done).name, only_node(done).address) == ("localhost-1", node)
    assert twice.code == 1
    assert all(row.ok for row in report_of(twice).nodes)
    assert mentions(report_of(twice).problems[0], "as localhost-1", "as a")


def test_nodes_over_tls(folder: Path, node: str) -> None:
    """With their authority in the ini file; a node without TLS is told what it lacks."""
    authority = Authority(folder)
    cert, key = authority.certificate("127.0.0.1")
    (folder / "pytest.ini").write_text(f"[pytest]\nms_node_cafile = {Path(authority.cafile).name}\n")
    with remote_node(f"--tls-cert={cert}", f"--tls-key={key}") as secure:
        pool = f"secure@{secure},plain@{node}"
        done = run_command("status", f"--ms-pool={pool}", "--json", folder=folder, env=WITH_TOKEN)

    first, second = report_of(done).nodes
    assert (first.state, second.state) == ("up", "down")
    assert "does not speak TLS" in second.detail


def test_the_token_may_come_from_a_file(folder: Path, node: str) -> None:
    """As for pytest."""
    (folder / "token").write_text(f"{TOKEN}\n")
    done = run_command("status", f"--ms-pool={node}", folder=folder, env={"PYTEST_MS_TOKEN_FILE": "token"})

    assert done.code == 0, done.text
    assert TOKEN not in done.text


@pytest.mark.parametrize("options", [[], ["--ms-pool=none"], ["--pool=", "--kafka=none"]])
def test_nothing_to_look_at_is_told(folder: Path, options: list[str]) -> None:
    """Exit code 4, with an example of each."""
    message = complaint(run_command("status", *options, folder=folder))

    assert mentions(
        message, "there is nothing to look at", "--ms-pool=10.0.0.11:8082", "--ms-kafka=kafka:9092"
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--ms-pool=a:b"], ["--ms-pool: 'a:b': 'b' is not a port"]),
        (["--ms-pool=perf"], ["there is no pool 'perf'"]),
        (["--ms-kafka=kafka"], ["--ms-kafka: 'kafka' has no port"]),
        (["--ms-pool=a:b", "--ms-kafka=kafka"], ["'b' is not a port", "'kafka' has no port"]),
        (["-c", "missing.ini", "--ms-pool=local"], ["missing.ini"]),
        (["--rootdir=missing", "--ms-pool=local"], ["missing"]),
    ],
)
def test_settings_that_are_not_understood(folder: Path, options: list[str], words: list[str]) -> None:
    """All of them are told at once, and nothing is asked."""
    assert mentions(complaint(run_command("status", *options, folder=folder)), *words)


@pytest.mark.parametrize(
    ("ini", "words"),
    [
        ("[pytest\nms_pool", "pytest.ini:1"),
        ("[pytest]\nms_pools = nonsense\nms_pool = nonsense", "ini ms_pools: 'nonsense' is not a pool"),
        ("[pytest]\nms_node_cafile = nowhere.pem\nms_pool = local", "ini ms_node_cafile"),
        ("[pytest]\nms_pool = local\naddopts = -p no_such_plugin", "no_such_plugin"),
        ("[pytest]\nms_pool = local\naddopts = --maxfail=x", "--maxfail"),
    ],
)
def test_an_ini_file_that_is_broken(folder: Path, ini: str, words: str) -> None:
    """One message and exit code 4, whoever complains."""
    (folder / "pytest.ini").write_text(ini)

    assert words in complaint(run_command("status", folder=folder))


def test_variables_that_cannot_be_read(folder: Path) -> None:
    """A PYTEST_ADDOPTS with half a quotation is told, and no password on the way."""
    assert "quotation" in complaint(run_command("status", folder=folder, env={"PYTEST_ADDOPTS": "'"}))
    env = {"PYTEST_MS_KAFKA_PASSWORD": "geheim-geheim", "PYTEST_MS_KAFKA_USERNAME": "alice"}
    message = complaint(run_command("status", "--ms-kafka=kafka:9092", folder=folder, env=env))
    assert "PYTEST_MS_KAFKA_SECURITY_PROTOCOL" in message
    assert "geheim" not in message


@pytest.mark.parametrize("command", ["status", "doctor"])
def test_an_option_that_is_not_known(folder: Path, command: str) -> None:
    """Exit code 4; half an option is none, and a secret has no option."""
    for option in ("--ms-po=local", "--token=geheim", "--kafka-password=geheim"):
        assert "unrecognized arguments" in complaint_of_usage(run_command(command, option, folder=folder))


def complaint_of_usage(done: Done) -> str:
    """Return the message below the usage."""
    assert (done.code, done.out) == (4, ""), done.text
    assert done.err.startswith("usage: pytest-metersphere ")
    return done.err


@pytest.mark.parametrize("command", ["status", "doctor"])
def test_help_tells_the_exit_codes(folder: Path, command: str) -> None:
    """And where settings come from; a token of the environment shows nowhere."""
    done = run_command(command, "--help", folder=folder, env=WITH_TOKEN)
    text = " ".join(done.out.split())

    assert done.code == 0
    assert mentions(text, "0 all is well, 1 something is not, 4 the settings are not understood")
    assert mentions(text, "--pool", "--kafka", "--json", "--rootdir", "PYTEST_MS_TOKEN_FILE")
    assert TOKEN not in text


def test_a_reader_that_leaves_is_no_trouble(folder: Path) -> None:
    """`status | head -0` ends without a word on standard error."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest_metersphere", "status", "--ms-pool=local"],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    with process.stderr as stream:
        errors = stream.read()

    assert (process.wait(30), errors) == (0, "")


def topics(address: str) -> list[str]:
    """Return the names of all topics."""
    with operator(address) as admin:
        return list(admin.list_topics())


@pytest.fixture
def prefixed(folder: Path, kafka: str) -> tuple[Path, str]:
    """Return a folder whose ini file names Kafka and topics of the test's own, and the topic."""
    prefix = f"test-{secrets.token_hex(6)}"
    (folder / "pytest.ini").write_text(f"[pytest]\nms_kafka = {kafka}\nms_kafka_prefix = {prefix}\n")
    return folder, f"{prefix}.results"


@pytest.mark.needs_kafka
def test_kafka_without_a_topic_stays_without(prefixed: tuple[Path, str], kafka: str) -> None:
    """The servers, the brokers that they name, a topic that pytest will make; status makes none."""
    folder, topic = prefixed
    done = run_command("status", folder=folder)
    report = report_of(run_command("status", "--json", folder=folder))

    assert done.code == 0, done.text
    assert cells(done, "bootstrap")[:3] == ["bootstrap", kafka, "up"]
    assert cells(done, "broker")[:3] == ["broker", kafka, "up"]
    assert cells(done, topic) == [topic, "missing", "-", "-", "-"]
    assert report.pool is None
    assert report.kafka is not None
    assert report.kafka.topic is not None
    assert (report.kafka.topic.state, report.kafka.topic.ok, report.nodes) == ("missing", True, [])
    assert topic not in topics(kafka)


@pytest.mark.needs_kafka
def test_a_topic_that_would_lose_data_is_told(prefixed: tuple[Path, str], kafka: str) -> None:
    """Its partitions and how long it keeps what; well until the retention is too short for any run."""
    folder, topic = prefixed
    make_topic(kafka, topic, {"retention.ms": "7200000", "message.timestamp.type": "LogAppendTime"}, 3)
    before = run_command("status", folder=folder)
    change_topic(kafka, topic, {"retention.ms": "60000", "message.timestamp.type": "LogAppendTime"})
    after = run_command("status", folder=folder)
    report = report_of(run_command("status", "--json", folder=folder))

    assert before.code == 0, before.text
    assert cells(before, topic) == [topic, "there", "3", "1", "2h00m"]
    assert after.code == 1
    assert cells(after, topic) == [topic, "loses frames", "3", "1", "1m00s"]
    assert f"topic {topic}: retention.ms=60000 deletes frames after 1m00s" in after.out
    assert after.out.splitlines()[-1] == "not well: kafka"
    assert report.kafka is not None
    assert report.kafka.topic is not None
    assert report.kafka.topic.retention_ms == 60000


@pytest.mark.needs_kafka
def test_nodes_and_kafka_together(prefixed: tuple[Path, str], node: str, kafka: str) -> None:
    """A bootstrap server that is down counts, although pytest would do with the other one."""
    folder, _ = prefixed
    dead = f"127.0.0.1:{free_port()}"
    options = [f"--pool=a@{node}", f"--kafka={dead},{kafka}"]
    done = run_command("status", *options, folder=folder, env=WITH_TOKEN)
    report = report_of(run_command("status", "--json", *options, folder=folder, env=WITH_TOKEN))

    assert done.code == 1
    assert f"  kafka {dead}: the connection was refused" in done.out
    assert report.kafka is not None
    assert [(server.address, server.state) for server in report.kafka.servers] == [
        (dead, "refused"),
        (kafka, "up"),
    ]
    assert [broker.address for broker in report.kafka.brokers] == [kafka]
    assert (only_node_of(report).state, report.kafka.ok, report.ok) == ("up", False, False)


def only_node_of(report: StatusReport) -> NodeStatus:
    """Return the only node."""
    (row,) = report.nodes
    return row


def test_kafka_that_is_not_there(folder: Path) -> None:
    """Neither brokers nor a topic are shown when nobody can be asked."""
    dead = f"127.0.0.1:{free_port()}"
    with http_server() as web:
        done = run_command("status", f"--ms-kafka={dead},127.0.0.1:{web}", "--json", folder=folder)

    report = report_of(done)
    assert done.code == 1
    assert report.kafka is not None
    assert [server.state for server in report.kafka.servers] == ["refused", "http"]
    assert (report.kafka.brokers, report.kafka.topic, report.pool) == ([], None, None)
