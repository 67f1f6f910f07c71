"""Rows by their names and by those of their groups."""

import pytest

from pipelines.common.choices import choose
from pipelines.experiments.recurrent.rows import GROUPS, RECURRENT

KNOWN = ["a", "b", "c", "d"]
TOGETHER = {"pair": ("c", "a")}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("all", KNOWN),
        ("d, a", ["d", "a"]),
        ("pair", ["c", "a"]),
        ("b,pair,a,b", ["b", "c", "a"]),
    ],
)
def test_each_is_chosen_once_in_the_order_given(given, expected):
    assert choose(given, KNOWN, TOGETHER) == expected


def test_the_groups_are_of_rows_and_none_is_called_like_one():
    assert not set(GROUPS) & set(RECURRENT)
    assert set().union(*GROUPS.values()) == set(RECURRENT)
    assert GROUPS["ladder"][0] == "gru-2"
    assert GROUPS["ladder"][-1] == "gru-relative"
