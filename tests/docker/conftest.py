"""The Docker Engine and the runner image, for the tests of this folder."""

from __future__ import annotations

from tests.docker.engine import docker_engine, runner_image

__all__ = ["docker_engine", "runner_image"]
