"""What the scenarios of the shop share."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

import pytest_metersphere
from pytest_metersphere import VirtualUser

SERVER = Path(__file__).with_name("shop_server.py")


@pytest.fixture(scope="session")
def base_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start the shop as a process of its own and stop it when the last test is done.

    An ordinary fixture: it runs once, where pytest runs, and only the URL travels to the nodes. What
    the server counted goes into the file that SHOP_STATS_FILE names, for comparison with the reports.
    """
    announced = tmp_path_factory.mktemp("shop") / "url"
    command = [sys.executable, str(SERVER), "--announce", str(announced), "--until-stdin-closes"]
    # a session of its own, so that Ctrl-C leaves it to this fixture to stop it
    with subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True) as server:
        url = _announced_url(announced, server)
        yield url
        if stats_file := os.environ.get("SHOP_STATS_FILE"):
            with urllib.request.urlopen(f"{url}/stats", timeout=5) as answer:
                Path(stats_file).write_bytes(answer.read())


def _announced_url(announced: Path, server: subprocess.Popen[bytes], patience: float = 10) -> str:
    """Wait until the server has written down its URL."""
    deadline = time.monotonic() + patience
    while not announced.exists():
        if server.poll() is not None:
            pytest.fail(f"the shop ended with exit code {server.returncode} before it served")
        if time.monotonic() > deadline:
            server.kill()
            pytest.fail(f"the shop does not serve after {patience:g} s")
        time.sleep(0.02)
    return announced.read_text()


@pytest_metersphere.fixture(scope="user")
async def cart(vu: VirtualUser, base_url: str) -> AsyncIterator[str]:
    """Give each virtual user a cart of its own, and empty it when the user leaves.

    A load-scoped fixture: it runs on the node, once for every user, in the user's own name.
    """
    url = f"{base_url}/cart/{vu.id}"
    yield url
    await vu.http.delete(url, label="leave")
