"""The command line, with each training held in its second epoch until the file ``go`` is in the folder of the launch.

For tests that stop a launch in the middle of a training that is to end later, however fast it is.
"""

import time
from pathlib import Path

from pipelines.__main__ import cli
from pipelines.processes import signals
from pipelines.training.loop import Progress
from pipelines.training.progress import ReportedProgress

_reported = ReportedProgress.on_update


def _held(callback: ReportedProgress, progress: Progress) -> None:
    _reported(callback, progress)
    while progress.epoch == 1 and not Path("go").exists():
        time.sleep(0.05)


# In rows too: their processes import the main module of the launch.
ReportedProgress.on_update = _held

if __name__ == "__main__":
    signals.begin()
    cli()
