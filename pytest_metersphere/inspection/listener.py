"""The last question about Kafka: does the listener serve us, and where does it send its clients? Pure."""

from __future__ import annotations

from pytest_metersphere.inspection.case import IN_PROPERTIES, METERSPHERE, Answer, Case

_VARIABLE = "export PYTEST_MS_KAFKA_SECURITY_PROTOCOL"


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
    installed = f"sed -i 's/^MS_KAFKA_HOST=.*/MS_KAFKA_HOST={case.host}/' /opt/metersphere/.env"
    return Answer(
        False,
        f"clients are sent on to {names}, which does not work from here: {why}; they must be sent to an"
        " address that this machine and all nodes reach",
        [
            f"advertised.listeners={case.protocol}://{case.server.address} {IN_PROPERTIES}",
            f"{installed} && msctl reload {METERSPHERE}",
        ],
    )


def _of_listener(case: Case) -> list[str]:
    login = "SASL_SSL" if case.protocol.endswith("SSL") else "SASL_PLAINTEXT"
    commands = {
        "tls expected": [f"{_VARIABLE}={'SASL_SSL' if case.protocol.startswith('SASL') else 'SSL'}"],
        "tls not expected": [
            f"{_VARIABLE}={'SASL_PLAINTEXT' if case.protocol.startswith('SASL') else 'PLAINTEXT'}"
        ],
        "login expected": [f"{_VARIABLE}={login}"],
        "login not expected": [f"{_VARIABLE}={'SSL' if case.protocol.endswith('SSL') else 'PLAINTEXT'}"],
        "controller": case.instead(),
    }
    return commands.get(case.server.state, [])
