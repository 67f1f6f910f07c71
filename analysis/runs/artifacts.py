"""Artifacts of runs, copied to this machine."""

import os
import warnings
from pathlib import Path

import mlflow
from mlflow.exceptions import MlflowException


def artifact(run_id: str, path: str) -> Path | None:
    """A local copy of an artifact, None where the run has none of that name or its store is out of reach."""
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return Path(mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path=path))
    except (MlflowException, OSError):
        return None
