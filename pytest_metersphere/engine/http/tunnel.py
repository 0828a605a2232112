"""The way to an https server through a proxy (RFC 9110, 9.3.6)."""

from __future__ import annotations

from pytest_metersphere.engine.http.faults import Fault
from pytest_metersphere.engine.http.reader import Reader
from pytest_metersphere.engine.http.target import Origin


class Tunnel:
    """One CONNECT to a proxy.

    Attributes:
        request: what to send to the proxy.
        proxy: host and port of it.
    """

    def __init__(self, origin: Origin) -> None:
        assert origin.proxy is not None
        shown = origin.address
        login = origin.proxy.credentials
        fields = f"Proxy-Authorization: {login}\r\n" if login else ""
        self.request = f"CONNECT {shown} HTTP/1.1\r\nHost: {shown}\r\n{fields}\r\n".encode("latin-1")
        self.proxy = origin.proxy.address
        self._reader = Reader()
        self._reader.begin(head_only=True)

    def take(self, data: bytes) -> bool:
        """Take one byte of the answer, so that none behind it is taken; return whether it is complete.

        Raises:
            Fault: the proxy refuses, or speaks no HTTP.
        """
        if not data:
            raise Fault("refused", f"the proxy {self.proxy} closed the connection")
        self._reader.feed(data)
        if self._reader.complete and not 200 <= self._reader.status < 300:
            raise Fault("refused", f"the proxy {self.proxy} answered {self._reader.status}")
        return self._reader.complete
