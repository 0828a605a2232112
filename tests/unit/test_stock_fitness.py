"""Which test plans the stock JMeter image would run as something else than they say."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_metersphere.dist.metersphere.fitness import require_fit
from pytest_metersphere.errors import ConfigError
from pytest_metersphere.scenario.model import Jmx, Scenario
from pytest_metersphere.scenario.profile import Profile, Stage
from tests.jmeter.plans import element, http, plan, shaping, text, threads

PRECISE = element("PreciseThroughputTimer", "exact", text("throughput", "90"))
SHAPE = shaping([(1, 10, 60)])
MEET = element("SyncTimer", "meet", text("groupSize", 0))


def defaults(host: str) -> str:
    """Return HTTP Request Defaults with a proxy."""
    return element("ConfigTestElement", "defaults", text("HTTPSampler.proxyHost", host))


def required(folder: Path, *elements: str, variables: dict[str, str] | None = None) -> None:
    """See whether a plan of these elements is fit."""
    (folder / "shop.jmx").write_text(plan(*elements, variables=variables))
    profile = Profile(stages=(Stage(0.0, 3), Stage(10.0, 3)))
    require_fit(
        Scenario(nodeid="t", name="t", path="t.py", line=1, profile=profile, jmx=Jmx(path="shop.jmx")), folder
    )


@pytest.mark.parametrize(
    ("elements", "words"),
    [
        ((threads(http("/a"), PRECISE),), ("PreciseThroughputTimer 'exact'", "Constant Throughput Timer")),
        ((PRECISE, threads(http("/a"))), ("PreciseThroughputTimer 'exact' (line 11)", "would come at once")),
        (
            (SHAPE, threads(http("/a"))),
            ("VariableThroughputTimer 'shape' (line 11)", "the thread group"),
        ),
        ((threads(http("/a")), MEET), ("SyncTimer 'meet'", "put it into the thread group")),
        ((defaults("10.0.0.9"), threads()), ("ConfigTestElement 'defaults'", "its proxy '10.0.0.9'")),
        ((defaults("${proxy}"), threads()), ("its proxy 'outside'", "use our own nodes")),
    ],
)
def test_what_the_gate_would_break(tmp_path: Path, elements: tuple[str, ...], words: tuple[str, ...]) -> None:
    """Plan, element and line are named, and what to do."""
    with pytest.raises(ConfigError) as error:
        required(tmp_path, *elements, variables={"proxy": "outside", "none": ""})

    assert str(error.value).startswith("shop.jmx: ")
    assert all(word in str(error.value) for word in words), str(error.value)


@pytest.mark.parametrize(
    "elements",
    [
        (threads(http("/a"), SHAPE),),
        (threads(http("/a"), MEET), threads(SHAPE, tag="SetupThreadGroup", name="Before")),
        (threads(http("/a"), defaults("10.0.0.9")),),
        (defaults(""), defaults("${none}"), threads()),
        (SHAPE.replace('enabled="true"', 'enabled="false"'), threads()),
        (threads(PRECISE.replace('enabled="true"', 'enabled="false"')),),
        (threads(), element("TestFragmentController", "part", below=SHAPE, enabled=False)),
    ],
)
def test_what_it_leaves_alone(tmp_path: Path, elements: tuple[str, ...]) -> None:
    """In thread groups they are not for the gate, nor are those that are switched off."""
    required(tmp_path, *elements, variables={"none": ""})
