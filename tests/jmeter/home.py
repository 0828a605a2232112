"""A real Apache JMeter for the tests: a home made of Maven artifacts.

`python -m tests.jmeter.home` makes it, so that no test has to wait for it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import pytest

from tests.parts import require

JMETER = "5.6.3"
CUSTOM_THREAD_GROUPS = "2.10"
SHAPING_TIMER = "2.5"
HINT = "apt-get install default-jre-headless maven && make jmeter"

_ROOT = Path(__file__).resolve().parents[2]
_ARTIFACTS = [
    *(("org.apache.jmeter", f"ApacheJMeter{part}", JMETER) for part in ("", "_config", "_http", "_java")),
    # without the functions ${__P(…)} stays as it is written, and JMeter runs nothing
    ("org.apache.jmeter", "ApacheJMeter_functions", JMETER),
    ("kg.apc", "jmeter-plugins-casutg", CUSTOM_THREAD_GROUPS),
    ("kg.apc", "jmeter-plugins-tst", SHAPING_TIMER),
]
_POM = """\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>pytest-metersphere</groupId>
  <artifactId>jmeter-for-tests</artifactId>
  <version>1</version>
  <dependencies>
{}
  </dependencies>
</project>
"""
_EXTENSIONS = ("ApacheJMeter_", "jmeter-plugins-casutg", "jmeter-plugins-tst")


def cache() -> Path:
    """Return the folder for the homes: in $XDG_CACHE_HOME, else `.cache` of the repository."""
    home = os.environ.get("XDG_CACHE_HOME")
    return Path(home, "pytest-metersphere", "jmeter") if home else _ROOT / ".cache" / "jmeter"


def home(maven: str) -> Path:
    """Return JMeter's folder; Maven fetches what belongs into it when it is not there yet."""
    folder = cache() / f"{JMETER}-{CUSTOM_THREAD_GROUPS}-{SHAPING_TIMER}"
    if not folder.exists():
        cache().mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache()) as making:
            _fetch(maven, Path(making))
            _arrange(Path(making, "jars"), Path(making, "home"))
            # another process may have been faster
            with contextlib.suppress(OSError):
                Path(making, "home").rename(folder)
    return folder


def _fetch(maven: str, folder: Path) -> None:
    wanted = "\n".join(
        f"<dependency><groupId>{group}</groupId><artifactId>{name}</artifactId><version>{version}</version>"
        "</dependency>"
        for group, name, version in _ARTIFACTS
    )
    (folder / "pom.xml").write_text(_POM.format(wanted))
    command = [maven, "-q", "-B", "-f", str(folder / "pom.xml"), "dependency:copy-dependencies"]
    options = ["-DincludeScope=runtime", f"-DoutputDirectory={folder / 'jars'}"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"Maven could not fetch JMeter {JMETER}:\n{done.stdout}{done.stderr}")


def _arrange(jars: Path, folder: Path) -> None:
    """Put the jars where JMeter looks for them, and its settings beside them."""
    for name in ("bin", "lib/ext", "lib/junit"):
        (folder / name).mkdir(parents=True)
    with zipfile.ZipFile(jars / f"ApacheJMeter_config-{JMETER}.jar") as settings:
        settings.extractall(folder, [name for name in settings.namelist() if name.startswith("bin/")])
    for jar in jars.glob("*.jar"):
        extends = jar.name.startswith(_EXTENSIONS)
        shutil.copyfile(jar, folder / ("lib/ext" if extends else "lib") / jar.name)
    shutil.copyfile(jars / f"ApacheJMeter-{JMETER}.jar", folder / "bin" / "ApacheJMeter.jar")


def jmeter_home(config: pytest.Config) -> Path:
    """Return JMeter's folder; skip the test, or fail it under --require-all, without Java or Maven."""
    require(config, "java", hint=HINT)
    return home(require(config, "mvn", hint=HINT))


def main() -> None:
    """Make the home."""
    maven = shutil.which("mvn")
    if maven is None or shutil.which("java") is None:
        sys.exit(f"JMeter needs Java and Maven: {HINT}")
    print(home(maven))


if __name__ == "__main__":
    main()
