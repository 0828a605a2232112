"""Speaks to a broker as a client does at first, by a plain socket: greeting, login, where the brokers are.

A client library only says that it got no answer in time. Here each failure is an UnfitError of a kind of
its own, and what does not answer as Kafka does is asked who it is: ssh, HTTP, TLS, or nobody.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Callable, Generator, Sequence

from pytest_metersphere.dist.kafka import protocol
from pytest_metersphere.dist.kafka.brokers import join_address
from pytest_metersphere.dist.kafka.dialling import Address, UnfitError, connect, receive, secure, tls_words
from pytest_metersphere.dist.kafka.scram import ScramError, conversation
from pytest_metersphere.dist.strangers import identified
from pytest_metersphere.dist.wire import KafkaAccess

ANSWER_LIMIT = 3.0


class StrangerError(Exception):
    """It does not answer as Kafka does; the cause is an OSError."""


class Broker:
    """A connection to what may be a broker; greet it first.

    Attributes:
        place: `host:port`, for messages.
        sock: the connection.
    """

    def __init__(self, place: str, sock: socket.socket, limit: float = ANSWER_LIMIT) -> None:
        """Take a connection; `place` is `host:port`, `limit` the seconds for each answer."""
        self.place = place
        self.sock = sock
        self._limit = limit
        self._correlation = 0

    def greet(self) -> None:
        """Ask what it can do.

        Raises:
            StrangerError: it is no Kafka.
            UnfitError: it is a part of Kafka, but no broker.
        """
        if protocol.METADATA not in protocol.read_apis(self._ask(protocol.api_versions)):
            raise UnfitError(
                "controller",
                f"{self.place}: a KRaft controller of Kafka listens there, which serves no clients",
                "name the address of a broker",
            )

    def login(self, access: KafkaAccess) -> None:
        """Log in, if `access` says so (UnfitError: mechanism, login refused, login not expected)."""
        if access.sasl:
            try:
                self._agree_on(access)
                self._converse(access)
            except (StrangerError, protocol.ProtocolError, ScramError) as error:
                raise self._refused(access, str(error)) from None

    def brokers(self) -> list[tuple[str, int]]:
        """Return where the brokers of its cluster say that they are (UnfitError: login expected)."""
        try:
            return protocol.read_brokers(self._ask(protocol.metadata))
        except (StrangerError, protocol.ProtocolError):
            raise UnfitError(
                "login expected",
                f"{self.place}: Kafka listens there, but does not talk to clients that have not logged in",
                "set PYTEST_MS_KAFKA_SECURITY_PROTOCOL to SASL_SSL or SASL_PLAINTEXT, with "
                "PYTEST_MS_KAFKA_SASL_MECHANISM, PYTEST_MS_KAFKA_USERNAME and PYTEST_MS_KAFKA_PASSWORD",
            ) from None

    def _agree_on(self, access: KafkaAccess) -> None:
        mechanism = access.sasl_mechanism
        answer = protocol.read_sasl_handshake(
            self._ask(lambda number: protocol.sasl_handshake(number, mechanism))
        )
        if answer.error == protocol.UNSUPPORTED_MECHANISM:
            raise UnfitError(
                "mechanism",
                f"{self.place}: the broker does not take {mechanism}; it takes "
                f"{', '.join(answer.mechanisms) or 'no mechanism at all'}",
                "set PYTEST_MS_KAFKA_SASL_MECHANISM to one that it takes",
            )
        if answer.error:
            raise UnfitError(
                "login not expected",
                f"{self.place}: Kafka listens there, but clients do not log in on this port",
                f"set PYTEST_MS_KAFKA_SECURITY_PROTOCOL to {'SSL' if access.tls else 'PLAINTEXT'} and unset "
                "user and password, or name the port on which clients log in",
            )

    def _converse(self, access: KafkaAccess) -> None:
        words = conversation(access.sasl_mechanism, access.username, access.password)
        token: bytes | None = next(words)
        while token is not None:
            answer = protocol.read_sasl_authenticate(self._ask(_authenticating(token)))
            if answer.error:
                raise self._refused(access, answer.message or f"error {answer.error}")
            try:
                token = words.send(answer.token)
            except StopIteration:
                token = None

    def _refused(self, access: KafkaAccess, why: str) -> UnfitError:
        return UnfitError(
            "login refused",
            f"{self.place}: the login of {access.username!r} by {access.sasl_mechanism} was refused: {why}",
            "check PYTEST_MS_KAFKA_USERNAME, PYTEST_MS_KAFKA_PASSWORD and PYTEST_MS_KAFKA_SASL_MECHANISM",
        )

    def _ask(self, request: Callable[[int], bytes]) -> protocol.Answer:
        """Return the answer to a request (StrangerError, ProtocolError)."""
        deadline = time.monotonic() + self._limit
        self._correlation += 1
        try:
            self.sock.settimeout(self._limit)
            self.sock.sendall(request(self._correlation))
            size = protocol.answer_size(receive(self.sock, 4, deadline))
            return protocol.answer_body(receive(self.sock, size, deadline), self._correlation)
        except ssl.SSLError as error:
            raise StrangerError(f"TLS: {tls_words(error)}") from error
        except TimeoutError as error:
            raise StrangerError("it gives no answer") from error
        except OSError as error:
            raise StrangerError("it hung up") from error


@contextlib.contextmanager
def broker(
    host: str, port: int, addresses: Sequence[Address], context: ssl.SSLContext | None
) -> Generator[Broker, None, None]:
    """Connect to a broker and greet it; at the end it is hung up on.

    Args:
        host: its name, for which its certificate must be.
        port: its port.
        addresses: where it is, from `resolve`.
        context: with TLS, how its certificate is checked.

    Raises:
        UnfitError: what is there is no such broker; says what it is.
    """
    place = join_address(host, port)
    sock = connect(place, addresses)
    secured = False
    try:
        try:
            if context is not None:
                sock = secure(sock, context, host, ANSWER_LIMIT)
                secured = True
            found = Broker(place, sock)
            found.greet()
        except (StrangerError, protocol.ProtocolError, OSError) as error:
            cause = error.__cause__ if isinstance(error, StrangerError) else error
            tls = context is not None
            raise identified(place, host, addresses, cause, tls=tls, secured=secured) from None
        yield found
    finally:
        sock.close()


def _authenticating(token: bytes) -> Callable[[int], bytes]:
    return lambda number: protocol.sasl_authenticate(number, token)
