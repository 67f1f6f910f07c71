"""A forecaster put together from a row's settings: data, network, optimiser, training and forecasts. Tracks nothing."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from nnmodels.recurrent import LoadForecaster, RecurrentForecaster
from pipelines.data.energy.series import EnergyDataset
from pipelines.data.energy.windows import DenseTask, Part, Scaler, WindowTask
from pipelines.data.protocol import LOOKBACK
from pipelines.experiments.recurrent.rows import DENSE, NetworkSettings
from pipelines.training.loop import Callback, Progress, derived_seed, fit
from pipelines.training.metrics import forecast_metrics
from pipelines.training.replicas import Replicas

EVALUATION_BATCH = 128  # windows at a time: larger is slower on a CPU, whose caches it leaves


class Forecasting:
    """A network to be trained by `settings` on the targets `train` of `dataset`; a context that ends its processes.

    Args:
        settings: of the row.
        dataset: hourly series.
        train: targets to train on; scalers are fitted on their rows alone.
        on_shrink: told the new micro-batch when memory ran out.

    Attributes:
        state: what a checkpoint holds: the parts with a ``state_dict``, by name.
        progress: where the training stands.
    """

    def __init__(
        self,
        settings: NetworkSettings,
        dataset: EnergyDataset,
        train: Part,
        on_shrink: Callable[[int], None] = lambda size: None,
    ):
        self.settings = s = settings
        self.dataset = dataset
        self.scaler = Scaler.fit(dataset, train)
        self._scaled = torch.from_numpy(self.scaler.scaled(dataset)).to(s.device)
        # Replicas are processes that share memory: a GPU needs no second one.
        replicas = s.replicas if s.device == "cpu" else 1
        torch.manual_seed(derived_seed(s.seed, "initialisation"))
        self.model = RecurrentForecaster(s.cell, s.layers, s.hidden, s.dropout)
        if s.standardise:
            rows = np.concatenate([np.arange(t.start - LOOKBACK, t.stop) for t in train])
            seen = self._scaled[torch.from_numpy(rows)].double()
            self.model.standardise(seen.mean(0).float().cpu(), seen.std(0).float().cpu())
        self.model.to(s.device)
        if s.training == DENSE:
            self.task = DenseTask(self._scaled, train, s.segment, s.burn_in, s.loss)
        else:
            self.task = WindowTask(self._scaled, train, s.loss)
        self._optimizer = torch.optim.Adam(self.model.parameters(), s.lr, (0.9, s.beta2), fused=True)
        updates = -(-self.task.items // s.batch_size) * s.epochs
        self._schedule = _onecycle(self._optimizer, s.lr, updates) if s.schedule == "onecycle" else None
        self.progress = Progress(epochs=s.epochs, updates=updates)
        self.state = {"model": self.model, "optimizer": self._optimizer}
        if self._schedule is not None:
            self.state["schedule"] = self._schedule
        self._engine = Replicas(
            self.model, self.task, s.seed, replicas, s.threads, s.precision, s.device, on_shrink
        )  # fmt: skip

    def __enter__(self) -> "Forecasting":
        return self

    def __exit__(self, *error: object) -> None:
        self._engine.close()

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Continue where `checkpoint` was taken."""
        for name, part in self.state.items():
            part.load_state_dict(saved[name])
        vars(self.progress).update(saved["progress"])

    def checkpoint(self) -> dict[str, Any]:
        """All that `restore` needs, tensors and plain values."""
        return {name: part.state_dict() for name, part in self.state.items()} | {"progress": vars(self.progress)}

    def fit(self, callbacks: Sequence[Callback] = ()) -> None:
        """Train from where `progress` stands to the end.

        Raises:
            DivergedError: NaN or infinite loss.
        """
        s = self.settings
        fit(self.task, self._engine, self._optimizer, self._schedule, s.batch_size, s.seed, self.progress, callbacks)

    def forecast(self, part: Part, precision: str = "") -> list[np.ndarray]:
        """Forecasts of the targets of `part`, MW, an array a series, by the processes that train."""
        targets = [np.arange(t.start, t.stop, t.step) for t in part]
        scaled = self._engine.outputs(np.concatenate(targets), EVALUATION_BATCH, precision or self.settings.precision)
        pieces = np.split(scaled, np.cumsum([len(t) for t in targets])[:-1])
        return [self.scaler.load(piece, series) for series, piece in enumerate(pieces)]

    def metrics(self, part: Part, precision: str = "") -> dict[str, float]:
        """Metrics of the forecasts of `part`, by name."""
        return forecast_metrics(self.forecast(part, precision), actual(self.dataset, part), self.dataset.series)

    def whole(self) -> LoadForecaster:
        """The trained network with its scaling inside, on the CPU and in evaluation mode."""
        minimum, maximum = torch.from_numpy(self.scaler.minimum), torch.from_numpy(self.scaler.maximum)
        return LoadForecaster(self.model, minimum, maximum).cpu().eval()


def actual(dataset: EnergyDataset, part: Part) -> list[np.ndarray]:
    """Loads at the targets of `part`, MW, an array a series."""
    return [dataset.values[targets.start : targets.stop : targets.step, 0] for targets in part]


def _onecycle(optimizer: torch.optim.Optimizer, lr: float, updates: int) -> torch.optim.lr_scheduler.LRScheduler:
    return torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=updates, cycle_momentum=False)
