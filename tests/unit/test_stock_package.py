"""What the stock JMeter image downloads: a flat zip with a node's share of a test plan, ready to report."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_metersphere.dist.metersphere.elements import LISTENER
from pytest_metersphere.dist.metersphere.package import (
    MAX_PACKAGE,
    Package,
    Reporting,
    package_for,
    trial_package,
)
from pytest_metersphere.dist.plan import make_plan
from pytest_metersphere.engine.jmeter.plan import JmxPlan
from pytest_metersphere.engine.jmeter.share import Share
from pytest_metersphere.engine.jmeter.source import shares_of
from pytest_metersphere.errors import ConfigError
from pytest_metersphere.scenario.model import Jmx, Scenario
from pytest_metersphere.scenario.profile import Profile, Stage
from tests.jmeter.plans import csv, http, plan, text, threads, transaction

ALONE = Share(users=3, before=0, total=3, node=0, nodes=1)
REPORTING = Reporting(
    test_id="ms-load-0",
    report_id="ms-77",
    servers=("10.0.0.5:9092", "10.0.0.6:9092"),
    topic="JMETER_METRICS",
    gate_url="http://10.0.0.1:8000/secret/jmeter/gate?reportId=ms-77",
    gate_label="ms-load gate 77",
)
Write = Callable[..., Scenario]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that writes a plan, and files by their names, and gives the scenario."""

    def written(
        content: str, *, users: int = 3, properties: dict[str, str] | None = None, **files: str
    ) -> Scenario:
        folder = tmp_path / "plans"
        folder.mkdir()
        (folder / "shop.jmx").write_text(content)
        for name, value in files.items():
            path = folder / name.replace("__", "/").replace("_", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(value)
        profile = Profile(stages=(Stage(0.0, users), Stage(10.0, users)))
        jmx = Jmx(path="plans/shop.jmx", properties=properties or {"port": "8080"})
        return Scenario(nodeid="t", name="t", path="t.py", line=1, profile=profile, jmx=jmx)

    return written


def entries(package: Package) -> dict[str, str]:
    """Return the content of the zip by name."""
    with zipfile.ZipFile(io.BytesIO(package.content)) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


def tree(package: Package) -> ET.Element:
    """Return the plan."""
    return ET.fromstring(entries(package)["ms-load-0.jmx"])  # noqa: S314 - our own


def values(element: ET.Element) -> dict[str, str]:
    """Return the properties of an element."""
    return {each.get("name", ""): each.text or "" for each in element if each.tag.endswith("Prop")}


def test_what_is_in_it(write: Write, tmp_path: Path) -> None:
    """The plan by the test's id, three files of settings, and nothing in a folder."""
    found = entries(package_for(write(plan(threads(http("/cart")))), ALONE, tmp_path, REPORTING))

    assert set(found) == {"ms-load-0.jmx", "ms.properties", "sys.properties", "hosts"}
    assert found["hosts"] == ""
    lines = found["ms.properties"].splitlines()
    assert lines[0].startswith("#")
    assert "port=8080" in lines
    assert "summariser.name=ms-summary" in lines


def test_properties_that_are_needed_win(write: Write, tmp_path: Path) -> None:
    """Without a summary in the log nobody could tell whether all rows came."""
    scenario = write(plan(threads(http("/cart"))), properties={"summariser.name": "", "a b": "ü=1"})
    found = entries(package_for(scenario, ALONE, tmp_path, REPORTING))["ms.properties"]

    assert "summariser.name=ms-summary\n" in found
    assert "summariser.name=\n" not in found
    assert "a\\ b=\\u00fc=1\n" in found


def test_the_listener(write: Write, tmp_path: Path) -> None:
    """It stands at the level of the plan, with the class and parameters that MeterSphere gives it."""
    root = tree(package_for(write(plan(threads(http("/cart")))), ALONE, tmp_path, REPORTING))
    (listener,) = root.findall("hashTree/hashTree/BackendListener")
    rows = listener.iter("elementProp")
    parameters = {
        values(row)["Argument.name"]: values(row)["Argument.value"]
        for row in rows
        if row.get("elementType") == "Argument"
    }

    assert listener.get("enabled") == "true"
    assert values(listener)["classname"] == LISTENER
    assert values(listener)["QUEUE_SIZE"] == "20000"
    assert parameters["kafka.bootstrap.servers"] == "10.0.0.5:9092,10.0.0.6:9092"
    assert parameters["kafka.topic"] == "JMETER_METRICS"
    assert parameters["kafka.acks"] == "1"
    assert (parameters["test.id"], parameters["test.reportId"]) == ("ms-load-0", "ms-77")
    assert len(parameters) == 27


def test_the_gate(write: Write, tmp_path: Path) -> None:
    """It is a set-up thread group of one thread, in front of all, and ends the test without its word."""
    package = package_for(write(plan(threads(http("/cart")))), ALONE, tmp_path, REPORTING)
    top = tree(package).find("hashTree/hashTree")
    assert top is not None
    group, below = top[0], top[1]
    request = below.find("HTTPSamplerProxy")
    action = below.find("hashTree/TestAction")
    assert request is not None
    assert action is not None

    assert group.tag == "SetupThreadGroup"
    assert values(group)["ThreadGroup.num_threads"] == "1"
    asked = values(request)
    assert (asked["HTTPSampler.domain"], asked["HTTPSampler.port"]) == ("10.0.0.1", "8000")
    assert asked["HTTPSampler.path"] == "/secret/jmeter/gate?reportId=ms-77"
    assert [each.tag for each in below] == ["HTTPSamplerProxy", "hashTree", "IfController", "hashTree"]
    assert values(action) == {
        "ActionProcessor.action": "2",
        "ActionProcessor.target": "2",
        "ActionProcessor.duration": "0",
    }
    assert package.helpers == ("ms-load gate 77",)


def test_transactions_and_helpers(write: Write, tmp_path: Path) -> None:
    """Names are those of the plan, with its variables in place as far as these are known."""
    inside = transaction("buy ${what} ${number}", http("/cart"))
    content = plan(
        threads(inside), threads(name="before", tag="SetupThreadGroup"), variables={"what": "books"}
    )
    package = package_for(write(content), ALONE, tmp_path, REPORTING)

    assert package.transactions == ("buy books ${number}",)
    assert package.helpers == ("before", "ms-load gate 77")


def test_files_lie_side_by_side(write: Write, tmp_path: Path) -> None:
    """They are where the image unpacks them, under their own names, or others where two have the same."""
    upload = http("/up").replace(
        "</HTTPSamplerProxy>", f"{text('File.path', 'b/users.csv')}</HTTPSamplerProxy>"
    )
    asks = http("/${__FileToString(  words/hi.txt,UTF-8)}")
    content = plan(threads(csv("${folder}/users.csv"), upload, asks), variables={"folder": "a"})
    scenario = write(content, a__users_csv="name\nx\n", b__users_csv="other\n", words__hi_txt="hi")
    package = package_for(scenario, ALONE, tmp_path, REPORTING)
    found = entries(package)
    written = found["ms-load-0.jmx"]

    assert found["users.csv"] == "name\nx\n"
    assert found["2-users.csv"] == "other\n"
    assert found["hi.txt"] == "hi"
    assert '<stringProp name="filename">/test/users.csv</stringProp>' in written
    assert '<stringProp name="File.path">/test/2-users.csv</stringProp>' in written
    assert "/${__FileToString(/test/hi.txt,UTF-8)}" in written


def test_csv_rows_are_divided(write: Write, tmp_path: Path) -> None:
    """Each node's zip has its own rows, with the header."""
    scenario = write(plan(threads(csv("users.csv"))), users=4, users_csv="name\na\nb\nc\nd\n")
    parts = [entries(package_for(scenario, share, tmp_path, REPORTING)) for share in shares_of([3, 1])]
    rows = [next(value for name, value in part.items() if name.endswith(".csv")) for part in parts]

    assert rows == ["name\na\nb\nc\n", "name\nd\n"]


def test_further_files(write: Write, tmp_path: Path) -> None:
    """What `ms_bundle` names is there by its name, and takes no name that is needed."""
    for name in ("more/hosts", "more/extra.json", "more/users.csv"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("further")
    scenario = write(plan(threads(csv("users.csv"))), users_csv="name\na\n")
    attached = [tmp_path / "more" / name for name in ("hosts", "extra.json", "users.csv")]
    found = entries(package_for(scenario, ALONE, tmp_path, REPORTING, attached))

    assert (found["hosts"], found["extra.json"], found["users.csv"]) == ("", "further", "name\na\n")


def test_further_test_plans_stay_behind(write: Write, tmp_path: Path) -> None:
    """Older images run every plan that they unpack, without a gate and on every node in full."""
    for name in ("other.jmx", "OTHER.JMX", "jmx"):
        (tmp_path / name).write_text("further")
    attached = [tmp_path / name for name in ("other.jmx", "OTHER.JMX", "jmx")]
    found = entries(package_for(write(plan(threads(http("/cart")))), ALONE, tmp_path, REPORTING, attached))

    assert [name for name in found if "jmx" in name.lower()] == ["ms-load-0.jmx", "jmx"]


@pytest.mark.parametrize(
    ("capacities", "users", "expected"),
    [
        ([4000, 4000, 2000], 10_000, [4000, 4000, 2000]),
        ([100, 100, 100, 100], 2, [1, 1]),
        ([10_000] * 8, 80_000, [10_000] * 8),
    ],
)
def test_thread_counts(
    write: Write, tmp_path: Path, capacities: list[int], users: int, expected: list[int]
) -> None:
    """The threads in the zips are the users of the nodes, to the unit."""
    made = make_plan(capacities, users)
    scenario = write(plan(threads(http("/cart"), count="${__P(threads,100)}")), users=users)
    counts = []
    for share in shares_of(made.shares(users)):
        (group,) = tree(package_for(scenario, share, tmp_path, REPORTING)).findall(
            "hashTree/hashTree/ThreadGroup"
        )
        counts.append(int(values(group)["ThreadGroup.num_threads"]))

    assert counts == expected


def test_a_package_that_is_too_large(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused before anything is started."""
    monkeypatch.setattr("pytest_metersphere.dist.metersphere.package.MAX_PACKAGE", 100)
    with pytest.raises(ConfigError, match=r"at most .* are sent to a stock MeterSphere node"):
        package_for(write(plan(threads(http("/cart")))), ALONE, tmp_path, REPORTING)
    assert MAX_PACKAGE == 50 << 20


def test_the_trial() -> None:
    """It is a plan with the gate and the listener and no thread group that runs load."""
    package = trial_package(REPORTING)
    root = tree(package)

    assert [each.tag for each in root.findall("hashTree/hashTree/*")] == [
        "SetupThreadGroup",
        "hashTree",
        "BackendListener",
        "hashTree",
    ]
    assert package.transactions == ()


def test_a_plan_is_still_one(write: Write, tmp_path: Path) -> None:
    """What is downloaded can be read as a test plan, with the same thread groups."""
    package = package_for(write(plan(threads(http("/cart")))), ALONE, tmp_path, REPORTING)

    assert JmxPlan(entries(package)["ms-load-0.jmx"].encode(), {"port": "1"}).threads == 3
