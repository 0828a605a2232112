"""Why Kafka cannot be used, step by step, where the broker or what listens in its place is the cause."""

from __future__ import annotations

import secrets

import msgspec
import pytest

from pytest_metersphere.dist.wire import KafkaAccess
from pytest_metersphere.inspection.doctor import examine
from pytest_metersphere.inspection.settings import Target
from pytest_metersphere.inspection.values import DoctorReport, Step
from tests.fakes.listeners import http_server
from tests.fakes.nodes import free_port
from tests.kafka.broker import Broker, Recipe
from tests.kafka.conftest import Start
from tests.plugin.projects import mentions


def doctor(address: str, **changes: str) -> DoctorReport:
    """Return what doctor says of Kafka at an address."""
    access = KafkaAccess(servers=(address,), prefix=f"test-{secrets.token_hex(6)}")
    return examine(Target(None, msgspec.structs.replace(access, **changes)))


def cause(report: DoctorReport) -> Step:
    """Return the last step, which is the cause; all before it are well."""
    *before, last = report.steps
    assert [step.question for step in before if not step.ok] == []
    assert (report.ok, last.ok) == (False, False)
    return last


@pytest.mark.needs_kafka
@pytest.mark.parametrize("host", ["127.0.0.1", "kafka.invalid"], ids=["dead", "unknown"])
def test_a_wrong_advertised_listener(host: str, start: Start) -> None:
    """Its address is named, why it does not work, and the line that sets it right; all else is well."""
    advertised = f"{host}:{free_port()}"
    own = start(Recipe(advertised=advertised))
    report = doctor(own.address)
    step = cause(report)

    assert [asked.question for asked in report.steps] == ["process", "port", "firewall", "listener"]
    assert mentions(step.detail, f"clients are sent on to {advertised}, which does not work from here")
    assert ("refused" if host == "127.0.0.1" else "cannot be resolved") in step.detail
    assert step.commands[0].startswith(f"advertised.listeners=PLAINTEXT://ADDRESS:{own.port} ")
    assert any("MS_KAFKA_HOST=ADDRESS/" in command for command in step.commands)


@pytest.mark.needs_kafka
def test_a_broker_that_is_bound_to_another_address(own_broker: Broker) -> None:
    """Who listens is named, and where; and the line that binds it to every address."""
    report = doctor(f"127.0.0.2:{own_broker.port}")
    step = cause(report)

    assert step.question == "port"
    assert mentions(step.detail, "java (process ", f"listens on {own_broker.address} only, not on 127.0.0.2")
    assert step.commands[0].startswith(f"listeners=PLAINTEXT://:{own_broker.port} ")


@pytest.mark.needs_kafka
def test_a_port_for_tls(tls_broker: Broker) -> None:
    """The broker runs and is reached; the variable that is missing is set by the command."""
    step = cause(doctor(tls_broker.address))

    assert (step.question, step.commands) == (
        "listener",
        ["export PYTEST_MS_KAFKA_SECURITY_PROTOCOL=SSL"],
    )


@pytest.mark.needs_kafka
def test_a_wrong_password(login_broker: Broker) -> None:
    """It is the listener that refuses; the password is in no text."""
    report = doctor(
        login_broker.address,
        security_protocol="SASL_PLAINTEXT",
        sasl_mechanism="PLAIN",
        username="alice",
        password="not-alices-secret",
    )
    step = cause(report)

    assert step.question == "listener"
    assert mentions(step.detail, "login of 'alice'", "check PYTEST_MS_KAFKA_USERNAME")
    assert step.commands == ["export PYTEST_MS_KAFKA_USERNAME=USER PYTEST_MS_KAFKA_PASSWORD=PASSWORD"]
    assert "not-alices-secret" not in repr(report)


@pytest.mark.needs_kafka
def test_a_broker_that_is_well(own_broker: Broker) -> None:
    """There is nothing to ask."""
    report = doctor(own_broker.address)

    assert (report.ok, report.steps) == (True, [])


def test_something_else_listens_there() -> None:
    """What it is, and the command that tells whose it is."""
    with http_server() as port:
        step = cause(doctor(f"127.0.0.1:{port}"))

    assert step.question == "process"
    assert "an HTTP server listens there, not Kafka" in step.detail
    assert step.commands[-1] == f"ss -ltnp 'sport = :{port}'"


def test_a_name_that_nobody_knows() -> None:
    """Nothing else is asked."""
    report = doctor("kafka.invalid:9092")
    step = cause(report)

    assert (len(report.steps), step.question) == (1, "name")
    assert step.commands[0] == "getent hosts kafka.invalid"


def test_each_server_is_told_of() -> None:
    """Up to three of them."""
    servers = tuple(f"127.0.0.1:{free_port()}" for _ in range(4))
    report = examine(Target(None, KafkaAccess(servers=servers)))

    assert list(dict.fromkeys(step.server for step in report.steps)) == list(servers[:3])
