"""Brokers of several kinds, each started once for a module; the plain one is in the conftest above."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from pytest_metersphere.dist.wire import KafkaAccess
from tests.kafka.broker import Broker, Recipe, broker

Start = Callable[[Recipe], Broker]
USERS = {"alice": "alices-secret"}


@pytest.fixture
def access(kafka: str) -> KafkaAccess:
    """Return the way to the shared broker, with topics of the test's own."""
    return KafkaAccess(servers=(kafka,), prefix=f"test-{secrets.token_hex(6)}")


@pytest.fixture(scope="module")
def start(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Return a function that starts a broker by a recipe; it ends with the module."""
    with ExitStack() as stack:

        def started(recipe: Recipe) -> Broker:
            return stack.enter_context(broker(pytestconfig, tmp_path_factory.mktemp("broker"), recipe))

        yield started


@pytest.fixture(scope="module")
def own_broker(start: Start) -> Broker:
    """Return a plain broker that may be stopped."""
    return start(Recipe())


@pytest.fixture(scope="module")
def login_broker(start: Start) -> Broker:
    """Return a broker where clients log in by PLAIN or SCRAM-SHA-256, in the clear."""
    recipe = Recipe(security="SASL_PLAINTEXT", users=USERS, mechanisms=("PLAIN", "SCRAM-SHA-256"))
    return start(recipe)


@pytest.fixture(scope="module")
def tls_broker(start: Start) -> Broker:
    """Return a broker with TLS."""
    return start(Recipe(security="SSL"))


@pytest.fixture(scope="module")
def certificate_broker(start: Start) -> Broker:
    """Return a broker with TLS that wants a certificate of its clients."""
    return start(Recipe(security="SSL", wants_certificate=True))


@pytest.fixture(scope="module")
def secret_broker(start: Start) -> Broker:
    """Return a broker where clients log in over TLS, by any mechanism."""
    return start(Recipe(security="SASL_SSL", users=USERS))


@pytest.fixture(scope="module")
def strict_broker(start: Start) -> Broker:
    """Return a broker where those who log in may do nothing but what the plain door allows them."""
    authorizer = "org.apache.kafka.metadata.authorizer.StandardAuthorizer"
    settings = {"authorizer.class.name": authorizer, "super.users": "User:ANONYMOUS"}
    return start(Recipe(security="SASL_PLAINTEXT", users=USERS, mechanisms=("PLAIN",), settings=settings))
