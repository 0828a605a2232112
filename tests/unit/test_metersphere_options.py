"""How the options of `pytest-metersphere node` open a node to MeterSphere's servers."""

from __future__ import annotations

import argparse
import ipaddress
from pathlib import Path

import pytest

from pytest_metersphere.dist.node.config import MeterSphereConfig
from pytest_metersphere.dist.node.docker_options import add_docker
from pytest_metersphere.dist.node.metersphere_api.options import (
    add_metersphere,
    metersphere_config,
    warning,
)
from pytest_metersphere.errors import ConfigError

ALLOWED = MeterSphereConfig(allowed=(ipaddress.ip_network("10.0.0.5/32"), ipaddress.ip_network("fd00::/8")))


def parsed(*options: str) -> argparse.Namespace:
    """Return a command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tls-cert", type=Path)
    parser.add_argument("--tls-key", type=Path)
    add_docker(parser)
    add_metersphere(parser)
    return parser.parse_args(options)


def test_without_the_option_they_are_not_answered() -> None:
    """Neither with processes nor with Docker."""
    assert metersphere_config(parsed()) is None
    assert metersphere_config(parsed("--launcher=docker")) is None


def test_with_it_whoever_reaches_the_port_is() -> None:
    """Until addresses are given, of which there may be several."""
    opened = ("--launcher=docker", "--metersphere-api")

    assert metersphere_config(parsed(*opened)) == MeterSphereConfig()
    both = ("--metersphere-allow=10.0.0.5", "--metersphere-allow=fd00::/8")
    assert metersphere_config(parsed(*opened, *both)) == ALLOWED


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--metersphere-api"], "--metersphere-api starts containers; add --launcher=docker"),
        (
            ["--launcher=docker", "--metersphere-allow=10.0.0.5"],
            "--metersphere-allow is about --metersphere-api",
        ),
        (["--launcher=docker", "--metersphere-api", "--tls-cert=x"], "speak plain HTTP"),
        (["--launcher=docker", "--metersphere-api", "--tls-key=x"], "speak plain HTTP"),
        (["--launcher=docker", "--metersphere-api", "--metersphere-allow=here"], "'here' is no address"),
        (["--launcher=docker", "--metersphere-api", "--metersphere-allow=10.0.0.1/8"], "has host bits set"),
    ],
)
def test_options_that_do_not_go_together(options: list[str], message: str) -> None:
    """Each says what to do."""
    with pytest.raises(ConfigError, match=message):
        metersphere_config(parsed(*options))


def test_the_warning_says_who_can_do_what() -> None:
    """Every user of the machine, whoever reaches the port, or whoever has an address."""
    assert "every user of this machine can start any image" in warning(
        MeterSphereConfig(), 8082, on_loopback=True
    )
    assert "whoever reaches port 8082 (--metersphere-allow limits it)" in warning(
        MeterSphereConfig(), 8082, on_loopback=False
    )
    assert "whoever has an address in 10.0.0.5/32, fd00::/8 can" in warning(ALLOWED, 8082, on_loopback=False)
