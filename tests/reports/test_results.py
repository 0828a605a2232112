"""results.json holds the whole document, and is read with care."""

from __future__ import annotations

import json

import msgspec
import pytest

from pytest_metersphere.errors import ConfigError
from pytest_metersphere.reports.document import SCHEMA, Document
from pytest_metersphere.reports.results import decode_results, encode_results
from tests.reports.conftest import Golden
from tests.reports.documents import sample_document


@pytest.mark.parametrize("labels", [(), ("GET /cart", "purchase")])
def test_what_is_written_can_be_read(labels: tuple[str, ...]) -> None:
    """Encoding and decoding give an equal document, with and without samples."""
    document = sample_document("failed", scenarios=2, labels=labels)

    assert decode_results(encode_results(document)) == document


def test_json_is_indented_and_names_its_schema_first() -> None:
    """People can read the file, and its first field says what it is."""
    text = encode_results(sample_document()).decode()

    assert text.startswith('{\n  "schema": "pytest-metersphere/results/1",\n')
    assert text.endswith("}\n")


def test_fields_of_a_later_minor_version_are_left_out() -> None:
    """A document with fields that this version does not know is read all the same."""
    document = sample_document()
    data = json.loads(encode_results(document))
    data["news"] = 1
    data["scenarios"][0]["totals"]["news"] = [1]

    assert decode_results(json.dumps(data).encode()) == document


def test_surrogates_are_written_as_escapes() -> None:
    """A text that UTF-8 cannot hold does not keep the results from being written."""
    document = sample_document(labels=["GET /\ud800\x00"])

    (label,) = decode_results(encode_results(document)).scenarios[0].labels

    assert label.name == "GET /\\ud800\x00"


@pytest.mark.parametrize("content", [b"", b"<html>", b"{", b"\xff\xfe", b'{"schema": "\xff"}'])
def test_other_than_json_is_named_so(content: bytes) -> None:
    """What is not JSON is told to be so, with what to give instead."""
    with pytest.raises(ConfigError, match=r"not JSON.*give the results\.json"):
        decode_results(content)


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 100_000,
        b"[]",
        b"1",
        b"{}",
        b'{"schema": 1}',
        b'{"schema": "k6/1"}',
        b'{"schema": "pytest-metersphere/results/x"}',
    ],
)
def test_json_of_others_is_told_from_ours(content: bytes) -> None:
    """JSON without our schema is refused with the schema that is expected."""
    with pytest.raises(ConfigError, match=rf"no results of pytest-metersphere.*'{SCHEMA}'"):
        decode_results(content)


@pytest.mark.parametrize("major", ["2", "10", "9" * 5000])
def test_a_newer_schema_asks_for_an_update(major: str) -> None:
    """Results of a later schema name both schemas and what to do."""
    content = msgspec.json.encode({"schema": f"pytest-metersphere/results/{major}"})

    with pytest.raises(ConfigError, match=r"newer than .*update pytest-metersphere"):
        decode_results(content)


def test_a_broken_document_names_the_place() -> None:
    """Results that do not follow their schema are refused with the path to the first mistake."""
    data = json.loads(encode_results(sample_document()))
    data["scenarios"][0]["totals"]["requests"] = "many"

    with pytest.raises(ConfigError, match=r"\$\.scenarios\[0\]\.totals\.requests"):
        decode_results(json.dumps(data).encode())


def test_results_to_the_letter(golden: Golden) -> None:
    """The whole file of a small failed scenario: field names are a promise to its readers."""
    document: Document = sample_document("failed", seconds=2, warmup=1, labels=["GET /cart", "purchase"])

    golden("results.json", encode_results(document).decode())
