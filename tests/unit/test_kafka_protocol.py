"""Kafka's first messages as bytes: what is sent, and what is made of answers, honest or not."""

from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_metersphere.dist.kafka import protocol
from pytest_metersphere.dist.kafka.protocol import MAX_ANSWER, Answer, ProtocolError, SaslAnswer


def test_a_request_is_a_length_a_head_and_a_body() -> None:
    """API, version, correlation and client come in this order, big-endian."""
    request = protocol.api_versions(7)

    assert request[:4] == struct.pack(">i", len(request) - 4)
    assert request[4:12] == struct.pack(">hhi", 18, 0, 7)
    assert request[12:] == b"\0\x12pytest-metersphere"


@pytest.mark.parametrize(
    ("request_bytes", "api", "version", "body"),
    [
        (protocol.metadata(1), 3, 1, b"\0\0\0\0"),
        (protocol.sasl_handshake(1, "PLAIN"), 17, 1, b"\0\x05PLAIN"),
        (protocol.sasl_authenticate(1, b"abc"), 36, 0, b"\0\0\0\x03abc"),
    ],
)
def test_bodies(request_bytes: bytes, api: int, version: int, body: bytes) -> None:
    """Each request carries what its version asks for."""
    assert struct.unpack(">hh", request_bytes[4:8]) == (api, version)
    assert request_bytes[32:] == body


def test_the_apis_of_a_broker() -> None:
    """The numbers are read, their versions passed over."""
    payload = struct.pack(">ihi", 7, 0, 2) + struct.pack(">hhh", 3, 0, 13) + struct.pack(">hhh", 18, 0, 5)

    assert protocol.read_apis(protocol.answer_body(payload, 7)) == {3, 18}


def test_the_brokers_of_a_cluster() -> None:
    """Hosts and ports are read, numbers and racks passed over."""
    brokers = struct.pack(">ih1sih2s", 1, 1, b"a", 9092, 2, b"r1") + struct.pack(
        ">ih1sih", 2, 1, b"b", 9093, -1
    )

    assert protocol.read_brokers(Answer(struct.pack(">i", 2) + brokers)) == [("a", 9092), ("b", 9093)]


def test_answers_about_logging_in() -> None:
    """Mechanisms come with the handshake, words and bytes with the authentication."""
    handshake = struct.pack(">hih5s", 33, 1, 5, b"PLAIN")
    refused = struct.pack(">hh2si", 58, 2, b"no", -1)
    accepted = struct.pack(">hhi3s", 0, -1, 3, b"abc")

    assert protocol.read_sasl_handshake(Answer(handshake)) == SaslAnswer(33, mechanisms=("PLAIN",))
    assert protocol.read_sasl_authenticate(Answer(refused)) == SaslAnswer(58, "no")
    assert protocol.read_sasl_authenticate(Answer(accepted)) == SaslAnswer(0, token=b"abc")


@pytest.mark.parametrize("head", [b"SSH-", b"HTTP", b"\x15\x03\x03\x00", b"\0\0\0\x03", b"\xff\xff\xff\xff"])
def test_what_is_no_length_is_not_waited_for(head: bytes) -> None:
    """Letters, TLS alerts, small and negative numbers are no lengths of answers."""
    with pytest.raises(ProtocolError):
        protocol.answer_size(head)


def test_lengths_up_to_the_limit_are_believed() -> None:
    """A megabyte is, one byte more is not."""
    assert protocol.answer_size(struct.pack(">i", MAX_ANSWER)) == MAX_ANSWER
    with pytest.raises(ProtocolError):
        protocol.answer_size(struct.pack(">i", MAX_ANSWER + 1))


def test_an_answer_to_another_request_is_refused() -> None:
    """The correlation tells a broker from somebody who repeats what he hears."""
    with pytest.raises(ProtocolError):
        protocol.answer_body(struct.pack(">i", 8), 7)


def test_the_first_bytes_of_an_answer() -> None:
    """Length and correlation are enough to know Kafka by; less is not."""
    head = struct.pack(">ii", 100, 1)

    assert protocol.is_answer(head, 1)
    assert not protocol.is_answer(head, 2)
    assert not protocol.is_answer(head[:-1], 1)
    assert not protocol.is_answer(b"", 1)
    assert not protocol.is_answer(None, 1)


READERS = [
    protocol.read_apis,
    protocol.read_brokers,
    protocol.read_sasl_handshake,
    protocol.read_sasl_authenticate,
]


@pytest.mark.parametrize("number", range(len(READERS)))
@given(payload=st.binary(max_size=200))
def test_no_answer_does_harm(number: int, payload: bytes) -> None:
    """Whatever the bytes are, they are read, or refused as no answer of Kafka."""
    with contextlib.suppress(ProtocolError):
        READERS[number](Answer(payload))
