"""A tracking database with runs written by MLflow's client, used as the tracking server."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, Metric, Param, RunTag

from support.stores import START, History

LASTS = 2500  # milliseconds that a run takes


class Tracked:
    """Writes runs, one second apart, to experiments of these names; `blank` is an empty database."""

    def __init__(self, folder: Path, blank: Path, *experiments: str):
        self.folder = folder
        self.uri = f"sqlite:///{folder / 'runs.db'}"
        shutil.copy(blank, folder / "runs.db")
        self.client = MlflowClient(self.uri)
        self.experiments = {
            name: self.client.create_experiment(name, str(folder / "artifacts")) for name in experiments
        }
        self.clock = START

    def run(
        self,
        name: str = "run",
        tags: Mapping[str, object] | None = None,
        params: Mapping[str, object] | None = None,
        metrics: Mapping[str, History] | None = None,
        status: str = "FINISHED",
        experiment: str = "",
        data: str = "",
        logged: Mapping[str, pd.DataFrame | np.ndarray] | None = None,
    ) -> str:
        """The id of a new run of an experiment, by default the first; `data` is the digest of its data set."""
        start, self.clock = self.clock, self.clock + 1000
        number = self.experiments[experiment or next(iter(self.experiments))]
        run = self.client.create_run(number, start_time=start, run_name=name).info.run_id
        points = [
            Metric(key, value, start + step, step)
            for key, history in (metrics or {}).items()
            for step, value in ([(0, history)] if isinstance(history, int | float) else history)
        ]
        self.client.log_batch(
            run,
            points,
            [Param(key, str(value)) for key, value in (params or {}).items()],
            [RunTag(key, str(value)) for key, value in (tags or {}).items()],
        )
        if data:
            self.client.log_inputs(run, [DatasetInput(Dataset("pjm", data, "local", "{}"), [])])
        for path, content in (logged or {}).items():
            self._log(run, path, content)
        if status != "RUNNING":
            self.client.set_terminated(run, status, end_time=start + LASTS)
        return run

    def _log(self, run: str, path: str, content: pd.DataFrame | np.ndarray) -> None:
        folder, name = path.split("/")
        file = self.folder / name
        content.to_csv(file, index=False) if isinstance(content, pd.DataFrame) else np.save(file, content)
        self.client.log_artifact(run, str(file), folder)


@contextmanager
def tracking(uri: str) -> Iterator[None]:
    """Sets the tracking server to `uri`, here and in processes started from here, and afterwards back."""
    before = mlflow.get_tracking_uri() if mlflow.is_tracking_uri_set() else None
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", uri)
        mlflow.set_tracking_uri(uri)
        try:
            yield
        finally:
            mlflow.set_tracking_uri(before)
