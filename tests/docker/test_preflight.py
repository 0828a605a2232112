"""What the preflight says of nodes whose slices run in containers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docker.engine import Engine
from tests.plugin.remote import TOKEN, remote_node
from tests.preflight.messages import assert_told
from tests.preflight.trial import Trial, jmeter_trial

pytestmark = pytest.mark.timeout(200)


@pytest.fixture
def trial(tmp_path: Path) -> Trial:
    """Return a project that has not been run."""
    return Trial(tmp_path)


@pytest.mark.needs_docker
def test_an_image_without_jmeter(tmp_path: Path, docker_engine: Engine, runner_image: str) -> None:
    """What is missing in it is named, and where it is put."""
    message = said(jmeter_trial(tmp_path), f"--image={runner_image}", host=docker_engine.host)

    assert_told(
        "Nodes", "no JMeter in the image that slices run in, and the load is a JMeter test plan", message
    )


def said(trial: Trial, *options: str, host: str) -> str:
    """Return what a session says of a node that speaks to a Docker Engine."""
    with remote_node("--launcher=docker", *options, env={"DOCKER_HOST": host}) as address:
        return trial.refuses(f"--ms-pool=n1@{address}", env={"PYTEST_MS_TOKEN": TOKEN})


def test_docker_that_does_not_answer(trial: Trial) -> None:
    """The system's own reason, and the three things that may be missing."""
    message = said(trial, host="unix:///nowhere/docker.sock")

    assert_told("Nodes", "Docker does not answer on the node", message)


@pytest.mark.needs_docker
def test_an_image_that_is_not_there(trial: Trial, docker_engine: Engine) -> None:
    """Its exact name and tag, and how it comes to the node; nothing is pulled."""
    message = said(trial, "--image=pytest-metersphere-runner:9.9", host=docker_engine.host)

    assert_told("Nodes", "the image that slices run in is not on the node", message)
