"""A network with its data, optimiser and training, built from a row's settings. Tracks nothing."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from nnmodels.recurrent import LoadForecaster, RecurrentForecaster, StepForecaster
from nnmodels.relative import Encoder, Encoding, LagForecaster, RawForecaster, Recurrence, RelativeForecaster
from pipelines.data.energy.series import EnergyDataset, Part
from pipelines.data.energy.windows import DenseTask, Scaler, WindowTask, covered_rows
from pipelines.data.protocol import FEATURES, LOOKBACK
from pipelines.errors import UserError
from pipelines.experiments.own_models import build, known, require_trainable
from pipelines.experiments.recurrent import relative
from pipelines.experiments.recurrent.relative import RelativeTask
from pipelines.experiments.recurrent.rows import (
    DENSE,
    OwnNetworkSettings,
    RelativeSettings,
    ReportSettings,
    TrainedSettings,
)
from pipelines.training.average import WeightAverage
from pipelines.training.distributed import engine
from pipelines.training.loop import Progress, derived_seed
from pipelines.training.metrics import forecast_metrics
from pipelines.training.session import Training, one_cycle

EPS = 1e-8  # of Adam, torch's
EVALUATION_BATCH = 128  # windows at a time; larger batches exceed a CPU's caches and are slower


Network = RecurrentForecaster | StepForecaster | RelativeForecaster | LagForecaster
Tasks = DenseTask | WindowTask | RelativeTask


@dataclass(frozen=True)
class Forecaster:
    """A network in training, with what turns its outputs into loads.

    Attributes:
        settings: settings of the row.
        dataset: hourly series.
        training: training session of the network.
        load: function of outputs of the network (n,) and the number of their series; returns loads, (n,) MW.
        whole: returns the trained network with everything that it needs to forecast from raw windows, on the CPU and in
            evaluation mode.
        precision: of evaluations, "fp32" or "bf16".
        window: function of a target's row and the number of its series; returns the input of that for this target.
    """

    settings: TrainedSettings
    dataset: EnergyDataset
    training: Training[Network, Tasks]
    load: Callable[[np.ndarray, int], np.ndarray]
    whole: Callable[[], nn.Module]
    window: Callable[[int, int], np.ndarray]
    precision: str

    def forecast(self, part: Part, precision: str = "") -> list[np.ndarray]:
        """Forecast the targets of `part`, on the processes of the training.

        Args:
            part: targets of each series.
            precision: "fp32" or "bf16"; empty for the forecaster's own.

        Returns:
            An array for each series, (targets,), MW.
        """
        with self.training.averaged():
            outputs = self.training.engine.outputs(np.concatenate(part), EVALUATION_BATCH, precision or self.precision)
        pieces = np.split(outputs, np.cumsum([len(targets) for targets in part])[:-1])
        return [self.load(piece, series) for series, piece in enumerate(pieces)]

    def metrics(self, part: Part, precision: str = "") -> dict[str, float]:
        """Metrics of the forecasts of `part`, by name."""
        return forecast_metrics(self.forecast(part, precision), actual(self.dataset, part), self.dataset.series)


def forecaster(settings: TrainedSettings, dataset: EnergyDataset, train: Part) -> Forecaster:
    """Build the network of `settings`, to be trained on the targets `train` of `dataset`.

    Whatever is fitted to the data is fitted to the training part only.

    Raises:
        UserError: the series are too short for the segments.
    """
    if isinstance(settings, RelativeSettings):
        return _relative(settings, dataset, train)
    s = settings
    scaler = Scaler.fit(dataset, train)
    scaled = torch.from_numpy(scaler.scaled(dataset)).to(s.device)
    model = _stepwise(s) if isinstance(s, OwnNetworkSettings) else _recurrent(s, scaled, train)
    task: DenseTask | WindowTask
    if s.training == DENSE:
        task = DenseTask(scaled, train, s.segment, s.burn_in, s.loss)
    else:
        task = WindowTask(scaled, train, s.loss)

    def whole() -> nn.Module:
        minimum, maximum = torch.from_numpy(scaler.minimum), torch.from_numpy(scaler.maximum)
        return LoadForecaster(model, minimum, maximum).cpu().eval()

    def window(target: int, series: int) -> np.ndarray:
        return np.column_stack([dataset.values[target - LOOKBACK : target], np.full(LOOKBACK, series, np.float32)])

    return Forecaster(s, dataset, _training(s, model, task), scaler.load, whole, window, s.precision)


def updates(settings: TrainedSettings, train: Part) -> int:
    """Number of updates of a training on `train`, targets of each series; the data are not read.

    Raises:
        UserError: there are too few for one segment.
    """
    s = settings
    task: Tasks
    if isinstance(s, RelativeSettings):
        task = RelativeTask(torch.empty(0), train, s.lookback, s.history, s.segment, s.burn_in, s.loss)
    elif s.training == DENSE:
        task = DenseTask(torch.empty(0), train, s.segment, s.burn_in, s.loss)
    else:
        task = WindowTask(torch.empty(0), train, s.loss)
    return Progress.planned(task.items, s.batch_size, s.epochs).updates


def actual(dataset: EnergyDataset, part: Part) -> list[np.ndarray]:
    """Loads at the targets of `part`: an array for each series, (targets,), MW."""
    return [dataset.values[targets, 0] for targets in part]


def _relative(s: RelativeSettings, dataset: EnergyDataset, train: Part) -> Forecaster:
    """Build a network of relative changes, whose outputs are loads in MW already."""
    encoder = Encoder(encoding_of(s), relative.scales(dataset, train), relative.days(dataset))
    torch.manual_seed(derived_seed(s.seed, "initialisation"))
    model = network_of(s, encoder).to(s.device)
    hours = relative.raw_hours(dataset).to(s.device)
    task = RelativeTask(hours, train, s.lookback, s.history, s.segment, s.burn_in, s.loss)
    average = WeightAverage(model, s.average) if s.average else None
    training = _training(s, model, task, average, s.weight_decay, s.warm_up, max(1, len(s.members)))
    return Forecaster(
        s,
        dataset,
        training,
        load=lambda load, series: load,
        whole=lambda: RawForecaster(model.cpu(), s.lookback).eval(),
        window=lambda target, series: hours[target - s.lookback : target + 1].cpu().numpy(),
        # bf16 is as slow for so small a network, and moves a forecast by up to 0.03 %, where the error is 0.6 %.
        precision="fp32",
    )


def encoding_of(s: RelativeSettings) -> Encoding:
    """What the network of `s` takes in and gives out."""
    return Encoding(s.target, s.calendar, s.lags, s.identity)


def network_of(s: RelativeSettings, encoder: Encoder) -> RelativeForecaster | LagForecaster:
    """The network of `s`, with initial weights from torch's global generator."""
    if s.cell == "MLP":
        return LagForecaster(s.lookback, (s.hidden,) * s.layers + (s.head,), encoder)
    cells = s.members or (s.cell,)
    members = [Recurrence(encoder.width, cell, s.layers, s.hidden, s.dropout, s.head) for cell in cells]
    return RelativeForecaster(encoder, members)


def _training(
    s: TrainedSettings,
    model: Network,
    task: Tasks,
    average: WeightAverage | None = None,
    weight_decay: float = 0.0,
    warm_up: float = 0.3,
    members: int = 1,
) -> Training[Network, Tasks]:
    """The training of `model`; the loss is the mean over its `members`, of which each learns as it would alone."""
    progress = Progress.planned(task.items, s.batch_size, s.epochs)
    # Loshchilov and Hutter's decay apart from the gradient; without any it is Adam.
    # The steps depend on the size of the gradients by eps alone, and those of a member are divided by their number.
    optimizer = torch.optim.AdamW(
        model.parameters(), s.lr, (0.9, s.beta2), EPS / members, weight_decay=weight_decay, fused=True
    )
    return Training(
        model=model,
        task=task,
        # Replicas are processes that share memory: a GPU needs no second one.
        engine=engine(model, task, s.seed, s.replicas if s.device == "cpu" else 1, s.threads, s.precision, s.device),
        optimizer=optimizer,
        schedule=one_cycle(optimizer, progress.updates, warm_up) if s.schedule == "onecycle" else None,
        batch_size=s.batch_size,
        seed=s.seed,
        progress=progress,
        average=average,
    )


def checked(settings: TrainedSettings) -> TrainedSettings:
    """The settings of a row of the user's own, of which it is known that a model of its own takes a batch.

    Raises:
        UserError: it does not, or looks ahead where it is trained on every hour of a segment.
    """
    if not isinstance(settings, OwnNetworkSettings):
        return settings
    s = settings
    for hours in dict.fromkeys((LOOKBACK, s.segment or LOOKBACK)):
        example = torch.rand(hours, 2, len(FEATURES))
        model = require_trainable(s, example, example.shape[:2], "forecasts (hours, windows)", s.replicas)
    if s.training == DENSE:
        later = example.clone()
        later[-1] += 1
        with torch.no_grad():
            before, after = (model.eval()(each)[:-1] for each in (example, later))
        if not torch.allclose(before, after, atol=1e-5):
            raise UserError(
                f"model: {s.model} looks ahead: what it forecasts after an hour depends on later ones, which are its "
                "targets in dense training; have it depend on earlier hours alone, or give --training window"
            )
    return known(s)


def _stepwise(s: OwnNetworkSettings) -> StepForecaster:
    """Build the user's own network, as `_recurrent` does."""
    torch.manual_seed(derived_seed(s.seed, "initialisation"))
    return StepForecaster(build(s, torch.zeros(s.segment or LOOKBACK, 2, len(FEATURES)))).to(s.device)


def _recurrent(s: TrainedSettings, scaled: Tensor, train: Part) -> RecurrentForecaster:
    """Build the network with initial weights drawn by the seed, on the device of the settings."""
    assert isinstance(s, ReportSettings)
    torch.manual_seed(derived_seed(s.seed, "initialisation"))
    model = RecurrentForecaster(s.cell, s.layers, s.hidden, s.dropout)
    if s.standardise:
        rows = np.concatenate([covered_rows(targets) for targets in train])
        seen = scaled[torch.from_numpy(rows)].double()
        model.standardise(seen.mean(0).float().cpu(), seen.std(0).float().cpu())
    return model.to(s.device)
