"""The runner image with Java and JMeter in it: the Java is this machine's, JMeter that of the tests.

`python -m tests.docker.jmeter_image` makes it, so that no test has to wait for it.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from docker.errors import DockerException, ImageNotFound

from tests.docker.engine import ROOT, Engine, EngineError, engine, make_runner
from tests.jmeter.home import HINT, home
from tests.parts import lack

IMAGE = "pytest-metersphere-runner:test-jmeter"
JAVA = "pytest-metersphere-test-java:17"
JAVA_PATH = "/opt/java/openjdk"

_RUNNER_LABEL = "io.pytest-metersphere.test-runner"
_NOT_FOR_RUNNING = ("docs", "include", "jmods", "legal", "man", "lib/src.zip")


def make_jmeter_runner(own: Engine) -> str:
    """Make the image from the runner image, unless it is there, and return its name.

    Raises:
        EngineError: a part is missing, or a step failed.
    """
    maven, java = shutil.which("mvn"), shutil.which("java")
    if maven is None or java is None:
        raise EngineError(HINT)
    runner = make_runner(own)
    source = str(own.client.images.get(runner).id)
    with contextlib.suppress(ImageNotFound):
        if own.client.images.get(IMAGE).labels.get(_RUNNER_LABEL) == source:
            return IMAGE
    if not own.has(JAVA):
        _import_java(own, Path(java).resolve().parents[1])
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made, "jmeter")
        shutil.copytree(home(maven), folder)
        # the SDK takes a Dockerfile in the build's folder alone
        shutil.copy(ROOT / "deploy" / "jmeter.Dockerfile", folder)
        try:
            own.client.images.build(
                path=str(folder),
                dockerfile="jmeter.Dockerfile",
                tag=IMAGE,
                buildargs={"RUNNER": runner, "JAVA": JAVA},
                labels={_RUNNER_LABEL: source},
                network_mode="none",
                rm=True,
                forcerm=True,
            )
        except DockerException as error:
            raise EngineError(f"a runner image with JMeter, which could not be built: {error}") from error
    return IMAGE


def _import_java(own: Engine, java: Path) -> None:
    """Make an image that holds a Java, without what is there to build with it, and nothing else."""
    with tempfile.TemporaryDirectory() as made:
        tar = Path(made, "java.tar")
        left_out = [f"--exclude=./{name}" for name in _NOT_FOR_RUNNING]
        moved = ["--transform", f"s,^[.],.{JAVA_PATH},"]
        command = ["tar", "-C", str(java), "--dereference", *left_out, *moved, "-cf", str(tar), "."]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise EngineError(f"a Java that can be copied; tar said:\n{done.stderr[-2000:]}")
        repository, _, tag = JAVA.partition(":")
        own.client.api.import_image_from_file(str(tar), repository=repository, tag=tag)


@pytest.fixture(scope="session")
def jmeter_image(docker_engine: Engine, pytestconfig: pytest.Config) -> str:
    """Return the name of the runner image with JMeter, made from this source."""
    try:
        return make_jmeter_runner(docker_engine)
    except EngineError as error:
        lack(pytestconfig, f"the runner image with JMeter: {error}")


def main() -> None:
    """Make the image."""
    try:
        with engine() as own:
            print(make_jmeter_runner(own))
    except EngineError as error:
        sys.exit(f"the runner image with JMeter needs {error}")


if __name__ == "__main__":
    main()
