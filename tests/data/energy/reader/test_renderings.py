"""However a table is written, it reads to the same series, or is refused because it can be read in two ways."""

import random
import re
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.data.energy.reader.format import LoadFormat
from pipelines.data.energy.reader.read import read_load
from pipelines.errors import UserError

DATES = {
    "%Y-%m-%d %H:%M": "iso",
    "%Y-%m-%dT%H:%M:%S": "iso",
    "%Y%m%d %H%M": "iso",
    "%d.%m.%Y %H:%M": "day first",
    "%d/%m/%y %H:%M:%S": "day first",
    "%m/%d/%Y %I:%M %p": "month first",
    "%-m/%-d/%Y %-H:%M": "month first",
    "%d-%b-%Y %H:%M": "",
}
FORMS = ("alone", "wide", "long")
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "latin-1")
GAPS = {".": (",", " ", ""), ",": (".", " ", "")}


@dataclass(frozen=True)
class Rendering:
    """One way to write series of loads."""

    start: pd.Timestamp
    loads: list[np.ndarray]  # of each series, already rounded to `decimals`
    form: str
    written: str
    delimiter: str
    mark: str
    gap: str
    decimals: int
    encoding: str
    newline: str
    preamble: int
    shuffle: int

    @property
    def times(self):
        return pd.date_range(self.start, periods=len(self.loads[0]), freq="h")

    @property
    def names(self):
        return ["town"] if self.form == "alone" else [f"Süd{i}" for i in range(len(self.loads))]

    def number(self, value):
        text = f"{value:,.{self.decimals}f}".replace(".", "§").replace(",", self.gap).replace("§", self.mark)
        return f'"{text}"' if self.delimiter in text else text

    def raw(self):
        times = self.times.strftime(self.written)
        if self.form == "long":
            header = ["zone", "time", "load"]
            rows = [
                [name, time, self.number(value)]
                for name, load in zip(self.names, self.loads, strict=True)
                for time, value in zip(times, load, strict=True)
            ]
        else:
            header = ["time", *([f"{name}_MW" for name in self.names] if self.form == "wide" else ["Last (MW)"])]
            rows = [[time, *map(self.number, values)] for time, *values in zip(times, *self.loads, strict=True)]
        if self.shuffle:
            random.Random(self.shuffle).shuffle(rows)
        lines = [*["Stadtwerke Köln"] * self.preamble, *(self.delimiter.join(row) for row in [header, *rows]), ""]
        return self.newline.join(lines).encode(self.encoding)


@st.composite
def renderings(draw):
    form = draw(st.sampled_from(FORMS))
    hours = draw(st.integers(30, 400))
    decimals = draw(st.integers(0, 3))
    scale = draw(st.sampled_from([1.0, 300.0, 40_000.0, 3e6]))
    noise = np.random.default_rng(draw(st.integers(0, 2**32)))
    loads = [np.round(scale * (1 + noise.random(hours)), decimals) for _ in range(1 if form == "alone" else 2)]
    mark = draw(st.sampled_from([".", ","]))
    return Rendering(
        draw(
            st.datetimes(pd.Timestamp("1975-01-01"), pd.Timestamp("2060-01-01")).map(
                lambda t: pd.Timestamp(t).floor("h")
            )
        ),
        loads,
        form,
        draw(st.sampled_from(list(DATES))),
        draw(st.sampled_from([",", ";", "\t", "|"])),
        mark,
        draw(st.sampled_from(GAPS[mark])),
        decimals,
        draw(st.sampled_from(ENCODINGS)),
        draw(st.sampled_from(["\n", "\r\n", "\r"])),
        draw(st.integers(0, 2)),
        draw(st.integers(0, 5)),
    )


def ambiguous(rendering):
    """Which hints a reader needs, by what is written only."""
    order = DATES[rendering.written] in ("day first", "month first") and rendering.times.day.max() <= 12
    numbers = [rendering.number(value).strip('"') for load in rendering.loads for value in load]
    two_ways = [number for number in numbers if re.fullmatch(r"[1-9]\d{0,2}[.,]\d{3}", number)]
    others = {number for number in numbers if re.search(r"\D", number)} - set(two_ways)
    return order, bool(two_ways) and not others


def outcome(path):
    """What was read, or the refusal's text."""
    try:
        return read_load(path, LoadFormat())
    except UserError as error:
        return str(error)


@pytest.mark.medium
def test_every_rendering_reads_to_the_same_series(tmp_path):
    path = tmp_path / "town.csv"
    seen = {"read": 0, "asked": 0}

    def check(tables, rendering):
        assert sorted(series.name for series in tables.series) == rendering.names
        for series in tables.series:
            load = rendering.loads[rendering.names.index(series.name)]
            np.testing.assert_array_equal(series.times, rendering.times.to_numpy().astype("datetime64[s]"))
            np.testing.assert_allclose(series.load, load, rtol=1e-12)

    @settings(max_examples=200, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(renderings())
    def holds(rendering):
        path.write_bytes(rendering.raw())
        order, mark = ambiguous(rendering)
        tables = outcome(path)
        if isinstance(tables, str):
            assert "may be" in tables
            assert order or mark, tables
            seen["asked"] += 1
        else:
            assert not order
            check(tables, rendering)
            seen["read"] += 1
        hints = LoadFormat(date_format=DATES[rendering.written], decimal_mark=rendering.mark)
        check(read_load(path, hints), rendering)

    holds()
    assert min(seen.values()) > 10, seen
