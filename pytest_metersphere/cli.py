"""The command `pytest-metersphere`: which commands there are, and how each of them ends."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from pytest_metersphere.dist.node.command import add_node
from pytest_metersphere.errors import ConfigError, MeterSphereError
from pytest_metersphere.inspection.command import USAGE_CODE, add_doctor, add_status

PROGRAM = "pytest-metersphere"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code.

    0, 1 for what could not be done or is not well, 130 for Ctrl-C; for bad usage 2, or 4 as pytest has it
    where settings are pytest's, too (SystemExit, when the command line itself is not understood).
    """
    parsed, unknown = _parser().parse_known_args(arguments)
    if unknown:
        parsed.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    run: Callable[[argparse.Namespace], int] = parsed.run
    try:
        return run(parsed)
    except ConfigError as error:
        return _complain(parsed.parser, error, parsed.parser.usage_code)
    except MeterSphereError as error:
        return _complain(parsed.parser, error, 1)
    except KeyboardInterrupt:
        return 130


class _Parser(argparse.ArgumentParser):
    """A parser with an exit code of its own for bad usage."""

    usage_code = 2

    def error(self, message: str) -> NoReturn:
        """Print usage and message, and end."""
        self.print_usage(sys.stderr)
        self.exit(_complain(self, message, self.usage_code))


def _complain(parser: argparse.ArgumentParser, message: object, code: int) -> int:
    sys.stderr.write(f"{parser.prog}: error: {message}\n")
    return code


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog=PROGRAM, description="Distributed load testing as part of the ordinary pytest suite."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, text: str, usage_code: int = 2) -> _Parser:
        added = commands.add_parser(name, help=text, allow_abbrev=False)
        added.usage_code = usage_code
        added.set_defaults(parser=added)
        return added

    add_node(command("node", "run a node-controller on this machine"))
    add_status(command("status", "show how the nodes of the pool and Kafka are", USAGE_CODE))
    add_doctor(command("doctor", "check the nodes and Kafka as a session does, with advice", USAGE_CODE))
    return parser
