"""Speaks to one stock MeterSphere node-controller: plain HTTP, no token, and every answer an envelope.

Every error that it knows of comes as HTTP 200 with `success` false, perhaps without a message; JSON may come
as text/plain. It runs any image that its machine has, and never fetches one.
"""

from __future__ import annotations

import contextlib
import http.client
import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec

from pytest_metersphere.dist.metersphere.names import (
    Container,
    container,
    exactly,
    impossible_name,
    ours,
)
from pytest_metersphere.dist.reasons import CHECK_PORT, causes_of, why_no_answer
from pytest_metersphere.errors import NodeError
from pytest_metersphere.units import format_duration, format_size

CONNECT_LIMIT = 3.0
"""Seconds to connect."""
READ_LIMIT = 5.0
"""Seconds for the answer to a question."""
START_LIMIT = 60.0
"""Seconds for a start, which is answered when Docker has started the container."""
REFUSAL_LIMIT = 12.0
"""Seconds for a refusal: the first call after its boot takes some, and each broker up to one more."""
STOP_LIMIT = 20.0
"""Seconds for a stop, which is answered when Docker has removed the container."""
MAX_ANSWER = 16 << 20
"""Bytes of an answer that are read at most."""
MAX_VALUE = 120 << 10
"""Bytes of one value of the environment that are safe: Linux takes 128 KiB, and the start says nothing."""

KAFKA_VARIABLE = "BOOTSTRAP_SERVERS"
NO_KAFKA = "Failed to connect to Kafka"
NO_IMAGE = ("Image Not Found", "Image List is empty")
"""What MeterSphere says, and its users search for."""
DOCKER_DOWN = "its node-controller does not reach Docker"
"""What is said here when a stock node-controller cannot speak to Docker."""
NAME_REFUSED = "Invalid container name"
"""What Docker says of a name that is none."""

_ATTEMPTS = 2
_CHUNK = 1 << 16


class _Envelope(msgspec.Struct):
    """What every answer is wrapped in."""

    success: bool
    message: str | None = None
    data: Any = None


class _Summary(msgspec.Struct):
    """What matters of Docker's summary of a container."""

    Names: list[str] = []
    State: str = ""


class _NotTakenError(Exception):
    """Nobody took the connection in time."""


def kafka_lists(servers: Sequence[str], *, needed: bool) -> list[str]:
    """Return what a node-controller is told of Kafka, `host:port,host:port`, in the order of trying.

    At first that is the truth: some version may make it its own. Each broker by itself comes next, as one
    that is down, or that is written with IPv6, is enough for a refusal; none comes last.

    Args:
        servers: of the Kafka that the container is to use.
        needed: the container knows no others, so it is no use without.
    """
    single = list(servers) if len(servers) > 1 else []
    return [",".join(servers), *single, *([] if needed else [""])]


class StockApi:
    """One stock node-controller. Safe to be used by several threads: each request has its own connection.

    Every method raises NodeError when there is no answer, or one that tells of an error; the message says
    which. Questions are asked twice when the first time got no answer; a start never is, as it would remove
    what the first one started.
    """

    def __init__(self, node: str, base_url: str) -> None:
        """Prepare; nothing is sent yet.

        Args:
            node: the node's name in the pool, used in messages.
            base_url: `http://host:port`.
        """
        self._node = node
        self._url = base_url
        address = urlsplit(base_url)
        self._host, self._port = address.hostname or "", address.port or 80

    def status(self) -> None:
        """Check that it is there; that says nothing of Docker."""
        self._ask("/status")

    def start(self, image: str, env: Mapping[str, str]) -> None:
        """Start a container; it is started when this returns.

        `env` must hold TEST_ID, the container's name (`names.container_name`).
        """
        name = env.get("TEST_ID", "")
        if container(name) is None:
            raise ValueError(f"{name!r} must not be started: it would remove other containers")
        large = [key for key, value in env.items() if len(value.encode()) > MAX_VALUE]
        if large:
            raise NodeError(
                self._node,
                f"the variable {large[0]} would have more than {format_size(MAX_VALUE)}, and a container may"
                " not start with that: use smaller certificates for Kafka",
            )
        body = msgspec.json.encode({"image": image, "env": dict(env)})
        self._call("POST", "/jmeter/container/start", START_LIMIT, body)

    def start_with(self, lists: Sequence[str], image: str, env: Mapping[str, str]) -> None:
        """Start a container, with the first of some lists of brokers that its node-controller takes.

        It connects to each broker of a list, and refuses the start when one of them does not answer. It
        has ended nothing then, so that another list can be tried; after any other answer none is.

        Args:
            lists: from `kafka_lists`.
            image: the image with its tag.
            env: the rest of its environment.
        """
        for number, servers in enumerate(lists, 1):
            try:
                self.start(image, {**env, KAFKA_VARIABLE: servers})
                return
            except NodeError as error:
                if number == len(lists) or error.kind != "unwell" or NO_KAFKA not in str(error):
                    raise

    def refusal(self, image: str, kafka: str) -> str:
        """Return why it would start no container of an image; empty when it would.

        It is asked for a container whose name Docker refuses, which comes last: it looks at Kafka first, then
        for the image. So nothing is made, and nothing that runs there has such a name in its own.

        Args:
            image: the image with its tag.
            kafka: one of `kafka_lists`, in their order. Without Kafka nobody asks: some version may make
                the brokers that it is told its own, so none is no question to begin with.
        """
        name = impossible_name(secrets.token_hex(16))
        body = msgspec.json.encode({"image": image, "env": {"TEST_ID": name, KAFKA_VARIABLE: kafka}})
        try:
            self._call("POST", "/jmeter/container/start", REFUSAL_LIMIT, body)
        except NodeError as error:
            if error.kind != "unwell":
                raise
            return "" if NAME_REFUSED in str(error) else str(error).removeprefix(f"node {self._node}: ")
        # whoever took that name is not what was specified
        self.stop(name)
        return ""

    def stop(self, name: str) -> None:
        """Kill and remove a container, if it runs; none of that name is no error."""
        self._ask(f"/jmeter/container/stop/{exactly(name)}", STOP_LIMIT)

    def log(self, name: str) -> str:
        """Return the beginning of what a running container printed, empty when it does not run."""
        data = self._ask(f"/jmeter/container/log/{exactly(name)}")
        return data if isinstance(data, str) else ""

    def is_running(self, name: str) -> bool:
        """Return whether a container runs.

        One that has ended may still be listed, if the node-controller was restarted meanwhile.
        """
        return any(f"/{name}" in each.Names for each in self._running(exactly(name)))

    def containers(self) -> list[Container]:
        """Return our running containers, those of other sessions too."""
        found = [container(name) for each in self._running(ours()) for name in each.Names]
        return [each for each in found if each is not None]

    def _running(self, pattern: str) -> list[_Summary]:
        data = self._ask(f"/jmeter/task/status/{pattern}")
        try:
            listed = msgspec.convert(data, list[_Summary])
        except msgspec.ValidationError:
            raise NodeError(
                self._node, f"{self._url} lists its containers in a way that makes no sense"
            ) from None
        return [each for each in listed if each.State == "running"]

    def _ask(self, path: str, limit: float = READ_LIMIT) -> Any:
        for attempt in range(_ATTEMPTS):
            try:
                return self._call("GET", path, limit)
            except NodeError as error:
                if error.kind != "no answer" or attempt == _ATTEMPTS - 1:
                    raise
        raise AssertionError

    def _call(self, method: str, path: str, limit: float, body: bytes | None = None) -> Any:
        """Send a request and return the data of its answer."""
        try:
            status, text = self._exchange(method, path, limit, body)
        except _NotTakenError as error:
            what = f"took no connection within {format_duration(CONNECT_LIMIT)}; {CHECK_PORT}"
            raise NodeError(self._node, f"{self._url} {what}", kind="no answer") from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise NodeError(self._node, self._why(error, limit), kind="no answer") from error
        try:
            envelope = msgspec.json.decode(text, type=_Envelope)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            what = f"answered {path} with HTTP {status} and {text[:80]!r}, as no node-controller does"
            raise NodeError(self._node, f"{self._url} {what}", kind="stranger") from None
        if not envelope.success:
            # without the status, which is 200: a hiccup of Docker is no word on the slices there
            raise NodeError(self._node, _complaint(envelope.message), kind="unwell")
        return envelope.data

    def _exchange(self, method: str, path: str, limit: float, body: bytes | None) -> tuple[int, bytes]:
        # neither proxies nor ~/.netrc are asked
        connection = http.client.HTTPConnection(self._host, self._port, timeout=CONNECT_LIMIT)
        with contextlib.closing(connection):
            try:
                connection.connect()
            except TimeoutError as error:
                raise _NotTakenError from error
            connection.sock.settimeout(limit)
            headers = {"Accept": "*/*", "Connection": "close"}
            if body is not None:
                headers["Content-Type"] = "application/json"
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return response.status, _all_of(response, time.monotonic() + limit)

    def _why(self, error: Exception, limit: float) -> str:
        if isinstance(error, TimeoutError):
            return f"{self._url} gave no answer within {format_duration(limit)}; {CHECK_PORT}"
        return why_no_answer(self._url, causes_of(error), None)


def _all_of(response: http.client.HTTPResponse, deadline: float) -> bytes:
    data = bytearray()
    while piece := response.read(_CHUNK):
        data += piece
        if len(data) > MAX_ANSWER:
            raise ValueError(f"the answer is larger than {format_size(MAX_ANSWER)}")
        if time.monotonic() > deadline:
            raise TimeoutError("the answer does not come to an end")
    return bytes(data)


def _complaint(message: str | None) -> str:
    """Return what a stock node-controller says of an error, with what to do where that is known."""
    if not message:
        return "its node-controller failed and gave no reason: look into the log of ms-node-controller there"
    text = " ".join(message.split())[:500]
    if text.startswith(NO_IMAGE):
        return (
            f"{text}: the image is not on that machine, and a stock node-controller fetches none; bring it"
            " there (docker save IMAGE | ssh MACHINE docker load), with exactly this name and tag"
        )
    if text.startswith(NO_KAFKA):
        return (
            f"{text}: its node-controller does not reach what it was told of --ms-kafka; name only brokers"
            " that run, as IPv4 or a name with port"
        )
    if "SocketException" in text or "Connection refused" in text:
        return f"{DOCKER_DOWN} ({text}): start Docker there, and mount its socket"
    return f"its node-controller says: {text}"
