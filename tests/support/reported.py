"""A tracking store with runs of rows and their artifacts, as pipelines logs them, for tests of reports."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from pipelines import names
from support.tracked import Tracked, tracking


class Reported(Tracked):
    """Writes runs of rows."""

    def row(
        self,
        entry: str,
        row: str,
        seed: object,
        metrics: Mapping[str, float],
        logged: Mapping[str, pd.DataFrame | np.ndarray] | None = None,
        params: Mapping[str, object] | None = None,
        dataset: str = "pjm",
        status: str = "FINISHED",
        **tags: object,
    ) -> str:
        """The id of a new run of a row, or without one of a launch; `tags` beside those of its identity."""
        tags = {"entry": entry, "seed": seed, "training": "dense", "dataset": dataset} | tags
        tags |= {"row": row} if row else {}
        return self.run(f"{row}-{seed}", tags, params, metrics, status, logged=logged)


@contextlib.contextmanager
def reporting(folder: Path, blank: Path) -> Iterator[Reported]:
    """A store in `folder`, used as the tracking server; `blank` is an empty database."""
    store = Reported(folder, blank, names.EXPERIMENT)
    with tracking(store.uri), contextlib.chdir(folder):
        yield store
