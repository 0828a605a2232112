"""How many virtual users one core carries before its worker falls behind.

    python benchmarks/users_per_core.py [--users 250 500 1000 2000] [--repetitions 3]

Each session runs on one core of its own (controller, node-controller and one worker), the server on
another; every user sends one GET a second. Printed are medians over interleaved repetitions: the CPU
that the worker used, the worst second's 99th percentile of its event loop's lateness, and the 95th
percentile of the response times it reports. The default capacity of a node is taken from here.
Linux only, at least two cores.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

_SERVER = Path(__file__).parents[1] / "examples" / "shop_server.py"
_ONLY_OURS = ("--disable-plugin-autoload", "-p", "pytest_metersphere.plugin")
_SCENARIO = """
import pytest

@pytest.mark.load_scenario(users={users}, ramp="2s", hold="8s", warmup="3s", think="1s")
async def test_product(vu):
    await vu.http.get("{url}/products/1")
"""


def observe(users: int, url: str, core: int) -> tuple[float, float, float]:
    """Run one session; return CPU in cores, worst loop lag and p95 in seconds, as the report has them."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "test_product.py").write_text(_SCENARIO.format(users=users, url=url))
        Path(folder, "pytest.ini").write_text("[pytest]\n")
        command = [sys.executable, "-m", "pytest", "-q", *_ONLY_OURS, f"--ms-pool=local={users}"]
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
        done = subprocess.run(
            ["taskset", "-c", str(core), *command],
            cwd=folder,
            env=kept,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise SystemExit(f"the session with {users} users failed:\n{done.stdout}{done.stderr}")
        results = json.loads(Path(folder, "ms-report", "results.json").read_text())
    (scenario,) = results["scenarios"]
    (node,) = scenario["nodes"]
    return node["cpu"], node["loop_lag_p99"], scenario["response"]["p95"]


def main() -> None:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--users", type=int, nargs="+", default=[250, 500, 1000, 2000])
    parser.add_argument("--repetitions", type=int, default=3)
    arguments = parser.parse_args()
    first, last = min(os.sched_getaffinity(0)), max(os.sched_getaffinity(0))
    if first == last:
        raise SystemExit("this takes two cores: one for the server, one for the load")
    seen: dict[int, list[tuple[float, float, float]]] = {users: [] for users in arguments.users}
    with tempfile.TemporaryDirectory() as folder:
        announced = Path(folder, "url")
        command = ["taskset", "-c", str(first), sys.executable, str(_SERVER)]
        with subprocess.Popen(
            [*command, "--announce", str(announced), "--until-stdin-closes"], stdin=subprocess.PIPE
        ):
            while not announced.exists():
                time.sleep(0.05)
            for _ in range(arguments.repetitions):
                for users, observations in seen.items():
                    observations.append(observe(users, announced.read_text(), last))
    print(f"{arguments.repetitions} interleaved repetitions, medians\n")
    print("| users | worker CPU, cores | worst loop lag p99, ms | response p95, ms |")
    print("| --- | --- | --- | --- |")
    for users, observations in seen.items():
        cpu, lag, p95 = (statistics.median(values) for values in zip(*observations, strict=True))
        print(f"| {users} | {cpu:.2f} | {lag * 1e3:.0f} | {p95 * 1e3:.1f} |")


if __name__ == "__main__":
    main()
