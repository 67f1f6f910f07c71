"""A study that the tests of studies share."""

import pytest

from pipelines.studies.plan import Plan
from pipelines.tracking.run import Run


@pytest.fixture
def plan(place, at):
    """Of a study of one hyperparameter, on a tracking server and storage of its own."""
    at(place.folder, place.uri)
    parent = Run.launch("tune", {})
    return Plan(
        study="ablation",
        row="cnn",
        name="s",
        space="lr",
        dataset="sample",
        n_trials=12,
        fraction=1.0,
        finalists=0,
        storage=f"sqlite:///{place.folder}/optuna.db",
        seed=0,
        deadline=float("inf"),
        device="cpu",
        precision="",
        data_dir="",
        parent=parent.id,
    )
