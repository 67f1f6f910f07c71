"""The altered command line with each training held in its second epoch until the file ``go`` is in the working folder.

For tests that stop a launch in the middle of a training that is to end later, however fast it is.
"""

import time
from pathlib import Path

from pipelines.training.loop import Progress
from pipelines.training.progress import ReportedProgress
from support.altered import main

_reported = ReportedProgress.on_update


def _held(callback: ReportedProgress, progress: Progress) -> None:
    _reported(callback, progress)
    while progress.epoch == 1 and not Path("go").exists():
        time.sleep(0.05)


ReportedProgress.on_update = _held

if __name__ == "__main__":
    main()
