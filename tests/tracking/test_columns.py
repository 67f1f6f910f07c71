"""Long tables as Parquet: read back as they were, and small."""

import numpy as np
import pandas as pd
import pytest

from pipelines.tracking import artifacts

HOURS = 100_000


@pytest.fixture
def written(monkeypatch, tmp_path):
    """A function that logs a table, and returns the path of the file."""

    def log(table: pd.DataFrame):
        path = tmp_path / "table.parquet"
        monkeypatch.setattr(artifacts, "log_file", lambda run, name, write: write(path))
        artifacts.log_columns(None, table, "tables/table.parquet")
        return path

    return log


def test_forecasts_of_a_hundred_thousand_hours_are_under_a_megabyte(written):
    rng = np.random.default_rng(0)
    load = (30_000 + 8_000 * np.sin(np.arange(HOURS) / 24 * 2 * np.pi) + rng.normal(0, 500, HOURS)).round()
    table = pd.DataFrame(
        {
            "series": pd.Categorical(np.repeat(["A", "B"], HOURS // 2)),
            "time": pd.date_range("2005-01-01", periods=HOURS, freq="h").astype("datetime64[ms]"),
            "holiday": np.arange(HOURS) % 24 == 0,
            "actual_mw": load.astype(np.float32),
            "forecast_mw": (load * rng.normal(1, 0.005, HOURS)).astype(np.float32),
        }
    )
    path = written(table)
    pd.testing.assert_frame_equal(pd.read_parquet(path), table)
    assert path.stat().st_size < 1_000_000


def test_probabilities_of_ten_thousand_images_are_under_a_megabyte(written):
    odds = np.random.default_rng(0).exponential(size=(10_000, 10))
    columns = {f"probability.{number}": odds[:, number].astype(np.float32) for number in range(10)}
    table = pd.DataFrame({"label": np.arange(10_000, dtype=np.int16) % 10} | columns)
    path = written(table)
    pd.testing.assert_frame_equal(pd.read_parquet(path), table)
    assert path.stat().st_size < 1_000_000
