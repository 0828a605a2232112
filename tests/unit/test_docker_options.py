"""How the options of `pytest-metersphere node` become the settings of containers."""

from __future__ import annotations

import argparse

import pytest

import pytest_metersphere
from pytest_metersphere.dist.node.config import available_cores
from pytest_metersphere.dist.node.docker import split_tag
from pytest_metersphere.dist.node.docker_options import add_docker, cores_of, docker_config


def parsed(*options: str) -> argparse.Namespace:
    """Return a command line."""
    parser = argparse.ArgumentParser()
    add_docker(parser)
    return parser.parse_args(options)


def test_without_options_slices_are_plain_processes() -> None:
    """Nothing of Docker is set."""
    assert docker_config(parsed(), "n1@127.0.0.1:8082") is None


def test_the_image_is_by_default_that_of_this_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the host's network, never pulled, without limits but that of processes."""
    monkeypatch.delenv("PYTEST_MS_RUNNER_IMAGE", raising=False)
    config = docker_config(parsed("--launcher=docker"), "n1@127.0.0.1:8082")

    assert config is not None
    assert config.image == f"pytest-metersphere-runner:{pytest_metersphere.__version__}"
    assert (config.node, config.network, config.pull) == ("n1@127.0.0.1:8082", "host", False)
    assert (config.memory, config.cpus, config.pids, dict(config.env)) == (None, None, None, {})


@pytest.mark.parametrize(("cpus", "cores"), [("0.5", 1), ("1", 1), ("1.5", 2), ("4096", available_cores())])
def test_a_slice_has_as_many_workers_as_cores_that_it_may_use(cpus: str, cores: int) -> None:
    """At least one, and never more than the machine has."""
    assert cores_of(parsed("--launcher=docker", f"--cpus={cpus}")) == min(cores, available_cores())


@pytest.mark.parametrize(
    ("image", "parts"),
    [
        ("runner", ("runner", "latest")),
        ("runner:1.0", ("runner", "1.0")),
        ("registry.example:5000/load/runner", ("registry.example:5000/load/runner", "latest")),
        ("registry.example:5000/load/runner:1.0", ("registry.example:5000/load/runner", "1.0")),
        ("runner@sha256:00", ("runner@sha256:00", None)),
    ],
)
def test_a_port_is_no_tag(image: str, parts: tuple[str, str | None]) -> None:
    """What is pulled is one image, never all tags of it."""
    assert split_tag(image) == parts
