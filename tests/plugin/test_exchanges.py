"""The ledger of HTTP exchanges against what a server has counted itself."""

from __future__ import annotations

import socket
import ssl
import threading
from pathlib import Path

import pytest
import trustme

from tests.engine.server import SocketServer, WebServer, read_head
from tests.plugin.projects import Project

pytestmark = pytest.mark.timeout(120)

EVERYTHING = """
    import pytest

    LOAD = dict(users=9, hold="2s", ramp="300ms", warmup="700ms", graceful_stop="400ms", think="2ms")

    def hangs(vu):
        return vu.id % 3 == 0 and vu.iteration == 30

    @pytest.mark.load_scenario(**LOAD)
    async def test_coroutines(vu):
        await vu.http.get("URL/echo")
        await vu.http.post("URL/echo", json={"number": vu.iteration})
        if vu.iteration % 5 == 4:
            await vu.http.get("URL/redirect/2")
        if hangs(vu):
            await vu.http.get("URL/slow")

    @pytest.mark.load_scenario(**LOAD)
    def test_threads(vu):
        vu.http.get("URL/echo")
        vu.http.post("URL/echo", json={"number": vu.iteration})
        if vu.iteration % 5 == 4:
            vu.http.get("URL/redirect/2")
        if hangs(vu):
            vu.http.get("URL/slow")
"""


@pytest.mark.parametrize("tls", [True, False], ids=["TLS", "plain"])
def test_the_server_has_seen_every_exchange_once(
    project: Project,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tls: bool,  # noqa: FBT001
) -> None:
    """With redirects, a warm-up, and users that are stopped in the middle, both counts are the same."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    context = None
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
    with WebServer(context) as server:
        project.write("test_everything.py", EVERYTHING.replace("URL", server.url))
        done = project.run("--ms-pool=local=5+4")
        seen = len(server.seen)

    assert done.counts == {"passed": 2}, done.text
    ledgers = [done.scenario(name).ledger for name in ("test_coroutines", "test_threads")]
    for ledger in ledgers:
        assert ledger.exchanges == ledger.counted + ledger.warmup + ledger.interrupted
        assert min(ledger.counted, ledger.warmup) > 0
        assert ledger.interrupted == 3
        assert (ledger.unanswered, ledger.repeated) == (0, 0)
    assert sum(ledger.exchanges for ledger in ledgers) == seen


class Moody:
    """Closes a connection in place of each seventh answer; counts what it has read."""

    def __init__(self) -> None:
        self.read = 0
        self._lock = threading.Lock()

    def serve(self, connection: socket.socket) -> None:
        """Serve one connection."""
        while read_head(connection):
            with self._lock:
                self.read += 1
                refuses = self.read % 7 == 0
            if refuses:
                return
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


RESETS = """
    import pytest

    @pytest.mark.load_scenario(users=4, hold="1s", think="5ms")
    @pytest.mark.threshold("error_rate < 90%")
    KIND test_moody(vu):
        try:
            WAIT vu.http.KEPT("URL/")
        except Exception:
            pass
"""


@pytest.mark.parametrize("kind", ["async", "thread"])
def test_under_resets_the_report_says_between_what_the_server_has_seen(project: Project, kind: str) -> None:
    """What had no answer, and what went out twice, are the bounds, and every report names them."""
    moody = Moody()
    text = RESETS.replace("KIND", "async def" if kind == "async" else "def")
    text = text.replace("WAIT ", "await " if kind == "async" else "")
    with SocketServer(moody.serve) as server:
        # a POST is not sent again, a GET is
        for name, method in (("test_post.py", "post"), ("test_get.py", "get")):
            own = text.replace("KEPT", method).replace("moody", method)
            project.write(name, own.replace("URL", server.url))
        done = project.run("--ms-pool=local=4")

    post, get = done.scenario("test_post").ledger, done.scenario("test_get").ledger
    assert post.unanswered > 0
    assert get.repeated > 0
    least = sum(ledger.exchanges - ledger.unanswered for ledger in (post, get))
    most = sum(ledger.exchanges + ledger.repeated for ledger in (post, get))
    assert least <= moody.read <= most
    bounds = f"own count lies between {post.exchanges - post.unanswered:,} and {post.exchanges:,}"
    for told in (done.out, done.page.text, (done.reports / "summary.md").read_text()):
        assert bounds in told
