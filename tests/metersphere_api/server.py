"""A MeterSphere server, as far as a node-controller knows it: what it asks, and how it reads the answers."""

from __future__ import annotations

import contextlib
import http.client
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from tests.fakes.nodes import eventually

NODE = "n1@127.0.0.1:8082"
"""The label of the containers of these tests' nodes."""
SCRIPT = "pytest-metersphere-test-script:1"
"""The image whose containers run the variable SCRIPT in a shell."""
LIMIT = 30.0
SLEEP = "echo begun; exec sleep 300"
JSON = {"Content-Type": "application/json", "Accept": "application/json, application/*+json"}


class FailedError(Exception):
    """The answer was HTTP 200 with `success` false and this message."""


class Server:
    """Asks one node-controller, which is at `host:port`."""

    def __init__(self, address: str) -> None:
        self._address = address

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] = JSON
    ) -> Any:
        """Return the data of an answer; FailedError with its message when it tells of an error."""
        with contextlib.closing(http.client.HTTPConnection(self._address, timeout=LIMIT)) as connection:
            connection.request(method, path, body, dict(headers))
            response = connection.getresponse()
            answer = json.loads(response.read())
        assert response.status == 200, answer
        assert set(answer) == {"success", "message", "data"}
        if answer["success"] is True:
            assert answer["message"] is None
            return answer["data"]
        assert answer["data"] is None
        assert isinstance(answer["message"], str)
        raise FailedError(answer["message"])

    def start(self, name: str, script: str = SLEEP, image: str = SCRIPT, **more: str) -> Any:
        """Start a container."""
        env = {"TEST_ID": name, "BOOTSTRAP_SERVERS": "", "SCRIPT": script} | more
        return self.ask("POST", "/jmeter/container/start", json.dumps({"image": image, "env": env}).encode())

    def stop(self, name: str) -> Any:
        """Stop one."""
        return self.ask("GET", f"/jmeter/container/stop/{quote(name, safe='')}")

    def log(self, name: str) -> str:
        """Return what one has printed."""
        return str(self.ask("GET", f"/jmeter/container/log/{quote(name, safe='')}"))

    def status(self, name: str) -> list[dict[str, Any]]:
        """Return Docker's summaries."""
        found: list[dict[str, Any]] = self.ask("GET", f"/jmeter/task/status/{quote(name, safe='')}")
        return found

    def runs(self, name: str) -> bool:
        """Return whether a container runs."""
        return any(one["State"] == "running" for one in self.status(name))

    def until_ended(self, name: str) -> None:
        """Wait until nothing is left of a container."""
        eventually(lambda: self.status(name) == [], f"the end of {name}")

    def until_printed(self, name: str, text: str) -> None:
        """Wait until a container has printed something."""
        eventually(lambda: text in self.log(name), f"{text!r} in the log of {name}")
