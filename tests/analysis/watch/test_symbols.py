"""Sparklines."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.watch.symbols import ASCII, UNICODE, of_terminal, sparkline

DRAWN = {
    "nothing": ((), 8, ""),
    "one": ((3.0,), 8, "▁"),
    "flat": ((2.0, 2.0, 2.0), 8, "▁▁▁"),
    "rising": (range(1, 9), 8, "▁▂▃▄▅▆▇█"),
    "falling": (range(8, 0, -1), 8, "█▇▆▅▄▃▂▁"),
    "a loss, by its logarithms": ((1000.0, 100.0, 10.0, 1.0), 8, "█▆▃▁"),
    "negative values, as they are": ((-100.0, 0.0, 1.0), 8, "▁██"),
    "the means of parts, and the last": ((1, 3, 5, 7, 9), 3, "▁▅█"),
    "only the last": ((1, 2, 3), 1, "▁"),
}


@pytest.mark.parametrize(("values", "width", "drawn"), DRAWN.values(), ids=DRAWN)
def test_a_history_is_drawn(values, width, drawn):
    assert sparkline([float(value) for value in values], width) == drawn


def test_without_unicode_it_is_drawn_in_ascii(monkeypatch):
    assert sparkline([1.0, 2.0, 3.0], 8, ASCII).isascii()
    assert len(ASCII.levels) == len(UNICODE.levels)
    for encoding, expected in (("utf-8", UNICODE), ("ascii", ASCII)):
        monkeypatch.setattr("sys.stdout", type("Stream", (), {"encoding": encoding})())
        assert of_terminal() == expected


@given(st.lists(st.floats(-1e12, 1e12), max_size=50), st.integers(1, 30))
def test_any_history_fits_its_width(values, width):
    drawn = sparkline(values, width)
    assert len(drawn) == min(len(values), width)
    assert set(drawn) <= set(UNICODE.levels)
