"""A forecaster put together from a row's settings: data, network, optimiser, training and forecasts. Tracks nothing."""

from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from nnmodels.recurrent import LoadForecaster, RecurrentForecaster
from pipelines.catalogue import DENSE, LOOKBACK
from pipelines.data.energy import EnergyDataset
from pipelines.data.windows import DenseTask, Part, Scaler, WindowTask, gather
from pipelines.metrics import forecast_metrics
from pipelines.replicas import Replicas
from pipelines.training import Callback, Progress, derived_seed, fit

EVALUATION_BATCH = 256  # windows at a time: larger is slower on a CPU (caches), and takes more memory


class Forecasting:
    """A network to be trained by `settings` on the targets `train` of `dataset`.

    Args:
        settings: as from `catalogue.resolve`, with `device` and `precision`.
        dataset: hourly series.
        train: targets to train on; scalers are fitted on their rows alone.

    Attributes:
        state: what a checkpoint holds: the parts with a ``state_dict``, by name.
        progress: where the training stands.
    """

    def __init__(self, settings: Mapping[str, Any], dataset: EnergyDataset, train: Part):
        self.settings = s = SimpleNamespace(**settings)
        self.dataset = dataset
        self.scaler = Scaler.fit(dataset, train)
        self._scaled = torch.from_numpy(self.scaler.scaled(dataset)).to(s.device)
        # Replicas are processes that share memory: a GPU needs no second one.
        self._replicas = s.replicas if s.device == "cpu" else 1
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

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Continue where `checkpoint` was taken."""
        for name, part in self.state.items():
            part.load_state_dict(saved[name])
        vars(self.progress).update(saved["progress"])

    def checkpoint(self) -> dict[str, Any]:
        """All that `restore` needs, tensors and plain values."""
        return {name: part.state_dict() for name, part in self.state.items()} | {"progress": vars(self.progress)}

    def fit(self, callbacks: Sequence[Callback] = (), on_shrink: Callable[[int], None] = lambda size: None) -> None:
        """Train from where `progress` stands to the end.

        Raises:
            DivergedError: NaN or infinite loss.
        """
        s = self.settings
        engine = Replicas(
            self.model, self.task, s.seed, self._replicas, s.threads, s.precision, s.device, on_shrink
        )  # fmt: skip
        try:
            fit(self.task, engine, self._optimizer, self._schedule, s.batch_size, s.seed, self.progress, callbacks)
        finally:
            engine.close()

    def forecast(self, part: Part, precision: str = "") -> list[np.ndarray]:
        """Forecasts of the targets of `part`, MW, an array a series, with the cores that the training has."""
        s = self.settings
        torch.set_num_threads(s.threads * self._replicas)
        with torch.autocast(torch.device(s.device).type, torch.bfloat16, enabled=(precision or s.precision) == "bf16"):
            outputs = predict(self.model, self._scaled, part)
        torch.set_num_threads(s.threads)
        return [self.scaler.load(output, series) for series, output in enumerate(outputs)]

    def metrics(self, part: Part, precision: str = "") -> dict[str, float]:
        """Metrics of the forecasts of `part`, by name."""
        return forecast_metrics(self.forecast(part, precision), actual(self.dataset, part), self.dataset.series)

    def whole(self) -> LoadForecaster:
        """The trained network with its scaling inside, on the CPU and in evaluation mode."""
        minimum, maximum = torch.from_numpy(self.scaler.minimum), torch.from_numpy(self.scaler.maximum)
        return LoadForecaster(self.model, minimum, maximum).cpu().eval()


@torch.inference_mode()
def predict(model: torch.nn.Module, scaled: torch.Tensor, part: Part) -> list[np.ndarray]:
    """Scaled forecasts of the targets of `part`, an array a series, each from its own window and a zero state."""
    training = model.training
    model.eval()
    outputs = []
    for targets in part:
        items = torch.arange(targets.start, targets.stop, targets.step, device=scaled.device)
        batches = [
            model(scaled[gather(batch - LOOKBACK, LOOKBACK)], first=LOOKBACK - 1)[0]
            for batch in items.split(EVALUATION_BATCH)
        ]
        outputs.append(torch.cat(batches).cpu().numpy())
    model.train(training)
    return outputs


def actual(dataset: EnergyDataset, part: Part) -> list[np.ndarray]:
    """Loads at the targets of `part`, MW, an array a series."""
    return [dataset.values[targets.start : targets.stop : targets.step, 0] for targets in part]


def _onecycle(optimizer: torch.optim.Optimizer, lr: float, updates: int) -> torch.optim.lr_scheduler.LRScheduler:
    return torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=updates, cycle_momentum=False)
