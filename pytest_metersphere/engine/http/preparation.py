"""What the first request would have to wait for, and the iterations that are due meanwhile."""

from __future__ import annotations

from pytest_metersphere.engine.http.names import addresses_at_hand
from pytest_metersphere.engine.http.plan import Plan
from pytest_metersphere.engine.http.target import parse_url
from pytest_metersphere.engine.http.tls import tls_context


def prepare() -> None:
    """Build the TLS context and load codecs and the resolver's tables, before the load begins."""
    tls_context()
    Plan("GET", parse_url("http://127.0.0.1/"), ())
    addresses_at_hand("127.0.0.1", 80)
