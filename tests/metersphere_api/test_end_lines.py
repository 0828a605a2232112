"""What a MeterSphere server is told over a real Kafka of the ends of its containers."""

from __future__ import annotations

import contextlib
import os
import signal

import pytest

from pytest_metersphere.dist.client import NodeClient
from pytest_metersphere.dist.node.metersphere_api import guests, lines
from tests.docker.engine import Engine
from tests.fakes.nodes import NodeThread, eventually, free_port
from tests.metersphere_api.conftest import Starter
from tests.metersphere_api.server import SLEEP, Server
from tests.metersphere_api.topics import LogTopic
from tests.plugin.remote import TOKEN, remote_node

pytestmark = [pytest.mark.needs_docker, pytest.mark.needs_kafka, pytest.mark.timeout(180)]
NAME = "7f3a0c52-0b1e-4a8f-9f3d-0c8f4f1f2a11"
END = "r-1 none 0 Remove container completed"
NEXT_END = END.replace("r-1", "r-2")
NO_MEMORY = "There is insufficient memory for the Java Runtime Environment to continue."


@pytest.fixture
def topic(kafka: str) -> LogTopic:
    """Return a topic of logs."""
    return LogTopic(kafka)


def begin_report(server: Server, topic: LogTopic, script: str = SLEEP, report: str = "r-1") -> None:
    """Start a container as a MeterSphere server does for a report."""
    server.start(NAME, script, REPORT_ID=report, **topic.env)


def until_told(topic: LogTopic, *told: str) -> None:
    """Wait until these lines are there; no others must be."""
    eventually(lambda: len(topic.records()) >= len(told), f"{len(told)} lines", 30.0)
    assert topic.lines() == list(told)


@pytest.mark.parametrize("code", [0, 3])
def test_an_end_is_told_once(code: int, server: Server, topic: LogTopic) -> None:
    """For every exit code, without a key and without headers, as a stock node-controller tells it."""
    begin_report(server, topic, f"exit {code}")
    until_told(topic, END)

    assert topic.records() == [(None, END, [])]
    assert server.status(NAME) == []


@pytest.mark.parametrize("how", ["stop", "kill", "remove"])
def test_every_end_is_told(how: str, server: Server, topic: LogTopic, docker: Engine) -> None:
    """Stopped, killed by hand or removed, and each once; a stock node-controller leaves most of these out."""
    begin_report(server, topic)
    found = docker.client.containers.get(NAME)
    if how == "stop":
        server.stop(NAME)
    elif how == "kill":
        found.kill()
    else:
        found.remove(force=True)
    until_told(topic, END)

    begin_report(server, topic, "exit 0", report="r-2")
    until_told(topic, END, NEXT_END)


def test_one_that_is_replaced_is_told_too(server: Server, topic: LogTopic) -> None:
    """Under its own report, before the new one can end."""
    begin_report(server, topic)
    begin_report(server, topic, "exit 0", report="r-2")

    until_told(topic, END, NEXT_END)


def test_the_end_of_the_node_is_told(begin: Starter, topic: LogTopic) -> None:
    """Its containers end with it, and no report stays without an end."""
    with NodeThread(begin().config) as node:
        begin_report(Server(node.address), topic)

    until_told(topic, END)


def test_what_a_killed_node_left_is_told_at_its_next_start(
    docker_engine: Engine, script_image: str, topic: LogTopic
) -> None:
    """Its containers go on without it; the next start removes them, and finds in them whom to tell."""
    command = ("--launcher=docker", "--metersphere-api", "--name=n1", f"--port={free_port()}")
    env = {"DOCKER_HOST": docker_engine.host}
    with remote_node(*command, env=env) as address:
        begin_report(Server(address), topic)
        with contextlib.closing(NodeClient("n1", f"http://{address}", TOKEN)) as client:
            os.kill(client.info().pid, signal.SIGKILL)
    assert docker_engine.client.containers.get(NAME).status == "running"

    with remote_node(*command, env=env) as address:
        until_told(topic, END)
        assert Server(address).status(NAME) == []
    assert docker_engine.containers(name=NAME) == []


def test_a_java_without_memory_is_told_at_once(
    server: Server, topic: LogTopic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MeterSphere's server waits for this sentence, even if the container goes on; it comes once."""
    monkeypatch.setattr(guests, "LISTEN", 0.5)
    begin_report(server, topic, f"echo '# {NO_MEMORY}'; exec sleep 300")
    until_told(topic, f"r-1 none 0 {NO_MEMORY}")
    server.stop(NAME)

    until_told(topic, f"r-1 none 0 {NO_MEMORY}", END)


def test_a_java_without_memory_that_ends(server: Server, topic: LogTopic) -> None:
    """It is told before the end, however fast that comes."""
    begin_report(server, topic, f"echo '# {NO_MEMORY}' >&2; exit 1")

    until_told(topic, f"r-1 none 0 {NO_MEMORY}", END)


def test_without_a_report_nobody_is_told(server: Server, topic: LogTopic) -> None:
    """A line without one would be nobody's."""
    begin_report(server, topic, "exit 0", report="")
    server.until_ended(NAME)
    begin_report(server, topic, "exit 0")

    until_told(topic, END)


def test_a_topic_that_is_not_there_is_in_the_log(
    begin: Starter, kafka: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None is made; the container's end is not held up by it."""
    monkeypatch.setattr(lines, "DELIVERY", 2.0)
    server = Server(begin().address)
    server.start(NAME, "exit 0", BOOTSTRAP_SERVERS=kafka, REPORT_ID="r-1", LOG_TOPIC="no-such-topic")
    server.until_ended(NAME)

    eventually(lambda: "did not come to Kafka's topic no-such-topic" in caplog.text, "the warning", 30.0)
    assert server.start(NAME) == "OK"
