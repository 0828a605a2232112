"""The options of `pytest-metersphere node` for slices in containers."""

from __future__ import annotations

import argparse
import math
import os
import re

import pytest_metersphere
from pytest_metersphere.dist.node.config import DockerConfig, available_cores
from pytest_metersphere.errors import ConfigError

IMAGE_VARIABLE = "PYTEST_MS_RUNNER_IMAGE"

_LEAST_MEMORY = 6 << 20
_UNITS = {"": 0, "b": 0, "k": 10, "m": 20, "g": 30}
_IMAGE = re.compile(r"[a-z0-9][\w.:/@-]{0,254}", re.ASCII)
_VARIABLE = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_ALONE = {
    "image": "--image",
    "pull": "--pull",
    "docker_network": "--docker-network",
    "memory": "--memory",
    "cpus": "--cpus",
    "pids": "--pids",
    "env": "--env",
}


def add_docker(node: argparse.ArgumentParser) -> None:
    """Declare the options."""
    node.add_argument(
        "--launcher",
        choices=("process", "docker"),
        default="process",
        help="run slices as processes of this machine, or each in a container of its own (%(default)s)",
    )
    node.add_argument(
        "--image",
        metavar="NAME:TAG",
        help="with --launcher=docker, the image of the containers"
        f" ({IMAGE_VARIABLE}, else pytest-metersphere-runner with the version as its tag)",
    )
    node.add_argument(
        "--pull",
        choices=("never", "missing"),
        help="with --launcher=docker, whether to pull the image when it is not there (never)",
    )
    node.add_argument(
        "--docker-network",
        metavar="NETWORK",
        help="with --launcher=docker, the network of the containers, as Docker names it (host)",
    )
    node.add_argument(
        "--memory",
        metavar="SIZE",
        type=_size,
        help="with --launcher=docker, memory that a slice may use, as 512m or 2g (no limit)",
    )
    node.add_argument(
        "--cpus",
        metavar="N",
        type=_cores,
        help="with --launcher=docker, cores whose time a slice may use, as 1.5 (no limit)",
    )
    node.add_argument(
        "--pids",
        metavar="N",
        type=_pids,
        help="with --launcher=docker, processes and threads of a slice (4096, and two for each user)",
    )
    node.add_argument(
        "--env",
        metavar="NAME[=VALUE]",
        action="append",
        help="with --launcher=docker, a variable for slices, from this environment without =VALUE; may be"
        " repeated; whoever may ask Docker sees it",
    )


def docker_config(parsed: argparse.Namespace, node: str) -> DockerConfig | None:
    """Return how slices get containers, None when they get none.

    Args:
        parsed: the command line.
        node: tells this node's containers from others, its `name@host:port`.

    Raises:
        ConfigError: an option makes no sense.
    """
    if parsed.launcher != "docker":
        alone = [option for name, option in _ALONE.items() if getattr(parsed, name) is not None]
        if alone:
            raise ConfigError(f"{alone[0]} is about containers; add --launcher=docker, or leave it out")
        return None
    if parsed.cpus is not None and parsed.cpus > (os.cpu_count() or 1):
        raise ConfigError(f"--cpus {parsed.cpus:g}: this machine has {os.cpu_count()}")
    return DockerConfig(
        node=node,
        image=_image(parsed.image),
        pull=parsed.pull == "missing",
        network=parsed.docker_network or "host",
        memory=parsed.memory,
        cpus=parsed.cpus,
        pids=parsed.pids,
        env=dict(_variable(text) for text in parsed.env or ()),
    )


def cores_of(parsed: argparse.Namespace) -> int:
    """Return how many cores a slice may use: those of this process, or of the container's quota."""
    cores = available_cores()
    return cores if parsed.cpus is None else min(cores, math.ceil(parsed.cpus))


def _image(option: str | None) -> str:
    origin, text = ("--image", option) if option is not None else (IMAGE_VARIABLE, _from_environment())
    if not _IMAGE.fullmatch(text):
        raise ConfigError(f"{origin}: {text!r} is no name of an image, write for example runner:1.0")
    return text


def _from_environment() -> str:
    own = f"pytest-metersphere-runner:{pytest_metersphere.__version__}"
    return os.environ.get(IMAGE_VARIABLE, "").strip() or own


def _variable(text: str) -> tuple[str, str]:
    name, given, value = text.partition("=")
    if not _VARIABLE.fullmatch(name):
        raise ConfigError(f"--env: {name!r} is no name of a variable, write NAME or NAME=VALUE")
    if given:
        return name, value
    if name not in os.environ:
        raise ConfigError(f"--env {name}: there is no such variable here; write {name}=VALUE")
    return name, os.environ[name]


def _size(text: str) -> int:
    found = re.fullmatch(r"(\d{1,15})([bkmg]?)", text.lower(), re.ASCII)
    size = int(found[1]) << _UNITS[found[2]] if found else 0
    if not _LEAST_MEMORY <= size < 1 << 50:
        raise argparse.ArgumentTypeError(f"{text!r} is no size of at least 6m, write for example 512m or 2g")
    return size


def _cores(text: str) -> float:
    if not re.fullmatch(r"\d{1,4}(\.\d{1,3})?", text, re.ASCII) or not float(text) >= 0.01:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of cores, write for example 1.5")
    return float(text)


def _pids(text: str) -> int:
    if not re.fullmatch(r"\d{1,7}", text, re.ASCII) or int(text) < 16:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of processes from 16")
    return int(text)
