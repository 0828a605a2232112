"""Machines of our own on one switch: a broker, node-controllers, and a shop, each in its namespace."""

from __future__ import annotations

import dataclasses
import http.client
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.kafka.broker import Recipe, broker
from tests.network.namespaces import Machine, Network, network

PATIENCE = 15.0
_SHOP = Path(__file__).resolve().parents[2] / "examples" / "shop_server.py"


@dataclasses.dataclass(frozen=True)
class Shop:
    """The server of the examples on a machine of its own."""

    url: str

    @property
    def served(self) -> int:
        """Return how many requests it has counted."""
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=PATIENCE)
        try:
            connection.request("GET", "/stats")
            return int(json.loads(connection.getresponse().read())["requests"])
        finally:
            connection.close()


@pytest.fixture(scope="module")
def net(pytestconfig: pytest.Config) -> Iterator[Network]:
    """Return a switch with this machine on it; it is gone at the end of the module."""
    with network(pytestconfig) as made:
        yield made


@pytest.fixture(scope="module")
def kafka_machine(net: Network) -> Machine:
    """Return the machine for the broker."""
    return net.machine("kafka")


@pytest.fixture(scope="module")
def far_kafka(
    kafka_machine: Machine, pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Run a broker on a machine of its own and return its `host:port`, which it also tells its clients."""
    recipe = Recipe(host=kafka_machine.address, prefix=kafka_machine.prefix)
    with broker(pytestconfig, tmp_path_factory.mktemp("broker"), recipe) as running:
        yield running.address


@pytest.fixture(scope="module")
def shop_machine(net: Network) -> Machine:
    """Return the machine for shops."""
    return net.machine("shop")


@pytest.fixture
def shop(shop_machine: Machine) -> Iterator[Shop]:
    """Run a shop that has counted nothing yet."""
    command = [*shop_machine.prefix, sys.executable, str(_SHOP), f"--host={shop_machine.address}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield Shop(server.stdout.readline().strip())
        server.terminate()
