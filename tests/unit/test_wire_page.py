"""docs/wire.md describes what crosses the wire as it is."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from docs import generate, wire_types
from pytest_metersphere.dist import signing, wire
from pytest_metersphere.dist.kafka import dialling
from pytest_metersphere.dist.kafka.delivery import CHECK_KEY
from pytest_metersphere.dist.node import config, docker, service
from pytest_metersphere.dist.node.metersphere_api import api, guests, lines, names, order
from pytest_metersphere.dist.node.metersphere_api.api import ENDPOINTS
from pytest_metersphere.metrics import frame, histogram

_TEXT = generate.WIRE.read_text(encoding="utf-8")


def test_the_types_are_those_of_the_code() -> None:
    """Every struct that is sent, with all its fields and their types, in the order in which they are sent."""
    assert generate.wire_page(_TEXT) == _TEXT, "docs/wire.md is out of date: run `make docs`, and commit it"


def test_what_is_sent_is_found_by_itself() -> None:
    """Types of all rooms that speak, from the answers of a node down to a histogram."""
    found = wire_types.structs()
    sections = re.findall(r"^### (\w+)$", _TEXT, flags=re.MULTILINE)

    assert sections == list(found)
    assert {"NodeInfo", "StartRequest", "Scenario", "FrameBatch", "Manifest", "Histogram"} <= found.keys()
    assert set(re.findall(r"\(#(\w+)\)", _TEXT)) <= {name.lower() for name in found}


def test_a_field_without_a_text_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the struct whose docstring must say what it is."""

    class Parcel(msgspec.Struct):
        """Something new."""

        weight: float

    monkeypatch.setattr(wire_types, "structs", lambda: wire_types.reached((Parcel, frame.Frame)))

    with pytest.raises(LookupError, match=r"nothing is said of Parcel\.weight"):
        generate.wire_page(_TEXT)


def test_every_endpoint_is_described() -> None:
    """With its method, and nothing beside them."""
    of_page = re.findall(r"^\| `([A-Z]+) (/[^`?]*)[^`]*` \|", _TEXT, flags=re.MULTILINE)
    routes = service._Service(None).routes()  # type: ignore[arg-type]
    own = [(each.method, each.path) for each in routes if isinstance(each, web.RouteDef)]

    assert of_page == [*own, *ENDPOINTS]


def test_every_error_is_described() -> None:
    """By its word and status, as the code says it; aiohttp's own 404 and 405 are among them."""
    folder = Path(service.__file__).parent
    source = "".join(path.read_text(encoding="utf-8") for path in folder.glob("*.py"))
    said = set(re.findall(r'Refused\(\s*(\d{3}),\s*"(\w+)"', source)) | {
        ("404", "unknown"),
        ("405", "request"),
    }
    table = _TEXT.split("\n| error | status | |\n")[1].split("\n\n")[0]
    rows = re.findall(r"^\| `(\w+)` \| ([\d, ]+) \|", table, flags=re.MULTILINE)

    assert {(status, error) for error, statuses in rows for status in statuses.split(", ")} == said


@pytest.mark.parametrize(
    "words",
    [
        f"protocol version {wire.PROTOCOL}.",
        f"on port {config.DEFAULT_PORT}",
        f"at most {service.MAX_REQUEST >> 20} MiB",
        f"{service.MAX_JSON >> 20} MiB at most",
        f"A wait is {service.MAX_WAIT:g} s at most",
        f"the last {service.LOG_TAIL >> 10} KiB",
        f"up to {wire.MAX_INTERVAL} s",
        f"`VERSION` {frame.VERSION} of a frame",
        f"one byte, {signing.VERSION} ",
        f"{signing.DIGEST_SIZE} bytes, keyed BLAKE2b",
        f"key of {signing.KEY_SIZE} bytes",
        f"`{signing.FRAME.decode()}`",
        f"at most {signing.MAX_SIGNED:,} bytes",
        f"Seconds go up to {frame.LAST_SECOND:,}",
        f"{histogram.HIGHEST:,} µs",
        f"`{wire.KafkaAccess(servers=()).results_topic}`",
        f"`{CHECK_KEY.decode()}`",
        f"the last {guests.LOG_TAIL >> 10} KiB that it printed",
        f"`NAME=value` has {order.MAX_VARIABLE - 1:,} bytes",
        f"2 to {names.MAX_NAME} letters",
        f"`{names.RESERVED}…` are ours",
        (
            f"Each is given {api.CONNECT:g} s for that, beside at most {dialling.RESOLVE_LIMIT:g} s to look"
            f" up its name, and after {api.SEARCH:g} s no further one is tried"
        ),
        f"without a topic it is `{order.LOG_TOPIC}`",
        f"`{docker.NODE_LABEL}` (the node's `name@host:port`) and `{docker.GUEST_LABEL}`",
        f"`REPORT_ID none 0 {lines.NO_MEMORY}`",
        f"`REPORT_ID none 0 {lines.END}`",
        f"looked for every {guests.LISTEN:g} s",
    ],
)
def test_numbers_and_names_are_those_of_the_code(words: str) -> None:
    """Versions, limits, sizes, the topic and its keys."""
    assert words in " ".join(_TEXT.split())
