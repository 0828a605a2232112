"""Makes the pictures of the README from a real run of the examples: `make pictures`.

`terminal.svg` is what pytest wrote to a terminal, `report.png` the report.html of the same run as Chromium
shows it. Needs Chromium (Debian: `apt-get install chromium fonts-dejavu-core`), and takes a minute.
"""

from __future__ import annotations

import fcntl
import os
import pty
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
from pathlib import Path

from docs.pictures.screen import Screen, svg

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
COLUMNS = 122
WINDOW = "1100,1460"
COMMAND = ("pytest", "--ms-pool=local=400+400+200")
SHOWN_FOLDER = "~/shop"
_LIMIT = 180


def main() -> None:
    """Run the examples, and write both pictures."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        sys.exit("the picture of the report needs Chromium: apt-get install chromium fonts-dejavu-core")
    with tempfile.TemporaryDirectory(prefix="shop-") as place:
        folder = Path(place, "shop")
        shutil.copytree(ROOT / "examples", folder, ignore=shutil.ignore_patterns("__pycache__", "ms-report"))
        written = run(folder)
        screen = Screen(COLUMNS)
        screen.feed(f"\x1b[32m$\x1b[0m \x1b[1m{' '.join(COMMAND)}\x1b[0m\n")
        screen.feed(written.replace(str(folder), SHOWN_FOLDER).rstrip())
        picture = svg(screen.lines, COLUMNS, "pytest runs three load scenarios on three nodes")
        (HERE / "terminal.svg").write_text(picture, encoding="utf-8")
        photograph(chromium, folder / "ms-report" / "report.html", HERE / "report.png")


def run(folder: Path) -> str:
    """Run the examples on a terminal of their own, and return what pytest wrote there."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, COLUMNS, 0, 0))
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "CI"))}
    # no other plugin of this environment, and no cache folder in the picture
    only_ours = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_PLUGINS": "pytest_metersphere.plugin"}
    process = subprocess.Popen(
        [sys.executable, "-m", *COMMAND, "-p", "no:cacheprovider"],
        cwd=folder,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=kept | only_ours | {"TERM": "xterm-256color", "PWD": str(folder)},
    )
    os.close(theirs)
    written = b"".join(iter(lambda: _read(ours), b""))
    os.close(ours)
    code = process.wait(_LIMIT)
    if code != 0:
        sys.exit(f"the examples did not pass (exit code {code}):\n{written.decode(errors='replace')}")
    return written.decode()


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 1 << 16)
    except OSError:  # Linux's way of saying that the other end is closed
        return b""


def photograph(chromium: str, page: Path, picture: Path) -> None:
    """Write the top of a page as a PNG."""
    with tempfile.TemporaryDirectory(prefix="chromium-") as profile:
        subprocess.run(
            [
                *(chromium, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
                *("--disable-dev-shm-usage", "--no-first-run", f"--user-data-dir={profile}"),
                *(f"--window-size={WINDOW}", f"--screenshot={picture}", page.as_uri()),
            ],
            check=True,
            timeout=_LIMIT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


if __name__ == "__main__":
    main()
