"""--ms-preflight: when the nodes are checked before the first test."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.plugin.conftest import Inner
from tests.plugin.projects import mentions


class Stranger:
    """An HTTP server that is no node-controller, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        asked = self.asked

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                self.send_response(404)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_args: object) -> None:
                """Keep quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        self.address = f"127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def stranger() -> Iterator[Stranger]:
    """Return a server that is no node-controller."""
    stranger = Stranger()
    yield stranger
    stranger.close()


@pytest.fixture
def ordinary(scenario: Inner) -> Inner:
    """Return a project with an ordinary test beside the scenario."""
    scenario.pytester.makepyfile(test_ordinary="def test_ordinary(): pass")
    return scenario


def test_auto_checks_when_a_scenario_is_selected(scenario: Inner, stranger: Stranger) -> None:
    """What listens there is told apart from node-controllers, ours and stock ones, by its first answers."""
    message = scenario.refuses(f"--ms-pool=far@{stranger.address}=9")

    assert stranger.asked == ["/v1/node", "/status"]
    assert mentions(message, f"node far: what listens on http://{stranger.address} is no node-controller")


def test_auto_checks_nothing_without_a_scenario(ordinary: Inner, stranger: Stranger) -> None:
    """Ordinary tests need no nodes."""
    result = ordinary.run(f"--ms-pool=far@{stranger.address}=9", "--ms-preflight=auto", "-k", "ordinary")

    assert result.parseoutcomes()["passed"] == 1
    assert stranger.asked == []


def test_always_checks_without_a_scenario_too(ordinary: Inner, stranger: Stranger) -> None:
    """A broken pool is found by any session."""
    message = ordinary.refuses(
        f"--ms-pool=far@{stranger.address}=9", "--ms-preflight=always", "-k", "ordinary"
    )

    assert "is no node-controller" in message
    assert stranger.asked == ["/v1/node", "/status"]


def test_always_lets_ordinary_tests_run_when_all_is_well(ordinary: Inner) -> None:
    """The nodes are checked, nothing is run on them, and no report is written."""
    result = ordinary.run("--ms-pool=local", "--ms-preflight=always", "-k", "ordinary")

    assert result.parseoutcomes()["passed"] == 1
    assert result.ret == 0
    assert not (ordinary.pytester.path / "ms-report" / "results.json").exists()


def test_off_goes_straight_to_the_plan(scenario: Inner, stranger: Stranger) -> None:
    """Free capacity is still asked for, as no plan can be made without it."""
    message = scenario.refuses(f"--ms-pool=far@{stranger.address}=9", "--ms-preflight=off")

    assert stranger.asked == ["/v1/node", "/v1/node"]
    assert "is no node-controller" in message


def test_variable_and_ini_are_heard(
    ordinary: Inner, stranger: Stranger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variable wins over the ini value, the option over both."""
    ordinary.pytester.makeini("[pytest]\nms_preflight = always")
    args = [f"--ms-pool=far@{stranger.address}=9", "-k", "ordinary"]

    ordinary.refuses(*args)
    assert len(stranger.asked) == 2
    monkeypatch.setenv("PYTEST_MS_PREFLIGHT", "auto")
    assert ordinary.run(*args).ret == 0
    assert len(stranger.asked) == 2
    ordinary.refuses(*args, "--ms-preflight=always")
    assert len(stranger.asked) == 4


@pytest.mark.parametrize(("text", "hint"), [("allways", "did you mean 'always'?"), ("no", ""), ("", "")])
def test_another_word_is_one_message(scenario: Inner, text: str, hint: str) -> None:
    """With the three that there are."""
    message = scenario.refuses("--ms-pool=local", f"--ms-preflight={text}")

    assert mentions(message, f"--ms-preflight: {text!r} is not one of auto, always, off", hint)


def test_without_a_pool_nothing_is_checked(scenario: Inner) -> None:
    """`always` needs something to check."""
    scenario.run("--ms-preflight=always").assert_outcomes(passed=1)
