"""More labels than are kept apart, in a whole session."""

from __future__ import annotations

from pytest_metersphere.metrics.frame import MAX_LABELS
from tests.plugin.projects import Project, mentions

SCENARIO = f"""
    import pytest

    @pytest.mark.load_scenario(users=2, iterations=1, hold="10s")
    @pytest.mark.threshold("p95 < 5s")
    async def test_everything(vu):
        for number in range({MAX_LABELS + 10}):
            with vu.sample(f"step {{number}}"):
                pass

    @pytest.mark.load_scenario(users=2, iterations=1, hold="10s")
    @pytest.mark.threshold("step 7: p95 < 5s")
    async def test_one(vu):
        for number in range({MAX_LABELS + 10}):
            with vu.sample(f"step {{number}}"):
                pass
"""


def test_every_report_says_so_and_no_single_label_is_judged(project: Project) -> None:
    """A threshold over everything is kept; one with a label is an error that names the limit."""
    project.write("test_labels.py", SCENARIO)
    done = project.run("--ms-pool=local=2")
    everything, one = done.scenario("test_everything"), done.scenario("test_one")
    (warning,) = everything.warnings

    assert done.code == 1, done.text
    assert (everything.verdict, one.verdict) == ("passed", "error")
    assert everything.validity.valid
    assert everything.totals.requests == 2 * (MAX_LABELS + 10)
    assert mentions(one.thresholds[0].message, f"more than {MAX_LABELS} labels came")
    assert warning.startswith(
        f'more than {MAX_LABELS} labels came, so 20 samples stand under the label "(other)"'
    )
    for text in (done.out, done.page.text, done.summary):
        assert f"warning: more than {MAX_LABELS} labels came" in text
    output = str(done.suite("test_everything").findtext("testcase/system-out"))
    assert f"warning: more than {MAX_LABELS}" in output
