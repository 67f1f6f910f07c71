"""Reports of a training's progress, as callbacks of the loop."""

import time

from pipelines.processes.reports import Report, Reports
from pipelines.training.loop import Callback, Progress


class ReportedProgress(Callback):
    """Reports each update and epoch. It comes after the other callbacks, whose work at an epoch's end is another phase.

    Args:
        reports: where to.
        phase: name of the phase.
        follows: as of Report.
    """

    def __init__(self, reports: Reports, phase: str = "training", follows: bool = False):
        self._reports, self._phase, self._follows = reports, phase, follows
        self._began, self._before = time.monotonic(), 0.0  # when it began here, and the training time before that

    def on_start(self, progress: Progress) -> None:
        """Report the start."""
        self._began, self._before = time.monotonic(), progress.seconds
        self._report(progress, now=True)

    def on_update(self, progress: Progress) -> None:
        """Report an update."""
        self._report(progress)

    def on_epoch(self, progress: Progress) -> None:
        """Report an epoch."""
        self._report(progress, now=True)

    def _report(self, progress: Progress, now: bool = False) -> None:
        begun = progress.update > 0 and progress.seconds > self._before
        report = Report(
            phase=self._phase,
            epoch=progress.epoch,
            epochs=progress.epochs,
            share=progress.update / progress.updates,
            loss=progress.loss if begun else None,
            rate=progress.update / progress.seconds if begun else 0.0,
            left_s=self._left(progress) if begun else None,
            follows=self._follows,
        )
        self._reports.progress(report, now)

    def _left(self, progress: Progress) -> float:
        """Estimated seconds to the end, with what comes between the updates, such as evaluations, as before."""
        spent = time.monotonic() - self._began
        return progress.remaining_seconds() * spent / (progress.seconds - self._before)


class ReportedEvaluation(Callback):
    """Reports that what follows an epoch is no training. It comes before the callbacks that measure."""

    def __init__(self, reports: Reports):
        self._reports = reports

    def on_epoch(self, progress: Progress) -> None:
        """Report the phase."""
        self._reports.phase("evaluating")
