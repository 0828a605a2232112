"""junit.xml says what the document says, in the way its readers understand."""

from __future__ import annotations

from typing import get_args
from xml.etree import ElementTree as ET

import pytest
from junitparser import Error, Failure, JUnitXml, TestCase, TestSuite

from pytest_metersphere.reports.document import Document, Verdict
from pytest_metersphere.reports.junit import render_junit
from tests.reports.conftest import Golden
from tests.reports.documents import sample_document


def _suites(document: Document) -> list[TestSuite]:
    return list(JUnitXml.fromstring(render_junit(document).encode()))


def _cases(document: Document) -> dict[str, TestCase]:
    return {case.name: case for case in _suites(document)[-1]}


def _results(case: TestCase) -> list[tuple[type, str, str, str]]:
    return [(type(each), each.type, each.message, each.text) for each in case.result]


def test_a_suite_for_each_scenario_and_a_case_for_each_check() -> None:
    """Every scenario is a suite with its thresholds and the two checks that are always there."""
    first, second = _suites(sample_document("failed", scenarios=2))

    assert (first.name, second.name) == ("test_cart", "test_checkout[eur]")
    assert [case.name for case in second] == [
        "test_checkout[eur] :: completed",
        "test_checkout[eur] :: no failed iterations",
        "test_checkout[eur] :: p95 < 200ms",
        "test_checkout[eur] :: GET /cart: rps > 5/s",
    ]
    assert {case.classname for case in second} == {"tests.shop.test_shop.TestShop"}


def test_counts_of_a_suite_are_those_of_its_cases() -> None:
    """The numbers in the heads are right: readers trust them."""
    xml = JUnitXml.fromstring(render_junit(sample_document("failed", scenarios=2)).encode())

    passed, failed = xml
    assert (passed.tests, passed.failures, passed.errors) == (4, 0, 0)
    assert (failed.tests, failed.failures, failed.errors) == (4, 2, 0)
    assert (xml.tests, xml.failures, xml.errors) == (8, 2, 0)


def test_a_broken_threshold_is_a_failure_that_repeats_itself() -> None:
    """Message and first line of the body are the same; observed value, limit and all findings follow."""
    document = sample_document("failed")

    ((kind, word, message, body),) = _results(_cases(document)["test_cart :: p95 < 200ms"])

    assert (kind, word, message) == (Failure, "threshold", "p95 212 ms, limit < 200 ms")
    assert body.splitlines()[0] == message
    assert "observed: 212 ms\nlimit: < 200 ms\nthreshold: p95 < 200ms" in body
    assert all(finding in body for finding in document.scenarios[0].findings)


def test_a_threshold_without_data_is_an_error() -> None:
    """A threshold that could not be judged is an error with its words, neither a failure nor skipped."""
    case = _cases(sample_document("error"))["test_cart :: checkout: p95 < 300ms"]

    ((kind, word, message, body),) = _results(case)
    assert (kind, word) == (Error, "threshold")
    assert message == body.splitlines()[0]
    assert "labels seen: GET /cart" in message
    assert "observed: \N{EN DASH}" in body


@pytest.mark.parametrize("verdict", ["invalid", "aborted", "error"])
def test_a_run_without_a_judgement_is_an_error_of_its_completion(verdict: Verdict) -> None:
    """What kept the run from counting is an error on the case "completed", in the words of the findings."""
    document = sample_document(verdict)
    findings = document.scenarios[0].findings

    ((kind, word, message, body),) = _results(_cases(document)["test_cart :: completed"])

    assert (kind, word, message) == (Error, verdict, findings[0])
    assert body.splitlines() == findings


@pytest.mark.parametrize("verdict", sorted(set(get_args(Verdict)) - {"passed"}))
def test_nothing_but_passed_is_green(verdict: Verdict) -> None:
    """Without a broken threshold, a failed iteration or even a finding, another verdict still shows."""
    document = sample_document(verdict)
    scenario = document.scenarios[0]
    scenario.findings, scenario.thresholds, scenario.totals.failed_iterations = [], [], 0

    assert [len(case.result) for case in _cases(document).values()] == [1, 0]


def test_passed_is_green() -> None:
    """A passed scenario has neither failures nor errors."""
    assert not any(case.result for case in _cases(sample_document("passed")).values())


def test_failed_iterations_are_a_failure() -> None:
    """How many failed and by what stands in the case for iterations."""
    case = _cases(sample_document("failed"))["test_cart :: no failed iterations"]

    ((kind, word, message, body),) = _results(case)
    assert (kind, word, message) == (Failure, "iterations", "9 of 2,500 iterations failed (0.36%)")
    assert "7 x status: GET /cart 503 Service Unavailable" in body


@pytest.mark.parametrize(("verdict", "excused"), [("passed", False), ("failed", True), ("invalid", True)])
def test_excused_iterations_are_no_failure(verdict: Verdict, excused: bool) -> None:  # noqa: FBT001
    """When a threshold allows failed iterations, their case passes and says how many there were."""
    document = sample_document(verdict)
    document.scenarios[0].totals.failed_iterations = 9
    document.scenarios[0].iterations_excused = excused

    case = _cases(document)["test_cart :: no failed iterations"]

    assert not case.result
    assert case.system_out.startswith("9 of 2,500 iterations failed")


def test_suite_says_when_where_and_of_what() -> None:
    """Time, host and the run's metadata stand on the suite."""
    suite = _suites(sample_document("failed"))[0]

    assert (suite.timestamp, suite.hostname) == ("2026-11-23T20:15:02Z", "ci-runner-7")
    assert {each.name: each.value for each in suite.properties()} == {
        "run_id": "run-0001",
        "verdict": "failed",
        "pool": "local=400+400+200",
        "nodes": "local-1 local-2 local-3",
        "users": "1000",
        "results": "http",
        "git_sha": "f8620f4f0c2b6f2f0a9a3f6f1f2f8f4c1d2e3a4b",
        "python": "3.11.7",
        "pytest-metersphere": "0.1.0",
    }


def test_only_the_completed_case_has_a_duration() -> None:
    """The run's seconds stand on one case and zero on the others, so that sums stay right."""
    document = sample_document("failed")

    root = ET.fromstring(render_junit(document))  # noqa: S314 - our own text

    assert [case.get("time") for case in root.iter("testcase")] == ["25.000000", *["0.000000"] * 3]
    assert root[0].get("time") == "25.0"


def test_text_is_not_padded() -> None:
    """No white space is added around messages, bodies and outputs."""
    root = ET.fromstring(render_junit(sample_document("failed")))  # noqa: S314 - our own text

    texts = [each.text for tag in ("failure", "system-out") for each in root.iter(tag)]
    assert texts
    assert all(text == text.strip() for text in texts if text is not None)


@pytest.mark.parametrize("text", ["\x00\x1b[31m", "]]>", "\ud800", "\ufffe", "<&\"'>", "", "\r\n\t"])
def test_no_character_breaks_the_xml(text: str) -> None:
    """Whatever stands in names, messages and findings, the file can be read back."""
    document = sample_document("failed", message=text)
    scenario = document.scenarios[0]
    scenario.name = scenario.nodeid = scenario.file = text
    scenario.findings.append(text)
    scenario.thresholds[0].message = scenario.thresholds[0].expr = text

    assert _suites(document)[0].failures == 2


def test_junit_to_the_letter(golden: Golden) -> None:
    """The whole file of a failed and an invalid scenario."""
    document = sample_document("failed")
    document.scenarios += sample_document("invalid", scenarios=2).scenarios[1:]

    golden("junit.xml", render_junit(document).replace("><", ">\n<"))


def test_a_group_is_a_property_of_its_suites() -> None:
    """A scenario that ran alone has none."""
    document = sample_document(scenarios=2)
    document.scenarios[1].group = "peak"

    alone, member = ({each.name: each.value for each in suite.properties()} for suite in _suites(document))

    assert "group" not in alone
    assert member["group"] == "peak"
