"""Training of classifiers, for data sets without published weights or for better ones; the best is registered."""

from pathlib import Path
from typing import Any

from pipelines import names
from pipelines.data.datasets import IMAGES, available_dataset
from pipelines.data.protocol import CIFAR10
from pipelines.experiments.base import Context, changed, departures
from pipelines.experiments.pretrain.options import PretrainOptions
from pipelines.experiments.pretrain.row import run_row
from pipelines.experiments.pretrain.rows import MUON, PretrainingSettings, read_settings, resolve_pretraining
from pipelines.experiments.resnet.rows import RESNETS
from pipelines.launching.experiment import Experiment, Plan
from pipelines.launching.jobs import job
from pipelines.launching.launch import run as launch
from pipelines.training.machine import available_device, available_precision


def run(**options: Any) -> str:
    """Run the experiment from Python, with the options of the command line by name.

    A script must call it under ``if __name__ == "__main__"``, since the processes of the rows import the script.

    >>> launched = run(dataset="sample", models="resnet20", epochs=1, fraction=0.1)

    Returns:
        The id of the launch's run.

    Raises:
        UserError: before any run is made.
        FailedRunsError: rows failed.
    """
    return launch(EXPERIMENT, PretrainOptions.of(options))


def plan(options: PretrainOptions, folder: Path) -> Plan[PretrainingSettings]:
    """Plan a launch.

    Raises:
        UserError: an option is invalid, or the data are missing.
    """
    rows = options.selected.rows
    device = available_device(options.device)
    machine = {"device": device, "precision": available_precision(options.precision, device)}
    dataset = available_dataset(options.dataset, IMAGES, options.data_dir)
    given = options.overrides() | machine
    own = {row: _own(row, dataset, options) for row in rows}
    settings = [
        changed(own[row], seed=seed, fraction=options.fraction, **given)
        for row in rows
        for seed in range(options.seeds)
    ]
    return Plan(
        dataset=dataset,
        jobs=[job(each, departures(each, own[each.row])) for each in settings],
        context=Context(data_dir=options.data_dir),
        description=f"Classifiers trained on `{dataset}`: {len(rows)} model(s), {options.seeds} seed(s). Each is a "
        "nested run; the best of each model, by its validation accuracy, is the champion of its name in the model "
        "registry.",
        training=options.training,
        rows_file=options.selected.text,
    )


def _own(row: str, dataset: str, options: PretrainOptions) -> PretrainingSettings:
    """The settings of a row, without those that replace its own."""

    def of(like: str) -> PretrainingSettings:
        return resolve_pretraining(like, dataset, 0, 1.0, options.data_dir, options.training)

    own = options.selected.settings(row, of)
    assert isinstance(own, PretrainingSettings)
    return own


EXPERIMENT = Experiment(
    name="pretrain",
    options=PretrainOptions,
    rows=RESNETS,
    data=IMAGES,
    metrics=(
        names.VAL_LOSS,
        names.VAL_ACCURACY,
        names.TEST_LOSS,
        names.TEST_ACCURACY,
        *names.TEST_ACCURACY_OF_VIEWS.values(),
        names.TRAINING_TIME,
        names.IMAGES_PER_S,
    ),
    main=names.TEST_ACCURACY,
    usual=MUON,
    parameters=("lr", "muon_lr", "epochs", "batch_size", "sides", "validation", "fraction"),
    curves=(names.VAL_ACCURACY, names.TRAIN_LOSS),
    published_on=CIFAR10,
    followed_by="resnet",
    plan=plan,
    work=run_row,
    read=read_settings,
)
