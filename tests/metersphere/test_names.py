"""Containers on stock nodes are called so that none can be taken for another."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_metersphere.dist.metersphere import names

RUNS = st.text("0123456789abcdef", min_size=16, max_size=16)
PLACES = st.tuples(RUNS, st.integers(0, 999_999), st.integers(0, 999_999_999))


@given(PLACES, PLACES)
def test_no_name_is_part_of_another(one: tuple[str, int, int], other: tuple[str, int, int]) -> None:
    """Whatever the runs, the slices and the users: a substring of a name is that name."""
    first, second = (names.container_name(f"{run}-{index}", users) for run, index, users in (one, other))

    assert (first in second) == (first == second)
    assert (first == second) == (one == other)


@given(PLACES)
def test_a_name_says_what_is_in_it(place: tuple[str, int, int]) -> None:
    """Slice and users come back, as Docker writes the name, too."""
    run, index, users = place
    name = names.container_name(f"{run}-{index}", users)

    assert names.container(name) == names.container(f"/{name}") == (f"{run}-{index}", users)
    assert len(name) < 64
    assert names.PREFIX in name


@pytest.mark.parametrize("slice_id", ["", "s1", "0123456789abcdef", "0123456789abcdef-", ".*-1", "x" * 500])
def test_what_is_no_slice_gets_no_name(slice_id: str) -> None:
    """An empty name would be found in those of all containers of the machine."""
    with pytest.raises(ValueError, match="there is no container for"):
        names.container_name(slice_id, 1)


@pytest.mark.parametrize(
    "name", ["", "ms-load-", "ms-node-controller", "ms-load-0123456789abcdef-1-1", "/" * 80]
)
def test_names_of_others_say_nothing(name: str) -> None:
    """What runs there beside us is left alone."""
    assert names.container(name) is None


def test_a_pattern_means_one_container_only() -> None:
    """It is anchored, and fits into a path."""
    assert names.exactly("abc-1") == "%5Eabc-1%24"
    assert names.ours() == "%5Ems-load-"
