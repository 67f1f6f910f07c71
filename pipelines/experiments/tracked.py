"""Training under tracking: checkpoints."""

from typing import Any, Protocol

from pipelines.tracking.checkpoints import save_checkpoint
from pipelines.tracking.run import Run
from pipelines.training.loop import Callback, Progress


class Resumable(Protocol):
    """Something whose whole state can be saved."""

    def checkpoint(self) -> dict[str, Any]:
        """Tensors and plain values."""
        ...


class Checkpoints(Callback):
    """Logs a checkpoint after each epoch; the last of the callbacks, so that all they logged is there before it."""

    def __init__(self, run: Run, trained: Resumable):
        self._run, self._trained = run, trained

    def on_epoch(self, progress: Progress) -> None:
        """Save."""
        save_checkpoint(self._run, self._trained.checkpoint(), progress.epoch)
