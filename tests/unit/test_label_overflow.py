"""More labels than are kept apart: nothing is lost, and nobody is led to believe a single label's numbers."""

from __future__ import annotations

import pytest

from pytest_metersphere.engine.recorder import Recorder
from pytest_metersphere.metrics.frame import MAX_LABELS, OTHER, Tally
from pytest_metersphere.reports import compose
from pytest_metersphere.thresholds.grammar import parse
from pytest_metersphere.thresholds.judge import Judgement, decide


def labelled(names: range) -> Tally:
    """Return what comes to one sample of 100 ms for each label."""
    recorder = Recorder([0.0])
    for number in names:
        recorder.sample(0, f"GET /{number}", "request", 0.0, 0.1, failed=False, service=0.05)
    recorder.iteration(0, 0.0, 0.2, failed=False, by_sample=False, skipped=False)
    (cut,) = recorder.cut(1)
    return cut.tallies[0]


def verdict(tally: Tally, *texts: str) -> Judgement:
    """Return the judgement of thresholds over ten seconds."""
    return decide([parse(text) for text in texts], tally, 10.0, overflow=tally.overflow)


def test_as_many_labels_as_are_kept_apart_are_no_overflow() -> None:
    """At the limit every label is judged by itself, and there is nothing to warn of."""
    tally = labelled(range(MAX_LABELS))

    assert not tally.overflow
    assert OTHER not in tally.labels
    assert verdict(tally, "GET /7: p95 < 1s").verdict == "passed"
    assert compose.label_warnings(tally) == []


def test_one_label_more_is_counted_and_told() -> None:
    """Its samples stand under the label for others, and the warning says how many and what to do."""
    tally = labelled(range(MAX_LABELS + 3))

    assert tally.overflow
    assert tally.labels[OTHER].requests == 3
    assert tally.requests == MAX_LABELS + 3
    (warning,) = compose.label_warnings(tally)
    assert warning.startswith(
        f'more than {MAX_LABELS} labels came, so 3 samples stand under the label "(other)"'
    )
    assert 'label="search"' in warning


@pytest.mark.parametrize(
    "text", ["GET /7: p95 < 1s", "GET *: requests > 1", "GET /502: p95 < 1s", "(other): avg < 1s"]
)
def test_no_threshold_with_a_label_is_judged_then(text: str) -> None:
    """It is an error that names the limit, whether or not the label is among those kept."""
    (outcome,) = verdict(labelled(range(MAX_LABELS + 3)), text).outcomes

    assert (outcome.state, outcome.observed) == ("error", None)
    assert f"more than {MAX_LABELS} labels came" in outcome.message


@pytest.mark.parametrize(
    "text", ["p95 < 1s", "*: p95 < 1s", "error_rate < 1%", "iterations > 0", "rps > 1/s"]
)
def test_thresholds_over_everything_are_judged_as_ever(text: str) -> None:
    """Nothing is missing in the sum."""
    tally = labelled(range(MAX_LABELS + 3))

    assert verdict(tally, text) == verdict(labelled(range(MAX_LABELS + 3)), text)
    assert verdict(tally, text).verdict == "passed"


def test_the_verdict_is_an_error_beside_a_kept_threshold() -> None:
    """One threshold that cannot be judged is enough."""
    judgement = verdict(labelled(range(MAX_LABELS + 1)), "p95 < 1s", "GET /7: p95 < 1s")

    assert judgement.verdict == "error"
    assert judgement.findings[0].startswith("threshold not judged: GET /7: p95 < 1s: p95: more than")


def test_labels_that_only_overflow_together_are_told_too() -> None:
    """Two workers below the limit are above it when they are merged, in any order."""
    first, second = labelled(range(300)), labelled(range(250, 600))
    assert not first.overflow
    assert not second.overflow
    merged = Tally()
    merged.merge_parallel(first)
    merged.merge_parallel(second)

    assert merged.overflow
    assert merged.requests == 650
    assert merged.labels[OTHER].requests == 100


def test_overflow_stays_once_it_was_seen() -> None:
    """What one node saw holds for the run."""
    merged = Tally()
    merged.merge(Tally(overflow=True))
    merged.merge(Tally())

    assert merged.overflow


def test_a_label_of_the_users_own_that_is_called_other_is_no_overflow() -> None:
    """Only what did not fit counts."""
    recorder = Recorder([0.0])
    recorder.sample(0, OTHER, "request", 0.0, 0.1, failed=False, service=None)

    assert not recorder.cut(1)[0].tallies[0].overflow
