"""The directory of the reports: who may write there, and how the files get there whole."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from pytest_metersphere.errors import ConfigError, MeterSphereError
from pytest_metersphere.reports.document import Document

_LOCK = ".lock"
_ADVICE = "name another directory with --ms-report-dir"

Renderer = Callable[[Document], str | bytes]


@dataclass(frozen=True, slots=True)
class ReportPaths:
    """Where the four reports of a session stand."""

    html: Path
    junit: Path
    results: Path
    summary: Path


_NAMES = ("report.html", "junit.xml", "results.json", "summary.md")


class ReportDirectory:
    """The directory of one session's reports, held by it until it is released.

    The directory is made when it is missing. A new or empty one gets a `.gitignore` that hides all of
    it; a directory that held something before stays visible to git. As long as it is held, its file
    `.lock` is locked (flock) and holds the process id, so a session that died holds nothing.

    Use it as a context manager, or call `release`.

    Args:
        path: the directory.

    Raises:
        ConfigError: a live session holds the directory, a file stands in its place, or it cannot be
            made or written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: int | None = None
        try:
            _make(path)
            self._lock = _locked(path)
        except FileExistsError:
            raise ConfigError(f"the report directory {path} is a file; {_ADVICE} or move the file") from None
        except OSError as error:
            raise ConfigError(
                f"the report directory {path} cannot be written ({error.strerror or error}); {_ADVICE}"
            ) from None

    def clear(self) -> None:
        """Remove the reports of an earlier session, which would outlive this one should it be killed."""
        for name in _NAMES:
            _remove(self.path / name)

    def write(self, document: Document) -> ReportPaths:
        """Write the four reports, each at once or not at all, in place of earlier ones.

        A report that cannot be rendered or written does not keep the others from being written; an
        earlier file of its name goes, since it would tell of another run.

        Raises:
            MeterSphereError: some report could not be rendered or written; the message names each.
        """
        paths = ReportPaths(*(self.path / name for name in _NAMES))
        failures: list[tuple[Path, Exception]] = []
        for path, renderer in _renderers(paths):
            try:
                _replace(path, renderer(document))
            except Exception as error:  # noqa: BLE001 - whatever goes wrong, the other reports are written
                failures.append((path, error))
                _remove(path)
        if failures:
            text = "; ".join(f"{path} ({type(error).__name__}: {error})" for path, error in failures)
            raise MeterSphereError(f"not all reports could be written: {text}") from failures[0][1]
        return paths

    def release(self) -> None:
        """Let go of the directory; doing it twice is no error."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Let go of the directory."""
        self.release()


def _make(path: Path) -> None:
    path.mkdir(parents=True, exist_ok=True)
    if next(path.iterdir(), None) is None:
        (path / ".gitignore").write_text("*\n", encoding="ascii")


def _locked(path: Path) -> int:
    """Return the descriptor that holds the lock; the process id stands in the file."""
    import fcntl  # not there on Windows, where only functional mode runs

    lock = os.open(path / _LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(lock, 0)
        os.write(lock, f"{os.getpid()}\n".encode())
    except BlockingIOError:
        holder = os.pread(lock, 20, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(lock)
        raise ConfigError(
            f"the report directory {path} is in use by a running session (pid {holder}); "
            f"wait for it, or {_ADVICE}"
        ) from None
    except OSError:
        os.close(lock)
        raise
    return lock


def _renderers(paths: ReportPaths) -> list[tuple[Path, Renderer]]:
    """Return each file with what renders it; results.json first, from which all others can be made again."""
    from pytest_metersphere.reports.html import render_html
    from pytest_metersphere.reports.junit import render_junit
    from pytest_metersphere.reports.markdown import render_summary
    from pytest_metersphere.reports.results import encode_results

    return [
        (paths.results, encode_results),
        (paths.junit, render_junit),
        (paths.summary, render_summary),
        (paths.html, render_html),
    ]


def _replace(path: Path, content: str | bytes) -> None:
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(content if isinstance(content, bytes) else content.encode())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return
