"""A node-controller as a process of its own, with stand-in workers: prints its port and serves."""

from __future__ import annotations

import sys

from pytest_metersphere.dist.node.main import listen, run
from tests.fakes.nodes import config


def main() -> None:
    """Serve until a signal or the end of standard input."""
    sock = listen(config())
    port = sock.getsockname()[1]

    def announce() -> None:
        sys.stdout.write(f"{port}\n")
        sys.stdout.flush()

    run(config(), sock, announce, until_stdin_closes=True)


if __name__ == "__main__":
    main()
