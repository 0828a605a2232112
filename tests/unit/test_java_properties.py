"""Java's properties files, read again by the rules of java.util.Properties."""

from __future__ import annotations

import re

from hypothesis import example, given
from hypothesis import strategies as st

from pytest_metersphere.engine.jmeter.properties import properties_text

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
SPELLED = {"n": "\n", "r": "\r", "t": "\t", "f": "\f"}


def loaded(line: str) -> tuple[str, str]:
    """Return name and value of a line, as Java has them."""
    split = re.fullmatch(r"((?:\\.|[^\\:= \t])*)[ \t]*[:=]?[ \t]*(.*)", line)
    assert split is not None
    return meant(split[1]), meant(split[2])


def meant(text: str) -> str:
    """Return a text with what is spelled out in place."""
    units = re.sub(
        r"\\(?:u([0-9a-f]{4})|(.))",
        lambda found: chr(int(found[1], 16)) if found[1] else SPELLED.get(found[2], found[2]),
        text,
    )
    return units.encode("utf-16-be", "surrogatepass").decode("utf-16-be")


@given(name=TEXT, value=TEXT)
@example(name="用户", value="五")
@example(name="a\\b", value="\\u0041")
@example(name="#a b=c:d!", value=" = ")
def test_properties(name: str, value: str) -> None:
    """Names and values of any characters are what Java reads, in ASCII, one a line."""
    written = properties_text({name: value})

    assert written.isascii()
    assert written.endswith("\n")
    assert written.count("\n") == 1
    assert loaded(written.removesuffix("\n")) == (name, value)
