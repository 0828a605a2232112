"""Each way in which a stock MeterSphere node can be unfit has a message of its own, by its real cause."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Iterator
from importlib.metadata import version

import pytest

from tests.fakes.nodes import free_port
from tests.metersphere.engines import ProcessEngine
from tests.metersphere.sessions import IMAGE
from tests.metersphere.stand_in import StandIn
from tests.preflight.messages import assert_told
from tests.preflight.trial import Trial

RUNNER = (sys.executable, "-P", "-m", "pytest_metersphere.dist.node.runner")


@pytest.fixture
def engine() -> Iterator[ProcessEngine]:
    """Return a machine whose containers are processes, with the runner's image."""
    made = ProcessEngine({IMAGE: RUNNER})
    yield made
    made.close()


@pytest.fixture
def stock(engine: ProcessEngine) -> Iterator[StandIn]:
    """Return its stock node-controller."""
    with StandIn(engine) as running:
        yield running


@pytest.fixture
def env(kafka: str) -> dict[str, str]:
    """Return what a session on stock nodes needs."""
    return {
        "PYTEST_MS_KAFKA": kafka,
        "PYTEST_MS_KAFKA_PREFIX": f"test-{secrets.token_hex(6)}",
        "PYTEST_MS_RUNNER_IMAGE": IMAGE,
    }


@pytest.mark.needs_kafka
@pytest.mark.parametrize(
    ("cause", "capacity", "missing"),
    [
        ("a stock MeterSphere node without a capacity", "", ""),
        ("a stock MeterSphere node without Kafka", "=9", "PYTEST_MS_KAFKA"),
        ("a stock MeterSphere node without an image", "=9", "PYTEST_MS_RUNNER_IMAGE"),
    ],
)
def test_what_a_session_must_have(
    trial: Trial, stock: StandIn, env: dict[str, str], cause: str, capacity: str, missing: str
) -> None:
    """Only what is missing is said."""
    message = trial.refuses(f"--ms-pool=n1@{stock.address}{capacity}", env=env | {missing or "X": ""})

    assert stock.started == []
    assert_told("Nodes", cause, message)


@pytest.mark.parametrize("image", ["runner", "runner:", "runner@sha256:00", "Runner:1", "run ner:1"])
def test_an_image_without_its_tag(trial: Trial, image: str) -> None:
    """Nothing is connected: a stock node-controller compares the whole text."""
    message = trial.refuses("--ms-pool=n1@127.0.0.1:1=9", env={"PYTEST_MS_RUNNER_IMAGE": image})

    assert_told("Nodes", "an image without its tag", message.replace(repr(image), "'runner'"))


@pytest.mark.needs_kafka
def test_an_image_that_is_not_there(trial: Trial, stock: StandIn, env: dict[str, str]) -> None:
    """What MeterSphere says of it is in the message, and what to do."""
    message = trial.refuses(
        f"--ms-pool=n1@{stock.address}=9", env=env | {"PYTEST_MS_RUNNER_IMAGE": "runner:2"}
    )

    assert_told("Nodes", "the image is not on the stock MeterSphere node", message)


@pytest.mark.needs_kafka
def test_docker_is_down(trial: Trial, stock: StandIn, env: dict[str, str]) -> None:
    """The node-controller says of itself that it is well."""
    stock.refuse_all = "java.net.SocketException: No such file or directory"
    message = trial.refuses(f"--ms-pool=n1@{stock.address}=9", env=env)

    assert_told("Nodes", "Docker is down on the stock MeterSphere node", message)


@pytest.mark.needs_kafka
def test_another_image(trial: Trial, stock: StandIn, engine: ProcessEngine, env: dict[str, str]) -> None:
    """Its container has nothing to say."""
    engine.known[IMAGE] = ("true",)
    message = trial.refuses(f"--ms-pool=n1@{stock.address}=9", env=env)

    assert_told("Nodes", "the image on the stock MeterSphere node is another one", message)


@pytest.mark.needs_kafka
def test_another_version_in_the_image(
    trial: Trial, stock: StandIn, engine: ProcessEngine, env: dict[str, str]
) -> None:
    """Both versions are named."""
    program = (
        "import sys, pytest_metersphere; pytest_metersphere.__version__ = '9.9'\n"
        "from pytest_metersphere.dist.node import runner; sys.exit(runner.main())"
    )
    engine.known[IMAGE] = (sys.executable, "-P", "-c", program)
    message = trial.refuses(f"--ms-pool=n1@{stock.address}=9", env=env)

    assert version("pytest-metersphere") in message
    message = message.replace(version("pytest-metersphere"), "0.1.0")
    assert_told("Nodes", "another version of pytest-metersphere in the image", message)


@pytest.mark.needs_kafka
def test_kafka_is_out_of_reach_for_a_container(
    trial: Trial, stock: StandIn, engine: ProcessEngine, env: dict[str, str]
) -> None:
    """What the container printed says it, long before it would be given up."""
    program = (
        "import sys\n"
        "from pytest_metersphere.dist import control\n"
        "from pytest_metersphere.dist.node import runner\n"
        "class Away(runner.Consumer):\n"
        "    def __init__(self, access, *rest, **known):\n"
        f"        there = type(access)(servers=('127.0.0.1:{free_port()}',))\n"
        "        super().__init__(there, rest[0], 1.0, **known)\n"
        "runner.Consumer = Away\n"
        "sys.exit(runner.main())"
    )
    engine.known[IMAGE] = (sys.executable, "-P", "-c", program)
    done = trial.run(f"--ms-pool=n1@{stock.address}=9", env=env, patience=60.0)

    assert done.code == 4, done.text
    assert "said nothing over Kafka within" in done.text
    assert "Kafka cannot be reached: " in done.text
    assert not trial.has_run
