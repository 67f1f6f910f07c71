"""Forecast the test hours of each series 1 and 24 hours ahead, by a network that was trained on it or on the others.

    python -m benchmarks.ahead --row gru-relative --data-dir data
    python -m benchmarks.ahead --row gru-relative --data-dir data --left-out

With --left-out a network is trained for each series, on the training part of all others; that series' hours before its
test part are handed over as those of a new series: they give its scales, what it is forecast as, and its intervals.
Without it one network is trained on all, and intervals are those of the validation part. linear-ar-hourly is fitted to
the training part of the series itself. Errors are MAPE, percent; coverage is of the intervals of 80 and 95 %, percent.
"""

import argparse
import json
from collections.abc import Sequence

import numpy as np

from pipelines.data.datasets import LOAD, REPORTED, load_energy
from pipelines.data.energy.series import EnergyDataset, split, subset
from pipelines.errors import require_known
from pipelines.experiments.base import changed
from pipelines.experiments.recurrent.baselines import HourlyLinearAR
from pipelines.experiments.recurrent.compete import LEADS, entrant, validate
from pipelines.experiments.recurrent.forecaster import forecaster
from pipelines.experiments.recurrent.relative import scales_of
from pipelines.experiments.recurrent.rows import RELATIVES, RelativeSettings, resolve_network
from pipelines.forecasting.champion import Champion, ahead
from pipelines.forecasting.history import History
from pipelines.forecasting.models import LinearNextHour, SeriesNetwork
from pipelines.forecasting.rolling import NextHour, Persistence, SameHour

HOURS = 24
EVERY = 5  # hours from one forecast to the next, so that they begin at every hour of the week
SHOWN_LEADS = (1, 6, 12, 24)  # whose coverage is shown


def main(arguments: Sequence[str] | None = None) -> None:
    """Train and forecast, and print a line for each series."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--row", default="gru-relative")
    parser.add_argument("--dataset", default=REPORTED[LOAD])
    parser.add_argument("--data-dir", default="data")
    parser.add_argument("--left-out", action="store_true")
    parser.add_argument("--series", default="", help="only these, comma separated")
    parser.add_argument("--epochs", type=int, default=0)
    options = parser.parse_args(arguments)
    require_known("row", options.row, list(RELATIVES))
    dataset = load_energy(options.dataset, options.data_dir)
    settings = resolve_network(options.row, options.dataset, "dense", 0, 1.0, options.data_dir)
    assert isinstance(settings, RelativeSettings)
    settings = changed(settings, epochs=options.epochs or None)
    trained = None if options.left_out else _trained(dataset, settings)
    for name in options.series.split(",") if options.series else dataset.series:
        champion = trained or _trained_on_others(dataset, name, settings)
        print(json.dumps({"series": name} | compared(champion, subset(dataset, [name]))), flush=True)


def compared(champion: Champion, series: EnergyDataset) -> dict[str, object]:
    """Errors of the forecasts of one series by those that forecast it, and coverage of the champion's intervals."""
    parts = split(series)
    train, test = parts["train"][0], parts["test"][0]
    loads, times = series.values[:, 0].astype(np.float64), series.times
    before = slice(train[-1] + 1)
    chosen = champion.chosen(History(series.series[0], times[before], loads[before], series.timezone), HOURS)
    linear = HourlyLinearAR()
    linear.fit(series.values, train)
    as_all = SeriesNetwork(champion.network, scales_of([loads[before]]), np.eye(len(champion.known)))
    rows: dict[str, NextHour] = {
        champion.row: chosen.next_hour,
        f"{champion.row}, as each series in turn": as_all,
        "linear-ar-hourly": LinearNextHour(linear),
        "same hour last week": SameHour(7),
        "persistence": Persistence(),
    }
    origins = test[: len(test) - HOURS : EVERY]
    found: dict[str, object] = {"forecasts": len(origins), "chosen": chosen.notes[1]}
    for row, model in rows.items():
        forecast, actual = ahead(model, loads, times, origins, HOURS)
        found[row] = {
            "1 h": _mape(*ahead(model, loads, times, test, 1)),
            "mean to 24 h": _mape(forecast, actual),
            "at 24 h": _mape(forecast[:, -1], actual[:, -1]),
        }
        if row == champion.row:
            coverage = chosen.intervals.coverage(forecast, actual).round(1)
            found["coverage"] = {f"{lead} h": coverage[lead - 1].tolist() for lead in SHOWN_LEADS}
            found["mean coverage"] = coverage.mean(axis=0).round(1).tolist()
    return found


def _trained(dataset: EnergyDataset, settings: RelativeSettings) -> Champion:
    network = forecaster(settings, dataset, split(dataset)["train"])
    with network.training as training:
        training.fit()
    return entrant(network, validate(network).held_out, {})


def _trained_on_others(dataset: EnergyDataset, name: str, settings: RelativeSettings) -> Champion:
    """A champion that was never shown the series of this name; its intervals are left out, since none is used."""
    others = subset(dataset, [series for series in dataset.series if series != name])
    network = forecaster(settings, others, split(others)["train"])
    with network.training as training:
        training.fit()
    return entrant(network, [(np.empty((0, LEADS)),) * 2] * len(others.series), {})


def _mape(forecast: np.ndarray, actual: np.ndarray) -> float:
    """Mean absolute percentage error; hours without load are left out."""
    known = actual != 0
    return round(float(100 * np.mean(np.abs(forecast - actual)[known] / np.abs(actual[known]))), 3)


if __name__ == "__main__":
    main()
