"""The commands `status` and `doctor`: their options, what they print, and their exit codes."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Iterator

import msgspec

from pytest_metersphere.errors import ConfigError
from pytest_metersphere.inspection.values import DoctorReport, HostStatus, StatusReport

USAGE_CODE = 4
"""Exit code for settings that are not understood, as pytest's."""

_EPILOG = (
    "Exit codes: 0 all is well, 1 something is not, 4 the settings are not understood, or there is nothing to"
    " look at. The pool and Kafka come from the options, the variables PYTEST_MS_POOL and PYTEST_MS_KAFKA or"
    " the ini values ms_pool, ms_pools and ms_kafka, found as pytest finds them; the nodes' token and the"
    " login to Kafka only from PYTEST_MS_TOKEN, PYTEST_MS_TOKEN_FILE and PYTEST_MS_KAFKA_*. MeterSphere's"
    " containers on this machine are shown, too; they decide the exit code only where neither a pool nor"
    " Kafka is set."
)


def add_status(parser: argparse.ArgumentParser) -> None:
    """Declare what `status` takes."""
    parser.description = (
        "Show how the nodes of the pool, Kafka, and MeterSphere's containers on this machine are. Nothing is"
        " started, made or changed."
    )
    _add_options(parser)
    parser.set_defaults(run=_run_status)


def add_doctor(parser: argparse.ArgumentParser) -> None:
    """Declare what `doctor` takes."""
    parser.description = (
        "Run the preflight of a session on every node and on Kafka, with advice for each finding. As before a"
        " session, local nodes are started, and the Kafka topic is made if it is not there. Where Kafka"
        " cannot be used, the cause is looked for step by step: name, process, port, firewall, listener; each"
        " with the commands that set it right."
    )
    _add_options(parser)
    parser.set_defaults(run=_run_doctor)


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.epilog = _EPILOG
    parser.add_argument("--ms-pool", "--pool", metavar="NAME-or-SPEC", help="the nodes, as for pytest")
    parser.add_argument("--ms-kafka", "--kafka", metavar="HOST:PORT,...", help="Kafka, as for pytest")
    parser.add_argument(
        "-c", "--config-file", metavar="FILE", help="ini file instead of the one that is found"
    )
    parser.add_argument("--rootdir", metavar="DIR", help="root directory, as for pytest")
    parser.add_argument("--json", action="store_true", help="print one JSON object, and nothing else")


def _run_status(parsed: argparse.Namespace) -> int:
    # what asks nodes and Kafka needs heavy packages, which other commands do without
    from pytest_metersphere.inspection.settings import read_target
    from pytest_metersphere.inspection.status import status_of
    from pytest_metersphere.inspection.text import status_lines

    target = read_target(_options(parsed))
    report = status_of(target)
    if target.empty:
        _require_containers(report.host)
    _show(report, status_lines(report, _width()), as_json=parsed.json)
    return 0 if report.ok else 1


def _run_doctor(parsed: argparse.Namespace) -> int:
    from pytest_metersphere.inspection.doctor import examine
    from pytest_metersphere.inspection.settings import read_target
    from pytest_metersphere.inspection.text import doctor_lines

    target = read_target(_options(parsed))
    report = examine(target)
    if target.empty:
        _require_containers(report.host)
    _show(report, doctor_lines(report, _width()), as_json=parsed.json)
    return 0 if report.ok else 1


def _require_containers(host: HostStatus | None) -> None:
    """See that there is something to look at, where neither a pool nor Kafka is named (ConfigError)."""
    if host is None or not host.containers:
        here = host.detail if host and host.detail else "no container here has the name of a part of it"
        raise ConfigError(
            "there is nothing to look at: name a pool, for example --ms-pool=10.0.0.11:8082, or Kafka, for "
            "example --ms-kafka=kafka:9092, or set ini ms_pool or ms_kafka; nor is MeterSphere on this "
            f"machine: {here}"
        )


def _options(parsed: argparse.Namespace) -> list[str]:
    given = {
        "--ms-pool": parsed.ms_pool,
        "--ms-kafka": parsed.ms_kafka,
        "--config-file": parsed.config_file,
        "--rootdir": parsed.rootdir,
    }
    return [f"{flag}={text}" for flag, text in given.items() if text is not None]


def _width() -> int | None:
    """Return the columns of the terminal, None when standard output is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _show(report: StatusReport | DoctorReport, lines: Iterator[str], *, as_json: bool) -> None:
    """Print the report as JSON or in lines; whoever reads them may have stopped, or not know every letter."""
    text = json.dumps(msgspec.to_builtins(report), indent=2) if as_json else "\n".join(lines)
    encoding = sys.stdout.encoding or "ascii"
    try:
        sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        # Python would try again at its end, and complain
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
