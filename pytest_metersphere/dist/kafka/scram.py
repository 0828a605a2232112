"""The client's side of logging in by SASL: PLAIN (RFC 4616) and SCRAM (RFC 5802), bytes in and out."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Generator

from pytest_metersphere.dist.wire import SaslMechanism

MAX_ITERATIONS = 1_000_000
"""Rounds of hashing above which a server only wants to keep us busy."""


class ScramError(Exception):
    """What the server sent is not what the mechanism asks for."""


Conversation = Generator[bytes, bytes, None]


def conversation(mechanism: SaslMechanism, username: str, password: str) -> Conversation:
    """Return what a client says: yields each message, to be sent the server's answer to it.

    Raises:
        ScramError: an answer is wrong.
    """
    if mechanism == "PLAIN":
        return _plain(username, password)
    digest = mechanism.removeprefix("SCRAM-").replace("-", "").lower()
    return scram(digest, username, password, secrets.token_urlsafe(24))


def _plain(username: str, password: str) -> Conversation:
    yield b"\0".join([b"", username.encode(), password.encode()])


def scram(digest: str, username: str, password: str, nonce: str) -> Conversation:
    """Return a client's side of SCRAM with a hash of this name (`sha256`), and with a nonce of its own."""
    name = username.replace("=", "=3D").replace(",", "=2C")
    first = f"n={name},r={nonce}"
    server_first = yield f"n,,{first}".encode()
    nonce, salt, iterations = _read(server_first, nonce)
    final = f"c=biws,r={nonce}"
    signed = b",".join([first.encode(), server_first, final.encode()])
    salted = hashlib.pbkdf2_hmac(digest, password.encode(), salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", digest)
    signature = hmac.digest(hashlib.new(digest, client_key).digest(), signed, digest)
    proof = bytes(left ^ right for left, right in zip(client_key, signature, strict=True))
    server_final = yield f"{final},p={base64.b64encode(proof).decode()}".encode()
    expected = hmac.digest(hmac.digest(salted, b"Server Key", digest), signed, digest)
    if not hmac.compare_digest(b"v=" + base64.b64encode(expected), server_final.split(b",")[0]):
        raise ScramError("the broker does not know the password itself")


def _read(message: bytes, nonce: str) -> tuple[str, bytes, int]:
    """Return nonce, salt and iterations of the server's first message."""
    try:
        fields = dict(part.split("=", 1) for part in message.decode().split(","))
        found = fields["r"], base64.b64decode(fields["s"], validate=True), int(fields["i"])
    except (UnicodeDecodeError, ValueError, KeyError, binascii.Error):
        raise ScramError(f"{message[:80]!r} is no message of SCRAM") from None
    if not found[0].startswith(nonce) or not 0 < found[2] <= MAX_ITERATIONS:
        raise ScramError("the broker's nonce or number of iterations is not acceptable")
    return found
