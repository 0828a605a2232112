"""What a late load generator makes of the times that it reports.

    python benchmarks/generator_lag.py [--seconds 6]

Each session runs on one core of its own, with one worker: 100 users time an answer that takes exactly 100 ms,
one more user blocks the event loop now and then, as a scenario does that computes. Printed are, for each
way to block it, the lateness that three seconds running had in common, which is what the limit of generator
health is for, and the 95th percentile of the reported times, which should be 100 ms. Linux only. On a machine
that does other work at the same time, start it with `chrt -f 10`.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

_TRUTH = 0.1
_WAYS = ((0, 1.0), (10, 0.1), (20, 0.1), (40, 0.1), (60, 0.1), (20, 1.0), (40, 1.0), (60, 1.0), (100, 1.0))
_ONLY_OURS = ("--disable-plugin-autoload", "-p", "pytest_metersphere.plugin", "--ms-pool=local=200")
_SCENARIO = """
import random, time
import pytest

@pytest.mark.load_scenario(users=101, hold="{seconds}s", think="50ms")
async def test_answer(vu):
    if vu.id > 1:
        with vu.sample("answer"):
            await vu.sleep({truth})
        return
    await vu.sleep(random.uniform(0.5, 1.5) * {every})
    end = time.monotonic() + {blocked} / 1000
    while time.monotonic() < end:
        pass
"""


def observe(blocked: int, every: float, seconds: int, core: int) -> tuple[str, float, float]:
    """Run one session; return its verdict, the lag in its findings or warnings, and p95 (both in seconds)."""
    with tempfile.TemporaryDirectory() as folder:
        text = _SCENARIO.format(blocked=blocked, every=every, seconds=seconds, truth=_TRUTH)
        Path(folder, "test_answer.py").write_text(text)
        Path(folder, "pytest.ini").write_text("[pytest]\n")
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
        subprocess.run(
            ["taskset", "-c", str(core), sys.executable, "-m", "pytest", "-q", *_ONLY_OURS],
            cwd=folder,
            env=kept,
            capture_output=True,
            check=False,
        )
        results = json.loads(Path(folder, "ms-report", "results.json").read_text())
    (scenario,) = results["scenarios"]
    said = " ".join([*scenario["validity"]["reasons"], *scenario["warnings"]])
    found = re.search(r"late, by (\d+(?:\.\d+)?) ms", said)
    verdict = scenario["verdict"] + (", warned" if scenario["warnings"] else "")
    return verdict, float(found[1]) / 1000 if found else 0.0, scenario["response"]["p95"]


def main() -> None:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=int, default=6)
    seconds = parser.parse_args().seconds
    core = max(os.sched_getaffinity(0))
    print("| the loop is blocked | late for three seconds running, by | reported p95 of 100 ms | verdict |")
    print("| --- | --- | --- | --- |")
    for blocked, every in _WAYS:
        verdict, lag, p95 = observe(blocked, every, seconds, core)
        how = f"{blocked} ms every {every:g} s" if blocked else "never"
        late = f"{lag * 1e3:.1f} ms" if lag else "at most 10 ms"
        print(f"| {how} | {late} | {p95 * 1e3:.1f} ms ({p95 / _TRUTH - 1:+.1%}) | {verdict} |", flush=True)


if __name__ == "__main__":
    main()
