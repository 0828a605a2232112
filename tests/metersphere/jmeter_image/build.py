"""The stand-in for MeterSphere's JMeter image: a real JMeter, with a listener and a log as documented.

`python -m tests.metersphere.jmeter_image.build` makes it, so that no test has to wait for it. The listener
(java/) and the entrypoint (run_test.py) are our own, written from the contract; everything else is Debian's,
Maven's, or a Java that jlink cuts out of the one here.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from docker.errors import DockerException, ImageNotFound

from tests.docker.engine import BASE, Engine, EngineError, engine, make_base
from tests.docker.engine import cache as docker_cache
from tests.jmeter.home import home as jmeter_home
from tests.kafka.broker import jars as kafka_jars
from tests.parts import lack, require

IMAGE = "metersphere/jmeter-master:5.6.3-stand-in"
HINT = "apt-get install default-jdk-headless maven"

_HERE = Path(__file__).parent
_SOURCE_LABEL = "io.pytest-metersphere.test-source"
_CLIENT_JARS = ("kafka-clients-", "lz4-java-", "snappy-java-", "zstd-jni-")
_MODULES = "java.se,jdk.crypto.ec,jdk.unsupported,jdk.zipfs"
_DOCKERFILE = f"""\
FROM {BASE}
COPY jre /opt/jre
COPY jmeter /opt/jmeter
COPY run_test.py /run-test.py
ENV PATH=/opt/jre/bin:/usr/bin:/bin JMETER_HOME=/opt/jmeter TESTS_DIR=/test PYTHONUNBUFFERED=1
WORKDIR /jmeter-log
ENTRYPOINT ["python3", "/run-test.py"]
"""


def cache() -> Path:
    """Return the folder for what is made once, beside that of the Docker Engine."""
    return docker_cache().with_name("jmeter-image")


def equipped_home(maven: str) -> Path:
    """Return the folder of a JMeter with the listener and the log's settings, made when it is not there."""
    folder = cache() / f"home-{_fingerprint()}"
    if not folder.exists():
        cache().mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache()) as made:
            own = Path(made, "home")
            shutil.copytree(jmeter_home(maven), own)
            for jar in kafka_jars(maven).iterdir():
                if jar.name.startswith(_CLIENT_JARS):
                    shutil.copy(jar, own / "lib")
            shutil.copy(_HERE / "log4j2.xml", own / "bin")
            _compile(own, Path(made, "classes"))
            # another process may have been faster
            with contextlib.suppress(OSError):
                own.rename(folder)
    return folder


def _compile(own: Path, classes: Path) -> None:
    sources = [str(path) for path in (_HERE / "java").rglob("*.java")]
    path = ":".join(f"{own / name}/*" for name in ("lib", "lib/ext"))
    _run(["javac", "-nowarn", "-encoding", "UTF-8", "-cp", path, "-d", str(classes), *sources])
    with zipfile.ZipFile(own / "lib" / "ext" / "kafka-listener.jar", "w") as jar:
        # JMeter takes a jar without one for broken, and with it all functions
        jar.writestr("META-INF/MANIFEST.MF", "Manifest-Version: 1.0\n")
        for file in classes.rglob("*.class"):
            jar.write(file, file.relative_to(classes))


def _runtime() -> Path:
    """Return a Java with what JMeter needs of it."""
    folder = cache() / f"jre-{hashlib.blake2b(_java_version(), digest_size=4).hexdigest()}"
    if not folder.exists():
        with tempfile.TemporaryDirectory(dir=cache()) as made:
            options = ("--strip-debug", "--no-header-files", "--no-man-pages", "--add-modules", _MODULES)
            _run(["jlink", *options, "--output", f"{made}/jre"])
            with contextlib.suppress(OSError):
                Path(made, "jre").rename(folder)
    return folder


def _java_version() -> bytes:
    return subprocess.run(["java", "-version"], capture_output=True, check=True).stderr


def make_image(own: Engine, maven: str) -> str:
    """Make the image, unless it is there, and return its name (EngineError when a step fails)."""
    with contextlib.suppress(ImageNotFound):
        if own.client.images.get(IMAGE).labels.get(_SOURCE_LABEL) == _fingerprint():
            return IMAGE
    make_base(own)
    ready = equipped_home(maven)
    with tempfile.TemporaryDirectory(dir=cache()) as made:
        shutil.copytree(ready, Path(made, "jmeter"), copy_function=_link)
        shutil.copytree(_runtime(), Path(made, "jre"), symlinks=True, copy_function=_link)
        shutil.copy(_HERE / "run_test.py", made)
        Path(made, "Dockerfile").write_text(_DOCKERFILE)
        try:
            own.client.images.build(
                path=made,
                tag=IMAGE,
                labels={_SOURCE_LABEL: _fingerprint()},
                network_mode="none",
                rm=True,
                forcerm=True,
            )
        except DockerException as error:
            raise EngineError(f"a JMeter image, which could not be built: {error}") from error
    return IMAGE


def _link(source: str, target: str) -> None:
    Path(target).hardlink_to(source)


def _fingerprint() -> str:
    digest = hashlib.blake2b(digest_size=8)
    for path in sorted(path for path in _HERE.rglob("*") if path.suffix in (".java", ".xml", ".py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise EngineError(f"{command[0]} to work; it said:\n{(done.stdout + done.stderr)[-2000:]}")


def require_tools(config: pytest.Config) -> str:
    """Return the path of Maven; skip the test, or fail it under --require-all, without it or a JDK."""
    require(config, "javac", hint=HINT)
    require(config, "jlink", hint=HINT)
    return require(config, "mvn", hint=HINT)


@pytest.fixture(scope="session")
def jmeter_image(docker_engine: Engine, pytestconfig: pytest.Config) -> str:
    """Return the name of the image, made from this source."""
    maven = require_tools(pytestconfig)
    try:
        return make_image(docker_engine, maven)
    except EngineError as error:
        lack(pytestconfig, f"the JMeter image: {error}")


def main() -> None:
    """Make the image."""
    maven = shutil.which("mvn")
    if maven is None or shutil.which("javac") is None or shutil.which("jlink") is None:
        sys.exit(f"the JMeter image needs a JDK and Maven: {HINT}")
    try:
        with engine() as own:
            print(make_image(own, maven))
    except EngineError as error:
        sys.exit(f"the JMeter image needs {error}")


if __name__ == "__main__":
    main()
