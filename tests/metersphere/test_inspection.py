"""`status` and `doctor` on stock MeterSphere nodes."""

from __future__ import annotations

import secrets
from pathlib import Path

import msgspec
import pytest

from pytest_metersphere.dist.metersphere.names import container_name
from pytest_metersphere.dist.metersphere.rest import StockApi
from pytest_metersphere.inspection.values import DoctorReport, StatusReport
from tests.fakes.certificates import Authority
from tests.metersphere.actor import Script, command
from tests.metersphere.engines import ProcessEngine
from tests.metersphere.jmx import new_topics
from tests.metersphere.sessions import IMAGE
from tests.metersphere.stand_in import StandIn
from tests.plugin.commands import run_command
from tests.plugin.projects import mentions
from tests.plugin.remote import TOKEN, remote_node

pytestmark = pytest.mark.needs_kafka


@pytest.fixture
def env(kafka: str, tmp_path: Path) -> dict[str, str]:
    """Return what a session on stock nodes needs, and make the folder look like a project."""
    (tmp_path / "pytest.ini").write_text(f"[pytest]\nms_runner_image = {IMAGE}\n")
    return {"PYTEST_MS_KAFKA": kafka, "PYTEST_MS_KAFKA_PREFIX": f"test-{secrets.token_hex(6)}"}


def test_a_table_of_both_kinds(
    stand_in: StandIn, processes: ProcessEngine, env: dict[str, str], tmp_path: Path
) -> None:
    """What our containers there have is not free; of a stock node that lacks nothing nothing is said."""
    processes.known["sleeper:1"] = ("sleep", "60")
    held = container_name("0123456789abcdef-0", 30)
    StockApi("s", f"http://{stand_in.address}").start("sleeper:1", {"TEST_ID": held, "BOOTSTRAP_SERVERS": ""})
    with remote_node("--capacity=200") as ours:
        pool = f"--ms-pool=a@{stand_in.address}=100,b@{ours}"
        options = ["status", pool, "-c", str(tmp_path / "pytest.ini")]
        shown = run_command(*options, folder=tmp_path, env=env | {"PYTEST_MS_TOKEN": TOKEN})
        told = run_command(*options, "--json", folder=tmp_path, env=env | {"PYTEST_MS_TOKEN": TOKEN})
    rows = msgspec.json.decode(told.out, type=StatusReport).nodes

    assert [(row.name, row.kind, row.state, row.ok, row.detail) for row in rows] == [
        ("a", "stock", "up", True, ""),
        ("b", "ours", "up", True, ""),
    ]
    assert [(row.declared, row.free, row.slices) for row in rows] == [(100, 70, 1), (None, 200, 0)]
    assert "kind" in shown.out.splitlines()[1].split()
    assert shown.line("a ", "stock").split()[2:4] == ["up", "stock"]
    assert stand_in.names("running") == [held]


def test_a_stock_node_that_is_not_set_up(stand_in: StandIn, tmp_path: Path) -> None:
    """What is missing stands below the table, and the exit code is 1."""
    done = run_command("status", f"--ms-pool=a@{stand_in.address}", "--json", folder=tmp_path)
    (row,) = msgspec.json.decode(done.out, type=StatusReport).nodes

    assert (done.code, row.kind, row.state, row.ok) == (1, "stock", "not set up", False)
    assert mentions(row.detail, "a=1000", "--ms-kafka", "ms_runner_image")


def test_docker_is_down_there(stand_in: StandIn, env: dict[str, str], tmp_path: Path) -> None:
    """The node-controller says that it is well, and Docker does not."""
    stand_in.refuse_all = "java.net.SocketException: No such file or directory"
    done = run_command("status", f"--ms-pool=a@{stand_in.address}=9", "--json", folder=tmp_path, env=env)
    (row,) = msgspec.json.decode(done.out, type=StatusReport).nodes

    assert (row.kind, row.state, row.ok) == ("stock", "unwell", False)
    assert "does not reach Docker" in row.detail


def test_a_stock_node_among_nodes_with_tls(stand_in: StandIn, env: dict[str, str], tmp_path: Path) -> None:
    """It is recognised, though it speaks no TLS; no token is sent to it in the clear."""
    authority = Authority(tmp_path)
    safe = {"PYTEST_MS_NODE_CAFILE": authority.cafile, "PYTEST_MS_TOKEN": TOKEN}
    pool = f"--ms-pool=a@{stand_in.address}=9"
    done = run_command("status", pool, "--json", folder=tmp_path, env=env | safe)
    (row,) = msgspec.json.decode(done.out, type=StatusReport).nodes

    assert (row.kind, row.state) == ("stock", "up"), row
    assert not any(TOKEN in value for value in stand_in.authorizations)


def test_doctor_tries_a_stock_node_out(stand_in: StandIn, env: dict[str, str], tmp_path: Path) -> None:
    """A container is started there, asked, and gone: image, Kafka, versions and clock hold."""
    done = run_command("doctor", f"--ms-pool=a@{stand_in.address}=9", "--json", folder=tmp_path, env=env)
    report = msgspec.json.decode(done.out, type=DoctorReport)

    assert done.code == 0, done.text
    assert [finding.name for finding in report.checks if finding.subject == "node a"] == [
        *("reachable", "docker", "image", "kafka", "clock", "protocol", "version", "folder", "python")
    ]
    assert len(stand_in.started) == 1
    assert stand_in.names() == []


def test_doctor_tries_the_jmeter_image_out(
    stand_in: StandIn, processes: ProcessEngine, env: dict[str, str], tmp_path: Path
) -> None:
    """Beside ours, or alone, the image for test plans is started, calls back, and its rows and log come."""
    processes.known["jmeter:1"] = command(Script(samples=0))
    metrics, log = new_topics()
    env |= {
        "PYTEST_MS_JMETER_IMAGE": "jmeter:1",
        "PYTEST_MS_METRICS_TOPIC": metrics,
        "PYTEST_MS_LOG_TOPIC": log,
    }
    for image, more in ((IMAGE, ["image", "kafka"]), ("", [])):
        (tmp_path / "pytest.ini").write_text(f"[pytest]\nms_runner_image = {image}\n")
        options = ("doctor", f"--ms-pool=a@{stand_in.address}=9", "--json")
        done = run_command(*options, folder=tmp_path, env=env)
        found = msgspec.json.decode(done.out, type=DoctorReport).checks
        names = [one.name for one in found if one.subject == "node a"]

        assert done.code == 0, done.text
        assert all(one.ok for one in found)
        assert names[:2] == ["reachable", "docker"]
        assert set(more) <= set(names)
        assert [name for name in names if name in ("jmeter image", "callback", "rows", "log")] == [
            "jmeter image",
            "callback",
            "rows",
            "log",
        ]
    assert stand_in.names() == []


def test_doctor_without_kafka(stand_in: StandIn, tmp_path: Path) -> None:
    """What is missing is a finding."""
    done = run_command("doctor", f"--ms-pool=a@{stand_in.address}=9", "--json", folder=tmp_path)
    (finding,) = msgspec.json.decode(done.out, type=DoctorReport).checks

    assert (done.code, finding.ok) == (1, False)
    assert mentions(finding.detail, "--ms-kafka", "ms_runner_image")
