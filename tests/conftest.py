"""What the whole suite shares: the option --require-all and how hypothesis runs."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import hypothesis
import pytest

hypothesis.settings.register_profile("here", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "here")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # a shell has put the tests into the background: what they start would inherit that
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare --require-all, which .ci/run uses."""
    parser.addoption(
        "--require-all",
        action="store_true",
        help="Fail the tests that need a part which is not installed, instead of skipping them",
    )


@pytest.fixture(scope="session")
def kafka(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return `host:port` of a real broker: the one in PYTEST_MS_TEST_KAFKA, or one started once a session."""
    given = os.environ.get("PYTEST_MS_TEST_KAFKA", "")
    if given:
        yield given
        return
    from tests.kafka.broker import broker

    with broker(pytestconfig, tmp_path_factory.mktemp("kafka")) as running:
        yield running.address
