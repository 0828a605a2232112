"""How kafka-python's clients are opened, kept quiet, and made to say what went wrong."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from collections.abc import Iterator
from typing import Any

from kafka.errors import for_code
from kafka.net.compat import KafkaNetClient
from kafka.net.inet import KafkaNetSocket

from pytest_metersphere.dist.kafka.brokers import tls_context
from pytest_metersphere.dist.wire import KafkaAccess
from pytest_metersphere.errors import BrokerError

REQUEST_LIMIT = 10.0
"""Seconds that a broker may take for one request."""


class _TidySocket(KafkaNetSocket):
    """How its clients connect: as ever, but a socket that does not get through is closed.

    Left to itself it would be closed when it is collected, with a ResourceWarning that pytest turns into
    a warning, or an error, of whatever test runs then.
    """

    SCHEMES = ("tidy",)

    async def sock_connect(self, net: Any, sock: socket.socket, sockaddr: Any, timeout_at: Any = None) -> Any:
        try:
            return await super().sock_connect(  # type: ignore[no-untyped-call]
                net, sock, sockaddr, timeout_at=timeout_at
            )
        except BaseException:
            sock.close()
            raise


class _Quiet:
    """Keeps kafka-python's loggers quiet while a client is open."""

    def __init__(self) -> None:
        self._logger = logging.getLogger("kafka")
        self._lock = threading.Lock()
        self._clients = 0
        self._ours = False

    def begin(self) -> None:
        with self._lock:
            self._clients += 1
            if self._clients == 1 and self._logger.level == logging.NOTSET:
                self._logger.setLevel(logging.CRITICAL + 1)
                self._ours = True

    def end(self) -> None:
        with self._lock:
            self._clients -= 1
            if self._clients == 0 and self._ours:
                self._logger.setLevel(logging.NOTSET)
                self._ours = False


QUIET = _Quiet()
"""Every client that is open is announced here, and its end, too."""


class Opening:
    """Makes a client; one that fails to be made leaves no socket and no thread."""

    def __init__(self, access: KafkaAccess, limit: float) -> None:
        self._net: KafkaNetClient | None = None
        self.options: dict[str, Any] = {
            "bootstrap_servers": list(access.servers),
            "client_id": "pytest-metersphere",
            "security_protocol": access.security_protocol,
            "ssl_context": tls_context(access) if access.tls else None,
            "sasl_mechanism": access.sasl_mechanism or None,
            "sasl_plain_username": access.username or None,
            "sasl_plain_password": access.password or None,
            "bootstrap_timeout_ms": int(limit * 1000),
            "request_timeout_ms": int(REQUEST_LIMIT * 1000),
            "reconnect_backoff_max_ms": 1000,
            "kafka_client": self._connecting,
            # by a scheme of this name it finds the class above
            "proxy_url": "tidy://",
        }

    def _connecting(self, **options: Any) -> KafkaNetClient:
        self._net = KafkaNetClient(**options)
        return self._net

    def __enter__(self) -> dict[str, Any]:
        QUIET.begin()
        return self.options

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: object
    ) -> None:
        if error is None:
            return
        if self._net is not None:
            self._net.close()
        QUIET.end()
        if isinstance(error, Exception) and not isinstance(error, BrokerError):
            raise BrokerError(_words(error)) from error


@contextlib.contextmanager
def told() -> Iterator[None]:
    """Let errors of kafka-python out as BrokerError, whatever kinds it raises."""
    try:
        yield
    except BrokerError:
        raise
    except Exception as error:
        raise BrokerError(_words(error)) from error


def _words(error: Exception) -> str:
    """Return an error in words: those of the broker, else the name of the error."""
    name = type(error).__name__
    text = str(error.args[0]) if error.args and error.args[0] else ""
    return f"{text} ({name})" if text else name


def raise_for(code: int, message: str) -> None:
    """Raise the error of a code that is not 0."""
    if code:
        raise for_code(code)(message)
