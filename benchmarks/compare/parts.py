"""Fetches what is compared: from Debian, PyPI, the Go module proxy, Maven Central and npm.

Everything but Debian's packages goes below the cache folder. What is there already is not fetched again.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from benchmarks.compare.rivals.base import MissingPart

_PATIENCE = 1200.0
_LAST_WORDS = 300


def debian(program: str, package: str) -> str:
    """Return the path of a program, after installing its Debian package when this is root."""
    found = _on_path(program)
    if found:
        return found
    apt = shutil.which("apt-get")
    if apt is None or os.geteuid() != 0:
        raise MissingPart(f"{program} is not installed: apt-get install {package}")
    # a runlevel of 1 keeps Debian from starting a server as a service
    environment = {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    run([apt, "-qq", "update"], environment=environment)
    run([apt, "-qq", "install", "--yes", "--no-install-recommends", package], environment=environment)
    found = _on_path(program)
    if not found:
        raise MissingPart(f"the Debian package {package} brought no {program}")
    return found


def _on_path(program: str) -> str | None:
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def go_program(cache: Path, name: str, module: str) -> Path:
    """Return a Go program, compiled from a module such as `example.org/tool@v1.2.3`."""
    program = cache / "go" / name
    if not program.exists():
        go = tool("go", "golang")
        program.parent.mkdir(parents=True, exist_ok=True)
        run([go, "install", module], environment={"GOBIN": str(program.parent)})
    return program


def python_environment(cache: Path, packages: Iterable[str]) -> Path:
    """Return the Python of a virtual environment of its own that has the packages."""
    wanted = " ".join(packages)
    folder = cache / "venv"
    python, stamp = folder / "bin" / "python", folder / "installed"
    if not stamp.exists() or stamp.read_text() != wanted:
        run([sys.executable, "-m", "venv", "--clear", str(folder)])
        run([str(python), "-m", "pip", "--disable-pip-version-check", "--quiet", "install", *wanted.split()])
        stamp.write_text(wanted)
    return python


def npm_program(cache: Path, package: str, version: str, script: str) -> tuple[str, str]:
    """Return node and the script of an npm package; nothing that the package wants to run is run."""
    node, npm = tool("node", "nodejs"), tool("npm", "npm")
    folder = cache / f"npm-{package}-{version}"
    path = folder / "node_modules" / package / script
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text('{"private": true}\n')
        options = ["--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
        run([npm, "install", *options, f"{package}@{version}"], folder=folder)
    if not path.exists():
        raise MissingPart(f"the npm package {package} {version} has no {script}")
    return node, str(path)


def jmeter_home(cache: Path, version: str) -> Path:
    """Return a home of JMeter, put together from its artifacts at Maven Central."""
    home = cache / f"jmeter-{version}"
    if (home / "bin" / "ApacheJMeter.jar").exists():
        return home
    maven = tool("mvn", "maven")
    making = cache / f"jmeter-{version}.part"
    shutil.rmtree(making, ignore_errors=True)
    for folder in ("bin", "lib/ext", "lib/junit", "jars"):
        (making / folder).mkdir(parents=True)
    names = ("ApacheJMeter", *(f"ApacheJMeter_{part}" for part in ("config", *_JMETER_PARTS)))
    (making / "pom.xml").write_text(_pom("org.apache.jmeter", names, version))
    options = ["-DincludeScope=runtime", f"-DoutputDirectory={making / 'jars'}"]
    run([maven, "-q", "-B", "-f", str(making / "pom.xml"), "dependency:copy-dependencies", *options])
    _sort_jars(making, version)
    shutil.rmtree(home, ignore_errors=True)
    making.rename(home)
    return home


# without the functions ${__P(…)} stays as it is, and JMeter runs no thread
_JMETER_PARTS = ("components", "core", "functions", "http", "java")


def _sort_jars(home: Path, version: str) -> None:
    jars = home / "jars"
    with zipfile.ZipFile(jars / f"ApacheJMeter_config-{version}.jar") as config:
        for name in config.namelist():
            if name.startswith("bin/"):
                config.extract(name, home)
    shutil.copy(jars / f"ApacheJMeter-{version}.jar", home / "bin" / "ApacheJMeter.jar")
    for jar in jars.glob("*.jar"):
        jar.rename(home / ("lib/ext" if jar.name.startswith("ApacheJMeter_") else "lib") / jar.name)


def _pom(group: str, names: Iterable[str], version: str) -> str:
    dependencies = "".join(
        f"<dependency><groupId>{group}</groupId><artifactId>{name}</artifactId>"
        f"<version>{version}</version></dependency>"
        for name in names
    )
    return (
        '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
        "<groupId>benchmarks</groupId><artifactId>jars</artifactId><version>1</version>"
        f"<dependencies>{dependencies}</dependencies></project>"
    )


def tool(program: str, package: str) -> str:
    """Return the path of a program that is not ours to install."""
    found = shutil.which(program)
    if not found:
        raise MissingPart(f"{program} is not there: apt-get install {package}")
    return found


def run(
    command: list[str], *, folder: Path | None = None, environment: Mapping[str, str] | None = None
) -> str:
    """Run a command to its end and return what it printed.

    Raises:
        MissingPart: it failed, is not there, or took more than twenty minutes.
    """
    code, said = _outcome(command, folder, environment or {})
    if code != 0:
        last = " ".join(said.split())[-_LAST_WORDS:]
        raise MissingPart(f"`{Path(command[0]).name} {command[1]}` ended with {code}: {last}")
    return said


def version(program: str, option: str) -> str:
    """Return the first version number that a program prints when it is asked; some then end with 1."""
    _, said = _outcome([program, option], None, {})
    found = re.search(r"\d+(?:\.\d+)+", said)
    return found[0] if found else "?"


def _outcome(command: list[str], folder: Path | None, environment: Mapping[str, str]) -> tuple[int, str]:
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=os.environ | dict(environment),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PATIENCE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as trouble:
        raise MissingPart(f"{Path(command[0]).name}: {trouble}") from trouble
    return done.returncode, done.stdout + done.stderr
