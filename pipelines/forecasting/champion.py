"""A trained forecaster that can be used: network, scales, calibrated intervals, and what it was trained on; on disk."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import safetensors.torch
import torch

from nnmodels.relative import AnyForecaster, Days, Encoder, Scales
from pipelines.data.energy.reader.format import require_zone
from pipelines.errors import UserError
from pipelines.experiments.recurrent.forecaster import encoding_of, network_of
from pipelines.experiments.recurrent.relative import scales_of
from pipelines.experiments.recurrent.rows import RelativeSettings, read_settings
from pipelines.forecasting.history import SERIES, TIME, History, histories
from pipelines.forecasting.intervals import Intervals, calibrated
from pipelines.forecasting.models import SeriesNetwork
from pipelines.forecasting.rolling import SeveralHours

MOST_HOURS = 168
FEWEST_ERRORS = 100  # by which intervals are calibrated for a series of the training by itself
FEWEST_HOURS = 4 * 168  # of a history, for intervals of its own
_YEAR = 365 * 24
_STRIDES = (1, 5, 17)  # hours from one forecast to the next, so that they begin at every hour of the week
_MOST_ERRORS = 520  # with the widest stride: those of a year
_KIN_HOURS = 4 * 168  # last hours by whose error it is chosen which series a new one is like
_KIN_STRIDE = 5  # hours: every fifth hour suffices to tell
_FEWEST_KIN_HOURS = 24
_OTHER_UNIT = 300.0  # factor between the loads of one series that no growth explains
_WEIGHTS, _FACTS = "weights.safetensors", "forecaster.json"
_FORMAT = 1


@dataclass(frozen=True, eq=False)
class Known:
    """A series of the training.

    Attributes:
        name: its name.
        scales: (4,), see nnmodels.relative.Scales.
        seen: the last hour, datetime64[s], that the network was trained on.
        intervals: calibrated on forecasts by a network that had not seen these hours.
    """

    name: str
    scales: tuple[float, float, float, float]
    seen: np.datetime64
    intervals: Intervals


@dataclass(frozen=True, eq=False)
class Chosen:
    """A forecaster of one series.

    Attributes:
        forecaster: network and scales.
        intervals: of its forecasts.
        notes: sentences on what was chosen.
        is_new: whether the series is none of the training.
    """

    forecaster: SeriesNetwork
    intervals: Intervals
    notes: tuple[str, ...]
    is_new: bool


@dataclass(frozen=True, eq=False)
class Champion:
    """A trained network for any series.

    Attributes:
        settings: of its row.
        network: on the CPU, in evaluation mode.
        known: the series of its training.
        pooled: intervals calibrated on all of them.
        timezone: of their times, IANA name; "" if unknown.
        about: what else is worth knowing: errors, data, runs. Plain data.
    """

    settings: RelativeSettings
    network: AnyForecaster
    known: tuple[Known, ...]
    pooled: Intervals
    timezone: str
    about: Mapping[str, Any]

    @property
    def row(self) -> str:
        """Name of the row that was trained."""
        return self.settings.row

    def forecast(self, table: pd.DataFrame, hours: int, timezone: str | None = None) -> pd.DataFrame:
        """Forecast the hours that follow each history of a table.

        Args:
            table: see history.histories.
            hours: 1 to MOST_HOURS.
            timezone: IANA name of the zone of the times, "" if unknown; None: that of the training.

        Returns:
            A line for each series and hour: ``series`` (if there are several), ``time``, ``forecast`` (MW), the limits
            ``low_80``, ``high_80``, ``low_95``, ``high_95`` (MW; NaN where too few errors are known), and ``note``: how
            the forecast was made.

        Raises:
            UserError: the table is no history, or too short; its loads are of another unit; or the zone is unknown.
        """
        if not 1 <= hours <= MOST_HOURS:
            raise UserError(f"{hours} hours ahead; give 1 to {MOST_HOURS}")
        if timezone:
            require_zone(timezone)
        parts = []
        for history in histories(table, self.timezone if timezone is None else timezone):
            chosen = self.chosen(history, hours)
            parts.append(self.answer(history, hours, chosen).assign(note="; ".join(chosen.notes)))
        answer = pd.concat(parts, ignore_index=True)
        return answer if SERIES in table else answer.drop(columns=SERIES)

    def answer(self, history: History, hours: int, chosen: Chosen) -> pd.DataFrame:
        """Forecast the hours that follow a history, see `forecast`, by what was chosen for it."""
        following = history.following(hours)
        back = self.network.lookback
        when = np.concatenate([history.times[-back:], following])
        forecast = chosen.forecaster.ahead(history.loads[None, -back:], when[None])
        low, high = chosen.intervals.of(forecast)
        limits = {
            f"{side}_{level}": each[0, :, number]
            for number, level in enumerate(chosen.intervals.levels)
            for side, each in (("low", low), ("high", high))
        }
        return pd.DataFrame({SERIES: history.series, TIME: following, "forecast": forecast[0], **limits})

    def chosen(self, history: History, hours: int) -> Chosen:
        """The forecaster of a series: by its scales of the training, or by those of its own history.

        Args:
            history: of the series.
            hours: to forecast, which intervals are calibrated for.

        Raises:
            UserError: the history is too short, or its loads are of another unit.
        """
        back = self.network.lookback
        if len(history.loads) < back:
            of = f" of series {history.series}" if history.series else ""
            raise UserError(f"{len(history.loads)} hours{of}; the forecaster needs the last {back}")
        number = self._number(history)
        if number is None:
            return self._of_new(history, hours)
        known = self.known[number]
        _require_unit(history, known)
        network = SeriesNetwork(self.network, known.scales, np.eye(len(self.known))[[number]])
        intervals, note = _intervals_for(network, history, hours, self.unseen(history), known.intervals)
        seen = str(known.seen).replace("T", " ")[:16]
        return Chosen(
            network, intervals, (f"{known.name} is a series of its training, which ended at {seen}", note), is_new=False
        )

    def unseen(self, history: History) -> int:
        """The first row of a history that is after the hours of the training."""
        number = self._number(history)
        return 0 if number is None else int(np.searchsorted(history.times, self.known[number].seen, "right"))

    def _number(self, history: History) -> int | None:
        """The number of a series of the training; None for a new one."""
        names = [each.name.casefold() for each in self.known]
        name = history.series.casefold()
        return names.index(name) if name in names else None

    def _of_new(self, history: History, hours: int) -> Chosen:
        scales = scales_of([history.loads])
        identities = np.eye(len(self.known))
        name = history.series or "the series"
        last = np.arange(self.network.lookback, len(history.loads))[-_KIN_HOURS:]
        scaled = f"{name} is none of its training: scaled by its own {len(history.loads):,} hours"
        if len(last) >= _FEWEST_KIN_HOURS:
            each = [SeriesNetwork(self.network, scales, row[None]) for row in identities]
            kin = int(np.argmin([_error(network, history, last[::_KIN_STRIDE]) for network in each]))
            network = each[kin]
            like = f"forecast as {self.known[kin].name}, which it is most like in its last {len(last):,} hours"
        else:
            network = SeriesNetwork(self.network, scales, identities)
            like = "forecast as each series of the training in turn, averaged, since its history is short"
        intervals, note = _intervals_for(network, history, hours, 0, self.pooled)
        return Chosen(network, intervals, (scaled, like, note), is_new=True)

    def save(self, folder: Path) -> None:
        """Write it to a folder."""
        network = self.network.network
        safetensors.torch.save_file(
            {name: tensor.contiguous() for name, tensor in network.state_dict().items()}, folder / _WEIGHTS
        )
        facts = {
            "format": _FORMAT,
            "settings": self.settings.params(),
            "first_day": network.encoder.first_day,
            "facts": list(network.encoder.facts.shape),
            "known": [
                {
                    "name": each.name,
                    "scales": each.scales,
                    "seen": str(each.seen),
                    "intervals": _plain(each.intervals),
                }
                for each in self.known
            ],
            "pooled": _plain(self.pooled),
            "timezone": self.timezone,
            "about": dict(self.about),
        }
        (folder / _FACTS).write_text(json.dumps(facts, indent=1), encoding="utf-8")


def load(folder: Path) -> Champion:
    """Read a champion from a folder; raises OSError, ValueError or KeyError if it is none."""
    facts = json.loads((folder / _FACTS).read_text(encoding="utf-8"))
    if facts["format"] != _FORMAT:
        raise ValueError(f"format {facts['format']}, not {_FORMAT}")
    settings = read_settings(facts["settings"])
    assert isinstance(settings, RelativeSettings)
    known = tuple(
        Known(each["name"], tuple(each["scales"]), np.datetime64(each["seen"], "s"), _intervals(each["intervals"]))
        for each in facts["known"]
    )
    scales = Scales(*torch.tensor([each.scales for each in known]).T)
    days = Days(facts["first_day"], torch.zeros(facts["facts"], dtype=torch.uint8))
    network = network_of(settings, Encoder(encoding_of(settings), scales, days))
    network.load_state_dict(safetensors.torch.load_file(folder / _WEIGHTS))
    whole = AnyForecaster(network, settings.lookback).eval()
    return Champion(settings, whole, known, _intervals(facts["pooled"]), facts["timezone"], facts["about"])


def ahead(
    forecaster: SeveralHours, loads: np.ndarray, times: np.ndarray, origins: Sequence[int] | np.ndarray, hours: int
) -> tuple[np.ndarray, np.ndarray]:
    """Forecasts and actual loads (n, hours), MW, of the hours from each of n rows on, none of which it is shown."""
    rows = np.asarray(origins)[:, None] + np.arange(-forecaster.lookback, hours)
    forecast = forecaster.ahead(loads[rows[:, : forecaster.lookback]], times[rows])
    return forecast, loads[rows[:, forecaster.lookback :]]


def calibrating(origins: np.ndarray) -> np.ndarray:
    """Of the rows (n,) from which hours can be forecast, those that intervals are calibrated by: spread over a year."""
    latest = origins[-_YEAR:]
    return latest[:: next(stride for stride in _STRIDES if len(latest) <= stride * _MOST_ERRORS)]


def _intervals_for(
    network: SeriesNetwork, history: History, hours: int, unseen: int, other: Intervals
) -> tuple[Intervals, str]:
    """Intervals calibrated on the `unseen` hours of the history, or the `other` ones if there are few; and a note."""
    first = max(unseen, network.lookback)
    rows = np.arange(first, len(history.loads) - hours + 1)
    if len(rows) >= FEWEST_HOURS:
        origins = calibrating(rows)
        own = calibrated(*ahead(network, history.loads, history.times, origins, hours))
        return own, f"intervals of {len(origins)} forecasts of hours that it has not seen"
    note = "intervals of the validation part of its training"
    if hours > len(other.reach):
        note += f"; beyond {len(other.reach)} hours those of {len(other.reach)} hours ahead, which are too narrow"
    return other, note


def _error(network: SeriesNetwork, history: History, targets: np.ndarray) -> float:
    forecast, actual = ahead(network, history.loads, history.times, targets, 1)
    return float(np.mean(np.abs(forecast - actual) / np.maximum(np.abs(actual), 1e-9)))


def _require_unit(history: History, known: Known) -> None:
    usual, given = float(np.exp(known.scales[1])), float(np.median(np.abs(history.loads)))
    if not usual / _OTHER_UNIT < given < usual * _OTHER_UNIT:
        raise UserError(
            f"the loads of {known.name} are about {given:.3g}, in its training {usual:,.0f} MW; give megawatts"
        )


def _plain(intervals: Intervals) -> dict[str, Any]:
    return {
        "levels": intervals.levels,
        "reach": intervals.reach.tolist(),
        "errors": intervals.errors,
    }


def _intervals(plain: Mapping[str, Any]) -> Intervals:
    return Intervals(tuple(plain["levels"]), np.array(plain["reach"]), plain["errors"])
