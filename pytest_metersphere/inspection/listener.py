"""The last question about Kafka: does the listener serve us, and where does it send its clients? Pure."""

from __future__ import annotations

import ipaddress

from pytest_metersphere.inspection.case import IN_PROPERTIES, METERSPHERE, Answer, Case

_MORE = "PYTEST_MS_KAFKA_"
_EXPORT = f"export {_MORE}"
_PROTOCOL = f"{_EXPORT}SECURITY_PROTOCOL"
_LOGIN = f"{_EXPORT}USERNAME=USER {_MORE}PASSWORD=PASSWORD"
# the strongest first
_MECHANISMS = ("SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN")


def listener(case: Case) -> Answer | None:
    """Does the listener serve us, and send us on to where we can follow?"""
    if case.no_way:
        return None
    if case.server.state != "up":
        return Answer(False, case.server.detail, _of_listener(case))
    unfit = [broker for broker in case.brokers if not broker.ok]
    if not unfit:
        places = ", ".join(broker.address for broker in case.brokers[:5])
        return Answer(True, f"clients are sent on to {places}")
    names = ", ".join(broker.address for broker in unfit[:5])
    why = unfit[0].detail.partition("; ")[0]
    place, host, means = _known_to_all(case)
    installed = f"sed -i 's/^MS_KAFKA_HOST=.*/MS_KAFKA_HOST={host}/' /opt/metersphere/.env"
    return Answer(
        False,
        f"clients are sent on to {names}, which does not work from here: {why}; they must be sent to an"
        f" address that this machine and all nodes reach{means}",
        [
            f"advertised.listeners={case.protocol}://{place} {IN_PROPERTIES}",
            f"{installed} && msctl reload {METERSPHERE}",
        ],
    )


def _known_to_all(case: Case) -> tuple[str, str, str]:
    """Return address and host to send clients to, and what these words mean when it is not known here."""
    try:
        loopback = ipaddress.ip_address(case.scene.address or case.host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        return case.server.address, case.host, ""
    # from the nodes it would be the nodes themselves
    return f"ADDRESS:{case.port}", "ADDRESS", "; ADDRESS below is to be that one"


def _of_listener(case: Case) -> list[str]:
    login = "SASL_SSL" if case.protocol.endswith("SSL") else "SASL_PLAINTEXT"
    commands = {
        "tls expected": [f"{_PROTOCOL}={'SASL_SSL' if case.protocol.startswith('SASL') else 'SSL'}"],
        "tls not expected": [
            f"{_PROTOCOL}={'SASL_PLAINTEXT' if case.protocol.startswith('SASL') else 'PLAINTEXT'}"
        ],
        "login expected": [f"{_PROTOCOL}={login}", _LOGIN],
        "login not expected": [f"{_PROTOCOL}={'SSL' if case.protocol.endswith('SSL') else 'PLAINTEXT'}"],
        "login refused": [_LOGIN],
        "mechanism": [_mechanism(case.server.detail)],
        "certificate": [f"{_EXPORT}CAFILE=/path/to/ca.pem"],
        "client certificate": [f"{_EXPORT}CERTFILE=/path/to/client.pem {_MORE}KEYFILE=/path/to/client.key"],
        "controller": case.instead(),
        "no brokers": _logs(case),
    }
    return commands.get(case.server.state, [])


def _mechanism(detail: str) -> str:
    """Return how a mechanism is set that the broker takes: there, if it takes none that we know."""
    taken = detail.partition("; it takes ")[2].partition(";")[0].split(", ")
    known = next((each for each in _MECHANISMS if each in taken), None)
    if known is None:
        return f"sasl.enabled.mechanisms={_MECHANISMS[0]} {IN_PROPERTIES}"
    return f"{_EXPORT}SASL_MECHANISM={known}"


def _logs(case: Case) -> list[str]:
    container = case.scene.container
    if container is not None:
        return [f"docker logs --tail 50 {container.name}"]
    commands = ["docker logs --tail 50 kafka", "journalctl -u kafka -n 50"]
    return commands if case.scene.here else [f"ssh {case.host} {command}" for command in commands]
