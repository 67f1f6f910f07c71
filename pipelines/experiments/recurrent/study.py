"""Trials of the recurrent study: a forecaster trained on a part of the training windows, judged on those held out."""

from collections.abc import Sequence
from types import MappingProxyType

from pipelines import names
from pipelines.data.datasets import load_energy
from pipelines.data.energy.series import EnergyDataset, Part, part_size, split
from pipelines.data.energy.windows import latest, require_reach, spread
from pipelines.data.protocol import VALIDATION_FRACTION
from pipelines.experiments.data import log_data
from pipelines.experiments.recurrent.forecaster import checked, forecaster, updates
from pipelines.experiments.recurrent.rows import TrainedSettings
from pipelines.experiments.recurrent.search import SEARCH
from pipelines.experiments.study import Study
from pipelines.experiments.trial import Report, train_trial
from pipelines.tracking.run import Run
from pipelines.training.loop import Callback

# Of the windows a trial holds out, those it is judged on: 4,000, evenly spread.
VALIDATION_WINDOWS = 4000


def train_forecaster(
    run: Run, settings: TrainedSettings, data_dir: str, report: Report, watchers: Sequence[Callback] = ()
) -> float:
    """Train a recurrent forecaster. Test data are never read.

    Args:
        run: the active run, which gets the metrics of each epoch.
        settings: of the trial.
        data_dir: folder of the prepared data.
        report: see `Report`.
        watchers: see the training too.

    Returns:
        sMAPE (percent, 0-200, mean over the series) after the last epoch, on VALIDATION_WINDOWS windows of those held
        out, which are the last tenth of each series' training windows.

    Raises:
        CutShort: `report` said so.
        DivergedError: NaN or infinite loss.
    """
    dataset = load_energy(settings.dataset, data_dir)
    train, validation = forecaster_parts(dataset, settings.fraction)
    log_data(run, dataset, {"training": part_size(train), "validation": part_size(validation)})
    network = forecaster(settings, dataset, train)
    with network.training as training:

        def measure() -> dict[str, float]:
            return {names.VAL_SMAPE: network.metrics(validation)[names.SMAPE]}

        return train_trial(run, training, measure, names.VAL_SMAPE, report, watchers)


def forecaster_parts(dataset: EnergyDataset, fraction: float) -> tuple[Part, Part]:
    """The latest `fraction` (0-1] of the targets to train on, and the targets to validate on."""
    parts = split(dataset, VALIDATION_FRACTION)
    return latest(parts["train"], fraction), spread(parts["validation"], VALIDATION_WINDOWS)


def updates_of(settings: TrainedSettings, data_dir: str, is_trial: bool) -> int:
    """Number of updates of a trial with these settings, or of a training on the whole training part.

    Raises:
        UserError: the settings' fraction of the data is too little to train a forecaster on.
    """
    dataset = load_energy(settings.dataset, data_dir)
    train = forecaster_parts(dataset, settings.fraction)[0]
    return updates(settings, train if is_trial else latest(split(dataset)["train"], settings.fraction))


def _checked(settings: TrainedSettings, data_dir: str) -> TrainedSettings:
    return checked(settings)


def _require(settings: TrainedSettings, data_dir: str) -> None:
    updates_of(settings, data_dir, True)
    dataset = load_energy(settings.dataset, data_dir)
    require_reach(dataset, split(dataset, VALIDATION_FRACTION)["validation"], settings.lookback)


STUDY = Study(
    search=SEARCH,
    train=train_forecaster,
    one_process=MappingProxyType({"threads": 1, "replicas": 1}),
    has_precision=True,
    # Measured with a GRU on PJM: the best peak of OneCycle is 0.02 for 230 updates, 0.01 for 1,149 and 0.005 for 6,126,
    # whether these are of a fifth of the data or of all.
    updates=updates_of,
    require=_require,
    checked=_checked,
)
