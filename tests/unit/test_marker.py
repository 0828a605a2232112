"""What the marks may say, how inherited ones are merged, and how mistakes are told."""

from __future__ import annotations

import math
from pathlib import PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_metersphere.errors import ConfigError
from pytest_metersphere.scenario.arrivals import Arrivals, RateStage
from pytest_metersphere.scenario.keywords import KEYWORDS
from pytest_metersphere.scenario.marker import merge_marks, threshold_texts
from pytest_metersphere.scenario.model import DataFile, Scenario
from pytest_metersphere.scenario.profile import Profile, Stage

WHERE = "tests/test_shop.py:12: "


def merged(*kwargs: dict[str, Any]) -> Scenario:
    """Return the scenario of marks with these keywords, outermost first."""
    return built(*(pytest.mark.load_scenario(**each).mark for each in kwargs))


def built(*marks: pytest.Mark) -> Scenario:
    """Return the scenario of these marks."""
    return merge_marks(
        marks,
        nodeid="tests/test_shop.py::test_cart[a]",
        name="test_cart[a]",
        path="tests/test_shop.py",
        line=12,
        is_async=True,
    )


def complaint(*kwargs: dict[str, Any]) -> str:
    """Return the message that marks with these keywords get, without the place it begins with."""
    with pytest.raises(ConfigError) as caught:
        merged(*kwargs)
    text = str(caught.value)
    assert text.startswith(WHERE)
    return text.removeprefix(WHERE)


def test_a_bare_mark_is_ten_users_for_thirty_seconds() -> None:
    """The defaults are those of the documentation."""
    scenario = merged({})

    assert scenario.profile == Profile(stages=(Stage(0.0, 10), Stage(30.0, 10)), graceful_stop=30.0)
    assert scenario.think == (0.0, 0.0)


def test_what_is_known_of_the_test_is_kept() -> None:
    """The names and the place come from the caller as they are."""
    scenario = merge_marks(
        [pytest.mark.load_scenario.mark], nodeid="a.py::b", name="b", path="a.py", line=3, is_async=False
    )

    assert (scenario.nodeid, scenario.name, scenario.path, scenario.line, scenario.is_async) == (
        "a.py::b",
        "b",
        "a.py",
        3,
        False,
    )


def test_every_keyword_has_its_place() -> None:
    """All keywords that go together, with texts."""
    scenario = merged(
        {
            "users": 20,
            "ramp": "10s",
            "hold": "1m",
            "iterations": 7,
            "warmup": "5s",
            "think": "1s-3s",
            "graceful_stop": "2s",
        }
    )

    assert scenario.profile == Profile(
        stages=(Stage(10.0, 20), Stage(60.0, 20)), warmup=5.0, iterations=7, graceful_stop=2.0
    )
    assert scenario.think == (1.0, 3.0)


def test_durations_may_be_numbers_of_seconds() -> None:
    """Whole and broken numbers stand for seconds."""
    scenario = merged({"ramp": 1, "hold": 2.5, "warmup": 0, "think": 0.5, "graceful_stop": 0})

    assert scenario.profile.stages == (Stage(1.0, 10), Stage(2.5, 10))
    assert scenario.profile.graceful_stop == 0.0
    assert scenario.think == (0.5, 0.5)


def test_stages_are_the_curve() -> None:
    """Lists and tuples, texts and numbers, levels of 0 included."""
    scenario = merged({"stages": [("30s", 500), (60, 500), ["0s", 0]]})

    assert scenario.profile.stages == (Stage(30.0, 500), Stage(60.0, 500), Stage(0.0, 0))


@pytest.mark.parametrize(
    ("kwargs", "stages"),
    [
        ({"iterations": 3}, (Stage(0.0, 10), Stage(math.inf, 10))),
        ({"iterations": 3, "ramp": "5s"}, (Stage(5.0, 10), Stage(math.inf, 10))),
        ({"iterations": 3, "hold": "5s"}, (Stage(0.0, 10), Stage(5.0, 10))),
        ({"iterations": 3, "stages": [("5s", 4)]}, (Stage(5.0, 4),)),
    ],
)
def test_iterations_without_a_hold_have_no_end(kwargs: dict[str, Any], stages: tuple[Stage, ...]) -> None:
    """With a hold or stages, whichever ends first."""
    scenario = merged(kwargs)

    assert (scenario.profile.iterations, scenario.profile.stages) == (3, stages)


@pytest.mark.parametrize(
    ("text", "pauses"),
    [
        ("1s", (1.0, 1.0)),
        ("500ms-2s", (0.5, 2.0)),
        (" 1s - 1s ", (1.0, 1.0)),
        ("0", (0.0, 0.0)),
        ("0-1s", (0.0, 1.0)),
    ],
)
def test_think_is_a_pause_or_a_range(text: str, pauses: tuple[float, float]) -> None:
    """Spaces around the dash do not matter."""
    assert merged({"think": text}).think == pauses


def test_inner_keywords_override_outer_ones() -> None:
    """What the module says holds until the class or the function says otherwise."""
    scenario = merged({"users": 5, "think": "1s", "hold": "9s"}, {"users": 6}, {"hold": "4s"})

    assert scenario.profile.stages == (Stage(0.0, 6), Stage(4.0, 6))
    assert scenario.think == (1.0, 1.0)


def test_inner_stages_drop_outer_users_ramp_and_hold() -> None:
    """The stages stand for all three."""
    scenario = merged({"users": 5, "ramp": "1s", "hold": "9s", "warmup": "2s"}, {"stages": [("3s", 8)]})

    assert scenario.profile == Profile(stages=(Stage(3.0, 8),), warmup=2.0)


@pytest.mark.parametrize(
    ("inner", "stages"),
    [
        ({"users": 2}, (Stage(0.0, 2), Stage(30.0, 2))),
        ({"ramp": "2s"}, (Stage(2.0, 10), Stage(30.0, 10))),
        ({"hold": "2s"}, (Stage(0.0, 10), Stage(2.0, 10))),
    ],
)
def test_inner_users_ramp_or_hold_drop_outer_stages(inner: dict[str, Any], stages: tuple[Stage, ...]) -> None:
    """The other two are the defaults then, not what lay outside of the stages."""
    scenario = merged({"users": 99, "hold": "99s"}, {"stages": [("3s", 8)]}, inner)

    assert scenario.profile.stages == stages


def test_inner_keywords_of_another_kind_leave_outer_stages() -> None:
    """Only users, ramp and hold stand against stages."""
    assert merged({"stages": [("3s", 8)]}, {"think": "1s"}).profile.stages == (Stage(3.0, 8),)


def test_a_warmup_is_checked_against_the_merged_curve() -> None:
    """A module's warmup that fits its own hold need not fit the function's."""
    assert complaint({"warmup": "10s"}, {"hold": "5s"}).startswith("load_scenario(warmup='10 s'): ")


@pytest.mark.parametrize(
    ("kwargs", "piece", "example"),
    [
        ({"users": 0}, "load_scenario(users=0): 0 is not a whole number from 1 to", "users=20"),
        ({"users": -3}, "load_scenario(users=-3): ", "users=20"),
        ({"users": 1.5}, "load_scenario(users=1.5): ", "users=20"),
        ({"users": "20"}, "load_scenario(users='20'): '20' is not a whole number", "users=20"),
        ({"users": True}, "load_scenario(users=True): ", "users=20"),
        ({"users": None}, "load_scenario(users=None): None is not", "users=20"),
        ({"users": 10**9}, "load_scenario(users=1000000000): ", "users=20"),
        ({"iterations": 0}, "load_scenario(iterations=0): ", "iterations=100"),
        ({"iterations": None}, "load_scenario(iterations=None): ", "iterations=100"),
        ({"ramp": "10"}, "load_scenario(ramp='10'): '10' is not a duration; add a unit", 'ramp="10s"'),
        ({"hold": None}, "load_scenario(hold=None): None is not a duration", 'hold="30s"'),
        ({"hold": [1]}, "load_scenario(hold=[1]): [1] is not a duration", 'hold="30s"'),
        ({"hold": True}, "load_scenario(hold=True): True is not a duration", 'hold="30s"'),
        ({"hold": -1}, "load_scenario(hold=-1): -1 is not a duration", 'hold="30s"'),
        ({"hold": math.nan}, "load_scenario(hold=nan): nan is not a duration", 'hold="30s"'),
        ({"hold": math.inf}, "load_scenario(hold=inf): inf is not a duration", 'hold="30s"'),
        ({"hold": "0s"}, 'load_scenario(hold="0s"): the load lasts 0 s', 'hold="30s"'),
        ({"warmup": "soon"}, "load_scenario(warmup='soon'): 'soon' is not a duration", 'warmup="5s"'),
        (
            {"warmup": "30s"},
            "load_scenario(warmup='30 s'): the warmup takes all of the load's 30 s",
            'warmup="5s"',
        ),
        ({"graceful_stop": {}}, "load_scenario(graceful_stop={}): ", 'graceful_stop="30s"'),
        (
            {"think": "3s-1s"},
            "load_scenario(think='3s-1s'): the shortest pause 3s is longer than",
            'think="1s" or think="1s-3s"',
        ),
        (
            {"think": "1-3s"},
            "load_scenario(think='1-3s'): '1' is not a duration; add a unit",
            'think="1s" or think="1s-3s"',
        ),
        ({"think": "1s-2s-3s"}, "load_scenario(think='1s-2s-3s'): ", 'think="1s" or think="1s-3s"'),
        ({"think": (1, 3)}, "load_scenario(think=(1, 3)): ", 'think="1s" or think="1s-3s"'),
        ({"stages": []}, "load_scenario(stages=[]): [] is not a list of stages", 'stages=[("30s", 500)'),
        ({"stages": None}, "load_scenario(stages=None): ", 'stages=[("30s", 500)'),
        ({"stages": "30s:5"}, "load_scenario(stages='30s:5'): ", 'stages=[("30s", 500)'),
        ({"stages": ["ab"]}, "stage 1, 'ab', is not a pair", 'stages=[("30s", 500)'),
        ({"stages": [("1s", 2), ("1s",)]}, "stage 2, ('1s',), is not a pair", 'stages=[("30s", 500)'),
        ({"stages": [("1s", 2), ("1", 2)]}, "stage 2: '1' is not a duration", 'stages=[("30s", 500)'),
        ({"stages": [("1s", -1)]}, "stage 1: users -1 are not a whole number from 0", 'stages=[("30s", 500)'),
        ({"stages": [("1s", False)]}, "stage 1: users False are not", 'stages=[("30s", 500)'),
        ({"stages": [("1s", 0.0)]}, "stage 1: users 0.0 are not", 'stages=[("30s", 500)'),
        ({"stages": [("1s", 0)]}, "no stage has users", 'stages=[("30s", 500)'),
        ({"stages": [("0s", 5)]}, "the stages last 0 s", 'stages=[("30s", 500)'),
        ({"stages": [("1s", 5), ("1s", "5/s")]}, "some stages are of users and some of rates", "stages=["),
        ({"stages": [("1s", "5/s"), ("1s", "5/day")]}, "stage 2: '5/day' is not a rate", "stages=["),
        ({"stages": [("1s", "0/s")]}, "no stage has a rate", "stages=["),
        ({"stages": [("1s", "99999999/s")]}, "stage 1: '99999999/s' is not a rate from 0 to", "stages=["),
        ({"rate": "200"}, "load_scenario(rate='200'): '200' is not a rate", 'rate="200/s"'),
        ({"rate": "0/s"}, "load_scenario(rate='0/s'): '0/s' starts nothing", 'rate="200/s"'),
        ({"rate": 0}, "load_scenario(rate=0): 0 starts nothing", 'rate="200/s"'),
        ({"rate": -1}, "load_scenario(rate=-1): -1 is not a rate from 0 to", 'rate="200/s"'),
        ({"rate": math.nan}, "load_scenario(rate=nan): nan is not a rate", 'rate="200/s"'),
        ({"rate": True}, "load_scenario(rate=True): True is not a rate", 'rate="200/s"'),
        ({"rate": "9/s", "max_users": 0}, "load_scenario(max_users=0): ", "max_users=50"),
        ({"rate": "9/s", "arrivals": "random"}, "'random' is neither even nor poisson", 'arrivals="poisson"'),
        ({"shared_iterations": 0}, "load_scenario(shared_iterations=0): ", "shared_iterations=1000"),
        ({"pacing": "0s"}, "load_scenario(pacing='0s'): '0s' is no time between two starts", 'pacing="2s"'),
        ({"pacing": "2"}, "load_scenario(pacing='2'): '2' is not a duration", 'pacing="2s"'),
        ({"max_users": 5}, "load_scenario(max_users=…): it belongs to a load that starts", 'rate="200/s"'),
        ({"arrivals": "even"}, "load_scenario(arrivals=…): it belongs to a load that starts", 'rate="200/s"'),
        (
            {"rate": "9/s", "users": 5},
            "load_scenario(rate=…, users=…): with a rate",
            'rate="200/s", max_users=50',
        ),
        ({"rate": "9/s", "iterations": 5}, "leave iterations out", 'rate="200/s", max_users=50'),
        (
            {"rate": "9/s", "shared_iterations": 5},
            "leave shared_iterations out",
            'rate="200/s", max_users=50',
        ),
        (
            {"rate": "9/s", "think": "1s"},
            "no user pauses between them; leave think out",
            'rate="200/s", max_users=50',
        ),
        ({"rate": "9/s", "pacing": "1s"}, "leave pacing out", 'rate="200/s", max_users=50'),
        ({"rate": "9/s", "warmup": "30s"}, "the warmup takes all of the load's 30 s", 'warmup="5s"'),
    ],
)
def test_a_bad_value_is_told_with_place_value_and_example(
    kwargs: dict[str, Any], piece: str, example: str
) -> None:
    """One sentence says which keyword of which mark, what it said, and what it should say."""
    text = complaint(kwargs)

    assert piece in text
    assert f"; correct: {example}" in text


@pytest.mark.parametrize("keyword", ["users", "rate", "ramp", "hold"])
def test_stages_stand_alone_in_a_mark(keyword: str) -> None:
    """The same mark cannot say both."""
    text = complaint({"stages": [("3s", 8)], keyword: 5})

    assert f"load_scenario(stages=…, {keyword}=5)" in text
    assert f"leave {keyword} out" in text


def test_an_unknown_keyword_is_told_with_the_nearest_and_all() -> None:
    """A typing error gets the word that was meant."""
    text = complaint({"user": 5})

    assert "load_scenario(user=5): there is no keyword 'user'" in text
    assert ", ".join(KEYWORDS) in text
    assert text.endswith("did you mean 'users'?")


def test_keywords_only() -> None:
    """A positional argument is refused even where its meaning could be guessed."""
    with pytest.raises(ConfigError) as caught:
        built(pytest.mark.load_scenario(20).mark)

    assert (
        str(caught.value)
        == f"{WHERE}load_scenario(20): it takes keywords only, for example load_scenario(users=20)"
    )


def open_model(*kwargs: dict[str, Any]) -> tuple[Arrivals, int]:
    """Return the arrivals of marks with these keywords, and how many users may run at once."""
    profile = merged(*kwargs).profile
    assert profile.arrivals is not None
    return profile.arrivals, profile.peak


def test_a_rate_is_the_open_model() -> None:
    """30 seconds at that rate, with a second of arrivals as the most users at once."""
    arrivals, most = open_model({"rate": "200/s"})

    assert arrivals.stages == (RateStage(0.0, 200.0), RateStage(30.0, 200.0))
    assert (arrivals.process, arrivals.places_by_default, most) == ("even", True, 200)
    assert merged({"rate": "200/s"}).profile.duration == 30.0


def test_every_keyword_of_the_open_model_has_its_place() -> None:
    """A rate may be a number per second, as durations may be of seconds."""
    arrivals, most = open_model(
        {"rate": 2.5, "ramp": "10s", "hold": "1m", "max_users": 7, "arrivals": "poisson"}
    )

    assert arrivals.stages == (RateStage(10.0, 2.5), RateStage(60.0, 2.5))
    assert (arrivals.process, arrivals.places_by_default, most) == ("poisson", False, 7)


def test_stages_of_rates_are_the_open_model() -> None:
    """Levels of 0 included, per minute and hour as well."""
    arrivals, most = open_model({"stages": [("30s", "60/m"), (60, "0/s"), ["5s", "3600/h"]], "max_users": 3})

    assert arrivals.stages == (RateStage(30.0, 1.0), RateStage(60.0, 0.0), RateStage(5.0, 1.0))
    assert most == 3


def test_poisson_arrivals_of_a_scenario_are_the_same_in_every_run() -> None:
    """They follow from its node id."""
    asked = {"rate": "5/s", "arrivals": "poisson"}

    assert open_model(asked) == open_model(asked)
    assert open_model(asked)[0].seed != 0


@pytest.mark.parametrize("inner", [{"rate": "5/s"}, {"stages": [("30s", "5/s")]}], ids=["rate", "stages"])
def test_an_inner_rate_turns_to_the_open_model(inner: dict[str, Any]) -> None:
    """What only the closed model has is not inherited; the rest is."""
    outer = {"users": 5, "think": "1s", "iterations": 3, "warmup": "2s"}

    scenario = merged(outer, inner)

    assert scenario.profile.arrivals is not None
    assert (scenario.profile.peak, scenario.think, scenario.profile.iterations) == (10, (0.0, 0.0), None)
    assert scenario.profile.warmup == 2.0


@pytest.mark.parametrize("inner", [{"users": 5}, {"stages": [("30s", 5)]}], ids=["users", "stages"])
def test_inner_users_turn_to_the_closed_model(inner: dict[str, Any]) -> None:
    """The rate and what belongs to it is not inherited."""
    profile = merged({"rate": "9/s", "max_users": 3, "arrivals": "poisson", "hold": "30s"}, inner).profile

    assert (profile.arrivals, profile.peak, profile.duration) == (None, 5, 30.0)


def test_an_inner_hold_keeps_the_peak_of_outer_stages_of_rates() -> None:
    """It says how long, not that there is no rate any more."""
    arrivals, _ = open_model({"stages": [("5s", "20/s"), ("5s", "10/s")]}, {"hold": "7s"})

    assert arrivals.stages == (RateStage(0.0, 20.0), RateStage(7.0, 20.0))


def test_an_inner_pause_does_not_fit_an_outer_rate() -> None:
    """It cannot be meant, so it is told."""
    assert "leave think out" in complaint({"rate": "9/s"}, {"think": "1s"})


@pytest.mark.parametrize(
    ("one", "other"), [("iterations", "shared_iterations"), ("think", "pacing")], ids=["limits", "pauses"]
)
def test_alternatives_exclude_each_other_in_a_mark_and_replace_each_other_when_inherited(
    one: str, other: str
) -> None:
    """The same mark cannot say both; the inner one wins."""
    said: dict[str, Any] = {"iterations": 5, "shared_iterations": 6, "think": "1s", "pacing": "2s"}

    assert f"load_scenario({one}=…, {other}=…)" in complaint({one: said[one], other: said[other]})
    assert merged({one: said[one]}, {other: said[other]}) == merged({other: said[other]})
    assert merged({other: said[other]}, {one: said[one]}) == merged({one: said[one]})


def test_shared_iterations_without_a_hold_have_no_end() -> None:
    """As iterations of each user."""
    profile = merged({"shared_iterations": 1000}).profile

    assert (profile.shared_iterations, profile.stages) == (1000, (Stage(0.0, 10), Stage(math.inf, 10)))


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.sampled_from(["1s", "0s", "1s-3s", "-", "x", "", "5/s", "0/s", "poisson"]),
    st.lists(
        st.tuples(
            st.sampled_from(["1s", "0s", "?", 3, None]),
            st.one_of(st.integers(-1, 9), st.none(), st.sampled_from(["5/s", "0/s", "/"])),
        )
    ),
)


@given(st.dictionaries(st.sampled_from([*KEYWORDS, "unheard"]), VALUES, max_size=3))
def test_any_values_give_a_sound_scenario_or_a_config_error(kwargs: dict[str, Any]) -> None:
    """No value, however odd, gets another exception or a curve that cannot be run."""
    try:
        profile = merged(kwargs).profile
    except ConfigError:
        assert complaint(kwargs)
        return

    assert 0 <= profile.warmup < profile.duration
    assert profile.peak >= 1
    assert profile.duration < math.inf or profile.iterations or profile.shared_iterations


def test_threshold_texts_come_in_order_each_once() -> None:
    """A text that class and function both give is one threshold."""
    marks = [pytest.mark.threshold(text).mark for text in ("p95 < 1s", " avg < 1s ", "p95 < 1s")]

    assert threshold_texts(marks, path="a.py", line=1) == ("p95 < 1s", "avg < 1s")
    assert threshold_texts([], path="a.py", line=1) == ()


@pytest.mark.parametrize(
    ("mark", "piece"),
    [
        (pytest.mark.threshold(), "threshold(): one text is expected, not 0"),
        (pytest.mark.threshold("a", "b"), "threshold('a', 'b'): one text is expected, not 2"),
        (pytest.mark.threshold(None), "threshold(None): a text is expected"),
        (pytest.mark.threshold(["p95 < 1s"]), "threshold(['p95 < 1s']): a text is expected"),
        (pytest.mark.threshold(" "), "threshold(' '): a text is expected"),
        (pytest.mark.threshold("p95 < 1s", abort=True), "threshold(abort=True): there is no keyword 'abort'"),
        (pytest.mark.threshold("p95 < 1s", each=False), "threshold(each=False): there is no keyword 'each'"),
    ],
)
def test_a_bad_threshold_mark_is_told_with_its_place(mark: pytest.MarkDecorator, piece: str) -> None:
    """Keywords of later versions are unknown here too."""
    with pytest.raises(ConfigError) as caught:
        threshold_texts([mark.mark], path="tests/test_shop.py", line=12)

    assert str(caught.value) == f'{WHERE}{piece}, write for example threshold("p95 < 300ms")'


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("users.csv", "tests/users.csv"),
        ("deep/users.JSONL", "tests/deep/users.JSONL"),
        ("../users.csv", "users.csv"),
        (PurePosixPath("users.csv"), "tests/users.csv"),
        ("/data/users.csv", "/data/users.csv"),
    ],
)
def test_a_data_file_is_found_from_the_folder_of_the_test(name: Any, path: str) -> None:
    """Texts and paths; an absolute name stays what it is."""
    assert merged({"data": name}).data == DataFile(str(name), path, "cycle")


def test_data_and_its_end_may_come_from_different_marks() -> None:
    """The module names the file, the function what happens at its end."""
    assert merged({"data": "a.csv"}, {"data_end": "fail"}).data == DataFile("a.csv", "tests/a.csv", "fail")
    assert merged({"users": 3}).data is None
