"""Node-controllers as their operators start them: processes of their own, with real workers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

TOKEN = "a-token-of-remote-nodes"
PATIENCE = 15.0


@contextmanager
def remote_node(
    *arguments: str,
    host: str = "127.0.0.1",
    token: str = TOKEN,
    env: Mapping[str, str] | None = None,
    python: str = sys.executable,
    prefix: Sequence[str] = (),
) -> Iterator[str]:
    """Run `pytest-metersphere node` on a free port and give its address for a pool.

    The Python to run it with can be another one; before it can stand another command that runs it.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))}
    command = [*prefix, python, "-m", "pytest_metersphere", "node", "--port=0", "--announce=json"]
    process = subprocess.Popen(
        [*command, f"--host={host}", "--workers=1", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=kept | ({"PYTEST_MS_TOKEN": token} if token else {}) | dict(env or {}),
    )
    try:
        assert process.stdout is not None
        port = json.loads(process.stdout.readline())["port"]
        yield f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()
