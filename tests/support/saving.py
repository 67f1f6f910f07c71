"""Processes killed in the middle of a save, one after the other; all are forked from one, as imports take seconds.

``python -m support.saving FOLDER KILLS`` prints, after each kill, the epoch of the newest checkpoint, and the epoch and
the weight that it loads with.
"""

import os
import signal
import sys
from contextlib import suppress
from multiprocessing import Pipe
from pathlib import Path

import torch

from pipelines.training import checkpoint

SIZE = 500_000


def save_for_ever(folder: Path, epoch: int, told) -> None:
    """Saves a checkpoint of 2 MB for each epoch after `epoch`, and sends its epoch and hash once it is saved."""
    while True:
        epoch += 1
        state = {"epoch": epoch, "weight": torch.full((SIZE,), float(epoch))}
        told.send((epoch, checkpoint.save(folder / checkpoint.place(epoch), state)))


def killed_in_a_save(folder: Path, epoch: int, saves: int) -> tuple[int, str]:
    """Epoch and hash of the last checkpoint of a process that is killed after `saves` saves, during the next one."""
    here, there = Pipe()
    if not (pid := os.fork()):
        save_for_ever(folder, epoch, there)
    there.close()
    saved = [here.recv() for _ in range(saves)]
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    with suppress(EOFError):
        while True:
            saved.append(here.recv())
    return saved[-1]


def main(folder: Path, kills: int) -> None:
    epoch = 0
    for kill in range(kills):
        epoch, sha256 = killed_in_a_save(folder, epoch, 1 + kill % 3)
        state = checkpoint.load(folder / checkpoint.place(epoch), sha256)
        print(epoch, state["epoch"], *state["weight"].unique().tolist(), flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]), int(sys.argv[2]))
