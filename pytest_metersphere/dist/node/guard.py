"""Who may speak to a node-controller: judged by the head of a request alone."""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from pytest_metersphere.dist.node.config import is_loopback
from pytest_metersphere.dist.node.refusal import Refused

OPEN_PATH = "/status"
"""The one path that needs no token."""
METERSPHERE_PATHS = "/jmeter/"
"""How the paths begin that MeterSphere's servers ask for, which have no token."""

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:]+)(?::\d{1,5})?")


@dataclass(frozen=True, slots=True)
class Guard:
    """Decides about requests.

    Attributes:
        token: what requests must carry as `Authorization: Bearer …`.
        on_loopback: the node listens on this machine only, so `Host` must name this machine: a web
            page whose name was rebound to 127.0.0.1 gives itself away there.
        metersphere: MeterSphere's servers are answered, without a token.
    """

    token: str = field(repr=False)
    on_loopback: bool
    metersphere: bool = False

    def admit(self, path: str, headers: Mapping[str, str]) -> None:
        """Let a request pass.

        A node-controller serves no pages, so whatever `Origin` a request has, it is a foreign one. What a
        page merely shows (an image whose address stops a container) comes without, but with `Sec-Fetch-Site`;
        over plain HTTP to another machine without that, too, so where there is no token, whatever comes from
        a browser is refused: `Accept-Language` and `Mozilla/` are in all that browsers send.

        Raises:
            Refused: 403 for what comes from a page, 421 for a foreign Host, 401 for a missing or wrong token.
        """
        if "Origin" in headers or headers.get("Sec-Fetch-Site", "none") != "none":
            raise Refused(403, "origin", "requests from web pages are refused")
        open_path = self.metersphere and path.startswith(METERSPHERE_PATHS)
        if open_path and _is_browser(headers):
            raise Refused(403, "origin", "requests from browsers are refused")
        if self.on_loopback and not _names_loopback(headers.get("Host", "")):
            raise Refused(421, "host", "this node listens on loopback only: address it as 127.0.0.1")
        if path != OPEN_PATH and not open_path:
            self._check_token(headers.get("Authorization", ""))

    def _check_token(self, credentials: str) -> None:
        scheme, _, token = credentials.partition(" ")
        given = token.strip().encode("utf-8", "surrogateescape")
        if scheme.lower() != "bearer" or not hmac.compare_digest(given, self.token.encode()):
            said = "the token is wrong" if credentials else "a token is needed"
            raise Refused(401, "token", f"{said}: send the node's token as Authorization: Bearer TOKEN")


def _is_browser(headers: Mapping[str, str]) -> bool:
    return "Accept-Language" in headers or headers.get("User-Agent", "").startswith("Mozilla/")


def _names_loopback(host: str) -> bool:
    found = _HOST.fullmatch(host)
    return found is not None and is_loopback(found[1].strip("[]"))
