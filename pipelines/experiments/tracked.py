"""Training under tracking: continue, describe, log along the way, save checkpoints. Once for all experiments."""

from collections.abc import Callable, Mapping, Sequence

from pipelines import names
from pipelines.experiments.base import Context, Settings
from pipelines.tracking.checkpoints import load_checkpoint, save_checkpoint
from pipelines.tracking.run import Run
from pipelines.training.loop import Callback, Progress
from pipelines.training.progress import ProgressBar
from pipelines.training.session import Training


def train(
    run: Run, training: Training, settings: Settings, context: Context, note: str, callbacks: Sequence[Callback]
) -> None:
    """Train to the last epoch, from the run's newest checkpoint where it has one, with a new one after each epoch.

    Args:
        run: the active run. It gets the number of parameters, `note`, and the micro-batch whenever memory ran out.
        training: to be trained.
        settings: of the row.
        context: where it runs.
        note: the run's description.
        callbacks: what the experiment logs along the way.

    Raises:
        DivergedError: NaN or infinite loss, weights or metrics.
        UserError: the run's checkpoints are damaged.
    """

    def shrunk(micro_batch: int) -> None:
        run.log_metrics({names.MICRO_BATCH: micro_batch}, step=training.progress.update)

    training.engine.on_shrink = shrunk
    saved = load_checkpoint(run)
    if saved is not None:
        training.restore(saved)
    # Also of a run that was stopped before its first checkpoint: its first points are there.
    run.recall()
    run.log_metrics({names.PARAMETERS: training.parameter_count})
    run.set_tags({names.DESCRIPTION: note + ("\n\nContinued from a checkpoint." if saved is not None else "")})
    bar = ProgressBar(f"{settings.row} seed {settings.seed}", context.bar_line)
    # What the callbacks logged must be there before a checkpoint is.
    training.fit([*callbacks, Checkpoints(run, training), bar])


def log_costs(run: Run, training: Training, rate: str) -> None:
    """Log the times of training and evaluation, and, under the name `rate`, the targets trained on a second."""
    progress = training.progress
    run.log_metrics(
        {
            names.TRAINING_TIME: progress.seconds,
            names.EVALUATION_TIME: training.evaluation_seconds,
            rate: progress.items * training.task.targets_per_item / progress.seconds,
        }
    )


class EpochLog(Callback):
    """Logs the metrics that `measure` gives after each epoch, with the epoch as their step."""

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
