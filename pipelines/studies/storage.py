"""Optuna's database: a study in it, which several launches may work on at once, and what it remembers."""

import json
import math
import shlex
import sqlite3
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from hashlib import sha256
from typing import Any

import optuna
import sqlalchemy
from optuna.exceptions import ExperimentalWarning
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from pipelines.common import addresses, locks, server
from pipelines.common.addresses import redacted
from pipelines.common.files import file_name
from pipelines.errors import UserError
from pipelines.experiments.base import Settings
from pipelines.studies.plan import Plan, elsewhere
from pipelines.tracking.run import KILLED, Run

FIRST_LOCK_S = 10  # that a locked database is waited for before a launch
HEARTBEAT_S, GRACE_S = 5, 30  # a trial without a sign of life for so long is given to another worker, once

# Keys of what a study remembers, and of what a trial does.
_RECIPE, _WORKERS, _RETRAINED, _FINALIST, _PRECISION = "recipe", "workers", "retrained", "finalist", "precision"
RUN, PROCESS = "run_id", "process"
_VALUE, _SETTINGS = "value", "settings"


@contextmanager
def quiet() -> Iterator[None]:
    """Optuna calls its heartbeat and its names of metrics experimental."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield


def lock(plan: Plan, doing: str) -> AbstractContextManager[None]:
    """Held by one process at a time, for one study and what is done."""
    purpose = f"{doing.partition(' ')[0]}-{file_name(plan.name)}"
    return locks.of_database(plan.storage, f"{doing} {plan.name}", purpose)


def first_use(plan: Plan) -> AbstractContextManager[None]:
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
            f"(fuser {shlex.quote(str(file))} names it), or give another, e.g. {elsewhere()}"
        ) from error
    except sqlite3.Error:
        return


def open_storage(plan: Plan) -> RDBStorage:
    """Connect to the database.

    Raises:
        UserError: it cannot be reached.
    """
    engine = {"connect_args": {"timeout": 60}} if plan.storage.startswith("sqlite") else {}
    with _opening(plan), first_use(plan), quiet():
        return _Storage(
            plan.storage,
            engine_kwargs=engine,
            heartbeat_interval=HEARTBEAT_S,
            grace_period=GRACE_S,
            heartbeat_stale_trial_callback=give_to_another,
        )


@contextmanager
def _opening(plan: Plan) -> Iterator[None]:
    """Context in which the database is opened.

    Raises:
        UserError: it cannot be.
    """
    try:
        server.require_database(plan.storage)
        yield
    except UserError:
        raise
    except Exception as error:
        reason = getattr(error, "reason", "") or redacted(str(error).splitlines()[0])
        raise UserError(
            f"storage={redacted(plan.storage)} cannot be opened ({reason}): start its server, install "
            f"its driver, or give a file that can be written, e.g. {elsewhere()}"
        ) from error


def give_to_another(study: optuna.Study, trial: FrozenTrial) -> None:
    """A trial's worker is gone: its run is KILLED, and the same hyperparameters are tried once more."""
    run_id = trial.user_attrs.get(RUN)
    if run_id:
        # The runs may be on another server than this launch's.
        with suppress(UserError):
            run = Run.existing(run_id)
            if run.status == "RUNNING":
                run.end(KILLED)
    trial.user_attrs = {}
    with quiet():
        RetryHeartbeatStaleTrialCallback(max_retry=1)(study, trial)


def open_study(plan: Plan, digest: str) -> optuna.Study:
    """The study of this name, new or as it was left.

    Raises:
        UserError: it is of another experiment, row, space, or data.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    _require_unlocked(plan)
    storage = open_storage(plan)
    recipe = _recipe(plan, digest)
    direction = StudyDirection.MAXIMIZE if plan.search.maximise else StudyDirection.MINIMIZE
    with first_use(plan), quiet():
        study = optuna.create_study(storage=storage, study_name=plan.name, direction=direction, load_if_exists=True)
        is_ours = study.direction == direction
        if is_ours and not study.trials and _RECIPE not in study.user_attrs:
            study.set_user_attr(_RECIPE, recipe)
            # The first trial has the row's own settings, so that the winner is none the worse on validation data.
            study.enqueue_trial(plan.first)
        if is_ours and _RECIPE in study.user_attrs and study.metric_names is None:
            # optuna-dashboard would call it Objective 0.
            study.set_metric_names([plan.search.metric])
    _require_same(study, plan, recipe)
    return study


def agreed_precision(plan: Plan, study: optuna.Study) -> str:
    """The precision that the study began with, on whichever machine: the plan's, if it has none yet.

    Trainings in different ones do not compare: two settings would differ by what they were computed with.
    """
    if _PRECISION not in study.user_attrs:
        study.set_user_attr(_PRECISION, plan.precision)
    return str(study.user_attrs[_PRECISION])


def look(plan: Plan, digest: str) -> optuna.Study | None:
    """The study of this name as it was left, to be read only; None if there is none. Nothing is made, nor waited for.

    Raises:
        UserError: the database cannot be reached, or see `open_study`.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    file = addresses.sqlite_file(plan.storage)
    if file and not file.is_file():
        return None
    with _opening(plan), quiet():
        if not _has_tables(plan.storage):
            return None
        storage = RDBStorage(plan.storage, skip_table_creation=True)
        if plan.name not in optuna.get_all_study_names(storage):
            return None
        study = optuna.load_study(study_name=plan.name, storage=storage)
    _require_same(study, plan, _recipe(plan, digest))
    return study


def _has_tables(uri: str) -> bool:
    """Whether Optuna has made its tables in a database."""
    engine = sqlalchemy.create_engine(uri)
    try:
        return sqlalchemy.inspect(engine).has_table("studies")
    finally:
        engine.dispose()


def _recipe(plan: Plan, digest: str) -> dict[str, Any]:
    """What a study has to have in common with a launch that goes on with it, as JSON has it."""
    recipe = {
        "study": plan.study,
        "row": plan.row,
        "own_settings": plan.changes,
        "dataset": plan.dataset,
        "data": digest[:16],
        "fraction": plan.fraction,
        "space": {name: repr(dimension) for name, dimension in plan.dimensions.items()},
    }
    return json.loads(json.dumps(recipe))


def _require_same(study: optuna.Study, plan: Plan, recipe: Mapping[str, object]) -> None:
    """Require a study that a launch with this recipe can go on with.

    Raises:
        UserError: it is another one.
    """
    direction = StudyDirection.MAXIMIZE if plan.search.maximise else StudyDirection.MINIMIZE
    if study.direction != direction:
        raise UserError(f"name={plan.name}: that study is to {study.direction.name.lower()}; give another name")
    before = study.user_attrs.get(_RECIPE)
    if before is None:
        raise UserError(f"name={plan.name}: there is a study of that name from elsewhere; give another name")
    # Earlier versions began with the usual row, then with another one of the project.
    before = {"row": plan.search.row, "own_settings": {}} | before
    differences = [
        f"{key} was {_what_differs(before.get(key), value)}"
        for key, value in recipe.items()
        if before.get(key) != value
    ]
    if differences:
        raise UserError(
            f"name={plan.name}: not the study that is in {redacted(plan.storage)}, whose "
            f"{'; '.join(differences)}; give another name, or what it was"
        )


def _what_differs(before: object, now: object) -> object:
    """`before`, of which a mapping with the same keys as `now` is reduced to those whose values are others."""
    if isinstance(before, Mapping) and isinstance(now, Mapping) and before.keys() == now.keys():
        return {name: value for name, value in before.items() if now[name] != value}
    return before


def load(plan: Plan) -> optuna.Study:
    """The study of a launch that has opened it, from another process."""
    with quiet():
        return optuna.load_study(study_name=plan.name, storage=open_storage(plan))


class EnoughError(Exception):
    """No further trial is to be begun."""


class Claiming(optuna.Study):
    """A study whose trials are begun one at a time, so that as many are run as were asked for, whoever runs them."""

    def __init__(self, plan: Plan, sampler: optuna.samplers.BaseSampler, pruner: optuna.pruners.BasePruner):
        super().__init__(plan.name, open_storage(plan), sampler, pruner)
        self._plan = plan

    def ask(self, fixed_distributions: dict[str, Any] | None = None) -> optuna.Trial:
        """The next trial: one that waits, or a new one."""
        with lock(self._plan, "choose a trial of"):
            if time.monotonic() > self._plan.deadline or begun(self) >= self._plan.n_trials:
                raise EnoughError
            return super().ask(fixed_distributions)


def begun(study: optuna.Study) -> int:
    """Trials that have ended or run, without those that another has taken the place of."""
    trials = study.get_trials(deepcopy=False)
    with quiet():
        replaced = {number for trial in trials for number in RetryHeartbeatStaleTrialCallback.retry_history(trial)}
    return sum(trial.state != TrialState.WAITING and trial.number not in replaced for trial in trials)


def best_of(study: optuna.Study) -> FrozenTrial | None:
    """The best trial with a finite result that was not given up, or None; the first of equals."""
    return best_among(study.get_trials(deepcopy=False), study.direction)


def best_among(trials: Sequence[FrozenTrial], direction: StudyDirection) -> FrozenTrial | None:
    """The best of `trials`, see `best_of`."""
    return next(iter(_ranked(trials, direction)), None)


def ranked(study: optuna.Study) -> list[FrozenTrial]:
    """The trials that `best_of` chooses from, best first."""
    return _ranked(study.get_trials(deepcopy=False), study.direction)


def _ranked(trials: Sequence[FrozenTrial], direction: StudyDirection) -> list[FrozenTrial]:
    finite = [trial for trial in trials if trial.state == TrialState.COMPLETE and math.isfinite(value_of(trial))]
    return sorted(finite, key=value_of, reverse=direction == StudyDirection.MAXIMIZE)


def value_of(trial: FrozenTrial) -> float:
    """The result of a trial, NaN where it has none."""
    return math.nan if trial.value is None else trial.value


def completed(study: optuna.Study) -> int:
    """Number of trials that ran to their end."""
    return len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)))


def new_worker(plan: Plan) -> int:
    """The number of a worker that the study has not had."""
    study = load(plan)
    with first_use(plan):
        number = int(study.user_attrs.get(_WORKERS, 0))
        study.set_user_attr(_WORKERS, number + 1)
    return number


def remember_outcome(study: optuna.Study, settings: Settings, value: float, run: Run) -> None:
    """Remember the value of a finalist with these settings, NaN if it has none, and its run."""
    figure = value if math.isfinite(value) else None
    study.set_user_attr(_key(settings), {_VALUE: figure, RUN: run.id, _SETTINGS: settings.protocol()})


def outcome(study: optuna.Study, settings: Settings) -> float | None:
    """The value of a finalist with these settings, NaN if it has none, None if it was not trained yet."""
    found = study.user_attrs.get(_key(settings))
    if found is None:
        return None
    return math.nan if found[_VALUE] is None else found[_VALUE]


def _key(settings: Settings) -> str:
    """The key of a finalist, which is known by all that determines its result."""
    text = json.dumps(settings.protocol(), sort_keys=True)
    return f"{_FINALIST} {sha256(text.encode()).hexdigest()[:16]}"


def remember_retrained(study: optuna.Study, settings: Settings, run: Run) -> None:
    """Remember that the winner, which has these settings, was trained under `run`."""
    study.set_user_attr(_RETRAINED, {_SETTINGS: settings.protocol(), RUN: run.id})


def retrained(study: optuna.Study, settings: Settings) -> str:
    """Run under which the winner was trained before with these settings, on this tracking server, or nothing."""
    done = study.user_attrs.get(_RETRAINED, {})
    if done.get(_SETTINGS) != settings.protocol():
        return ""
    with suppress(UserError):
        return Run.existing(done[RUN]).id
    return ""
