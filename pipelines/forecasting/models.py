"""Forecasters of one series: a trained network of the hours that follow, and linear-ar-hourly of the next one."""

from collections.abc import Sequence

import numpy as np
import torch

from nnmodels.relative import AnyForecaster
from pipelines.data.energy.series import HOUR, features
from pipelines.data.protocol import LOOKBACK
from pipelines.experiments.recurrent.baselines import HourlyLinearAR

BATCH = 1024  # windows at a time


class SeriesNetwork:
    """A trained network for one series, whether it was among those of the training or not.

    Args:
        network: trained, in evaluation mode.
        scales: of the series, (4,), see nnmodels.relative.Scales.
        identities: (k, S): the series counts as each of these in turn, and the forecasts are averaged; see
            nnmodels.relative.Item.
    """

    def __init__(self, network: AnyForecaster, scales: Sequence[float], identities: np.ndarray):
        self.lookback = network.lookback
        self._network = network
        self._scales = torch.tensor(scales, dtype=torch.float32)
        self._identities = torch.from_numpy(np.asarray(identities, np.float32))

    def ahead(self, loads: np.ndarray, times: np.ndarray) -> np.ndarray:
        """Forecast the hours that follow, see rolling.SeveralHours."""
        hours = ((times - np.datetime64(0, "s")) / HOUR).astype(np.float32)
        empty = np.zeros((len(loads), times.shape[1] - self.lookback))
        given = np.concatenate([loads, empty], axis=1).astype(np.float32)
        windows = torch.from_numpy(np.stack([given, hours], axis=2))
        return np.concatenate([self._mean(windows[first : first + BATCH]) for first in range(0, len(windows), BATCH)])

    def _mean(self, windows: torch.Tensor) -> np.ndarray:
        scales = self._scales.expand(len(windows), -1)
        with torch.inference_mode():
            forecasts = [
                self._network(windows, scales, identity.expand(len(windows), -1)) for identity in self._identities
            ]
            return torch.stack(forecasts).mean(0).double().numpy()


class LinearNextHour:
    """A fitted linear-ar-hourly.

    Args:
        model: fitted.
    """

    lookback = LOOKBACK

    def __init__(self, model: HourlyLinearAR):
        self._model = model

    def __call__(self, loads: np.ndarray, times: np.ndarray) -> np.ndarray:
        """Forecast an hour, see rolling.NextHour."""
        calendar = features(times[:, -1], np.zeros(len(times)))[:, 1:]
        return self._model.forecast(loads.astype(np.float32), calendar)
