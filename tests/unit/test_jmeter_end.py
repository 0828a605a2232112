"""How a JMeter comes to its end, and what is made of that; a shell script stands for Java."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_metersphere.engine.jmeter.once import run_once
from pytest_metersphere.engine.jmeter.process import JMeterError
from pytest_metersphere.engine.jmeter.session import JMeterSession
from pytest_metersphere.engine.jmeter.share import Share
from pytest_metersphere.engine.messages import Broken, Collection, Ended, FromWorker, Job, Part, Ready, Second
from pytest_metersphere.scenario.model import Jmx, Scenario
from pytest_metersphere.scenario.profile import Profile, Stage
from pytest_metersphere.settings import JMETER_HOME_VARIABLE
from tests.jmeter.plans import http, pause, plan, threads

pytestmark = pytest.mark.timeout(60)
BEGIN = """\
#!/bin/bash
while [ $# -gt 0 ]; do case "$1" in -l) results=$2;; -j) log=$2;; esac; shift; done
sample() { echo "$(($(date +%s%3N) + $1)),5,GET /,200,OK,Buyers 1-1,true,,10,10,1,1,1,0,0" >&3; }
summary() { echo "ms-summary =      $1 in 00:00:01 =    1.0/s Avg:     5 Min:     5 Max:     5 Err:     0"; }
echo "Waiting for possible Shutdown/StopTestNow/HeapDump/ThreadDump message on port 4445"
exec 3>"$results"
"""
FAILED = """\
echo '2026-01-01 00:00:00,000 ERROR o.a.j.t.JMeterThread: Test failed!' > $log
echo 'java.lang.IllegalStateException: no rows' >> $log"""
Java = Callable[[str], None]


@pytest.fixture
def java(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Java:
    """Return a function that says what Java does when it runs JMeter, from its first sample on."""
    program, jar = tmp_path / "java" / "bin" / "java", tmp_path / "jmeter" / "bin" / "ApacheJMeter.jar"
    for path in (program, jar):
        path.parent.mkdir(parents=True)
        path.touch()
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "java"))
    monkeypatch.setenv(JMETER_HOME_VARIABLE, str(tmp_path / "jmeter"))

    def does(words: str) -> None:
        program.write_text(BEGIN + words)
        program.chmod(0o755)

    return does


def scenario(folder: Path, *below: str, hold: float, **keywords: object) -> Scenario:
    """Return a scenario of a plan that is in the folder's tree."""
    path = folder / "tree" / "shop.jmx"
    path.parent.mkdir()
    path.write_text(plan(threads(http("/"), *below, **keywords)))  # type: ignore[arg-type]
    profile = Profile(stages=(Stage(0.0, 1), Stage(hold, 1)), graceful_stop=0.1)
    jmx = Jmx(path="shop.jmx", own_curve=bool(keywords))
    return Scenario(nodeid="t", name="t", path="t.py", line=1, profile=profile, jmx=jmx)


def load(folder: Path, asked: Scenario) -> list[FromWorker]:
    """Return what a worker says of a load."""
    said: list[FromWorker] = []
    part = Part(scenario=asked, users=[1], share=Share(users=1, total=1))
    root = str(folder / "tree")
    job = Job(root=root, node="n1", worker=0, collection=Collection(root="tree", sys_path=[]), parts=[part])
    session = JMeterSession(job, said.append)
    running = threading.Thread(target=session.run)
    running.start()
    deadline = time.monotonic() + 30
    while not any(isinstance(each, Ready | Broken) for each in said):
        assert time.monotonic() < deadline, "it did not become ready"
        time.sleep(0.01)
    session.go(time.monotonic())
    running.join(30)
    assert not running.is_alive()
    return said


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (
            "echo 'Uncaught Exception java.lang.OutOfMemoryError: Java heap space in thread Buyers 1-1'",
            "a thread of JMeter's died: Uncaught Exception java.lang.OutOfMemoryError: Java heap space",
        ),
        (
            FAILED,
            "Test failed! java.lang.IllegalStateException: no rows",
        ),
    ],
    ids=["error", "exception"],
)
def test_thread_dies(tmp_path: Path, java: Java, words: str, wanted: str) -> None:
    """A thread that died is a failure, with its words, though all rows are there and the exit code is 0."""
    java(f"sample 0\n{words}\nsummary 1\n")

    last = load(tmp_path, scenario(tmp_path, hold=1))[-1]

    assert isinstance(last, Broken)
    assert wanted in last.reason


def test_threads_end_early(tmp_path: Path, java: Java) -> None:
    """A load whose threads ended long before its time is aborted, and says after how long."""
    java("sample 0\nsummary 1\n")

    last = load(tmp_path, scenario(tmp_path, hold=300))[-1]

    assert isinstance(last, Ended)
    assert last.aborted.startswith("its threads ended after ")
    assert last.aborted.endswith(" of 5m00s")


@pytest.mark.parametrize(
    ("below", "keywords"),
    [
        ([], {"loops": 5}),
        ([], {"loops": 5, "duration": 300}),
        ([], {"loops": -1, "duration": 4}),
        ([pause(299_000)], {}),
    ],
    ids=["loops", "loops within a time", "a time of its own", "a long pause"],
)
def test_ends_in_time(tmp_path: Path, java: Java, below: list[str], keywords: dict[str, object]) -> None:
    """Threads that loops end, a time of their own, or a pause that would last beyond the end, end in time."""
    java("sample 0\nsummary 1\n")

    last = load(tmp_path, scenario(tmp_path, *below, hold=300, **keywords))[-1]

    assert last == Ended(at=last.at if isinstance(last, Ended) else -1)


def test_clock_set_ahead(tmp_path: Path, java: Java) -> None:
    """A sample that ends after now, as the node's clock was set ahead, is counted all the same."""
    java("sample 0\nsample 4000\nsummary 2\n")

    said = load(tmp_path, scenario(tmp_path, hold=1))

    counted = [tally.requests for second in said if isinstance(second, Second) for tally in second.tallies]
    assert sum(counted) == 2


def test_summary_behind_other_words(tmp_path: Path, java: Java) -> None:
    """JMeter's summary is known behind what a script printed without a line break."""
    java("sample 0\nprintf ..\nsummary 1\n")

    assert isinstance(load(tmp_path, scenario(tmp_path, hold=1))[-1], Ended)


def test_once_does_not_end(tmp_path: Path, java: Java) -> None:
    """A plan that does not end when it runs once is given up, with what to do."""
    java("sample 0\nexec sleep 50\n")

    with pytest.raises(JMeterError, match="did not end within 300 ms") as failed:
        run_once(scenario(tmp_path, hold=0.1), tmp_path / "tree", limit=0.3)

    assert "end the loops within it" in str(failed.value)


def test_once_interrupted(tmp_path: Path, java: Java) -> None:
    """Ctrl-C ends the JMeter that runs once, however long it would take."""
    java(f"echo $$ > {tmp_path}/pid\nsample 0\nkill -INT $PPID\nexec sleep 50\n")

    with pytest.raises(KeyboardInterrupt):
        run_once(scenario(tmp_path, hold=300), tmp_path / "tree")

    assert not Path("/proc", (tmp_path / "pid").read_text().strip()).exists()
