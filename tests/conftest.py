"""What the whole suite shares: the option --require-all, how hypothesis runs, a broker and a Docker Engine.

Each of these is here and nowhere else: a fixture that several rooms import is made once for each of them,
and two Docker Engines cannot share their data.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING

import hypothesis
import pytest

from tests.parts import lack

if TYPE_CHECKING:
    from tests.docker.engine import Engine

hypothesis.settings.register_profile("here", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "here")

# what a shell ignores for tests in the background, or nohup, all that they start would ignore as well
for _number, _usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _usual)


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


@pytest.fixture(scope="session")
def docker_engine(pytestconfig: pytest.Config) -> Iterator[Engine]:
    """Return a Docker Engine: the one that runs already, or one started once a session."""
    from tests.docker.engine import EngineError, engine

    with contextlib.ExitStack() as stack:
        try:
            own = stack.enter_context(engine())
        except EngineError as error:
            lack(pytestconfig, f"a Docker Engine: {error}")
        yield own


@pytest.fixture(scope="session")
def runner_image(docker_engine: Engine, pytestconfig: pytest.Config) -> str:
    """Return the name of the runner image, made from this source."""
    from tests.docker.engine import EngineError, make_runner

    try:
        return make_runner(docker_engine)
    except EngineError as error:
        lack(pytestconfig, f"the runner image: {error}")
