"""The plan of a study's launch: its options, checked."""

import math
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipelines.cli.common_options import LOCAL
from pipelines.common import addresses, launcher
from pipelines.common.addresses import redacted
from pipelines.common.streams import announce
from pipelines.data.datasets import available_dataset
from pipelines.errors import UserError
from pipelines.experiments.base import Context, Settings, changed, departures
from pipelines.experiments.index import experiment_of, search_of
from pipelines.experiments.own_rows import require_all
from pipelines.experiments.spaces import TUNED, Choice, Dimension, Search
from pipelines.experiments.study import study_of
from pipelines.launching import errands
from pipelines.studies.options import TuneOptions
from pipelines.tracking.server import uri
from pipelines.training.machine import available_device, available_precision

ENTRY = "tune"
WINNER_SEEDS = 3
LR_FACTORS = (1.0, 0.5, 2.0)  # of a finalist's learning rate
BEYOND = 2  # how often the best finalist's learning rate is gone beyond, if it is the highest or lowest of its trial
RESCALED = " times the square root of the trial's number of updates over its own"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All that a worker must know of a launch, as plain data.

    Attributes:
        study: the experiment that is tuned.
        row: the row whose settings the trials change.
        own_row: of a row of the user's own its settings on the data set; None for one of the project.
        name: of the study.
        space: what is searched, as in Search.dimensions.
        dataset: name of the data set.
        n_trials: that the study has in the end.
        fraction: of the training part that a trial is trained on, (0, 1].
        finalists: how many of the best trials are trained at full length.
        storage: address of Optuna's database.
        seed: of the choices and of every trial's training.
        deadline: after which no trial is begun, by the monotonic clock, which all processes of a machine share and
            nobody sets. A copy sent to another process, which may wait in a queue, has its own machine's.
        device: "cpu" or a CUDA device.
        precision: "fp32" or "bf16"; empty for an experiment whose settings have none.
        data_dir: folder of the prepared data.
        parent: id of the launch's run.
    """

    study: str
    row: str
    name: str
    space: str
    dataset: str
    n_trials: int
    fraction: float
    finalists: int
    storage: str
    seed: int
    deadline: float
    device: str
    precision: str
    data_dir: str
    own_row: Settings | None = None
    parent: str = ""

    def __getstate__(self) -> dict[str, object]:
        # A password in the environment, which the other process has too, is not to be in a file.
        storage = "" if self.storage == os.environ.get(launcher.STORAGE) else self.storage
        return {**self.__dict__, "storage": storage, "deadline": self.deadline - time.monotonic() + time.time()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        storage = state["storage"] or os.environ[launcher.STORAGE]
        self.__dict__.update(state, storage=storage, deadline=state["deadline"] - time.time() + time.monotonic())

    @property
    def search(self) -> Search:
        """The experiment's."""
        return search_of(self.study)

    @property
    def dimensions(self) -> dict[str, Dimension]:
        """The hyperparameters that are searched, by name."""
        return self.search.dimensions(self.own, self.space)

    @property
    def own(self) -> Settings:
        """The row's own settings on the data set."""
        return self.own_row or self.search.own(self.row, self.dataset, self.data_dir)

    @property
    def changes(self) -> dict[str, Any]:
        """Logged values, by name, of a row of the user's own that are not those of the row that it is like."""
        if self.own_row is None:
            return {}
        like = self.search.own(self.own_row.like, self.dataset, self.data_dir)
        said = {"row", "like", "changes"}
        return {name: value for name, value in departures(self.own_row, like).items() if name not in said}

    @property
    def usual(self) -> dict[str, Choice]:
        """The choices that are the row's own settings, also of what is not searched."""
        return self.search.usual(self.own)

    @property
    def first(self) -> dict[str, Choice]:
        """What the first trial is given: the row's own value of each hyperparameter that is searched."""
        return {name: self.usual[name] for name in self.dimensions}

    def settings(self, chosen: Mapping[str, Choice], seed: int, fraction: float) -> Settings:
        """The settings of a trial or of the winner."""
        settings = self.search.resolve(self.own, chosen)
        machine = {"device": self.device} | ({"precision": self.precision} if self.precision else {})
        return changed(settings, seed=seed, fraction=fraction, study=self.name, **machine)

    def trial_settings(self, chosen: Mapping[str, Choice]) -> Settings:
        """The settings of a trial: all have one process and the same seed, and differ only in what is searched."""
        return changed(self.settings(chosen, self.seed, self.fraction), **study_of(self.study).one_process)

    def finalist_settings(self, chosen: Mapping[str, Choice]) -> Settings:
        """The settings of a finalist: those of a trial that is trained on all that it can be."""
        return changed(self.trial_settings(chosen), fraction=1.0)

    def lr_factor(self, chosen: Mapping[str, Choice], validated: bool) -> float:
        """What a trial's learning rate is multiplied by at full length, see Study.updates; 1 where it keeps its own.

        Args:
            chosen: of the trial.
            validated: whether the training at full length leaves out the validation part.
        """
        updates = study_of(self.study).updates
        if updates is None or "lr" not in chosen:
            return 1.0
        whole = updates(self.finalist_settings(chosen), self.data_dir, validated)
        return math.sqrt(updates(self.trial_settings(chosen), self.data_dir, True) / whole)

    @property
    def has_row(self) -> bool:
        """Whether the row is one of the finalists as it is, whatever its trial's rank; else a trial was just that."""
        return self.finalists > 0 and self.fraction < 1

    def with_lr(self, chosen: Mapping[str, Choice], factor: float) -> Mapping[str, Choice]:
        """What was chosen, the learning rate multiplied by a factor."""
        return chosen if factor == 1 else {**chosen, "lr": float(f"{float(chosen['lr']) * factor:.4g}")}


@dataclass(frozen=True, kw_only=True)
class StudyContext(Context):
    """Surroundings of a worker or finalist: the plan of the launch."""

    plan: Plan


@dataclass(frozen=True)
class Surroundings:
    """Gives the jobs of a launch its plan, as Experiment.surroundings does."""

    plan: Plan

    def __call__(self, settings: Settings, data_dir: str, folder: Path) -> StudyContext:
        """The surroundings of a job on a machine whose prepared data are in `data_dir`."""
        return StudyContext(data_dir=data_dir, plan=replace(self.plan, data_dir=data_dir))


def plan_of(options: TuneOptions) -> Plan:
    """The plan of a launch, which has no run yet.

    Raises:
        UserError: a bad option.
    """
    kind = experiment_of(options.study).data
    device = available_device(options.device)
    precision = available_precision("auto", device) if study_of(options.study).has_precision else ""
    dataset = available_dataset(options.dataset, kind, options.data_dir)
    (row,) = options.selected.rows
    study = study_of(options.study)
    own = require_all(options.selected, {row: options.own(dataset)}, lambda each: study.checked(each, options.data_dir))
    is_own = row in options.selected.own
    return Plan(
        study=options.study,
        row=row,
        own_row=own[row] if is_own else None,
        name=options.name.strip() or "-".join(filter(None, (options.study, row if is_own else options.row, dataset))),
        space=options.space,
        dataset=dataset,
        n_trials=options.n_trials,
        fraction=options.fraction,
        finalists=options.finalists,
        storage=_own_storage(_given_storage(options)),
        seed=options.seed,
        deadline=time.monotonic() + options.timeout if options.timeout else math.inf,
        device=device,
        precision=precision,
        data_dir=options.data_dir,
    )


def _given_storage(options: TuneOptions) -> str:
    """The address of Optuna's database: of the option, of the environment, or a file here.

    Raises:
        UserError: the option has a password, and `mlflow run` has logged it, or other machines are to get it.
    """
    option = options.storage
    if addresses.has_secret(option):
        if options.launcher != LOCAL:
            raise UserError(
                f"storage={redacted(option)}: launcher={options.launcher} would write its password into what it sends "
                f"to the nodes: give the address as {launcher.STORAGE} in the environment, which they get"
            )
        if "MLFLOW_RUN_ID" in os.environ:
            raise UserError(
                f"storage={redacted(option)}: `mlflow run` has logged its password in clear, as a parameter of run "
                f"{os.environ['MLFLOW_RUN_ID']}: delete that run, change the password, and give the address as "
                f"{launcher.STORAGE} in the environment"
            )
        announce(f"the list of processes shows the password in --storage; in {launcher.STORAGE} it is not seen there")
    return option or os.environ.get(launcher.STORAGE) or launcher.studies()


def require_shared(plan: Plan, name: str, apart: bool) -> None:
    """Require stores that the nodes of the launcher `name` can all use; arguments as of errands.require_shared.

    Raises:
        UserError: one is a file, which they cannot write together, or an address that each takes for its own.
    """
    errands.require_shared(name, apart)
    if addresses.sqlite_file(plan.storage):
        raise UserError(
            f"launcher={name}: storage={plan.storage} is a file, which several nodes cannot write: give a server's "
            f"database (docs/scale.md) in {launcher.STORAGE}, e.g. postgresql://host/studies"
        )
    if apart and addresses.is_of_whoever_reads_it(plan.storage):
        raise UserError(
            f"launcher={name}: storage={redacted(plan.storage)} is another machine on each of the nodes: give an "
            f"address that all of them reach in {launcher.STORAGE}, e.g. postgresql://host/studies"
        )


def _own_storage(storage: str) -> str:
    """`storage`, which must not be MLflow's: both keep a table `alembic_version`, and each would ruin the other's."""
    try:
        addresses.sqlite_file(storage)
    except ValueError as error:
        raise UserError(f"storage={redacted(storage)}: {error}") from None
    if addresses.same_place(storage, uri()):
        raise UserError(f"storage={redacted(storage)} is MLflow's own database: give another, e.g. {elsewhere()}")
    return storage


def elsewhere() -> str:
    """An address that can be given where the default cannot be used."""
    return addresses.sqlite_uri(Path.home() / "studies.db")


def description(plan: Plan) -> str:
    """The description of the launch, in markdown."""
    better = "highest" if plan.search.maximise else "lowest"
    rescaled = RESCALED if study_of(plan.study).updates else ""
    best = f"with the {better} {plan.search.metric} after its last epoch; test data take no part. At its learning rate"
    if plan.finalists:
        beyond = (
            "As long as the best has the highest or the lowest rate of its trial, one beyond is trained too, twice at "
            "most. "
            if "lr" in plan.dimensions
            else ""
        )
        row = f"Row `{plan.row}` as it is, whatever its trial's rank, is a finalist too. " if plan.has_row else ""
        judged = (
            f"The {plan.finalists} best are then trained at full length, on all of that part, for the row's own "
            "epochs: the finalists. Where the learning rate is searched, each of them is trained at that of the trial"
            f"{rescaled}, at half and at twice that. {row}{beyond}The winner is the finalist {best}"
        )
    else:
        judged = f"The winner is the trial {best}{rescaled}"
    return (
        f"**Study `{plan.name}`** of {', '.join(plan.dimensions)} on `{plan.dataset}`: {plan.n_trials} trials, each a "
        f"nested run trained on a fraction of {plan.fraction:g} of the training part less its validation part; the "
        f"first has the settings of row `{plan.row}`, and the others change them. {judged} it is trained on the whole "
        f"training part with {WINNER_SEEDS} seeds, for the row's own epochs, and tested: the runs of row `{TUNED}`."
    )
