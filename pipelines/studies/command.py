"""Optuna studies of hyperparameters, on validation data only; the winner is then trained and tested.

A launch is a parent run, a trial a nested run.
"""

import time
from contextlib import suppress
from dataclasses import replace
from functools import partial

import optuna
from optuna.trial import FrozenTrial, TrialState

from pipelines import names
from pipelines.common.streams import announce
from pipelines.common.words import short
from pipelines.data.datasets import find
from pipelines.errors import AwayError, FailedRunsError
from pipelines.experiments.base import Context
from pipelines.experiments.index import experiment_of
from pipelines.experiments.spaces import TUNED
from pipelines.experiments.study import study_of
from pipelines.launching.dry_run import note_on_launcher, require_no_preparation
from pipelines.launching.fan_out import fan_out
from pipelines.launching.jobs import Job
from pipelines.launching.launch import launch
from pipelines.launching.launcher import Launcher
from pipelines.launching.launchers import launching
from pipelines.launching.processes import run_workers
from pipelines.launching.summary import finished_rows, log_results, sum_up
from pipelines.processes import identity, liveness
from pipelines.studies.dry_run import rehearsed
from pipelines.studies.ending import ending
from pipelines.studies.finalists import Winner, elect, note
from pipelines.studies.left import left
from pipelines.studies.monitor import Monitor, importance_note
from pipelines.studies.options import TuneOptions
from pipelines.studies.plan import (
    ENTRY,
    WINNER_SEEDS,
    Plan,
    StudyContext,
    Surroundings,
    description,
    plan_of,
    require_shared,
)
from pipelines.studies.storage import (
    GRACE_S,
    PROCESS,
    RUN,
    agreed_precision,
    begun,
    best_of,
    give_to_another,
    lock,
    look,
    open_study,
    quiet,
    remember_retrained,
    retrained,
)
from pipelines.studies.view import view_of
from pipelines.studies.worker import work
from pipelines.terminal.display import conclude, doing, showing
from pipelines.tracking.artifacts import log_text
from pipelines.tracking.page import present
from pipelines.tracking.run import Run
from pipelines.tracking.server import connect


def run(options: TuneOptions, within: Run | None = None) -> None:
    """Run the entry point.

    Args:
        options: as given.
        within: the run of a larger launch that this one belongs to.

    Raises:
        UserError: before any run is made.
        FailedRunsError: no trial has a result, or the winner's training failed.
    """
    with showing(ENTRY):
        _run(options, within)


def _run(options: TuneOptions, within: Run | None) -> None:
    doing("reading the data")
    if options.dry_run:
        require_no_preparation(experiment_of(options.study), options)
    plan = plan_of(options)
    digest = find(plan.dataset, experiment_of(plan.study).data, plan.data_dir).load(plan.data_dir).digest
    study_of(plan.study).require(plan.trial_settings({}), plan.data_dir)
    if options.dry_run:
        doing("looking for earlier trials")
        conclude(rehearsed(plan, options, digest))
        return
    doing("connecting to the tracking server")
    connect()
    if options.needed and (before := left(plan, look(plan, digest))).is_nothing:
        note_on_launcher(ENTRY, options, "nothing to do")
        announce(f"nothing is left of study {plan.name}: its winner was trained and tested under run {before.winner}")
        return
    study = open_study(plan, digest)
    if (precision := agreed_precision(plan, study)) != plan.precision:
        announce(f"in {precision}, as the study began, though {plan.precision} is the faster here")
        plan = replace(plan, precision=precision)
    tags = {names.ENTRY: ENTRY, names.STUDY: plan.name, names.DATASET: plan.dataset, names.DATA_DIGEST: digest}
    tuned = replace(experiment_of(plan.study), surroundings=Surroundings(plan))
    with (
        launching(tuned, options, partial(require_shared, plan)) as launcher,
        launch(ENTRY, f"{ENTRY} {plan.name}", tags, options, description(plan), within) as parent,
    ):
        present(parent, view_of(plan))
        if options.selected.text:
            log_text(parent, options.selected.text, names.ROWS_FILE)
        monitor = Monitor(plan, study, parent)
        _search(plan, study, monitor, parent, options.workers, launcher)
        doing("")
        winner, trained = _finish(plan, study, monitor, parent, options.workers, launcher)
        if within is None:
            with suppress(AwayError):
                conclude(ending(plan, study, parent, winner, trained, experiment_of(plan.study).main))


def _search(plan: Plan, study: optuna.Study, monitor: Monitor, parent: Run, workers: int, launcher: Launcher) -> None:
    """Run workers until the study has its trials, and show how far it is.

    Raises:
        FailedRunsError: the workers fail without having begun a trial.
    """
    needs = plan.trial_settings({})
    jobs = [Job(f"worker {number}", needs, assists=True) for number in range(1, workers + 1)]
    context = StudyContext(data_dir=plan.data_dir, plan=plan)
    while True:
        before = begun(study)
        codes = run_workers(parent, jobs, work, context, monitor.poll, every_s=2, launcher=launcher)
        # One that was killed has left a trial, which is given to another when it has been silent for long enough.
        _await_running(study, monitor)
        if begun(study) >= plan.n_trials or time.monotonic() > plan.deadline:
            break
        if any(codes) and begun(study) <= before:
            raise FailedRunsError(f"all {workers} worker(s) of the study failed before a trial, see the lines above")
    monitor.draw()
    if note := importance_note(study, plan.dimensions):
        announce(note)
    if time.monotonic() > plan.deadline:
        announce(f"timeout: {begun(study)} of {plan.n_trials} trials; the same command with another timeout goes on")


def _await_running(study: optuna.Study, monitor: Monitor) -> None:
    """Return when no trial runs, be it another launch's or one whose worker is gone."""
    first_seen: dict[int, float] = {}
    while running := study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        with quiet():
            optuna.storages.fail_stale_trials(study)
        for trial in running:
            seen = first_seen.setdefault(trial.number, time.monotonic())
            if _is_orphan(trial, time.monotonic() - seen):
                # Another launch may have seen it, too.
                with suppress(optuna.exceptions.UpdateFinishedTrialError):
                    study.tell(trial.number, state=TrialState.FAIL)
                    give_to_another(study, study.get_trials()[trial.number])
        time.sleep(1)
        monitor.poll()


def _is_orphan(trial: FrozenTrial, seen_s: float) -> bool:
    """Tells whether the worker of a running trial has ended; Optuna waits for a first heartbeat that never came."""
    if RUN not in trial.user_attrs:
        return seen_s > 2 * GRACE_S
    process = identity.Identity.of(trial.user_attrs.get(PROCESS, {}))
    return liveness.fate(process).state == liveness.GONE


def _finish(
    plan: Plan, study: optuna.Study, monitor: Monitor, parent: Run, workers: int, launcher: Launcher
) -> tuple[Winner, list[Run]]:
    """Choose the winner, train it on the whole training part, test it once for each seed, and show all on the launch.

    Returns:
        The winner, and the runs that tested it; none if that was done before.

    Raises:
        FailedRunsError: no trial has a result, or a training failed.
    """
    if best_of(study) is None:
        raise FailedRunsError(
            f"no trial of {plan.name} has a result: the reasons are in the tag {names.FAILURE!r} of their runs"
        )
    # Of two launches that end together, one trains.
    with lock(plan, "train the winner of"):
        winner = elect(plan, study, parent, workers, launcher)
        monitor.describe(note(plan, winner.judged))
        found = {"trial": winner.trial, **winner.chosen}
        parent.log_params({names.best_found(name): value for name, value in found.items()})
        announce(f"best: {', '.join(f'{name} {short(value)}' for name, value in found.items())}")
        jobs = [_job(plan, winner, seed) for seed in range(WINNER_SEEDS)]
        if earlier := retrained(study, jobs[0].settings):
            announce(f"the winner was trained and tested before, under run {earlier}")
            return winner, []
        announce(f"now its settings are trained on the whole training part, with {WINNER_SEEDS} seeds, and tested")
        context = Context(data_dir=plan.data_dir)
        trained: list[Run] = []

        def then() -> None:
            trained.extend(sum_up(parent, ENTRY, summarise))

        tuned = experiment_of(plan.study)
        fan_out(parent, plan.study, jobs, tuned.work, context, 0, tuned.main, then=then, launcher=launcher)
        remember_retrained(study, jobs[0].settings, parent)
    return winner, trained


def summarise(parent: Run) -> list[Run]:
    """List the winner's finished trainings in the table of a study's launch; returns them."""
    # `mlflow run` logs its parameters first, as quoted text.
    experiment = experiment_of(parent.params["study"].strip("'"))
    if finished := finished_rows(parent, [TUNED]):
        log_results(parent, finished, experiment.metrics, experiment.main)
    return finished


def _job(plan: Plan, winner: Winner, seed: int) -> Job:
    return Job(f"{TUNED}-seed{seed}", plan.settings(winner.chosen, seed, 1.0))
