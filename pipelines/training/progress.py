"""Progress of a training, as a bar or as lines in a log."""

import sys
import time

from tqdm import tqdm

from pipelines.training.loop import Callback, Progress


class ProgressBar(Callback):
    """A bar with rate, ETA and loss on a terminal; a plain line an epoch in a log.

    Args:
        name: of the model that is trained.
        line: position of the bar, from 0, among those of concurrent trainings.
    """

    def __init__(self, name: str, line: int):
        self._name, self._line = name, line
        self._began = time.monotonic()
        self._bar: tqdm | None = None

    def on_start(self, progress: Progress) -> None:
        """Draw the bar."""
        if sys.stderr.isatty():
            self._bar = tqdm(
                total=progress.updates,
                initial=progress.update,
                desc=self._name,
                position=self._line,
                leave=False,
                unit="update",
                dynamic_ncols=True,
            )

    def on_update(self, progress: Progress) -> None:
        """Move the bar."""
        if self._bar is not None:
            self._bar.set_postfix_str(f"loss {progress.loss:.5f}", refresh=False)
            self._bar.update()
            if progress.update == progress.updates:
                self._bar.close()

    def on_epoch(self, progress: Progress) -> None:
        """Print the line."""
        if self._bar is None and (progress.epoch in (1, progress.epochs) or self._is_time()):
            left = progress.remaining_seconds()
            print(
                f"{self._name}: epoch {progress.epoch}/{progress.epochs}, loss {progress.epoch_loss:.5f}, "
                f"{progress.update / progress.seconds:.1f} updates/s, about {left:.0f} s of training left",
                file=sys.stderr,
                flush=True,
            )

    def _is_time(self) -> bool:
        """Returns whether the last line is ten seconds old, as short epochs would flood a log."""
        now = time.monotonic()
        if now - self._began < 10:
            return False
        self._began = now
        return True
