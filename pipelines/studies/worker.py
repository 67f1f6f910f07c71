"""A worker of a study: runs one trial after the other, each a nested run beside its trial in Optuna's database.

Of the ready bridges between the two, Optuna's callback is deprecated and MLflow's storage neither resumes nor enqueues.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import cast

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import TrialState

from pipelines import names
from pipelines.common.words import brief, short
from pipelines.errors import AwayError, Interrupted
from pipelines.experiments.base import Settings
from pipelines.experiments.index import experiment_of
from pipelines.experiments.spaces import (
    Choice,
    Depending,
    Dimension,
    LogUniform,
    OneOf,
    Steps,
    Whole,
    rounded,
)
from pipelines.experiments.study import study_of
from pipelines.processes import identity
from pipelines.processes.reports import Reports
from pipelines.studies.plan import ENTRY, Plan, StudyContext
from pipelines.studies.storage import PROCESS, RUN, Claiming, EnoughError, give_to_another, new_worker
from pipelines.tracking import unsent
from pipelines.tracking.run import CutShort, Run
from pipelines.training.loop import derived_seed
from pipelines.training.progress import ReportedProgress

STARTUP_TRIALS = 10  # drawn at random before the sampler goes by what it has seen


class _GivenUpError(BaseException):
    """No run can be made for a trial. It ends the worker, so that the trials that are left do not count as failed."""


class _TakenError(CutShort):
    """The trial was given to another worker: this one, or its network, had stood still."""


class _NotOursError(BaseException):
    """As _TakenError, for Optuna, which looks after exceptions only and would end a trial that has ended."""


def work(run: Run, settings: Settings, context: StudyContext) -> None:
    """Run trials until there are enough, as a worker that the study has not had.

    Args:
        run: of the launch, under which the trials' are.
        settings: those of a trial, which say what the worker needs of the machine.
        context: with the plan of the launch.
    """
    plan = replace(context.plan, parent=run.id)
    run_trials(plan, new_worker(plan), context.reports)


def run_trials(plan: Plan, worker: int, reports: Reports) -> None:
    """Run trials until there are enough.

    Args:
        plan: of the launch.
        worker: number that no other worker of the study has had, on which its random choices depend.
        reports: take its progress.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    epochs = plan.trial_settings({}).params()["epochs"]
    # TPE with its defaults: multivariate, and away from the trials that run. A seed of its own: a resumed study or
    # another worker with the same one would draw the same first trials again.
    sampler = optuna.samplers.TPESampler(
        n_startup_trials=STARTUP_TRIALS, seed=derived_seed(plan.seed, plan.name, worker) % 2**32
    )
    study = Claiming(plan, sampler, pruner_of(epochs))

    def objective(trial: optuna.Trial) -> float:
        try:
            return _run_trial(plan, study, trial, reports)
        except _TakenError as taken:
            raise _NotOursError from taken
        except CutShort as cut:
            raise optuna.TrialPruned(str(cut)) from cut
        except (Interrupted, _GivenUpError):
            # Optuna looks after exceptions only. What was begun is done again when the study goes on.
            study.tell(trial.number, state=TrialState.FAIL)
            give_to_another(study, study.get_trials()[trial.number])
            raise

    try:
        with suppress(EnoughError):
            while True:
                with suppress(_NotOursError):
                    study.optimize(objective, n_trials=1, catch=(Exception,))
    except _GivenUpError as away:
        raise AwayError(str(away)) from away


def _run_trial(plan: Plan, study: optuna.Study, trial: optuna.Trial, reports: Reports) -> float:
    chosen: dict[str, Choice] = {}
    usual = plan.usual
    with _unless_taken():
        for name, dimension in plan.dimensions.items():
            chosen[name] = suggest(trial, name, dimension, {**usual, **chosen})
    settings = plan.trial_settings(chosen)
    tags = {
        names.ENTRY: ENTRY,
        names.STUDY: plan.name,
        names.TRIAL: trial.number,
        names.DATASET: plan.dataset,
        names.TRAINING: settings.training,
        names.DESCRIPTION: f"Trial {trial.number} of study `{plan.name}`: "
        + ", ".join(f"{name} {short(value)}" for name, value in chosen.items()),
    }
    name = " ".join([f"trial-{trial.number}", *brief(chosen)])
    try:
        run = Run(plan.parent).child(name, {key: str(value) for key, value in tags.items()})
    except AwayError as error:
        raise _GivenUpError(str(error)) from error
    run.log_params({**settings.params(), **chosen})

    def report(epoch: int, value: float) -> bool:
        trial.report(value, epoch)
        return trial.should_prune()

    watchers = [ReportedProgress(reports, f"trial {trial.number}")]
    with unsent.announced(), run.active(), _unless_taken():
        trial.set_user_attr(RUN, run.id)
        trial.set_user_attr(PROCESS, identity.own().tags)
        experiment_of(plan.study).require(settings)
        value = study_of(plan.study).train(run, settings, plan.data_dir, report, watchers)
        if study.get_trials(deepcopy=False)[trial.number].state != TrialState.RUNNING:
            raise _TakenError
        run.log_metrics({names.OBJECTIVE: value})
    return value


@contextmanager
def _unless_taken() -> Iterator[None]:
    """Context of what is written to a trial.

    Raises:
        _TakenError: it was given to another worker.
    """
    try:
        yield
    except UpdateFinishedTrialError as ended:
        raise _TakenError from ended


def pruner_of(epochs: int) -> optuna.pruners.BasePruner:
    """The pruner of trials of so many epochs.

    One worse than the median of the others at that epoch is given up, but not before a third of its epochs.
    """
    return optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=epochs // 3 + 1)


def suggest(trial: optuna.Trial, name: str, dimension: Dimension, chosen: Mapping[str, Choice]) -> Choice:
    """Choose the value of a hyperparameter; `chosen` are those of the others."""
    match dimension:
        case LogUniform(low, high):
            return trial.suggest_float(name, low, high, log=True)
        case Steps(low, high, step):
            return rounded(dimension, trial.suggest_float(name, low, high, step=step))
        case Whole(low, high):
            return trial.suggest_int(name, low, high)
        case OneOf(options):
            return cast(Choice, trial.suggest_categorical(name, options))  # Optuna's type allows None
        case Depending(on, cases):
            return suggest(trial, name, cases[str(chosen[on])], chosen)
