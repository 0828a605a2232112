"""pytest inside pytest: sessions on small projects, and sockets that notice when something calls."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

# pytester forgets what an inner session has imported; what is here already stays one and the same
import pytest_metersphere.controller  # noqa: F401
from tests.plugin.projects import OURS, Project


class Listener:
    """A TCP port on loopback that takes connections and never answers."""

    def __init__(self) -> None:
        self._sock = socket.create_server(("127.0.0.1", 0))
        self._sock.setblocking(False)
        self.address = f"127.0.0.1:{self._sock.getsockname()[1]}"

    @property
    def called(self) -> bool:
        """Return whether something has connected since the last time."""
        with contextlib.suppress(BlockingIOError):
            self._sock.accept()[0].close()
            return True
        return False

    def close(self) -> None:
        """Close the port: from now on connections to it are refused."""
        self._sock.close()


class Inner:
    """Runs pytest in this process, on the project of the test."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester

    def run(self, *args: str) -> pytest.RunResult:
        """Run a session that loads our plugin and no other."""
        return self.pytester.runpytest_inprocess("-p", "no:cacheprovider", "-p", OURS, *args)

    def refuses(self, *args: str) -> str:
        """Run a session that must end with exit code 4; return its one message, after `ERROR: `."""
        result = self.run(*args)
        printed = result.errlines + [line for line in result.outlines if line.startswith("ERROR")]

        assert result.ret == pytest.ExitCode.USAGE_ERROR, result.stdout.str() + result.stderr.str()
        assert "Traceback" not in result.stdout.str() + result.stderr.str()
        assert "INTERNALERROR" not in result.stdout.str()
        text = "\n".join(printed).strip()
        assert text.count("ERROR: ") == 1, text
        return text.partition("ERROR: ")[2]


@pytest.fixture
def inner(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Inner:
    """Return a runner of sessions in this process, on an empty project that is its own rootdir."""
    # CI makes pytest print its summary in another way
    for name in ("CI", "BUILD_NUMBER", "PYTEST_ADDOPTS", "PYTEST_MS_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("COLUMNS", "200")
    pytester.makeini("[pytest]")
    return Inner(pytester)


@pytest.fixture
def scenario(inner: Inner) -> Inner:
    """Return the same, with a scenario of five users in test_shop.py."""
    inner.pytester.makepyfile(
        test_shop="""
        import pytest

        @pytest.mark.load_scenario(users=5, hold="1s")
        async def test_cart(vu):
            with vu.sample("step"):
                await vu.sleep(0.01)
        """
    )
    return inner


@pytest.fixture
def listener() -> Iterator[Listener]:
    """Return a port that notices connections."""
    listener = Listener()
    yield listener
    listener.close()


@pytest.fixture
def nobody(listener: Listener) -> str:
    """Return an address on which nothing listens."""
    listener.close()
    return listener.address


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Return an empty project."""
    return Project(tmp_path / "project")
