"""Speaks to one node-controller over HTTP (the contract is `dist.wire`)."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Iterator
from typing import Any, Self, TypeVar

import msgspec
import requests

import pytest_metersphere
from pytest_metersphere.dist.reasons import CHECK_PORT, CORRECT_ADDRESS, causes_of, why_no_answer
from pytest_metersphere.dist.wire import (
    PROTOCOL,
    CheckAnswer,
    CheckRequest,
    FrameBatch,
    NodeInfo,
    Refusal,
    SliceInfo,
    Spoken,
    StartRequest,
    StopRequest,
    version_skew,
)
from pytest_metersphere.errors import CapacityError, NodeError
from pytest_metersphere.units import format_duration, format_size

CONNECT_LIMIT = 3.0
"""Seconds to connect to a node."""
READ_LIMIT = 5.0
"""Seconds to wait for an answer, on top of what was asked for with `wait`."""
LIVELY_LIMIT = 3.0
"""The same where another attempt follows soon: frames and leases."""
KAFKA_WAIT = 5.0
"""Seconds that a node may take to find out whether it reaches Kafka."""
KAFKA_WAIT = 5.0
"""Seconds more that a node may take to find out whether it reaches Kafka."""
IMAGE_WAIT = 25.0
"""Seconds more that a node may take to look into the image that its slices run in."""
START_WAIT = 60.0
"""Seconds that a node may take to unpack a bundle and to start its workers."""
DELETE_WAIT = 15.0
"""Seconds that a node may take to end all processes of a slice."""

MAX_ANSWER = 128 << 20
"""Largest answer that is read, in bytes."""

_CHUNK = 1 << 18
_EMPTY: dict[str, str] = {}
T = TypeVar("T")


class _Status(msgspec.Struct):
    """The envelope in which a node-controller of any kind says that it is there."""

    success: bool
    data: str


class _SpringError(msgspec.Struct):
    """What a stock MeterSphere node-controller, a Spring application, says about an unknown path."""

    timestamp: Any
    status: int
    error: str
    path: str


# msgspec works a type out when it is first decoded, and crashes when several threads begin with that at once
for _kind in (_Status, _SpringError, NodeInfo, Spoken, CheckAnswer, SliceInfo, FrameBatch, Refusal):
    msgspec.json.Decoder(_kind)


@dataclasses.dataclass(frozen=True, slots=True)
class EncodedBundle:
    """The part of the start requests that is the same for all nodes of a run, encoded once.

    Attributes:
        boundary: stands between the parts.
        tail: the last part and the end of the body.
        bundle: the zip by itself, for nodes that get it another way.
    """

    boundary: str
    tail: bytes
    bundle: bytes


@dataclasses.dataclass(frozen=True, slots=True)
class StartBody:
    """A multipart body that shares the bundle's bytes with those for other nodes."""

    head: bytes
    tail: bytes

    def __len__(self) -> int:
        """Return the size in bytes."""
        return len(self.head) + len(self.tail)

    def __iter__(self) -> Iterator[bytes]:
        """Yield the body in pieces."""
        yield self.head
        yield self.tail


def encode_bundle(bundle: bytes) -> EncodedBundle:
    """Return a zip as the end of a multipart body."""
    boundary = secrets.token_hex(16)
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="bundle"; filename="bundle.zip"\r\n'
    kind = "Content-Type: application/zip\r\n\r\n"
    tail = (head + kind).encode() + bundle + f"\r\n--{boundary}--\r\n".encode()
    return EncodedBundle(boundary, tail, bundle)


def encode_start(request: StartRequest, bundle: EncodedBundle) -> tuple[StartBody, str]:
    """Return the body of a start request, and its content type."""
    head = f'--{bundle.boundary}\r\nContent-Disposition: form-data; name="request"\r\n'
    kind = "Content-Type: application/msgpack\r\n\r\n"
    first = (head + kind).encode() + msgspec.msgpack.encode(request) + b"\r\n"
    return StartBody(first, bundle.tail), f"multipart/form-data; boundary={bundle.boundary}"


class NodeClient:
    """One node-controller, as its controller sees it.

    Not safe to be used by several threads at once: make one for each. Every call raises NodeError
    when the node cannot be reached, is no node-controller of ours, or refuses; the message says
    which.

    Attributes:
        name: the node's name in the pool, used in messages.
        base_url: `http://host:port` or `https://host:port`.
    """

    def __init__(self, name: str, base_url: str, token: str, cafile: str | None = None) -> None:
        """Prepare; nothing is sent yet.

        Args:
            name: see the class.
            base_url: see the class.
            token: the node's token.
            cafile: file of the certificates that vouch for the node's, when it speaks TLS.
        """
        self.name = name
        self.base_url = base_url.rstrip("/")
        self._cafile = cafile
        self._token = token.encode()
        self._session = requests.Session()
        # a ~/.netrc entry would replace our token, and HTTP_PROXY would catch even loopback
        self._session.trust_env = False
        self._session.verify = cafile or True
        self._session.headers["Authorization"] = f"Bearer {token}"

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def __enter__(self) -> Self:
        """Return the client, to be closed at the end."""
        return self

    def __exit__(self, *_exc: object) -> None:
        """Close the connections."""
        self.close()

    def status(self) -> None:
        """Check that a node-controller of any kind is there; needs no token."""
        answer = self._json("GET", "/status", _Status)
        if not answer.success:
            message = f"the node-controller at {self.base_url} says that it is not well"
            raise NodeError(self.name, message, kind="unwell")

    def info(self) -> NodeInfo:
        """Return what the node is and holds; NodeError names both versions when it is too old or too new."""
        path = "/v1/node"
        data = self._call("GET", path)
        try:
            return self._decoded(path, data, NodeInfo, msgspec.json.decode)
        except NodeError:
            spoken = self._decoded(path, data, Spoken, msgspec.json.decode)
            ours = Spoken(protocol=PROTOCOL, version=pytest_metersphere.__version__)
            skew = version_skew(node=spoken, controller=ours)
            raise NodeError(self.name, skew, kind="version") from None

    def check(self, request: CheckRequest) -> CheckAnswer:
        """Ask whether it could take a slice now."""
        wait = IMAGE_WAIT + (KAFKA_WAIT if request.kafka is not None else 0.0)
        return self._json("POST", "/v1/check", CheckAnswer, wait=wait, **_json_body(request))

    def start(self, request: StartRequest, bundle: bytes | EncodedBundle) -> SliceInfo:
        """Start a slice; returns while it is starting.

        Raises:
            CapacityError: the node has not as much capacity free as it needs.
            NodeError: see the class.
        """
        encoded = encode_bundle(bundle) if isinstance(bundle, bytes) else bundle
        body, content_type = encode_start(request, encoded)
        return self._json(
            "POST",
            "/v1/slices",
            SliceInfo,
            data=body,
            headers={"Content-Type": content_type},
            wait=START_WAIT,
        )

    def state(
        self, slice_id: str, wait_while: str = "", wait: float = 0.0, limit: float = READ_LIMIT
    ) -> SliceInfo:
        """Return how a slice stands.

        Args:
            slice_id: the slice.
            wait_while: state to wait in for another.
            wait: seconds that the node may wait then.
            limit: seconds that its answer may take on top of that.
        """
        params = {"state": wait_while, "wait": f"{wait:g}"} if wait_while else _EMPTY
        return self._json("GET", f"/v1/slices/{slice_id}", SliceInfo, params=params, wait=wait, limit=limit)

    def go(self, slice_id: str) -> SliceInfo:
        """Start the load of a slice that is ready."""
        return self._json("POST", f"/v1/slices/{slice_id}/go", SliceInfo)

    def stop(self, slice_id: str, grace: float | None = None) -> SliceInfo:
        """End the load; None leaves running iterations each scenario's graceful_stop."""
        return self._json(
            "POST", f"/v1/slices/{slice_id}/stop", SliceInfo, **_json_body(StopRequest(grace=grace))
        )

    def lease(self, slice_id: str) -> SliceInfo:
        """Tell a slice that its controller is there."""
        return self._json("POST", f"/v1/slices/{slice_id}/lease", SliceInfo, limit=LIVELY_LIMIT)

    def frames(self, slice_id: str, after: int, wait: float) -> FrameBatch:
        """Return the frames with sequences above `after`; waits up to `wait` seconds for one."""
        params = {"after": str(after), "wait": f"{wait:g}"}
        path = f"/v1/slices/{slice_id}/frames"
        data = self._call("GET", path, params=params, wait=wait, limit=LIVELY_LIMIT)
        return self._decoded(path, data, FrameBatch, msgspec.msgpack.decode)

    def log(self, slice_id: str) -> str:
        """Return the last of what the workers of a slice printed."""
        return self._call("GET", f"/v1/slices/{slice_id}/log").decode(errors="replace")

    def delete(self, slice_id: str, patience: float = DELETE_WAIT) -> None:
        """Stop a slice if needed and free everything; a slice that is not there is no error.

        Args:
            slice_id: the slice.
            patience: seconds to wait for the end of its processes.
        """
        self._call("DELETE", f"/v1/slices/{slice_id}", wait=patience, limit=LIVELY_LIMIT)

    def _json(self, method: str, path: str, kind: type[T], **options: Any) -> T:
        return self._decoded(path, self._call(method, path, **options), kind, msgspec.json.decode)

    def _decoded(self, path: str, data: bytes, kind: type[T], decode: Any) -> T:
        try:
            value: T = decode(data, type=kind)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            raise self._stranger(path, f"with {self._without_token(data)[:80]!r}") from None
        return value

    def _call(
        self, method: str, path: str, wait: float = 0.0, limit: float | None = None, **options: Any
    ) -> bytes:
        """Send a request and return the body of the answer."""
        limits = (CONNECT_LIMIT, (READ_LIMIT if limit is None else limit) + wait)
        try:
            with self._session.request(
                method, self.base_url + path, timeout=limits, allow_redirects=False, stream=True, **options
            ) as response:
                data = self._read(response)
        except (requests.RequestException, OSError) as error:
            raise NodeError(self.name, self._reason_of(error, limits[1]), kind="no answer") from error
        if response.ok and not response.is_redirect:
            return data
        raise self._refused(path, response, data)

    def _read(self, response: requests.Response) -> bytes:
        data = bytearray()
        for chunk in response.iter_content(_CHUNK):
            data += chunk
            if len(data) > MAX_ANSWER:
                raise NodeError(self.name, f"its answer is larger than {format_size(MAX_ANSWER)}")
        return bytes(data)

    def _refused(self, path: str, response: requests.Response, data: bytes) -> NodeError | CapacityError:
        """Return the error for an answer that is not 2xx."""
        try:
            refusal = msgspec.json.decode(data, type=Refusal)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            if path == "/v1/node" and response.status_code == 404 and self._is_stock(data):
                return NodeError(self.name, self._not_ours(), response.status_code, "stock")
            content = response.headers.get("Content-Type", "no content type")
            return self._stranger(path, f"with HTTP {response.status_code} ({content})", response.status_code)
        if refusal.error == "capacity":
            return CapacityError(f"node {self.name}: {refusal.message}")
        if refusal.error == "token":
            what = "does not accept the token" if self._token else "wants a token, and none is set"
            message = (
                f"the node-controller at {self.base_url} {what}: set PYTEST_MS_TOKEN, or the file that"
                " PYTEST_MS_TOKEN_FILE names, to the token that it was started with"
            )
            return NodeError(self.name, message, response.status_code, "token")
        message = self._without_token(refusal.message.encode()).decode(errors="replace")
        return NodeError(self.name, message, response.status_code)

    def _without_token(self, data: bytes) -> bytes:
        """Return what a node said without our token, which whoever is there may have echoed."""
        return data.replace(self._token, b"***") if self._token else data

    def _stranger(self, path: str, how: str, status: int | None = None) -> NodeError:
        """Return the error for an answer that a node-controller of ours would not give."""
        return NodeError(
            self.name,
            f"what listens on {self.base_url} is no node-controller of pytest-metersphere: it answered"
            f" {path} {how}; {CORRECT_ADDRESS}",
            status,
            "stranger",
        )

    def _is_stock(self, data: bytes) -> bool:
        """Return whether a refusal is Spring's, and from an application with MeterSphere's /status."""
        try:
            msgspec.json.decode(data, type=_SpringError)
            self.status()
        except (NodeError, msgspec.MsgspecError, ValueError, RecursionError):
            return False
        return True

    def _not_ours(self) -> str:
        return (
            f"a stock MeterSphere node-controller listens on {self.base_url}: load on it needs its capacity"
            " in the pool, Kafka (--ms-kafka) and the image to run there (ini ms_runner_image)"
        )

    def _reason_of(self, error: Exception, read_limit: float) -> str:
        """Return in words why there was no answer."""
        if isinstance(error, requests.ConnectTimeout):
            limit = format_duration(CONNECT_LIMIT)
            return (
                f"{self.base_url} does not answer within {limit}, as if a firewall dropped the packets; check"
                " the address, and that firewalls and security groups let this machine through"
            )
        if isinstance(error, requests.exceptions.InvalidURL | requests.exceptions.MissingSchema):
            return f"{self.base_url} is no URL"
        causes = causes_of(error)
        if isinstance(error, requests.ReadTimeout) and "handshake" not in str(causes[-1]):
            limit = format_duration(read_limit)
            return f"{self.base_url} took the request, but gave no answer within {limit}; {CHECK_PORT}"
        return why_no_answer(self.base_url, causes, self._cafile)


def _json_body(body: msgspec.Struct) -> dict[str, Any]:
    return {"data": msgspec.json.encode(body), "headers": {"Content-Type": "application/json"}}
