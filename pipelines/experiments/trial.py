"""One trial of a study: trains a network under tracking and evaluates it on validation data after each epoch.

Independent of how the settings of the trial were chosen.
"""

from collections.abc import Callable, Sequence

from pipelines import names
from pipelines.tracking.run import CutShort, Run
from pipelines.training.loop import Callback, Progress
from pipelines.training.session import Training

# Takes the epoch and the value of the metric after it; returns True if the trial is to be pruned.
Report = Callable[[int, float], bool]


def train_trial(
    run: Run,
    training: Training,
    measure: Callable[[], dict[str, float]],
    metric: str,
    report: Report,
    watchers: Sequence[Callback] = (),
) -> float:
    """Train from the first epoch to the last, without checkpoints.

    Args:
        run: the active run, which gets the metrics of each epoch.
        training: the training session.
        measure: returns the validation metrics after an epoch.
        metric: name of the validation metric that is reported.
        report: see `Report`.
        watchers: further callbacks of the training.

    Returns:
        The value of `metric` after the last epoch.

    Raises:
        CutShort: `report` pruned the trial.
        DivergedError: NaN or infinite loss.
    """
    run.log_metrics({names.WEIGHT_COUNT: training.parameter_count})
    validation = _Validation(run, measure, metric, report)
    training.fit([*watchers, validation])
    run.log_metrics({names.TRAINING_TIME: training.progress.seconds})
    return validation.value


class _Validation(Callback):
    """Logs and reports the validation metrics after each epoch; ends the training if the trial is pruned."""

    def __init__(self, run: Run, measure: Callable[[], dict[str, float]], metric: str, report: Report):
        self._run, self._measure, self._metric, self._report = run, measure, metric, report
        self.value = float("nan")

    def on_epoch(self, progress: Progress) -> None:
        measured = self._measure()
        self._run.log_metrics({names.TRAIN_LOSS: progress.epoch_loss, **measured}, step=progress.epoch)
        self._run.flush()
        self.value = measured[self._metric]
        if self._report(progress.epoch, self.value):
            self._run.log_metrics({names.TRAINING_TIME: progress.seconds})
            self._run.set_tags({names.PRUNED: progress.epoch})
            raise CutShort(f"given up after epoch {progress.epoch}")
