"""Optuna studies of learning rate and depth, on validation data only; the winner is then trained and tested.

A launch is a parent run, a trial a nested run, beside its trial in Optuna's own storage. Of the ready bridges between
the two, Optuna's callback is deprecated and MLflow's storage neither resumes nor enqueues.
"""

import math
import os
import shlex
import sqlite3
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
from optuna.exceptions import ExperimentalWarning
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from pipelines import figures, names
from pipelines.common import addresses, launcher, locks, server
from pipelines.common.addresses import redacted
from pipelines.common.files import file_name
from pipelines.common.streams import announce
from pipelines.data.datasets import IMAGES, LOAD, available_dataset, find, known
from pipelines.errors import AwayError, FailedRunsError, Interrupted, UserError
from pipelines.experiments.ablation import experiment as ablation
from pipelines.experiments.ablation.row import run_row as run_classifier
from pipelines.experiments.ablation.study import train_classifier
from pipelines.experiments.base import Context, changed
from pipelines.experiments.recurrent import experiment as recurrent
from pipelines.experiments.recurrent.row import run_row as run_forecaster
from pipelines.experiments.recurrent.study import require_enough_windows, train_forecaster
from pipelines.experiments.spaces import (
    IMPORTANCE_TRIALS,
    TUNED,
    Depending,
    Dimension,
    LogUniform,
    OneOf,
    Steps,
    Study,
    Whole,
)
from pipelines.experiments.studies import STUDIES, TunedSettings, resolve_tuned
from pipelines.launching.jobs import Job, Work
from pipelines.launching.launch import launch
from pipelines.launching.local import fan_out
from pipelines.launching.processes import run_workers
from pipelines.launching.summary import finished_rows, sum_up, tell
from pipelines.processes import identity, liveness
from pipelines.studies.options import TuneOptions
from pipelines.tracking import unsent
from pipelines.tracking.artifacts import log_figure, log_table
from pipelines.tracking.run import KILLED, CutShort, Run
from pipelines.tracking.server import connect, uri
from pipelines.training.loop import derived_seed
from pipelines.training.machine import available_device, available_precision
from pipelines.training.progress import ProgressBar

ENTRY = "tune"
STORAGE_VARIABLE = "OPTUNA_STORAGE"  # Optuna's own tools read it too
WINNER_SEEDS = 3
STARTUP_TRIALS = 10  # drawn at random before the sampler goes by what it has seen
REFRESH_S = 30  # between two drawings of the figures
FIRST_LOCK_S = 10  # that a locked database is waited for before a launch
HEARTBEAT_S, GRACE_S = 5, 30  # a trial without a sign of life for so long is given to another worker, once

# Keys of what a study remembers.
_RECIPE, _WORKERS, _RETRAINED = "recipe", "workers", "retrained"
_RUN, _PROCESS = "run_id", "process"  # of a trial


@dataclass(frozen=True)
class _Kind:
    """Kind of data that a study is about, and how its winner is trained and shown."""

    data: str
    work: Work
    shown: tuple[str, ...]
    main: str
    has_precision: bool


_KINDS = {
    "recurrent": _Kind(LOAD, run_forecaster, recurrent.EXPERIMENT.metrics, names.SMAPE_REPORT, True),
    "ablation": _Kind(IMAGES, run_classifier, ablation.EXPERIMENT.metrics, names.TEST_ACCURACY, False),
}


TRAIN = {"recurrent": train_forecaster, "ablation": train_classifier}


@dataclass(frozen=True)
class Plan:
    """All that a worker must know of a launch, as plain data.

    `deadline` is by the monotonic clock, which all processes of a machine share and nobody sets.
    """

    study: str
    name: str
    space: str
    dataset: str
    n_trials: int
    fraction: float
    storage: str
    seed: int
    deadline: float
    machine: Mapping[str, str]
    data_dir: str
    parent: str = ""

    @property
    def definition(self) -> Study:
        """The catalogue's."""
        return STUDIES[self.study]

    @property
    def dimensions(self) -> dict[str, Dimension]:
        """What is searched."""
        return self.definition.dimensions(self.space)

    def settings(self, chosen: Mapping[str, Any], seed: int, fraction: float, **overrides: Any) -> TunedSettings:
        """Of a trial or the winner."""
        settings = resolve_tuned(self.study, self.dataset, seed, fraction, chosen, self.data_dir)
        return changed(settings, study=self.name, **self.machine, **overrides)

    def trial_settings(self, chosen: Mapping[str, Any]) -> TunedSettings:
        """Of a trial: the same seed for all, so that they differ in what is searched alone, and one process."""
        single = {"replicas": 1} if self.study == "recurrent" else {}
        return self.settings(chosen, self.seed, self.fraction, threads=1, **single)


def run(options: TuneOptions, within: Run | None = None) -> None:
    """Run the entry point.

    Args:
        options: as given.
        within: the run of a larger launch that this one belongs to.

    Raises:
        UserError: before any run is made.
        FailedRunsError: no trial has a result, or the winner's training failed.
    """
    plan = _plan(options)
    kind = _KINDS[plan.study]
    digest = find(plan.dataset, kind.data).load(plan.data_dir).digest
    if plan.study == "recurrent":
        require_enough_windows(plan.trial_settings({}), plan.data_dir)
    connect()
    study = _open(plan, digest)
    tags = {names.ENTRY: ENTRY, names.STUDY: plan.name, names.DATASET: plan.dataset, names.DATA_DIGEST: digest}
    with launch(ENTRY, f"{ENTRY} {plan.name}", tags, options, _description(plan), within) as parent:
        plan = Plan(**{**vars(plan), "parent": parent.id})
        _search(plan, study, parent, options.workers)
        _retrain(plan, study, parent)


def _plan(options: TuneOptions) -> Plan:
    """The options, checked.

    Raises:
        UserError: a bad one.
    """
    kind, definition = _KINDS[options.study], STUDIES[options.study]
    choices = sorted(["auto", *known(kind.data)])
    if options.dataset not in choices:
        raise UserError(f"dataset={options.dataset}: study={options.study} has {', '.join(choices)}; give one of these")
    try:
        definition.dimensions(options.space)
    except KeyError as error:
        raise UserError(
            f"space={options.space}: unknown {error}; known are default, wide, and of {', '.join(definition.space)} "
            "any, comma separated"
        ) from None
    device = available_device(options.device)
    machine = {"device": device}
    if kind.has_precision:
        machine["precision"] = available_precision("auto", device)
    dataset = available_dataset(options.dataset, kind.data, options.data_dir)
    return Plan(
        study=options.study,
        name=options.name.strip() or f"{options.study}-{dataset}",
        space=options.space,
        dataset=dataset,
        n_trials=options.n_trials,
        fraction=options.fraction,
        storage=_own_storage(_given_storage(options.storage)),
        seed=options.seed,
        deadline=time.monotonic() + options.timeout if options.timeout else math.inf,
        machine=machine,
        data_dir=options.data_dir,
    )


def _given_storage(option: str) -> str:
    """The address of Optuna's database: of the option, of the environment, or a file here.

    Raises:
        UserError: the option has a password, and `mlflow run` has logged it.
    """
    if addresses.has_secret(option):
        if "MLFLOW_RUN_ID" in os.environ:
            raise UserError(
                f"storage={redacted(option)}: `mlflow run` has logged its password in clear, as a parameter of run "
                f"{os.environ['MLFLOW_RUN_ID']}: delete that run, change the password, and give the address as "
                f"{STORAGE_VARIABLE} in the environment"
            )
        announce(f"the list of processes shows the password in --storage; in {STORAGE_VARIABLE} it is not seen there")
    return option or os.environ.get(STORAGE_VARIABLE) or launcher.studies()


def _own_storage(storage: str) -> str:
    """`storage`, which must not be MLflow's: both keep a table `alembic_version`, and each would ruin the other's."""
    try:
        addresses.sqlite_file(storage)
    except ValueError as error:
        raise UserError(f"storage={redacted(storage)}: {error}") from None
    if addresses.same_place(storage, uri()):
        raise UserError(f"storage={redacted(storage)} is MLflow's own database: give another, e.g. {_elsewhere()}")
    return storage


def _elsewhere() -> str:
    """An address that can be given where the default cannot be used."""
    return addresses.sqlite_uri(Path.home() / "studies.db")


def _description(plan: Plan) -> str:
    better = "highest" if plan.definition.maximise else "lowest"
    return (
        f"**Study `{plan.name}`** of {', '.join(plan.dimensions)} on `{plan.dataset}`: {plan.n_trials} trials, each a "
        f"nested run trained on a fraction of {plan.fraction:g} of the training part less its validation part. The "
        f"winner is the trial with the {better} {plan.definition.metric} after its last epoch; test data take no part. "
        f"It is then trained on the whole training part with {WINNER_SEEDS} seeds, for the report's row's own epochs, "
        f"and tested: the runs of row `{TUNED}`."
    )


# Optuna's storage.


@contextmanager
def _quiet() -> Iterator[None]:
    """Optuna calls its heartbeat experimental."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield


def _lock(plan: Plan, doing: str) -> AbstractContextManager[None]:
    """Held by one process at a time, for one study and what is done."""
    purpose = f"{doing.partition(' ')[0]}-{file_name(plan.name)}"
    return locks.of_database(plan.storage, f"{doing} {plan.name}", purpose)


def _first_use(plan: Plan) -> AbstractContextManager[None]:
    """Held by one process at a time: several that make Optuna's tables, or the same study, at once crash."""
    return locks.of_database(plan.storage, "open the database of studies", limit=locks.FIRST_USE_S)


class _Storage(RDBStorage):
    """Looks twice before a trial is taken for silent: until its next sign of life, a clock set forward makes all so."""

    def _get_stale_trial_ids(self, study_id: int) -> list[int]:
        stale = super()._get_stale_trial_ids(study_id)
        if not stale:
            return stale
        time.sleep(HEARTBEAT_S + 1)
        still = super()._get_stale_trial_ids(study_id)
        return [trial for trial in stale if trial in still]


def _require_unlocked(plan: Plan) -> None:
    """Refuses an SQLite file that another process keeps locked; for work, whose locks are short, patience is longer.

    Raises:
        UserError: it does so for FIRST_LOCK_S.
    """
    file = addresses.sqlite_file(plan.storage)
    if not file or not file.is_file():
        return
    try:
        with closing(sqlite3.connect(file, timeout=FIRST_LOCK_S, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
    except sqlite3.OperationalError as error:
        if "locked" not in str(error):
            return  # opening it tells more
        raise UserError(
            f"storage={redacted(plan.storage)} has been locked by another process for {FIRST_LOCK_S} s: end that one "
            f"(fuser {shlex.quote(str(file))} names it), or give another, e.g. {_elsewhere()}"
        ) from error
    except sqlite3.Error:
        return


def _storage(plan: Plan) -> RDBStorage:
    """Connects.

    Raises:
        UserError: it cannot be reached.
    """
    engine = {"connect_args": {"timeout": 60}} if plan.storage.startswith("sqlite") else {}
    try:
        server.require_database(plan.storage)
        with _first_use(plan), _quiet():
            return _Storage(
                plan.storage,
                engine_kwargs=engine,
                heartbeat_interval=HEARTBEAT_S,
                grace_period=GRACE_S,
                heartbeat_stale_trial_callback=_give_to_another,
            )
    except UserError:
        raise
    except Exception as error:
        reason = getattr(error, "reason", "") or redacted(str(error).splitlines()[0])
        raise UserError(
            f"storage={redacted(plan.storage)} cannot be opened ({reason}): start its server, install "
            f"its driver, or give a file that can be written, e.g. {_elsewhere()}"
        ) from error


def _give_to_another(study: optuna.Study, trial: FrozenTrial) -> None:
    """A trial's worker is gone: its run is KILLED, and the same hyperparameters are tried once more."""
    run_id = trial.user_attrs.get(_RUN)
    if run_id:
        # The runs may be on another server than this launch's.
        with suppress(UserError):
            run = Run.existing(run_id)
            if run.status == "RUNNING":
                run.end(KILLED)
    trial.user_attrs = {}
    with _quiet():
        RetryHeartbeatStaleTrialCallback(max_retry=1)(study, trial)


def _open(plan: Plan, digest: str) -> optuna.Study:
    """The study of this name, new or as it was left.

    Raises:
        UserError: it is of another experiment, space, or data.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    _require_unlocked(plan)
    storage = _storage(plan)
    recipe = {
        "study": plan.study,
        "dataset": plan.dataset,
        "data": digest[:16],
        "fraction": plan.fraction,
        "space": {name: repr(dimension) for name, dimension in plan.dimensions.items()},
    }
    direction = "maximize" if plan.definition.maximise else "minimize"
    with _first_use(plan):
        study = optuna.create_study(
            storage=storage, study_name=plan.name, direction=direction, load_if_exists=True
        )  # fmt: skip
        if study.direction.name.lower() != direction:
            raise UserError(f"name={plan.name}: that study is to {study.direction.name.lower()}; give another name")
        if not study.trials and _RECIPE not in study.user_attrs:
            study.set_user_attr(_RECIPE, recipe)
    before = study.user_attrs.get(_RECIPE)
    if before is None:
        raise UserError(f"name={plan.name}: there is a study of that name from elsewhere; give another name")
    differences = [f"{key} was {before.get(key)}" for key, value in recipe.items() if before.get(key) != value]
    if differences:
        raise UserError(
            f"name={plan.name}: not the study that is in {redacted(plan.storage)}, whose "
            f"{'; '.join(differences)}; give another name, or what it was"
        )
    return study


class _EnoughError(Exception):
    """No further trial is to be begun."""


class _GivenUpError(BaseException):
    """No run can be made for a trial: none of the trials that are left is to be taken for failed."""


class _Claiming(optuna.Study):
    """A study whose trials are begun one at a time, so that as many are run as were asked for, whoever runs them."""

    def __init__(self, plan: Plan, sampler: optuna.samplers.BaseSampler, pruner: optuna.pruners.BasePruner):
        super().__init__(plan.name, _storage(plan), sampler, pruner)
        self._plan = plan

    def ask(self, fixed_distributions: dict[str, Any] | None = None) -> optuna.Trial:
        """The next trial: one that waits, or a new one."""
        with _lock(self._plan, "choose a trial of"):
            if time.monotonic() > self._plan.deadline or _begun(self) >= self._plan.n_trials:
                raise _EnoughError
            return super().ask(fixed_distributions)


def _begun(study: optuna.Study) -> int:
    """Trials that have ended or run, without those that another has taken the place of."""
    trials = study.get_trials(deepcopy=False)
    with _quiet():
        replaced = {number for trial in trials for number in RetryHeartbeatStaleTrialCallback.retry_history(trial)}
    return sum(trial.state != TrialState.WAITING and trial.number not in replaced for trial in trials)


# What a worker does.


def work(plan: Plan, worker: int, slot: int) -> None:
    """Run trials until there are enough.

    Args:
        plan: of the launch.
        worker: number that no other worker of the study has had, on which its random choices depend.
        slot: the line of its progress bar, from 0.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    epochs = plan.trial_settings({}).epochs
    # TPE with its defaults: multivariate, and away from the trials that run. A seed of its own: a resumed study or
    # another worker with the same one would draw the same first trials again.
    sampler = optuna.samplers.TPESampler(
        n_startup_trials=STARTUP_TRIALS, seed=derived_seed(plan.seed, plan.name, worker) % 2**32
    )
    # A trial worse than the median of the others at that epoch is given up, but not before a third of its epochs.
    pruner = optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=epochs // 3 + 1)
    study = _Claiming(plan, sampler, pruner)

    def objective(trial: optuna.Trial) -> float:
        try:
            return _run_trial(plan, trial, slot)
        except CutShort as cut:
            raise optuna.TrialPruned(str(cut)) from cut
        except (Interrupted, _GivenUpError):
            # Optuna looks after exceptions only. What was begun is done again when the study goes on.
            study.tell(trial.number, state=TrialState.FAIL)
            _give_to_another(study, study.get_trials()[trial.number])
            raise

    try:
        with suppress(_EnoughError):
            while True:
                study.optimize(objective, n_trials=1, catch=(Exception,))
    except _GivenUpError as away:
        raise AwayError(str(away)) from away


def _run_trial(plan: Plan, trial: optuna.Trial, slot: int) -> float:
    chosen = {}
    for name, dimension in plan.dimensions.items():
        chosen[name] = _suggest(trial, name, dimension, {**plan.definition.fixed, **chosen})
    settings = plan.trial_settings(chosen)
    tags = {
        names.ENTRY: ENTRY,
        names.STUDY: plan.name,
        names.TRIAL: trial.number,
        names.DATASET: plan.dataset,
        names.TRAINING: settings.training,
        names.DESCRIPTION: f"Trial {trial.number} of study `{plan.name}`: "
        + ", ".join(f"{name} {_short(value)}" for name, value in chosen.items()),
    }
    try:
        run = Run(plan.parent).child(f"trial-{trial.number}", {key: str(value) for key, value in tags.items()})
    except AwayError as error:
        raise _GivenUpError(str(error)) from error
    trial.set_user_attr(_RUN, run.id)
    trial.set_user_attr(_PROCESS, identity.own().tags)
    run.log_params({**settings.params(), **chosen})

    def report(epoch: int, value: float) -> bool:
        trial.report(value, epoch)
        return trial.should_prune()

    # A bar for each of the trials under way; in a log, a line when one has ended is enough.
    watchers = [ProgressBar(f"trial {trial.number}", slot)] if os.isatty(2) else []
    with unsent.announced(), run.active():
        value = TRAIN[plan.study](run, settings, plan.data_dir, report, watchers)
        run.log_metrics({names.OBJECTIVE: value})
    return value


def _suggest(trial: optuna.Trial, name: str, dimension: Dimension, chosen: Mapping[str, Any]) -> Any:
    match dimension:
        case LogUniform(low, high):
            return trial.suggest_float(name, low, high, log=True)
        case Steps(low, high, step):
            return _rounded(dimension, trial.suggest_float(name, low, high, step=step))
        case Whole(low, high):
            return trial.suggest_int(name, low, high)
        case OneOf(options):
            return trial.suggest_categorical(name, options)
        case Depending(on, cases):
            return _suggest(trial, name, cases[chosen[on]], chosen)


def _rounded(dimension: Dimension, value: Any) -> Any:
    """Without the 2e-17 that a sum of steps may have too much."""
    return round(value, 10) if isinstance(dimension, Steps) else value


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


# What the launch does.


def _search(plan: Plan, study: optuna.Study, parent: Run, workers: int) -> None:
    """Run workers until the study has its trials, and show how far it is.

    Raises:
        FailedRunsError: the workers fail without having begun a trial.
    """
    monitor = _Monitor(plan, study, parent)
    while True:
        begun = _begun(study)
        codes = run_workers(parent, work, _workers(plan, study, workers), monitor.look, every_s=2)
        # One that was killed has left a trial, which is given to another when it has been silent for long enough.
        _await_running(study, monitor)
        if _begun(study) >= plan.n_trials or time.monotonic() > plan.deadline:
            break
        if any(codes) and _begun(study) <= begun:
            raise FailedRunsError(f"all {workers} worker(s) of the study failed before a trial, see the lines above")
    monitor.draw()
    if note := importance_note(study, plan.dimensions):
        announce(note)
        parent.set_tags({names.DESCRIPTION: f"{parent.tags[names.DESCRIPTION]}\n\n{note}"})
    if time.monotonic() > plan.deadline:
        announce(f"timeout: {_begun(study)} of {plan.n_trials} trials; the same command with another timeout goes on")


def _workers(plan: Plan, study: optuna.Study, count: int) -> list[tuple[Plan, int, int]]:
    """Arguments of `work`, with numbers that the study has not had."""
    with _first_use(plan):
        first = study.user_attrs.get(_WORKERS, 0)
        study.set_user_attr(_WORKERS, first + count)
    return [(plan, first + slot, slot) for slot in range(count)]


def _await_running(study: optuna.Study, monitor: "_Monitor") -> None:
    """Return when no trial runs, be it another launch's or one whose worker is gone."""
    first_seen: dict[int, float] = {}
    while running := study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        with _quiet():
            optuna.storages.fail_stale_trials(study)
        for trial in running:
            seen = first_seen.setdefault(trial.number, time.monotonic())
            if _is_orphan(trial, time.monotonic() - seen):
                # Another launch may have seen it, too.
                with suppress(optuna.exceptions.UpdateFinishedTrialError):
                    study.tell(trial.number, state=TrialState.FAIL)
                    _give_to_another(study, study.get_trials()[trial.number])
        time.sleep(1)
        monitor.look()


def _is_orphan(trial: FrozenTrial, seen_s: float) -> bool:
    """Whether a running trial's worker is surely gone, or was before its first sign of life, which Optuna waits for."""
    if _RUN not in trial.user_attrs:
        return seen_s > 2 * GRACE_S
    process = identity.Identity.of(trial.user_attrs.get(_PROCESS, {}))
    return liveness.fate(process).state == liveness.GONE


class _Monitor:
    """Tells of each trial that ends, and keeps the launch's run up to date."""

    def __init__(self, plan: Plan, study: optuna.Study, parent: Run):
        self._plan, self._study, self._parent = plan, study, parent
        self._began = time.monotonic()
        self._drawn = -math.inf
        self._told = {trial.number for trial in study.get_trials(deepcopy=False) if trial.state.is_finished()}
        self._before = len(self._told)

    def look(self) -> None:
        """Tell of the trials that have ended, and draw now and then."""
        ended = [trial for trial in self._study.get_trials(deepcopy=False) if trial.state.is_finished()]
        new = [trial for trial in ended if trial.number not in self._told]
        if not new:
            return
        self._told |= {trial.number for trial in new}
        best = _best(self._study)
        if best:
            self._parent.log_metrics({names.best_found(self._plan.definition.metric): best.value}, step=len(ended))
            self._parent.flush()
        for trial in new:
            announce(self._line(trial, best))
        if time.monotonic() - self._drawn > REFRESH_S:
            self.draw()

    def _line(self, trial: FrozenTrial, best: FrozenTrial | None) -> str:
        last = trial.intermediate_values.get(trial.last_step, math.nan) if trial.value is None else trial.value
        seconds = time.monotonic() - self._began
        left = (self._plan.n_trials - len(self._told)) * seconds / (len(self._told) - self._before)
        return (
            f"trial {trial.number} {trial.state.name.lower()}: {self._plan.definition.metric} {last:.4f}, "
            + ", ".join(f"{name} {_short(value)}" for name, value in trial.params.items())
            + (f"; best {best.value:.4f} of trial {best.number}" if best else "")
            + f"; {len(self._told)}/{self._plan.n_trials}, about {max(0, left):.0f} s left"
        )

    def draw(self) -> None:
        """Log the trials as tables and figures, each over the one before."""
        self._drawn = time.monotonic()
        trials, values = _tables(self._plan, self._study)
        log_table(self._parent, trials, names.TRIALS)
        log_table(self._parent, values, names.TRIAL_VALUES)
        importances = _importances(self._study)
        if len(importances):
            log_table(self._parent, importances, names.IMPORTANCES)
        draw_study(self._parent, self._plan.definition, list(self._plan.dimensions), trials, values, importances)


def _best(study: optuna.Study) -> FrozenTrial | None:
    """The best trial with a finite result that was not given up, or None; the first of equals."""
    done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    finite = [trial for trial in done if math.isfinite(trial.value)]
    choose = max if study.direction == StudyDirection.MAXIMIZE else min
    return choose(finite, key=lambda trial: trial.value, default=None)


def _tables(plan: Plan, study: optuna.Study) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A line for each trial, and one for each value reported."""
    metric, trials = plan.definition.metric, study.get_trials(deepcopy=False)
    with _quiet():
        lines = [
            {
                "trial": trial.number,
                "state": trial.state.name,
                metric: trial.value,
                "epochs": len(trial.intermediate_values),
                "seconds": round(trial.duration.total_seconds(), 1) if trial.duration else None,
                **{name: trial.params.get(name) for name in plan.dimensions},
                "retry_of": (RetryHeartbeatStaleTrialCallback.retry_history(trial) or [None])[-1],
                _RUN: trial.user_attrs.get(_RUN),
            }
            for trial in trials
        ]
    values = [
        {"trial": trial.number, "epoch": epoch, metric: value}
        for trial in trials
        for epoch, value in sorted(trial.intermediate_values.items())
    ]
    return pd.DataFrame(lines), pd.DataFrame(values, columns=["trial", "epoch", metric])


def _importances(study: optuna.Study) -> pd.DataFrame:
    """Share of each hyperparameter in what tells good trials from others, 0-1 (PED-ANOVA, Watanabe et al. 2023).

    Empty while there are too few trials. Before Optuna 5 those whose range depends on another's choice are not in it.
    """
    shares: dict[str, float] = {}
    if _completed(study) >= IMPORTANCE_TRIALS:
        with _quiet():
            shares = optuna.importance.get_param_importances(study)
    return pd.DataFrame(shares.items(), columns=["hyperparameter", "importance"])


def _completed(study: optuna.Study) -> int:
    return len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)))


def importance_note(study: optuna.Study, dimensions: Iterable[str]) -> str:
    """What the importances of these hyperparameters leave out, and why; nothing where they are whole."""
    known = set(_importances(study)["hyperparameter"])
    if not known:
        return (
            f"No importances of the hyperparameters: they take {IMPORTANCE_TRIALS} trials that ran to their end, and "
            f"the study has {_completed(study)}."
        )
    missing = [name for name in dimensions if name not in known]
    return f"The importances leave out {', '.join(missing)}: the range depends on another choice." if missing else ""


def draw_study(
    run: Run,
    study: Study,
    dimensions: list[str],
    trials: pd.DataFrame,
    values: pd.DataFrame,
    importances: pd.DataFrame,
) -> None:
    """Log the figures of a study: history, slice, contour of lr and depth, importances, values along training.

    Args:
        run: gets the figures.
        study: whose trials they are.
        dimensions: names of the hyperparameters searched.
        trials, values, importances: as logged under names.TRIALS, TRIAL_VALUES and IMPORTANCES.
    """
    metric = study.metric
    done = trials[trials["state"] == TrialState.COMPLETE.name]
    if done.empty:
        return
    best = done[metric].cummax() if study.maximise else done[metric].cummin()
    figure = figures.study_history(done["trial"], done[metric], best, metric)
    log_figure(run, figure, names.HISTORY_FIGURE)
    logarithmic = [name for name in dimensions if isinstance(study.space[name], LogUniform)]
    columns = {name: done[name].tolist() for name in dimensions}
    log_figure(run, figures.study_slice(columns, done[metric], logarithmic, metric), names.SLICE_FIGURE)
    lines = {
        number: (line["epoch"].to_numpy(), line[metric].to_numpy(), number in set(done["trial"]))
        for number, line in values.groupby("trial")
    }
    log_figure(run, figures.study_values(lines, metric), names.TRIAL_VALUES_FIGURE)
    if {"lr", "depth"} <= set(dimensions):
        figure = figures.study_contour(done["lr"], done["depth"], done[metric], "learning rate", "depth", metric)
        log_figure(run, figure, names.CONTOUR_FIGURE)
    if len(importances):
        shares = dict(zip(importances["hyperparameter"], importances["importance"], strict=True))
        log_figure(run, figures.study_importances(shares), names.IMPORTANCES_FIGURE)


# The winner.


def _retrain(plan: Plan, study: optuna.Study, parent: Run) -> None:
    """Train the winner on the whole training part, test it once for each seed, and show both on the launch's run.

    Raises:
        FailedRunsError: no trial has a result, or a training failed.
    """
    best = _best(study)
    if best is None:
        raise FailedRunsError(f"no trial of {plan.name} has a result: the reasons are in the tag {names.FAILURE!r} of "
                              "their runs")  # fmt: skip
    chosen = {name: _rounded(plan.dimensions[name], value) for name, value in best.params.items()}
    found = {"trial": best.number, **chosen}
    parent.log_params({names.best_found(name): value for name, value in found.items()})
    announce(f"best: {', '.join(f'{name} {_short(value)}' for name, value in found.items())}")
    kind = _KINDS[plan.study]
    # Of two launches that end together, one trains.
    with _lock(plan, "train the winner of"):
        if earlier := _retrained(study, best):
            announce(f"the winner was trained and tested before, under run {earlier}")
            return
        jobs = [_winner(plan, chosen, seed) for seed in range(WINNER_SEEDS)]
        context = Context(data_dir=plan.data_dir)
        then = partial(sum_up, parent, ENTRY, summarise)
        fan_out(parent, plan.definition.entry, jobs, kind.work, context, side=0, then=then)
        study.set_user_attr(_RETRAINED, {"trial": best.number, _RUN: parent.id})


def summarise(parent: Run) -> None:
    """List the winner's finished trainings in the table of a study's launch."""
    # `mlflow run` logs its parameters first, as quoted text.
    kind = _KINDS[parent.params["study"].strip("'")]
    if finished := finished_rows(parent, [TUNED]):
        tell(parent, finished, kind.shown, kind.main)


def _winner(plan: Plan, chosen: Mapping[str, Any], seed: int) -> Job:
    settings = plan.settings(chosen, seed, 1.0)
    return Job(f"{TUNED}-seed{seed}", settings)


def _retrained(study: optuna.Study, best: FrozenTrial) -> str:
    """Run under which this winner was trained before, on this tracking server, or nothing."""
    done = study.user_attrs.get(_RETRAINED, {})
    if done.get("trial") != best.number:
        return ""
    with suppress(UserError):
        return Run.existing(done[_RUN]).id
    return ""
