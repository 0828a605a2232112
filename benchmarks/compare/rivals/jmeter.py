"""JMeter without its window: a thread for each user, samples into a file of six columns."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path
from urllib.parse import urlsplit
from xml.sax.saxutils import quoteattr

from benchmarks.compare import parts
from benchmarks.compare.figures import percentile
from benchmarks.compare.rivals.base import Command, Load, Report

VERSION = "5.6.3"
_UNUSED = (
    "assertion_results_failure_message",
    "assertions",
    "connect_time",
    "data_type",
    "idle_time",
    "latency",
    "response_message",
    "sent_bytes",
    "subresults",
    "thread_counts",
    "thread_name",
    "url",
)
_COLUMNS = ("timeStamp", "elapsed", "label", "responseCode", "success", "bytes")


class Jmeter:
    """Version 5.6.3 on the heap that its own start script asks for."""

    name = "JMeter"
    settles = 4

    def __init__(self) -> None:
        self._home = Path()
        self._java = ""

    def install(self, cache: Path) -> str:
        self._java = parts.tool("java", "default-jre-headless")
        self._home = parts.jmeter_home(cache, VERSION)
        return VERSION

    def refusal(self, load: Load) -> str:
        return ""

    def command(self, load: Load, folder: Path) -> Command:
        (folder / "plan.jmx").write_text(plan(load))
        java = ("-Xms1g", "-Xmx1g", "-Djava.awt.headless=true", f"-Djava.util.prefs.userRoot={folder}")
        saved = [f"-Jjmeter.save.saveservice.{column}=false" for column in _UNUSED]
        program = ("-jar", str(self._home / "bin" / "ApacheJMeter.jar"), "-n", "-t", "plan.jmx")
        # the end without it is a second of idling
        options = ("-j", "jmeter.log", "-l", "samples.csv", "-Jjmeterengine.force.system.exit=true")
        header = ("-Jjmeter.save.saveservice.print_field_names=true", "-Jsummariser.name=")
        return Command(
            argv=(self._java, *java, *program, *options, *header, *saved), answer=folder / "samples.csv"
        )

    def parse(self, text: str) -> Report:
        rows = csv.DictReader(io.StringIO(text))
        if tuple(rows.fieldnames or ()) != _COLUMNS:
            raise ValueError(f"these are not JMeter's columns: {rows.fieldnames}")
        times, failures = [], 0
        for row in rows:
            times.append(int(row["elapsed"]) / 1e3)
            failures += row["success"] != "true"
        if not times:
            raise ValueError("JMeter wrote no samples")
        times.sort()
        return Report(
            requests=len(times), failures=failures, p50=percentile(times, 0.5), p99=percentile(times, 0.99)
        )


def plan(load: Load) -> str:
    """Return the test plan."""
    url = urlsplit(load.url)
    group = _properties(
        {
            "ThreadGroup.num_threads": load.users,
            "ThreadGroup.ramp_time": 0,
            "ThreadGroup.scheduler": True,
            "ThreadGroup.duration": load.seconds,
            "ThreadGroup.same_user_on_next_iteration": True,
        }
    )
    loop = _properties({"LoopController.loops": -1, "LoopController.continue_forever": False})
    sampler = _properties(
        {
            "HTTPSampler.protocol": url.scheme,
            "HTTPSampler.domain": url.hostname or "",
            "HTTPSampler.port": url.port or 80,
            "HTTPSampler.path": url.path,
            "HTTPSampler.method": "GET",
            "HTTPSampler.use_keepalive": True,
            "HTTPSampler.implementation": "HttpClient4",
        }
    )
    return (
        '<jmeterTestPlan version="1.2" properties="5.0" jmeter="5.6.3"><hashTree>'
        '<TestPlan guiclass="TestPlanGui" testclass="TestPlan" testname="load"/><hashTree>'
        f'<ThreadGroup guiclass="ThreadGroupGui" testclass="ThreadGroup" testname="users">{group}'
        '<elementProp name="ThreadGroup.main_controller" elementType="LoopController" '
        f'guiclass="LoopControlPanel" testclass="LoopController">{loop}</elementProp></ThreadGroup><hashTree>'
        '<HTTPSamplerProxy guiclass="HttpTestSampleGui" testclass="HTTPSamplerProxy" testname="GET">'
        f"{sampler}</HTTPSamplerProxy><hashTree/>{_pause(load)}"
        "</hashTree></hashTree></hashTree></jmeterTestPlan>"
    )


def _pause(load: Load) -> str:
    """Return what holds users back, if anything does."""
    if load.rate:
        # throughput is per minute, mode 2: of all threads together
        settings = (
            f"<doubleProp><name>throughput</name><value>{load.rate * 60.0}</value></doubleProp>"
            '<intProp name="calcMode">2</intProp>'
        )
        kind, page = "ConstantThroughputTimer", "TestBeanGUI"
    elif load.think:
        # no timer: those wait before a request, the first one too; action 1 is to pause, target 0 the thread
        settings = _properties(
            {
                "ActionProcessor.action": 1,
                "ActionProcessor.target": 0,
                "ActionProcessor.duration": str(math.ceil(load.think * 1e3)),
            }
        )
        kind, page = "TestAction", "TestActionGui"
    else:
        return ""
    return f'<{kind} guiclass="{page}" testclass="{kind}" testname="pause">{settings}</{kind}><hashTree/>'


def _properties(values: dict[str, str | int | bool]) -> str:
    return "".join(
        f"<{_tag(value)} name={quoteattr(name)}>{str(value).lower() if isinstance(value, bool) else value}"
        f"</{_tag(value)}>"
        for name, value in values.items()
    )


def _tag(value: str | int | bool) -> str:  # noqa: FBT001 - told apart by its type
    if isinstance(value, bool):
        return "boolProp"
    return "intProp" if isinstance(value, int) else "stringProp"
