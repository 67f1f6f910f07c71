"""Checkpoints of a run among its artifacts."""

import tempfile
from pathlib import Path
from typing import Any

from pipelines import names
from pipelines.common.streams import announce
from pipelines.errors import UserError
from pipelines.tracking.artifacts import download
from pipelines.tracking.outbox import CHECKPOINT, CheckpointContent
from pipelines.tracking.run import Run
from pipelines.training import checkpoint


def save_checkpoint(run: Run, state: dict[str, Any], epoch: int) -> None:
    """Log a checkpoint. Two files alternate, and a tag names both, so that one of them is always complete."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / checkpoint.place(epoch)
        sha256 = checkpoint.save(path, state)
        saved = checkpoint.Saved(f"{names.CHECKPOINT}/{path.name}", sha256, epoch)
        tag = checkpoint.tag(saved, run.saved)
        run.delivery.send(CHECKPOINT, CheckpointContent(tag=tag), path, saved.path)
    run.record.note_tags({names.CHECKPOINT: tag})
    run.saved = saved


def load_checkpoint(run: Run) -> dict[str, Any] | None:
    """Returns the newest undamaged checkpoint, or None if there is none yet. Announces if it is not the newest of all.

    Raises:
        UserError: all are damaged.
    """
    text = run.tags.get(names.CHECKPOINT)
    if text is None:
        return None
    damaged = []
    try:
        known = checkpoint.from_tag(text)
    except UserError as error:
        raise UserError(f"run {run.id} cannot go on: {error}; start anew") from error
    for saved in known:
        try:
            state = _read(run, saved)
        except UserError as error:
            damaged.append(str(error))
            continue
        if damaged:
            announce(f"run {run.id}: {damaged[0]}; it goes on from the one before, of epoch {saved.epoch}")
        run.saved = saved
        return state
    raise UserError(f"run {run.id} cannot go on: {'; '.join(damaged)}; start anew")


def _read(run: Run, saved: checkpoint.Saved) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        path = download(run, saved.path, folder)
        if path is None:
            raise UserError(f"{saved.path} is not available")
        return checkpoint.load(path, saved.sha256)
