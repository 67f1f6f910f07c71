"""Training under tracking, for all experiments: continues from a checkpoint, logs metrics, saves checkpoints."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pipelines import names
from pipelines.experiments.base import Context
from pipelines.processes.ranks import ranks
from pipelines.tracking.checkpoints import load_checkpoint, save_checkpoint
from pipelines.tracking.run import Run
from pipelines.training.loop import Callback, Progress
from pipelines.training.machine import gpu_of
from pipelines.training.progress import ReportedEvaluation, ReportedProgress
from pipelines.training.session import Training

State = Mapping[str, Any]  # of a checkpoint


def train(run: Run, training: Training, context: Context, note: str, callbacks: Sequence[Callback]) -> State:
    """Train to the last epoch, starting from the run's newest checkpoint if there is one; save one after each epoch.

    Args:
        run: the active run. It gets the number of parameters, `note`, and the size of the micro-batch whenever that is
            reduced because memory ran out.
        training: the training session.
        context: surroundings of the run, which get the progress.
        note: description of the run, markdown.
        callbacks: called during training; they log the metrics of the experiment.

    Returns:
        The checkpoint that it went on from, empty without one.

    Raises:
        DivergedError: NaN or infinite loss, weights or metrics.
        UserError: the run's checkpoints are damaged.
    """

    def shrunk(micro_batch: int) -> None:
        run.log_metrics({names.MICRO_BATCH: micro_batch}, step=training.progress.update)

    training.engine.on_shrink = shrunk
    if ranks() > 1:
        run.set_tags({names.RANKS: str(ranks())})
    if gpu := gpu_of(training.model):
        run.set_tags({names.GPU: gpu})
    saved = load_checkpoint(run)
    if saved is not None:
        training.restore(saved)
    # Needed without a checkpoint too: a run that was stopped before its first one has logged some points.
    run.recall()
    run.set_tags({names.DESCRIPTION: note + ("\n\nContinued from a checkpoint." if saved is not None else "")})
    reports = context.reports
    # The checkpoint comes after the other callbacks, so that whatever precedes it has been logged.
    training.fit(
        [ReportedEvaluation(reports), *callbacks, Checkpoints(run, training), ReportedProgress(reports)],
    )
    reports.phase("evaluating")
    return saved or {}


def train_after(
    run: Run, first: Training, training: Training, context: Context, phase: str, saved: State | None = None
) -> None:
    """Train a second network of a run, of which `train` has trained the first: as that does, with the same checkpoints.

    Nothing is read from the tracking server, which may be away by now.

    Args:
        run: the active run.
        first: the first network's training, at its end.
        training: the training session.
        context: surroundings of the run, which get the progress.
        phase: name of the training, which its state has in the checkpoints.
        saved: the checkpoint that the first training went on from, which may be of this one.

    Raises:
        DivergedError: NaN or infinite loss or weights.
    """
    if saved and phase in saved:
        training.restore(saved[phase])
    training.fit(
        [_Second(run, first.checkpoint(), training, phase), ReportedProgress(context.reports, phase, follows=True)]
    )


def log_costs(run: Run, training: Training, rate: str) -> None:
    """Log the number of weights, the times of training and evaluation and, as the metric `rate`, the training targets
    per second; last, since MLflow lists the metrics of a run, and opens a comparison, with what was logged first."""
    progress = training.progress
    run.log_metrics(
        {
            names.WEIGHT_COUNT: training.parameter_count,
            names.TRAINING_TIME: progress.seconds,
            names.EVALUATION_TIME: training.evaluation_seconds,
            rate: progress.items * training.task.targets_per_item / progress.seconds,
        }
    )


class EpochLog(Callback):
    """Logs the metrics that `measure` returns after each epoch, with the epoch as their step."""

    def __init__(self, run: Run, measure: Callable[[Progress], Mapping[str, float]]):
        self._run, self._measure = run, measure

    def on_epoch(self, progress: Progress) -> None:
        """Measure and log."""
        self._run.log_metrics(self._measure(progress), step=progress.epoch)
        self._run.flush()


class Checkpoints(Callback):
    """Logs a checkpoint after each epoch."""

    def __init__(self, run: Run, training: Training):
        self._run, self._training = run, training

    def on_epoch(self, progress: Progress) -> None:
        """Save."""
        save_checkpoint(self._run, self._training.checkpoint(), progress.epoch)


class _Second(Callback):
    """Logs a checkpoint after each epoch of a second training: the `end` of the first, and its own state."""

    def __init__(self, run: Run, end: State, training: Training, phase: str):
        self._run, self._end, self._training, self._phase = run, end, training, phase

    def on_epoch(self, progress: Progress) -> None:
        """Save."""
        state = {**self._end, self._phase: self._training.checkpoint()}
        save_checkpoint(self._run, state, self._end["progress"]["epoch"] + progress.epoch)
