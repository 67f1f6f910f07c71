"""Forecast the test hours of each series 1 and 24 hours ahead, by a network that was trained on it or on the others.

    python -m benchmarks.ahead --row gru-relative --data-dir data
    python -m benchmarks.ahead --row gru-relative --data-dir data --left-out

With --left-out a network is trained for each series, on the training part of all others; that series' hours before its
test part are handed over as those of a new series: they give its scales, what it is forecast as, and its intervals.
Without it one network is trained on all. linear-ar-hourly is fitted to the training part of the series itself. Errors
are MAPE, percent. Coverage, percent, is of the intervals of 80 and 95 % that the command would give at each hour: those
of the errors in the year before that the network has not seen, or of the validation part while these are less than four
weeks.
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
from pipelines.experiments.recurrent.rows import RELATIVES, RelativeSettings, resolve_network
from pipelines.forecasting.champion import FEWEST_HOURS, Champion, Chosen, ahead
from pipelines.forecasting.history import History
from pipelines.forecasting.intervals import calibrated
from pipelines.forecasting.models import LinearNextHour
from pipelines.forecasting.rolling import HourByHour, Persistence, SameHour, SeveralHours

HOURS = 24
EVERY = 5  # hours from one forecast to the next, so that they begin at every hour of the week
YEAR = 365 * 24
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
    whole = History(series.series[0], times, loads, series.timezone)
    chosen = champion.chosen(whole.first(train[-1] + 1), HOURS)
    linear = HourlyLinearAR()
    linear.fit(series.values, train)
    rows: dict[str, SeveralHours] = {
        champion.row: chosen.forecaster,
        "linear-ar-hourly": HourByHour(LinearNextHour(linear)),
        "same hour last week": HourByHour(SameHour(7)),
        "persistence": HourByHour(Persistence()),
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
    unseen = max(champion.unseen(whole), chosen.forecaster.lookback, origins[0] - YEAR)
    earlier = np.arange(origins[0] - EVERY, unseen - 1, -EVERY)[::-1]
    coverage = _coverage(chosen, np.concatenate([earlier, origins]), len(earlier), loads, times).round(1)
    found["coverage"] = {f"{lead} h": coverage[lead - 1].tolist() for lead in SHOWN_LEADS}
    found["mean coverage"] = coverage.mean(axis=0).round(1).tolist()
    return found


def _coverage(chosen: Chosen, origins: np.ndarray, first: int, loads: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Percentage of loads within the intervals, (HOURS, levels), of forecasts from the `first` of these origins on."""
    forecast, actual = ahead(chosen.forecaster, loads, times, origins, HOURS)
    shares = []
    for number in range(first, len(origins)):
        known = slice(
            np.searchsorted(origins, origins[number] - YEAR), np.searchsorted(origins, origins[number] - HOURS)
        )
        is_enough = known.stop - known.start >= FEWEST_HOURS // EVERY
        intervals = calibrated(forecast[known], actual[known]) if is_enough else chosen.intervals
        shares.append(intervals.coverage(forecast[number, None], actual[number, None]))
    return np.mean(shares, axis=0)


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
