"""Forecasters of the relative change of an hourly load, which take raw megawatts and times.

Unlike the networks of the forecasting report (recurrent.py), they see the load as a logarithm, know the calendar of the
hour that they forecast, and answer with the change from the last hour to it. What turns raw hours into their inputs is
part of the model, so that a trained one needs nothing beside it.

Raw hours are a float32 tensor (rows, B, 3), time first: load (MW), hours since 1970-01-01 00:00 (the local time of the
series; exact in float32), and the number of the series, constant along time. The last row is the hour to forecast; its
load is not read.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, NamedTuple, cast

import torch
from torch import Tensor, nn

from nnmodels.bptt import gru

CLIP = 8.0  # changes beyond so many typical ones are outages and errors of measurement
YEAR_DAYS = 365.2425
EPOCH_WEEKDAY = 3  # 1970-01-01 was a Thursday; Monday is 0
LINEAR_COLUMNS = 4


@dataclass(frozen=True)
class Encoding:
    """What a forecaster takes in and gives out.

    Attributes:
        target: "change", the change of the logarithm of the load, in typical changes of the series; or "level", the
            standardised logarithm itself.
        calendar: "last", of the last hour of the input, a number each for hour, weekday, month and day of the year; or
            "target", of the hour to forecast: indicators of hour and weekday, the angles of day and year, daylight
            saving and holidays.
        lags: for each of these numbers of hours k, the change that ended k hours before the hour to forecast, and the
            difference of the last hour from that k hours before it.
        identity: whether an indicator of the series is an input.
    """

    target: Literal["level", "change"]
    calendar: Literal["last", "target"]
    lags: tuple[int, ...]
    identity: bool

    @property
    def history(self) -> int:
        """Rows before the first step that its inputs reach back to."""
        return max((*self.lags, 1))


class Scales(NamedTuple):
    """Of each of the S series, from its training part, (S,): of the logarithm of the load (MW).

    Attributes:
        change: typical size of an hourly change.
        mean, deviation: mean and standard deviation.
        floor: load, MW, for which a lower one is taken, since only positive ones have a logarithm.
    """

    change: Tensor
    mean: Tensor
    deviation: Tensor
    floor: Tensor


class Item(NamedTuple):
    """What an encoder has to know of the series of each of B items.

    Attributes:
        scales: (B,) each.
        identity: (B, S) indicators of the series, as far as it is one of the S of the training; else of one like it.
    """

    scales: Scales
    identity: Tensor


class Days(NamedTuple):
    """Facts about days.

    Attributes:
        first: days since 1970-01-01 of the first; days before it count as it, days after the last as the last.
        facts: (days, K) uint8, 0 or 1: daylight saving, holidays and the like.
    """

    first: int
    facts: Tensor


class Encoder(nn.Module):
    """Inputs and targets of a forecaster from raw hours, in float32.

    Args:
        encoding: what they are.
        scales: of the series.
        days: facts about the days, for the calendar "target".
    """

    change: Tensor
    mean: Tensor
    deviation: Tensor
    floor: Tensor
    facts: Tensor

    def __init__(self, encoding: Encoding, scales: Scales, days: Days):
        super().__init__()
        self.encoding = encoding
        self.first_day = days.first
        for name, values in scales._asdict().items():
            # A copy: torch.export would archive views of one tensor as the whole of it.
            self.register_buffer(name, values.float().clone())
        self.register_buffer("facts", days.facts)

    @property
    def width(self) -> int:
        """Number of inputs of an hour."""
        series, facts = len(self.change), self.facts.shape[1]
        calendar = LINEAR_COLUMNS if self.encoding.calendar == "last" else 24 + 2 + 7 + 2 + facts
        return 2 + 2 * len(self.encoding.lags) + calendar + self.encoding.identity * series

    def item(self, hours: Tensor) -> Item:
        """What is known of the series of raw `hours` (rows, B, 3), which are those of the training."""
        series = hours[0, :, 2].long()
        scales = Scales(self.change[series], self.mean[series], self.deviation[series], self.floor[series])
        return Item(scales, nn.functional.one_hot(series, len(self.change)).float())

    def inputs(self, hours: Tensor, item: Item) -> Tensor:
        """Inputs (T, B, width) of raw `hours` (history + T + 1, B, 3)."""
        history = self.encoding.history
        log, (scale, mean, deviation, _) = logarithm(hours, item), item.scales
        change = ((log[1:] - log[:-1]) / scale).clamp(-CLIP, CLIP)  # ended at the row after the first
        now = slice(history, -1)
        columns = [change[history - 1 : -1], (log[now] - mean) / deviation]
        for lag in self.encoding.lags:
            columns.append(change[history - lag : len(change) - lag])
            columns.append((log[now] - log[history - lag : -1 - lag]) / (3 * scale))
        parts = [torch.stack(columns, -1), self._calendar(hours[:, :, 1])]
        if self.encoding.identity:
            parts.append(item.identity.expand(len(columns[0]), -1, -1))
        return torch.cat(parts, -1)

    def targets(self, hours: Tensor, item: Item) -> Tensor:
        """What a forecast is to be, (T, B), after each of the T steps of raw `hours`, in units of `unit`."""
        log = logarithm(hours[self.encoding.history :], item)
        if self.encoding.target == "level":
            return (log[1:] - item.scales.mean) / item.scales.deviation
        return ((log[1:] - log[:-1]) / item.scales.change).clamp(-CLIP, CLIP)

    def unit(self, item: Item) -> Tensor:
        """The relative change of the load, (B,), that one unit of a forecast is."""
        return item.scales.deviation if self.encoding.target == "level" else item.scales.change

    def load(self, forecast: Tensor, hours: Tensor, item: Item) -> Tensor:
        """Loads in MW, (n, B), of the forecasts (n, B) after the last n steps of raw `hours`."""
        if self.encoding.target == "level":
            return torch.exp(item.scales.mean + forecast * self.unit(item))
        return torch.exp(logarithm(hours[-1 - len(forecast) : -1], item) + forecast * self.unit(item))

    def _calendar(self, time: Tensor) -> Tensor:
        history = self.encoding.history
        if self.encoding.calendar == "last":
            return _linear_calendar(time[history:-1])
        time = time[history + 1 :]
        day = torch.floor(time / 24)
        hour, weekday = (time - 24 * day).long(), ((day + EPOCH_WEEKDAY) % 7).long()
        facts = self.facts[(day.long() - self.first_day).clamp(0, len(self.facts) - 1)]
        angles = torch.stack([hour.float() / 24, (day % YEAR_DAYS) / YEAR_DAYS], -1) * (2 * math.pi)
        hours_of_day, weekdays = nn.functional.one_hot(hour, 24), nn.functional.one_hot(weekday, 7)
        return torch.cat([hours_of_day.float(), weekdays.float(), angles.sin(), angles.cos(), facts.float()], -1)


def logarithm(hours: Tensor, item: Item) -> Tensor:
    """Natural logarithms (n, B) of the loads of raw `hours` (n, B, ·), or of the floor where they are lower."""
    return torch.maximum(hours[:, :, 0], item.scales.floor).log()


def _linear_calendar(time: Tensor) -> Tensor:
    """Hour, weekday, month and day of the year, (…, 4), each from -√3 to √3: as if of mean 0 and deviation 1."""
    day = torch.floor(time / 24)
    year = (day % YEAR_DAYS) / YEAR_DAYS
    parts = [(time - 24 * day) / 23, ((day + EPOCH_WEEKDAY) % 7) / 6, torch.floor(year * 12) / 11, year]
    return (torch.stack(parts, -1) * 2 - 1) * math.sqrt(3)


class Recurrence(nn.Module):
    """`layers` layers of RNN, LSTM or GRU, then a head.

    Args:
        width: inputs of an hour.
        cell: a recurrent class of torch.nn: "RNN" (tanh), "LSTM" or "GRU".
        layers: 1 or more.
        hidden: width of each layer's state.
        dropout: probability, between layers, while training.
        head: width of the hidden layer of the head; 0 for none, as in RecurrentForecaster. The weights of the last
            layer begin with zero: the first forecasts are no change (or the mean level).
    """

    def __init__(self, width: int, cell: str, layers: int, hidden: int, dropout: float, head: int):
        super().__init__()
        self.recurrent = getattr(nn, cell)(width, hidden, layers, dropout=dropout if layers > 1 else 0.0)
        self.head = with_head(hidden, head)

    def forward(self, x: Tensor, first: int) -> Tensor:
        """Outputs (T - first, B), float32, of the steps of x (T, B, width) from `first` on."""
        by_hand = self.training and x.device.type == "cpu" and isinstance(self.recurrent, nn.GRU)
        states = gru(self.recurrent, x) if by_hand else self.recurrent(x)[0]
        with torch.autocast(x.device.type, enabled=False):
            return self.head(states[first:].float()).squeeze(-1)

    def further(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Output (1, B), float32, of the last step of x (T, B, width), and the state after it, from `state` on.

        Args:
            x: inputs.
            state: that of the recurrent layers before; None: zero.
        """
        states, state = self.recurrent(x, state)
        return self.head(states[-1:].float()).squeeze(-1), state


class RelativeForecaster(nn.Module):
    """The mean forecast of one or several networks on the inputs of an Encoder.

    In training each member forecasts for itself, so that each learns from its own errors, as it would alone. With the
    error of the mean, they would learn to make up for each other, which they could not do on other data.

    Args:
        encoder: of the inputs.
        members: the networks, one or more.
    """

    def __init__(self, encoder: Encoder, members: Sequence[Recurrence]):
        super().__init__()
        self.encoder = encoder
        self.members = nn.ModuleList(members)

    @property
    def history(self) -> int:
        """Rows before the first step that it needs."""
        return self.encoder.encoding.history

    def forward(self, hours: Tensor, first: int = 0, item: Item | None = None) -> Tensor:
        """Forecasts, in units of the encoder, of the hour after each step from `first` on.

        Args:
            hours: raw hours, (history + T + 1, B, 3).
            first: first step with a forecast; earlier ones only update the state.
            item: of the series; None: they are those of the training, with their numbers in `hours`.

        Returns:
            (T - first, B), float32; in training (members, T - first, B).
        """
        with torch.autocast(hours.device.type, enabled=False):
            x = self.encoder.inputs(hours, item or self.encoder.item(hours))
        forecasts = torch.stack([member(x, first) for member in self.members])
        return forecasts if self.training else forecasts.mean(0)


class LagForecaster(nn.Module):
    """A multilayer perceptron on the hours before the one to forecast, relative to the last of them.

    Args:
        lookback: number of these hours.
        widths: of its hidden layers.
        encoder: of the inputs of the last hour, which it has beside.
    """

    def __init__(self, lookback: int, widths: tuple[int, ...], encoder: Encoder):
        super().__init__()
        self.encoder = encoder
        self.lookback = lookback
        sizes = (encoder.width + lookback - 1, *widths)
        layers = [[nn.Linear(size, to), nn.ReLU()] for size, to in pairwise(sizes[:-1])]
        self.layers = nn.Sequential(*(module for layer in layers for module in layer))
        self.head = with_head(sizes[-2], sizes[-1])

    @property
    def history(self) -> int:
        """Rows before the first step that it needs: all but one of the hours."""
        return self.lookback - 1

    def forward(self, hours: Tensor, first: int = 0, item: Item | None = None) -> Tensor:
        """Forecasts (1, B), in units of the encoder, of the last of the raw `hours` (lookback + 1, B, 3)."""
        item = item or self.encoder.item(hours)
        with torch.autocast(hours.device.type, enabled=False):
            last = self.encoder.inputs(hours[-2 - self.encoder.encoding.history :], item)[0]
            log = logarithm(hours[:-1], item)
            lags = ((log[:-1] - log[-1]) / (3 * item.scales.change)).clamp(-3 * CLIP, 3 * CLIP)
        x = self.layers(torch.cat([last, lags.t()], -1))
        with torch.autocast(hours.device.type, enabled=False):
            return self.head(x.float()).squeeze(-1).unsqueeze(0)


def with_head(width: int, hidden: int) -> nn.Sequential:
    """The last layers: ReLU and a linear layer to one output, with `hidden` units between them where that is not 0."""
    last = nn.Linear(hidden or width, 1)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(*([nn.Linear(width, hidden)] if hidden else []), nn.ReLU(), last)


class RawForecaster(nn.Module):
    """A trained forecaster for raw windows in, megawatts out. This is logged and registered.

    Args:
        network: trained.
        lookback: hours before the one to forecast.
    """

    def __init__(self, network: RelativeForecaster | LagForecaster, lookback: int):
        super().__init__()
        self.network = network
        self.lookback = lookback

    def forward(self, window: Tensor) -> Tensor:
        """Load of the last hour of each window.

        Args:
            window: (B, lookback + 1, 3): load in MW, hours since 1970-01-01 00:00, and the number of the series,
                constant within a window. The last load is not read.

        Returns:
            (B,), MW.
        """
        hours = window.transpose(0, 1)
        return _last(self.network, self.lookback, hours, self.network.encoder.item(hours))


class AnyForecaster(nn.Module):
    """A trained forecaster for raw windows of any series, with what has to be known of these as an input.

    Args:
        network: trained.
        lookback: hours before the first one to forecast.
    """

    def __init__(self, network: RelativeForecaster | LagForecaster, lookback: int):
        super().__init__()
        self.network = network
        self.lookback = lookback

    def forward(self, window: Tensor, scales: Tensor, identity: Tensor) -> Tensor:
        """Loads of the last H hours of each window, each forecast taken for measured by those after it.

        Recurrent layers go on from hour to hour: a forecast depends on all hours of the window before it.

        Args:
            window: (B, lookback + H, 2): load in MW, hours since 1970-01-01 00:00. The last H loads are not read.
            scales: (B, 4), those of Scales.
            identity: (B, S), see Item.

        Returns:
            (B, H), MW.
        """
        hours, item = window.transpose(0, 1).clone(), Item(Scales(*scales.unbind(1)), identity)
        ahead = self._recurrent if isinstance(self.network, RelativeForecaster) else self._windowed
        ahead(hours, item)
        return hours[self.lookback :, :, 0].t()

    def _windowed(self, hours: Tensor, item: Item) -> None:
        for row in range(self.lookback, len(hours)):
            hours[row, :, 0] = _last(self.network, self.lookback, hours[row - self.lookback : row + 1], item)

    def _recurrent(self, hours: Tensor, item: Item) -> None:
        assert isinstance(self.network, RelativeForecaster)
        encoder, members = self.network.encoder, cast(Sequence[Recurrence], self.network.members)
        states: list[Any] = [None] * len(members)
        begin = 0
        for row in range(self.lookback, len(hours)):
            x = encoder.inputs(hours[begin : row + 1], item)
            found = [member.further(x, state) for member, state in zip(members, states, strict=True)]
            states = [state for _, state in found]
            forecast = torch.stack([output for output, _ in found]).mean(0)
            hours[row, :, 0] = encoder.load(forecast, hours[: row + 1], item).squeeze(0)
            begin = row - self.network.history


def _last(network: RelativeForecaster | LagForecaster, lookback: int, hours: Tensor, item: Item) -> Tensor:
    """Load (B,), MW, of the last of raw `hours` (lookback + 1, B, ·)."""
    forecast = network(hours, first=lookback - network.history - 1, item=item)
    return network.encoder.load(forecast, hours, item).squeeze(0)
