"""k6: a script of one line, bodies discarded as its manual advises for speed."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.compare import parts
from benchmarks.compare.rivals.base import Command, Load, Report

VERSION = "1.8.1"
_SCRIPT = """\
import http from 'k6/http';
import {{ sleep }} from 'k6';

export const options = {{
  scenarios: {{ load: {executor} }},
  discardResponseBodies: true,
  insecureSkipTLSVerify: true,
  summaryTrendStats: ['med', 'p(99)'],
}};

export default function () {{
  http.get('{url}');{pause}
}}

export function handleSummary(data) {{
  return {{ 'summary.json': JSON.stringify(data) }};
}}
"""


class GrafanaK6:
    """Constant users, or a constant arrival rate."""

    name = "k6"
    settles = 0

    def __init__(self) -> None:
        self._program = Path()

    def install(self, cache: Path) -> str:
        self._program = parts.go_program(cache, "k6", f"go.k6.io/k6@v{VERSION}")
        return VERSION

    def refusal(self, load: Load) -> str:
        return ""

    def command(self, load: Load, folder: Path) -> Command:
        executor: dict[str, object] = {"executor": "constant-vus", "vus": load.users}
        if load.rate:
            executor = {"executor": "constant-arrival-rate", "rate": load.rate, "timeUnit": "1s"}
            executor |= {"preAllocatedVUs": load.users, "maxVUs": 2 * load.users}
        executor |= {"duration": f"{load.seconds}s", "gracefulStop": "5s"}
        pause = f"\n  sleep({load.think});" if load.think else ""
        script = _SCRIPT.format(executor=json.dumps(executor), url=load.url, pause=pause)
        (folder / "script.js").write_text(script)
        options = ("--quiet", "--no-usage-report", "--address", "")
        return Command(
            argv=(str(self._program), "run", *options, "script.js"), answer=folder / "summary.json"
        )

    def parse(self, text: str) -> Report:
        metrics = json.loads(text)["metrics"]
        requests = metrics["http_reqs"]["values"]["count"]
        failed = metrics["http_req_failed"]["values"]
        times = metrics["http_req_duration"]["values"]
        # a rate's `passes` are the times when it was true: here, when the request had failed
        return Report(
            requests=requests,
            failures=failed["passes"],
            p50=times["med"] / 1e3,
            p99=times["p(99)"] / 1e3,
        )
