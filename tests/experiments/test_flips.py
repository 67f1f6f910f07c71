"""Which images one row classifies right and another wrong, of made-up predictions."""

import numpy as np
import pandas as pd
import pytest

from pipelines import names
from pipelines.data.images import digits
from pipelines.errors import UserError
from pipelines.experiments import images
from pipelines.experiments.ablation import experiment as ablation
from pipelines.experiments.resnet import experiment as resnet

LABELS = np.asarray(digits.load().test_labels)


class Run:
    """A finished run of a row, or the launch's; its predictions are right but for the images in `wrong`."""

    def __init__(self, row: str = "", wrong: tuple[int, ...] = ()):
        self.tags = {names.ROW: row, names.SEED: "0", names.DATASET: "sample", names.DATA_DIGEST: digits.load().digest}
        self.params: dict[str, str] = {}
        self.metrics = {names.TEST_ACCURACY: 90.0}
        self.wrong = list(wrong)


@pytest.fixture
def logged(monkeypatch) -> dict[str, object]:
    """Path to what is logged."""
    kept: dict[str, object] = {}

    def columns(run: Run, path: str) -> pd.DataFrame:
        assert path == names.PREDICTIONS
        classes = LABELS.copy()
        classes[run.wrong] = (classes[run.wrong] + 1) % 10
        ordered = {f"{names.PROBABILITY}{name}": classes == number for number, name in enumerate(digits.load().classes)}
        return pd.DataFrame({"label": LABELS} | ordered).astype(float)

    monkeypatch.setattr(images, "read_columns", columns)
    for module in (images, resnet, ablation):
        for log in ("log_table", "log_array", "log_figure"):
            if hasattr(module, log):
                monkeypatch.setattr(module, log, lambda run, what, path: kept.setdefault(path, what))
    return kept


def test_a_launch_of_resnets_shows_what_each_classifies_right_and_the_first_wrong(logged):
    rows = [Run("resnet20", (5, 7)), Run("resnet56", (3, 7)), Run("resnet110", (3,))]
    resnet.draw(Run(), rows)
    flips = logged[names.FLIPS_DATA]
    found = {key: own["image"].tolist() for key, own in flips.groupby(["row", "right"])}
    assert found == {
        ("resnet56", "resnet20"): [3],
        ("resnet56", "resnet56"): [5],
        ("resnet110", "resnet20"): [3],
        ("resnet110", "resnet110"): [5, 7],
    }
    assert set(flips["against"]) == {"resnet20"}
    assert names.FLIPS_FIGURE in logged
    shown = np.asarray(digits.load().test_images)[[3, 5, 3, 5, 7]].transpose(0, 2, 3, 1)
    np.testing.assert_array_equal(logged[names.FLIPS_IMAGES], shown)
    assert names.CHART_FIGURE in logged


def test_one_model_and_images_that_are_not_there_have_no_flips(logged, monkeypatch):
    resnet.draw(Run(), [Run("resnet20", (5,))])
    assert names.FLIPS_DATA not in logged
    resnet.draw(Run(), [Run("resnet20", (5,)), Run("resnet56", (5,))])
    assert names.FLIPS_DATA not in logged

    def missing(name: str, folder: str) -> None:
        raise UserError("not prepared")

    monkeypatch.setattr(images, "load_images", missing)
    resnet.draw(Run(), [Run("resnet20", (5,)), Run("resnet56", (3,))])
    assert names.FLIPS_DATA not in logged
