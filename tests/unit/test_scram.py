"""Logging in by SASL: the client's side, against the examples of the standards and hostile servers."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_metersphere.dist.kafka.scram import MAX_ITERATIONS, ScramError, conversation, scram

NONCE = "rOprNGfwEbeRWgbNEkqO"
SERVER_FIRST = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
SERVER_FINAL = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


def test_plain() -> None:
    """RFC 4616: an empty authorization, the user and the password, each after a zero byte."""
    words = conversation("PLAIN", "tim", "tanstaaftanstaaf")

    assert next(words) == b"\0tim\0tanstaaftanstaaf"
    with pytest.raises(StopIteration):
        words.send(b"")


def test_scram_sha_256() -> None:
    """The example of RFC 7677, to the letter."""
    words = scram("sha256", "user", "pencil", NONCE)

    assert next(words) == b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
    assert words.send(SERVER_FIRST) == (
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
        b"p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    )
    with pytest.raises(StopIteration):
        words.send(SERVER_FINAL)


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "SCRAM-SHA-512"])
@given(user=st.text(max_size=20), password=st.text(max_size=20))
def test_a_server_that_knows_the_password_is_convinced(mechanism: str, user: str, password: str) -> None:
    """For any user and password the proof is the one that a server by RFC 5802 computes, too."""
    digest = mechanism.removeprefix("SCRAM-").replace("-", "").lower()
    words = scram(digest, user, password, "clients")
    first = next(words).decode().removeprefix("n,,")
    server_first = f"r=clientsandservers,s={base64.b64encode(b'salt').decode()},i=7".encode()
    bare, _, proof = words.send(server_first).rpartition(b",p=")
    salted = hashlib.pbkdf2_hmac(digest, password.encode(), b"salt", 7)
    signed = b",".join([first.encode(), server_first, bare])
    key = hmac.digest(salted, b"Client Key", digest)
    signature = hmac.digest(hashlib.new(digest, key).digest(), signed, digest)

    assert base64.b64decode(proof) == bytes(a ^ b for a, b in zip(key, signature, strict=True))
    answer = hmac.digest(hmac.digest(salted, b"Server Key", digest), signed, digest)
    with pytest.raises(StopIteration):
        words.send(b"v=" + base64.b64encode(answer))


def test_a_comma_in_a_name_is_no_new_field() -> None:
    """The signs that have a meaning in SCRAM are written differently in a user's name."""
    assert next(scram("sha256", "a=b,c", "x", "n")) == b"n,,n=a=3Db=2Cc,r=n"


def test_nonces_differ() -> None:
    """Two conversations do not begin alike."""
    assert next(conversation("SCRAM-SHA-256", "u", "p")) != next(conversation("SCRAM-SHA-256", "u", "p"))


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\xff\xfe",
        b"r=somebody else's,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        b"r=rOprNGfwEbeRWgbNEkqO,s=***,i=4096",
        b"r=rOprNGfwEbeRWgbNEkqO,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=-1",
        b"r=rOprNGfwEbeRWgbNEkqO,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=%d" % (MAX_ITERATIONS + 1),
        b"r=rOprNGfwEbeRWgbNEkqO,i=4096",
        b"e=other-error",
    ],
)
def test_a_server_that_does_not_keep_to_the_rules_is_refused(answer: bytes) -> None:
    """Nothing that comes instead of the first message makes us compute for hours, or crash."""
    words = scram("sha256", "user", "pencil", NONCE)
    next(words)

    with pytest.raises(ScramError):
        words.send(answer)


@pytest.mark.parametrize("answer", [b"", b"v=", b"v=AAAA", b"e=invalid-proof", b"\xff"])
def test_a_server_that_does_not_know_the_password_is_refused(answer: bytes) -> None:
    """A server must prove itself, too."""
    words = scram("sha256", "user", "pencil", NONCE)
    next(words)
    words.send(SERVER_FIRST)

    with pytest.raises(ScramError, match="does not know the password"):
        words.send(answer)
