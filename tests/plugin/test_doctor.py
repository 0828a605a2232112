"""`pytest-metersphere doctor`: the preflight over everything, with advice."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from pytest_metersphere.dist import local
from pytest_metersphere.dist.kafka.preflight import SENTENCE
from pytest_metersphere.dist.pool import parse_pool
from pytest_metersphere.inspection.doctor import examine
from pytest_metersphere.inspection.settings import Target
from pytest_metersphere.inspection.values import DOCTOR_SCHEMA, DoctorReport, Finding
from tests.fakes.nodes import free_port
from tests.fakes.stock import StockController
from tests.kafka.rules import make_topic, operator
from tests.plugin.commands import run_command
from tests.plugin.projects import Done, mentions
from tests.plugin.remote import TOKEN, remote_node

WITH_TOKEN = {"PYTEST_MS_TOKEN": TOKEN}
OF_A_NODE = ["reachable", "token", "version", "clock"]
OF_ITSELF = ["protocol", "version", "capacity", "slices", "folder", "python"]


@pytest.fixture(scope="module")
def node() -> Iterator[str]:
    """Return the address of a node that runs."""
    with remote_node("--capacity=300") as address:
        yield address


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with an empty pytest.ini."""
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    return tmp_path


def report_of(done: Done) -> DoctorReport:
    """Return what --json printed, which is one object of the documented shape and nothing else."""
    assert done.err == ""
    report = msgspec.json.decode(done.out, type=DoctorReport)
    assert msgspec.to_builtins(report) == json.loads(done.out)
    assert report.schema == DOCTOR_SCHEMA
    return report


def failed(report: DoctorReport) -> dict[str, Finding]:
    """Return the checks that do not hold by subject; of each subject one at most."""
    wrong = [finding for finding in report.checks if not finding.ok]
    found = {finding.subject: finding for finding in wrong}
    assert len(found) == len(wrong)
    return found


def names(report: DoctorReport, subject: str) -> list[str]:
    """Return what was checked of a subject, in order."""
    return [finding.name for finding in report.checks if finding.subject == subject]


def test_another_ini_file_and_rootdir(tmp_path: Path, node: str) -> None:
    """`-c` and `--rootdir` mean what they mean to pytest."""
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "load.ini").write_text(f"[pytest]\nms_pool = a@{node}\n")

    done = run_command("doctor", "-c", "there/load.ini", "--rootdir=there", folder=tmp_path, env=WITH_TOKEN)

    assert done.code == 0, done.text
    assert done.out.splitlines()[0] == "node a"


def test_a_node_that_is_well(folder: Path, node: str) -> None:
    """Every check is there with what was found and how long it took; exit code 0."""
    done = run_command("doctor", f"--ms-pool=a@{node}", folder=folder, env=WITH_TOKEN)
    report = report_of(run_command("doctor", f"--pool=a@{node}", "--json", folder=folder, env=WITH_TOKEN))

    assert done.code == 0, done.text
    assert done.out.splitlines()[0] == "node a"
    assert done.line("reachable").split() == ["ok", *done.line("reachable").split()[1:]]
    assert f"s  reachable: answers on http://{node}" in done.out
    assert done.out.splitlines()[-1] == f"all is well: {len(report.checks)} checks"
    assert names(report, "node a") == [*OF_A_NODE, *OF_ITSELF]
    assert report.ok
    assert (report.pool, report.kafka) == (f"a@{node}", None)


def test_everything_is_checked_whatever_fails(folder: Path, node: str) -> None:
    """A dead node, a stranger's token, a name without meaning and a dead Kafka hide nothing of each other."""
    dead, broker = (f"127.0.0.1:{free_port()}" for _ in range(2))
    with StockController() as stock, remote_node(token="another-token") as other:
        names_of_nobody = "dns@dns+nowhere.invalid:1,lost@nowhere.invalid"
        pool = f"dead@{dead},stock@{stock.address},other@{other},{names_of_nobody},well@{node}"
        options = [f"--pool={pool}", f"--kafka={broker}"]
        done = run_command("doctor", *options, "--json", folder=folder, env=WITH_TOKEN)
        shown = run_command("doctor", *options, folder=folder, env=WITH_TOKEN)

    report = report_of(done)
    wrong = failed(report)
    assert (done.code, shown.code) == (1, 1)
    assert list(wrong) == [
        "node dead",
        "node stock",
        "node other",
        "node dns",
        "node lost",
        "node well",
        "kafka",
    ]
    assert mentions(wrong["node dead"].detail, "refused the connection", "start `pytest-metersphere node`")
    assert "stock MeterSphere" in wrong["node stock"].detail
    assert "set PYTEST_MS_TOKEN" in wrong["node other"].detail
    assert (wrong["node dns"].name, wrong["node lost"].name) == ("name", "name")
    assert (wrong["node well"].name, wrong["kafka"].name) == ("kafka", f"{broker} answers as Kafka")
    assert wrong["kafka"].detail == "the connection was refused, nothing listens there"
    assert SENTENCE in wrong["kafka"].hint
    assert names(report, "node well") == [*OF_A_NODE, *OF_ITSELF, "kafka"]
    assert f"-> start the broker, or correct its port ({SENTENCE})" in shown.out
    assert shown.out.splitlines()[-1] == f"7 of {len(report.checks)} checks failed: {', '.join(wrong)}"
    assert TOKEN not in done.text + shown.text


def test_local_nodes_are_really_started(folder: Path) -> None:
    """In their place of the list, with no token of anybody's; a mixed pool is checked as a whole."""
    dead = f"127.0.0.1:{free_port()}"
    done = run_command("doctor", f"--ms-pool=dead@{dead},local=20+10", "--json", folder=folder)
    alone = run_command("doctor", "--ms-pool=local", folder=folder)

    report = report_of(done)
    assert (done.code, alone.code) == (1, 0), alone.text
    assert list(failed(report)) == ["node dead"]
    assert list(dict.fromkeys(finding.subject for finding in report.checks)) == [
        "node dead",
        "node local-1",
        "node local-2",
    ]
    assert names(report, "node local-2") == [*OF_A_NODE, *OF_ITSELF]


def test_a_local_node_that_does_not_start(node: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is one finding, and the other nodes are checked all the same."""
    monkeypatch.setattr(local, "START_LIMIT", 0.0)
    report = examine(Target(parse_pool(f"a@{node},local=5", {}), None, TOKEN))

    assert list(failed(report)) == ["pool"]
    assert failed(report)["pool"].name == "local nodes"
    assert "local-1" in failed(report)["pool"].detail
    assert names(report, "node a") == [*OF_A_NODE, *OF_ITSELF]


def test_a_node_that_is_in_the_pool_twice(folder: Path, node: str) -> None:
    """By its address and by a name that stands for it."""
    pool = f"a@{node},dns+localhost:{node.rpartition(':')[2]}"
    done = run_command("doctor", f"--ms-pool={pool}", "--json", folder=folder, env=WITH_TOKEN)

    assert done.code == 1
    assert list(failed(report_of(done))) == ["pool"]
    assert mentions(
        failed(report_of(done))["pool"].detail, "as localhost-1", "as a", "each node may be in it"
    )


def test_letters_that_a_terminal_does_not_know(folder: Path) -> None:
    """MeterSphere's sentence is Chinese; an ASCII terminal gets escapes, JSON is ASCII anyway."""
    dead = f"127.0.0.1:{free_port()}"
    ascii_only = {"PYTHONIOENCODING": "ascii"}
    done = run_command("doctor", f"--kafka={dead}", folder=folder, env=ascii_only)
    packed = run_command("doctor", f"--kafka={dead}", "--json", folder=folder, env=ascii_only)

    assert (done.code, packed.code) == (1, 1)
    assert "(Kafka \\u4e0d\\u53ef\\u7528" in done.out
    assert SENTENCE in failed(report_of(packed))["kafka"].hint


def test_a_machine_with_nothing_installed(folder: Path) -> None:
    """Neither Docker nor Kafka: one line each says so, and the cause is found without any tool."""
    dead = f"127.0.0.1:{free_port()}"
    bare = {"PATH": "/nowhere", "DOCKER_HOST": "unix:///nowhere/docker.sock"}
    done = run_command("doctor", f"--kafka={dead}", folder=folder, env=bare)
    local = run_command("status", "--pool=local=3", folder=folder, env=bare)

    line = (
        "this machine: no Docker Engine answers on unix:///nowhere/docker.sock (No such file or directory);"
    )
    assert (done.code, local.code) == (1, 0), done.text
    assert (done.out.count("Docker"), local.out.count("Docker")) == (1, 1)
    assert line in done.out
    assert line in local.out
    assert f"{SENTENCE}: {dead}, step by step" in done.out
    assert "nothing listens" in done.out


def test_nothing_to_look_at_and_bad_settings(folder: Path) -> None:
    """Exit code 4 and one message, as of status."""
    nothing = run_command("doctor", folder=folder)
    bad = run_command("doctor", "--ms-pool=a:b", "--ms-kafka=kafka", "--json", folder=folder)

    assert (nothing.code, bad.code) == (4, 4)
    assert nothing.err.startswith("pytest-metersphere doctor: error: there is nothing to look at")
    assert mentions(bad.err, "'b' is not a port", "'kafka' has no port")
    assert nothing.out + bad.out == ""


@pytest.mark.needs_kafka
def test_kafka_and_what_nodes_see_of_it(folder: Path, node: str, kafka: str) -> None:
    """From here and from the node; the topic is made, as a session would."""
    prefix = f"test-{secrets.token_hex(6)}"
    (folder / "pytest.ini").write_text(f"[pytest]\nms_kafka = {kafka}\nms_kafka_prefix = {prefix}\n")
    done = run_command("doctor", f"--ms-pool=a@{node}", "--json", folder=folder, env=WITH_TOKEN)

    report = report_of(done)
    assert done.code == 0, done.text
    assert report.kafka == [kafka]
    assert names(report, "node a")[-1] == "kafka"
    assert names(report, "kafka") == [
        f"{kafka} is resolved",
        f"{kafka} answers as Kafka",
        f"{kafka} takes the login",
        "advertised listeners",
        f"topic {prefix}.results",
        "round trip",
    ]
    with operator(kafka) as admin:
        assert f"{prefix}.results" in admin.list_topics()


@pytest.mark.needs_kafka
def test_a_topic_that_would_lose_data(folder: Path, kafka: str) -> None:
    """The advice says by which command it is changed."""
    prefix = f"test-{secrets.token_hex(6)}"
    make_topic(kafka, f"{prefix}.results", {"cleanup.policy": "compact"})
    env = {"PYTEST_MS_KAFKA": kafka, "PYTEST_MS_KAFKA_PREFIX": prefix}
    done = run_command("doctor", "--json", folder=folder, env=env)

    finding = failed(report_of(done))["kafka"]
    assert done.code == 1
    assert finding.name == f"topic {prefix}.results"
    assert "cleanup.policy=compact" in finding.detail
    assert "kafka-configs.sh --alter" in finding.hint
