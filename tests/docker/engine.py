"""A real Docker Engine and the runner image, from what they are made of to their end.

`python -m tests.docker.engine` makes the image, so that no test has to wait for it. Nothing comes from
a registry of images: the base is Debian, by debootstrap, and the rest are wheels.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

import docker
from docker.errors import DockerException, ImageNotFound
from docker.models.containers import Container

HINT = "apt-get install docker.io debootstrap, as root; or a Docker Engine that runs already"
SUITE = "bookworm"
PYTHON = (3, 11)
"""The Python of that Debian."""
BASE = f"pytest-metersphere-test-base:{SUITE}"
RUNNER = "pytest-metersphere-runner:test"
PATIENCE = 60.0

ROOT = Path(__file__).resolve().parents[2]
_SOURCE_LABEL = "io.pytest-metersphere.test-source"
_MIRROR = "http://deb.debian.org/debian"
_PACKAGES = "python3,python3-venv,ca-certificates"
_PROJECT = ("pyproject.toml", "README.md", "LICENSE", "pytest_metersphere", "templates")


class EngineError(Exception):
    """There is no Docker Engine, or an image cannot be made; the text says why."""


class Engine:
    """A Docker Engine that answers.

    Attributes:
        host: its address, for the variable DOCKER_HOST.
        client: speaks to it.
    """

    def __init__(self, host: str) -> None:
        self.host = host
        self.client = docker.DockerClient(base_url=host, timeout=120)

    def has(self, image: str) -> bool:
        """Return whether an image is there."""
        with contextlib.suppress(ImageNotFound):
            self.client.images.get(image)
            return True
        return False

    def containers(self, **filters: str) -> list[Container]:
        """Return its containers, ended ones too, but none that goes while they are listed."""
        return self.client.containers.list(all=True, filters=dict(filters), ignore_removed=True)

    def close(self) -> None:
        """Let go of its connections."""
        self.client.close()


def cache() -> Path:
    """Return the folder for what is made once: in $XDG_CACHE_HOME, else `.cache` of the repository."""
    home = os.environ.get("XDG_CACHE_HOME")
    return Path(home, "pytest-metersphere", "docker") if home else ROOT / ".cache" / "docker"


@contextlib.contextmanager
def engine() -> Iterator[Engine]:
    """Return the Docker Engine that runs here already, else one that is started and ends with the block.

    Raises:
        EngineError: there is none, and none can be started.
    """
    found = _running(os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock")
    if found is not None:
        with contextlib.closing(found):
            yield found
        return
    with _started() as own:
        yield own


def _running(host: str) -> Engine | None:
    try:
        # the SDK leaves its socket open when nobody is there
        if host.startswith("unix://"):
            with socket.socket(socket.AF_UNIX) as sock:
                sock.connect(host.removeprefix("unix://"))
        return Engine(host)
    except (DockerException, OSError):
        return None


@contextlib.contextmanager
def _started() -> Iterator[Engine]:
    program = shutil.which("dockerd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None or os.geteuid() != 0:
        raise EngineError(HINT)
    cache().mkdir(parents=True, exist_ok=True)
    with (
        (cache() / "lock").open("w") as lock,
        # its sockets have long names, and the name of a socket is short
        tempfile.TemporaryDirectory(prefix="ms-dockerd-", dir="/tmp", ignore_cleanup_errors=True) as folder,
    ):
        # two engines cannot share their data: whoever comes second waits for the end of the first
        fcntl.flock(lock, fcntl.LOCK_EX)
        with _dockerd(program, Path(folder)) as host, contextlib.closing(_answering(host, folder)) as own:
            yield own


@contextlib.contextmanager
def _dockerd(program: str, folder: Path) -> Iterator[str]:
    host = f"unix://{folder}/docker.sock"
    command = [program, f"--host={host}", f"--data-root={cache() / 'data'}", f"--exec-root={folder / 'exec'}"]
    command += [f"--pidfile={folder / 'pid'}", "--bridge=none", "--iptables=false", "--ip6tables=false"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=os.environ | {"PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"},
        )
    try:
        yield host
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        # the network namespace of the host that it has mounted for containers would keep the folder
        for mount in (folder / "exec" / "netns").glob("*"):
            subprocess.run(["umount", "--lazy", str(mount)], check=False, stderr=subprocess.DEVNULL)


def _answering(host: str, folder: str) -> Engine:
    deadline = time.monotonic() + PATIENCE
    while (found := _running(host)) is None:
        if time.monotonic() > deadline:
            said = Path(folder, "log").read_text(errors="replace")[-2000:]
            raise EngineError(f"a dockerd that answers; the one started here said:\n{said}")
        time.sleep(0.1)
    return found


def make_runner(own: Engine) -> str:
    """Make the runner image from this source, unless it is there, and return its name.

    Raises:
        EngineError: a part is missing, or a step failed.
    """
    if sys.version_info[:2] != PYTHON:
        raise EngineError(f"Python {PYTHON[0]}.{PYTHON[1]}, which its Debian has, for the tests, too")
    source = _fingerprint()
    with contextlib.suppress(ImageNotFound):
        if own.client.images.get(RUNNER).labels.get(_SOURCE_LABEL) == source:
            return RUNNER
    make_base(own)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        for wheel in _dependencies().glob("*.whl"):
            shutil.copy(wheel, folder)
        _own_wheel(folder)
        shutil.copy(ROOT / "deploy" / "runner.Dockerfile", folder / "Dockerfile")
        try:
            own.client.images.build(
                path=made,
                tag=RUNNER,
                buildargs={"BASE": BASE},
                labels={_SOURCE_LABEL: source},
                network_mode="none",
                rm=True,
                forcerm=True,
            )
        except DockerException as error:
            raise EngineError(f"a runner image, which could not be built: {error}") from error
    return RUNNER


def _fingerprint() -> str:
    """Return what changes with any file that the image is made from."""
    files = [ROOT / "pyproject.toml", ROOT / "deploy" / "runner.Dockerfile"]
    for name in ("pytest_metersphere", "templates"):
        files += [path for path in (ROOT / name).rglob("*") if path.is_file() and path.suffix != ".pyc"]
    digest = hashlib.blake2b(digest_size=16)
    for path in sorted(files):
        digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def make_base(own: Engine) -> None:
    """Make the image that all others begin from, unless it is there (EngineError when that fails)."""
    if own.has(BASE):
        return
    tar = cache() / f"{SUITE}.tar"
    if not tar.exists():
        _bootstrap(tar)
    repository, _, tag = BASE.partition(":")
    own.client.api.import_image_from_file(str(tar), repository=repository, tag=tag)


def _bootstrap(tar: Path) -> None:
    program = shutil.which("debootstrap", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None or os.geteuid() != 0:
        raise EngineError(f"debootstrap, as root, for the image's base: {HINT}")
    cache().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache()) as made:
        tree = Path(made, "tree")
        _run([program, "--variant=minbase", f"--include={_PACKAGES}", SUITE, str(tree), _MIRROR])
        leftovers = ("./var/cache/apt", "./var/lib/apt/lists", "./usr/share/doc", "./usr/share/man", "./dev")
        left_out = [f"--exclude={name}/*" for name in leftovers]
        _run(["tar", "-C", str(tree), *left_out, "-cf", f"{made}/base.tar", "."])
        Path(made, "base.tar").rename(tar)


def _dependencies() -> Path:
    """Return the folder with the wheels of all that the project needs."""
    wanted: list[str] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    key = hashlib.blake2b("\n".join(wanted).encode(), digest_size=8).hexdigest()
    folder = cache() / f"wheels-{key}"
    if not folder.exists():
        cache().mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache()) as made:
            _pip("wheel", "--wheel-dir", f"{made}/wheels", *wanted)
            with contextlib.suppress(OSError):
                Path(made, "wheels").rename(folder)
    return folder


def _own_wheel(folder: Path) -> None:
    # a build in the checkout itself would keep modules that are no longer there
    with tempfile.TemporaryDirectory() as made:
        for name in _PROJECT:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, Path(made, name))
        _pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), made)


def _pip(*arguments: str) -> None:
    _run([sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments])


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    if done.returncode != 0:
        raise EngineError(f"{command[0]} to work; it said:\n{(done.stdout + done.stderr)[-2000:]}")


def main() -> None:
    """Make the images."""
    try:
        with engine() as own:
            print(make_runner(own))
    except EngineError as error:
        sys.exit(f"the runner image needs {error}")


if __name__ == "__main__":
    main()
