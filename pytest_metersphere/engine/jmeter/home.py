"""Where Java and JMeter are on this machine."""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from pytest_metersphere.errors import ConfigError
from pytest_metersphere.settings import JMETER_HOME_VARIABLE

OLDEST = (5, 0)

_JAR = Path("bin", "ApacheJMeter.jar")
_JAVA_LIMIT = 4.0
_CORE = re.compile(r"ApacheJMeter_core-(\d+)\.(\d+)[\w.-]*\.jar")


class NoJMeter(ConfigError):
    """This machine has no Java, or no JMeter; says what to do.

    Attributes:
        lack: what is not there, without what to do.
    """

    def __init__(self, lack: str, advice: str) -> None:
        super().__init__(f"{lack}; {advice}")
        self.lack = lack


@dataclasses.dataclass(frozen=True, slots=True)
class Home:
    """A JMeter that can be started.

    Attributes:
        java: path of the program java.
        folder: JMeter's folder.
        version: its version, `5.6.3`; empty when its jars do not tell.
    """

    java: Path
    folder: Path
    version: str

    @property
    def jar(self) -> Path:
        """Return what Java starts."""
        return self.folder / _JAR


def working_home() -> Home:
    """Return the JMeter of this machine, whose Java was seen to start (NoJMeter when there is none)."""
    home = find_home()
    command = [str(home.java), "-version"]
    try:
        done = subprocess.run(
            command, capture_output=True, stdin=subprocess.DEVNULL, timeout=_JAVA_LIMIT, check=False
        )
    except subprocess.TimeoutExpired:
        return home  # a busy machine, which says nothing of Java
    except OSError as error:
        raise _broken(home, error.strerror or str(error)) from None
    if done.returncode != 0:
        said = (done.stderr + done.stdout).decode("utf-8", "replace").strip().splitlines()
        raise _broken(home, said[0][:200] if said else f"exit code {done.returncode}")
    return home


def _broken(home: Home, why: str) -> NoJMeter:
    return NoJMeter(f"Java does not start: {home.java} -version says {why!r}", "install another one")


def find_home(environment: Mapping[str, str] = os.environ) -> Home:
    """Return the JMeter of this machine.

    The folder is named by PYTEST_MS_JMETER_HOME, or is that of the program `jmeter` on the path. Java
    is that of JAVA_HOME, or on the path.

    Raises:
        NoJMeter: one of them is not there.
    """
    java, folder = _java(environment), _folder(environment)
    version = _version(folder)
    if version and tuple(map(int, version.split(".")[:2])) < OLDEST:
        raise NoJMeter(f"JMeter {version} in {folder} is too old", "install JMeter 5.6")
    return Home(java, folder, version)


def _java(environment: Mapping[str, str]) -> Path:
    home = environment.get("JAVA_HOME", "").strip()
    named = Path(home, "bin", "java")
    if home and named.is_file():
        return named
    found = shutil.which("java", path=environment.get("PATH"))
    if found is None:
        raise NoJMeter(
            "there is no Java: neither JAVA_HOME nor PATH leads to the program java",
            "install one (Debian: apt-get install default-jre-headless)",
        )
    return Path(found)


def _folder(environment: Mapping[str, str]) -> Path:
    named = environment.get(JMETER_HOME_VARIABLE, "").strip()
    if named:
        folder = Path(named).expanduser()
        if not (folder / _JAR).is_file():
            raise NoJMeter(
                f"{JMETER_HOME_VARIABLE} names {named!r}, where there is no {_JAR}",
                "name the folder that JMeter was unpacked to",
            )
        return folder.resolve()
    found = shutil.which("jmeter", path=environment.get("PATH"))
    above = Path(found).resolve().parents[1] if found else None
    if above is None or not (above / _JAR).is_file():
        raise NoJMeter(
            f"there is no JMeter: {JMETER_HOME_VARIABLE} is not set, and PATH leads to no JMeter",
            f"unpack Apache JMeter 5.6 and set {JMETER_HOME_VARIABLE} to its folder",
        )
    return above


def _version(folder: Path) -> str:
    for path in sorted((folder / "lib" / "ext").glob("ApacheJMeter_core-*.jar")):
        if _CORE.fullmatch(path.name):
            return path.stem.removeprefix("ApacheJMeter_core-")
    return ""
