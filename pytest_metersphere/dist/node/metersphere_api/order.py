"""What a MeterSphere server asks to be started: read from the body of its request, which may be anything."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence

import msgspec

from pytest_metersphere.dist.kafka.brokers import parse_servers
from pytest_metersphere.dist.node.metersphere_api.declined import Declined
from pytest_metersphere.dist.node.metersphere_api.names import new_name, shown, users_of
from pytest_metersphere.errors import ConfigError

LOG_TOPIC = "JMETER_LOGS"
"""The topic of an order that names none, as MeterSphere's installer has it."""
MAX_VARIABLE = 128 << 10
"""Bytes that Linux takes for `NAME=value` and the zero behind it (MAX_ARG_STRLEN)."""
MAX_SERVERS = 16
NO_KAFKA = "Failed to connect to Kafka"
"""What MeterSphere's servers show, and its users search for."""

_IMAGE = re.compile(r"[!-~]{1,512}", re.ASCII)
_REPORT = re.compile(r"[!-~]{0,200}", re.ASCII)
_TOPIC = re.compile(r"[a-zA-Z0-9._-]{1,249}", re.ASCII)
_SCHEME = re.compile(r"\b[a-z][a-z0-9_]*://", re.IGNORECASE)


class _Body(msgspec.Struct):
    """A start request. Other keys (a login to a registry) are passed over, as nothing is ever pulled."""

    image: str = ""
    env: dict[str, msgspec.Raw] | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A container that is wanted, as far as that can be told without Docker and Kafka.

    Attributes:
        name: its name, the variable TEST_ID.
        image: name and tag of its image.
        env: its environment, `NAME=value`.
        servers: brokers that it is to reach, `host:port`; none when it needs no Kafka.
        report: id of MeterSphere's report, empty without.
        topic: topic for the lines that tell of its end.
    """

    name: str
    image: str
    env: tuple[str, ...]
    servers: tuple[str, ...]
    report: str
    topic: str

    @property
    def users(self) -> int | None:
        """Return how many users it has, None when nobody knows."""
        return users_of(self.name)


def read_order(body: bytes) -> Order:
    """Return what the body of a start request asks for.

    Raises:
        Declined: it is not JSON of that kind, or asks for what cannot be; says what.
    """
    if not body.strip():
        raise Declined('Required request body is missing: {"image": …, "env": {"TEST_ID": …}}')
    try:
        asked = msgspec.json.decode(body, type=_Body)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise Declined(f"JSON parse error: {error}") from None
    if not _IMAGE.fullmatch(asked.image):
        raise Declined(
            f"image: {shown(asked.image)} is no name of an image, it must be like jmeter-master:5.4.1"
        )
    if asked.env is None:
        raise Declined("env is missing: it must hold TEST_ID and BOOTSTRAP_SERVERS at least")
    return order_of(asked.image, _texts(asked.env))


def order_of(image: str, env: Mapping[str, str]) -> Order:
    """Return what an image and an environment amount to.

    Raises:
        Declined: a variable cannot be what it is.
    """
    name = new_name(env.get("TEST_ID", ""))
    for variable, value in env.items():
        _check_variable(variable, value)
    report, topic = env.get("REPORT_ID", ""), env.get("LOG_TOPIC", "") or LOG_TOPIC
    if not _REPORT.fullmatch(report):
        raise Declined(f"REPORT_ID: {shown(report)} is no id: 200 printable ASCII characters without blanks")
    if not _TOPIC.fullmatch(topic):
        raise Declined(f"LOG_TOPIC: {shown(topic)} is no name of a Kafka topic")
    return Order(
        name=name,
        image=image,
        env=tuple(f"{variable}={value}" for variable, value in env.items()),
        servers=_servers(env.get("BOOTSTRAP_SERVERS")),
        report=report,
        topic=topic,
    )


def order_from(name: str, image: str, env: Sequence[str]) -> Order:
    """Return the order behind a container that an earlier node-controller left, as far as it is known."""
    known = dict(variable.split("=", 1) for variable in env if "=" in variable)
    try:
        return order_of(image, known | {"TEST_ID": name})
    except Declined:
        return Order(name=name, image=image, env=tuple(env), servers=(), report="", topic=LOG_TOPIC)


def _texts(env: Mapping[str, msgspec.Raw]) -> dict[str, str]:
    """Return variables as text: numbers as they are written, what is null left out."""
    texts = {name: _text(name, bytes(raw).strip()) for name, raw in env.items()}
    return {name: text for name, text in texts.items() if text is not None}


def _text(name: str, raw: bytes) -> str | None:
    if raw.startswith(b'"'):
        try:
            return msgspec.json.decode(raw, type=str)
        except (msgspec.MsgspecError, ValueError) as error:
            raise Declined(f"JSON parse error: env {shown(name)}: {error}") from None
    if raw.startswith((b"{", b"[")):
        raise Declined(f"JSON parse error: env {shown(name)} must be a text, it is an object or a list")
    return None if raw == b"null" else raw.decode()


def _check_variable(name: str, value: str) -> None:
    if not name or "=" in name or "\0" in name:
        raise Declined(f"env: {shown(name)} is no name of a variable")
    if "\0" in value:
        raise Declined(f"env {shown(name)}: there is a zero byte in it")
    size = len(f"{name}={value}".encode()) + 1
    if size > MAX_VARIABLE:
        raise Declined(
            f"env {shown(name)} has {size:,} bytes with its name, and Linux takes {MAX_VARIABLE:,}: the"
            " container would die at once"
        )


def _servers(text: str | None) -> tuple[str, ...]:
    if text is None:
        raise Declined(f"{NO_KAFKA}: BOOTSTRAP_SERVERS is missing; leave it empty if there is none")
    if not text.strip(", \t\r\n"):
        return ()
    try:
        servers = parse_servers(_SCHEME.sub("", text), "BOOTSTRAP_SERVERS")
    except ConfigError as error:
        raise Declined(f"{NO_KAFKA}: {error}") from None
    if len(servers) > MAX_SERVERS:
        raise Declined(
            f"{NO_KAFKA}: BOOTSTRAP_SERVERS has {len(servers)} brokers, name {MAX_SERVERS} at most"
        )
    return servers
