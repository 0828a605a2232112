"""The options of `pytest-metersphere node` for MeterSphere's servers."""

from __future__ import annotations

import argparse
import ipaddress

from pytest_metersphere.dist.node.config import MeterSphereConfig, Network
from pytest_metersphere.errors import ConfigError


def add_metersphere(node: argparse.ArgumentParser) -> None:
    """Declare the options."""
    node.add_argument(
        "--metersphere-api",
        action="store_true",
        help="with --launcher=docker, take the place of a MeterSphere node-controller, too: start and stop"
        " containers for a MeterSphere server, WITHOUT ANY LOGIN, as that has none to give",
    )
    node.add_argument(
        "--metersphere-allow",
        metavar="ADDRESS",
        action="append",
        help="with --metersphere-api, who may ask for that: an address or a network, as 10.0.0.5 or"
        " 10.0.0.0/24; may be repeated (whoever reaches the port)",
    )


def metersphere_config(parsed: argparse.Namespace) -> MeterSphereConfig | None:
    """Return how MeterSphere's servers are answered, None when they are not.

    Raises:
        ConfigError: the options make no sense together.
    """
    if not parsed.metersphere_api:
        if parsed.metersphere_allow:
            raise ConfigError("--metersphere-allow is about --metersphere-api; add that, or leave it out")
        return None
    if parsed.launcher != "docker":
        raise ConfigError("--metersphere-api starts containers; add --launcher=docker, or leave it out")
    if parsed.tls_cert is not None or parsed.tls_key is not None:
        raise ConfigError(
            "--metersphere-api: MeterSphere's servers speak plain HTTP, so it goes without --tls-cert; run a"
            " second node with TLS on another --port for pytest"
        )
    return MeterSphereConfig(allowed=tuple(map(_network, parsed.metersphere_allow or ())))


def _network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise ConfigError(
            f"--metersphere-allow: {text!r} is no address and no network ({error}); write 10.0.0.5 or"
            " 10.0.0.0/24"
        ) from None


def warning(config: MeterSphereConfig, port: int, *, on_loopback: bool) -> str:
    """Return what is to be said of it at the start."""
    if config.allowed:
        who = f"whoever has an address in {', '.join(map(str, config.allowed))}"
    elif on_loopback:
        who = "every user of this machine"
    else:
        who = f"whoever reaches port {port} (--metersphere-allow limits it)"
    return (
        f"--metersphere-api has no login: {who} can start any image of this machine, with its network, and"
        " stop what was started so"
    )
