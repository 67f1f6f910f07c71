"""Hourly load of a user's own: prepared from any table, found by its name, with its gaps, holidays and zone."""

import json

import numpy as np
import pandas as pd
import pytest

from pipelines.commands import prepare as command
from pipelines.commands.options import PrepareOptions
from pipelines.data.datasets import LOAD, find, load_energy, own
from pipelines.data.energy.own import MIN_WINDOWS, LoadPolicy, load, prepare
from pipelines.data.energy.reader.format import LoadFormat
from pipelines.data.energy.series import EnergyDataset, split
from pipelines.data.energy.terms import FILL, KEEP
from pipelines.data.protocol import LOOKBACK, META_FILE
from pipelines.errors import UserError

COMMAND = "python -m pipelines prepare --dataset town --source town.csv --gaps keep"
HOURS = 400


@pytest.fixture
def prepared(tmp_path):
    """Prepares hours of load, some of which are absent, as the data set `town`; returns it."""

    def prepare_hours(
        absent=(), given: LoadFormat | None = None, hours: int = HOURS, unit: str = "MW", **policy
    ) -> EnergyDataset:
        times = pd.date_range("2021-12-01", periods=hours, freq="h")
        kept = np.setdiff1d(np.arange(hours), list(absent))
        frame = pd.DataFrame({"time": times[kept], f"load [{unit}]": 1000 + kept % 24})
        frame.to_csv(tmp_path / "town.csv", index=False)
        return prepare(
            "town", tmp_path / "data", tmp_path / "town.csv", given or LoadFormat(), LoadPolicy(**policy), COMMAND
        )

    return prepare_hours


def test_a_table_is_a_data_set_under_its_name(prepared, tmp_path):
    made = prepared(unit="kW", country="DE", given=LoadFormat(timezone="Europe/Berlin"))
    assert (made.series, len(made.values), made.verified) == (("town",), HOURS, None)
    assert made.values[:3, 0].tolist() == pytest.approx([1.0, 1.001, 1.002])
    assert made.values[0, 1:].tolist() == [0, 2, 12, 335]  # Wednesday, 1 December
    assert (made.country, made.timezone) == ("DE", "Europe/Berlin")
    assert [each.name for each in own(tmp_path / "data")] == ["town"]
    assert find("town", LOAD, tmp_path / "data").train_size(tmp_path / "data") == made.train_size == 279
    again = load_energy("town", tmp_path / "data")
    assert (again.digest, again.found, again.origin) == (made.digest, made.found, made.origin)
    assert any("in kW" in sentence for sentence in made.found)


def test_the_command_counts_one_gap_as_one(prepared, tmp_path, capsys):
    prepared(absent=[200, 201])
    command.run(PrepareOptions(dataset="town", data_dir=str(tmp_path / "data")))
    (counted,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("  town: ")]
    assert "1 gap" in counted.split(": ")[1].split(", ")
    assert "2 missing" in counted


def test_targets_behind_a_gap_have_their_whole_window_behind_it(prepared):
    whole, broken = prepared(), prepared(absent=[200, 201])
    assert broken.breaks == (200,)
    assert broken.counts["town"]["gaps"] == 1
    targets = np.concatenate([*split(broken)["train"], *split(broken)["test"]])
    assert targets.tolist() == [*range(LOOKBACK, 200), *range(200 + LOOKBACK, HOURS - 2)]
    assert "gaps of missing hours: 1, no window crosses one (--gaps skip)" in broken.found
    assert whole.breaks == ()
    assert whole.digest != broken.digest


def test_a_policy_makes_another_data_set(prepared):
    made = [prepared(absent=[200, 201], gaps=policy) for policy in ("skip", KEEP, FILL)]
    assert len({each.digest for each in made}) == 3
    assert [sum(map(len, split(each)["train"])) for each in made] == [197, 278, 279]


def test_no_error_is_measured_on_filled_hours(prepared):
    made = prepared(absent=[200, 395, 396], gaps=FILL)
    assert made.filled == (200, 395, 396)
    parts = split(made)
    assert 200 in parts["train"][0]
    assert parts["test"][0].tolist() == [*range(369, 395), 397, 398, 399]
    assert made.counts["town"]["filled"] == 3


def test_too_short_a_series_is_named_with_what_it_needs(prepared):
    assert prepared(hours=LOOKBACK + MIN_WINDOWS).train_size == 18
    named = r"town \(109 hours, gaps: 0, windows: 19\).* which 110 hours without a gap have"
    with pytest.raises(UserError, match=named):
        prepared(hours=LOOKBACK + MIN_WINDOWS - 1)


def test_what_is_damaged_names_the_command_that_made_it(prepared, tmp_path):
    prepared()
    values = tmp_path / "data" / "town" / "values.npy"
    raw = bytearray(values.read_bytes())
    raw[-1] ^= 1
    values.write_bytes(raw)
    with pytest.raises(UserError, match=f"damaged or of another version; run: {COMMAND}"):
        load("town", tmp_path / "data")


def test_a_changed_break_is_noticed(prepared, tmp_path):
    prepared(absent=[200])
    path = tmp_path / "data" / "town" / META_FILE
    meta = json.loads(path.read_text())
    path.write_text(json.dumps(meta | {"breaks": [201]}))
    with pytest.raises(UserError, match="damaged"):
        load("town", tmp_path / "data")


def test_without_a_source_it_is_what_has_been_prepared(prepared, tmp_path):
    made = prepared()
    again = prepare("town", tmp_path / "data", "", LoadFormat(), LoadPolicy(), COMMAND)
    assert again.digest == made.digest


@pytest.mark.parametrize(
    ("country", "said"),
    [
        ("Germany", "unknown country 'Germany'"),
        ("de", "did you mean DE"),
        ("GB-WAL", "known are ENG, NIR, SCT, WLS"),
        ("AW-1", "give AW alone"),
    ],
)
def test_an_unknown_country_is_refused(country, said):
    with pytest.raises(UserError, match=said):
        LoadPolicy(country=country)


def test_clocks_put_forward_without_a_zone_are_pointed_out(tmp_path):
    times = pd.date_range("2021-03-20", periods=600, freq="h", tz="Europe/Berlin").tz_localize(None)
    pd.DataFrame({"time": times, "load": np.arange(600) + 1.0}).to_csv(tmp_path / "a.csv", index=False)

    def found(timezone: str) -> str:
        given = LoadFormat(timezone=timezone)
        return " ".join(prepare("a", tmp_path / "data", tmp_path / "a.csv", given, LoadPolicy(), COMMAND).found)

    assert "1 are where clocks may have been put forward; in the time zone of the data" in found("")
    assert "gaps" not in found("Europe/Berlin")
