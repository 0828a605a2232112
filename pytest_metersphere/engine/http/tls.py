"""TLS: the one context of the process, and its text between two buffers."""

from __future__ import annotations

import contextlib
import functools
import ssl

PIECE = 1 << 16
_RECORD = 1 << 14  # no record holds more (RFC 8446, 5.1)


@functools.cache
def tls_context() -> ssl.SSLContext:
    """Return the one TLS context of the process, which verifies against the system's store.

    Building it takes milliseconds. It offers HTTP/1.1 alone.
    """
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


class Secure:
    """TLS between two buffers: sockets stay plain ones, and no read asks for more than there is.

    Event loops read until OpenSSL says that it wants more, and that exception costs more than the read.
    """

    def __init__(self, host: str) -> None:
        self.incoming = ssl.MemoryBIO()
        self.outgoing = ssl.MemoryBIO()
        self._object = tls_context().wrap_bio(self.incoming, self.outgoing, server_hostname=host)

    def shake_hands(self) -> bool:
        """Go on with the handshake; return whether it is complete."""
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def encrypted(self, data: bytes) -> bytes:
        """Return what to send for a text."""
        self._object.write(data)
        return self.outgoing.read()

    def farewell(self) -> bytes:
        """Return what tells the server that nothing more comes."""
        with contextlib.suppress(ssl.SSLError):
            self._object.unwrap()
        return self.outgoing.read()

    def decrypted(self, data: bytes) -> bytes:
        """Return the text of what came, empty at the end of it.

        Raises:
            ssl.SSLWantReadError: it is no text yet.
        """
        if not data:
            return b""
        self.incoming.write(data)
        pieces: list[bytes] = []
        try:
            while self.incoming.pending or self._object.pending() or not pieces:
                pieces.append(self._object.read(_RECORD))
        except ssl.SSLWantReadError:
            if not pieces:
                raise
        except ssl.SSLZeroReturnError:
            pass
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)
