"""A recurrent network with its data, optimiser and training, built from a row's settings. Tracks nothing."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nnmodels.recurrent import LoadForecaster, RecurrentForecaster
from pipelines.data.energy.series import EnergyDataset
from pipelines.data.energy.windows import DenseTask, Part, Scaler, WindowTask
from pipelines.data.protocol import LOOKBACK
from pipelines.experiments.recurrent.rows import DENSE, NetworkSettings
from pipelines.training.loop import Progress, derived_seed
from pipelines.training.metrics import forecast_metrics
from pipelines.training.replicas import Replicas
from pipelines.training.session import Training, one_cycle

EVALUATION_BATCH = 128  # windows at a time; larger batches exceed a CPU's caches and are slower


@dataclass(frozen=True)
class Forecaster:
    """A network in training, with the data and the scaling that its forecasts need.

    Attributes:
        settings: settings of the row.
        dataset: hourly series.
        scaler: fitted on the training part.
        training: training session of the network, on scaled loads.
    """

    settings: NetworkSettings
    dataset: EnergyDataset
    scaler: Scaler
    training: Training[RecurrentForecaster, DenseTask | WindowTask]

    def forecast(self, part: Part, precision: str = "") -> list[np.ndarray]:
        """Forecast the targets of `part`, on the processes of the training.

        Args:
            part: targets of each series.
            precision: "fp32" or "bf16"; empty for that of the settings.

        Returns:
            An array for each series, (targets,), MW.
        """
        targets = [np.arange(t.start, t.stop, t.step) for t in part]
        scaled = self.training.engine.outputs(
            np.concatenate(targets), EVALUATION_BATCH, precision or self.settings.precision
        )
        pieces = np.split(scaled, np.cumsum([len(t) for t in targets])[:-1])
        return [self.scaler.load(piece, series) for series, piece in enumerate(pieces)]

    def metrics(self, part: Part, precision: str = "") -> dict[str, float]:
        """Metrics of the forecasts of `part`, by name."""
        return forecast_metrics(self.forecast(part, precision), actual(self.dataset, part), self.dataset.series)

    def whole(self) -> LoadForecaster:
        """The trained network, including its scaling, on the CPU and in evaluation mode."""
        minimum, maximum = torch.from_numpy(self.scaler.minimum), torch.from_numpy(self.scaler.maximum)
        return LoadForecaster(self.training.model, minimum, maximum).cpu().eval()


def forecaster(settings: NetworkSettings, dataset: EnergyDataset, train: Part) -> Forecaster:
    """Build the network of `settings`, to be trained on the targets `train` of `dataset`.

    The scaler is fitted on the training part only.

    Raises:
        UserError: the series are too short for dense training.
    """
    s = settings
    scaler = Scaler.fit(dataset, train)
    scaled = torch.from_numpy(scaler.scaled(dataset)).to(s.device)
    model = _network(s, scaled, train)
    task: DenseTask | WindowTask
    if s.training == DENSE:
        task = DenseTask(scaled, train, s.segment, s.burn_in, s.loss)
    else:
        task = WindowTask(scaled, train, s.loss)
    optimizer = torch.optim.Adam(model.parameters(), s.lr, (0.9, s.beta2), fused=True)
    progress = Progress.planned(task.items, s.batch_size, s.epochs)
    training: Training[RecurrentForecaster, DenseTask | WindowTask] = Training(
        model=model,
        task=task,
        # Replicas are processes that share memory: a GPU needs no second one.
        engine=Replicas(model, task, s.seed, s.replicas if s.device == "cpu" else 1, s.threads, s.precision, s.device),
        optimizer=optimizer,
        schedule=one_cycle(optimizer, s.lr, progress.updates) if s.schedule == "onecycle" else None,
        batch_size=s.batch_size,
        seed=s.seed,
        progress=progress,
    )
    return Forecaster(settings, dataset, scaler, training)


def actual(dataset: EnergyDataset, part: Part) -> list[np.ndarray]:
    """Loads at the targets of `part`: an array for each series, (targets,), MW."""
    return [dataset.values[targets.start : targets.stop : targets.step, 0] for targets in part]


def _network(s: NetworkSettings, scaled: Tensor, train: Part) -> RecurrentForecaster:
    """Build the network with initial weights drawn by the seed, on the device of the settings."""
    torch.manual_seed(derived_seed(s.seed, "initialisation"))
    model = RecurrentForecaster(s.cell, s.layers, s.hidden, s.dropout)
    if s.standardise:
        rows = np.concatenate([np.arange(t.start - LOOKBACK, t.stop) for t in train])
        seen = scaled[torch.from_numpy(rows)].double()
        model.standardise(seen.mean(0).float().cpu(), seen.std(0).float().cpu())
    return model.to(s.device)
