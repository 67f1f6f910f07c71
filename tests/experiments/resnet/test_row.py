"""Which precision the times of an evaluation are of: the fastest whose accuracy agrees with that of fp32."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from pipelines import names
from pipelines.data.images import digits
from pipelines.data.images.batches import Images
from pipelines.experiments.resnet import row
from pipelines.experiments.resnet.rows import RESNETS, EvaluationSettings
from pipelines.experiments.resnet.weights import Weights

ITEMS = 10_000


class Notes:
    """A run's metrics and tags."""

    def __init__(self):
        self.metrics, self.tags = {}, {}

    def log_metrics(self, metrics):
        self.metrics |= metrics

    def set_tags(self, tags):
        self.tags |= tags


@pytest.mark.parametrize(
    ("measured", "used", "seconds", "tried"),
    [
        pytest.param({"int8": (9005, 1.0)}, "int8", 1.0, {"int8": 90.05}, id="at the limit"),
        pytest.param(
            {"int8": (8994, 1.0), "bf16": (9001, 2.0)}, "bf16", 2.0, {"int8": 89.94, "bf16": 90.01}, id="next"
        ),
        pytest.param({"int8": (8990, 1.0), "bf16": (9010, 2.0)}, "fp32", 4.0, {"int8": 89.9, "bf16": 90.1}, id="none"),
        pytest.param({"int8": (9000, 5.0)}, "fp32", 4.0, {}, id="slower, which some images tell"),
        pytest.param({}, "fp32", 4.0, {}, id="fp32 alone"),
    ],
)
def test_the_fastest_precision_that_agrees_is_used(monkeypatch, measured, used, seconds, tried):
    measured = measured | {"fp32": (9000, 4.0)}
    labels = torch.zeros(ITEMS, dtype=torch.int64)
    test = Images(torch.zeros(ITEMS, 3, 1, 1, dtype=torch.uint8), labels)

    def timed(model, some, batch_size, precision):
        right, seconds = measured[precision]
        if len(some.labels) < ITEMS:
            assert torch.equal(some.pixels, test.pixels[: len(some.labels)])
            return torch.zeros(0), seconds * len(some.labels) / ITEMS
        timed_on_all.append(precision)
        return torch.nn.functional.one_hot((torch.arange(ITEMS) >= right).long(), 10).float(), seconds

    monkeypatch.setattr(row, "fast", lambda model, precision, device, examples: precision)
    monkeypatch.setattr(row, "logits", lambda *arguments: None)
    monkeypatch.setattr(row, "_timed", timed)
    timed_on_all = []
    run = Notes()
    settings = EvaluationSettings(
        row="resnet20",
        dataset="sample",
        training="none",
        seed=0,
        weights="auto",
        origin="somebody, a.pt",
        sha256="",
        dialect="plain",
        stem="plain",
        shortcut="A",
        mean=(0.5,) * 3,
        deviation=(0.5,) * 3,
        batch_size=128,
        device="cpu",
        precision=",".join(measured),
    )
    output, truth = row._evaluate(run, None, test, torch.zeros(0), settings)
    assert run.tags == {names.PRECISION: used}
    assert timed_on_all == ["fp32", *tried]
    assert run.metrics.pop("evaluation_time_s") == seconds
    assert run.metrics.pop("images_per_s") == ITEMS / seconds
    assert run.metrics == pytest.approx(
        {f"precision/test_accuracy.{precision}": value for precision, value in tried.items()}
    )
    # The figures are those of fp32 whatever is used.
    assert np.mean((output.argmax(1) == truth).numpy()) == 0.9


WEIGHTS = Weights({}, "", "somebody, a.pt", "plain", "A", (0.5,) * 3, (0.5,) * 3, 91.73, "akamaster")


@pytest.mark.parametrize(
    ("accuracy", "published", "verified", "dataset", "outcome", "said"),
    [
        (91.73, 91.73, True, "cifar10", "agrees", "published 91.73 %"),
        (92.03, 91.73, True, "cifar10", "agrees", "within 0.3 points"),
        (92.04, 91.73, True, "cifar10", "differs", "+0.31 points, more than 0.3"),
        (91.42, 91.73, True, "cifar10", "differs", "-0.31 points"),
        (10.0, 91.73, True, "cifar10", "differs", "-81.73 points, more than 0.3; perhaps another stem="),
        (91.42, 91.73, False, "cifar10", "agrees", "within 3 points"),
        (10.0, 91.73, False, "cifar10", "differs", "weights_key="),
        (19.9, None, True, "cifar10", "near chance", "by chance it would be 10 %"),
        (20.0, None, True, "cifar10", "differs", "20.00 %, where 91.73 % is published of a resnet20; perhaps"),
        (81.72, None, True, "cifar10", "differs", "where 91.73 % is published"),
        (81.74, None, True, "cifar10", "not compared", "none is published"),
        (20.0, None, True, "sample", "not compared", "none is published"),
        (95.0, 91.73, True, "sample", "not compared", "none is published"),
        (10.0, 91.73, True, "sample", "near chance", "by chance"),
    ],
)
def test_an_accuracy_far_from_the_published_one_is_told(accuracy, published, verified, dataset, outcome, said, capsys):
    data = SimpleNamespace(name=dataset, verified=verified, classes=tuple("0123456789"))
    found = row.checked(accuracy, replace(WEIGHTS, published=published), data, "resnet20")
    assert found[0] == outcome
    assert said in found[1]
    run = Notes()
    run.tags = {"row": "resnet20", names.DESCRIPTION: "What it is."}
    row._log_check(run, *found)
    assert run.tags["accuracy_check"] == outcome
    assert run.tags[names.DESCRIPTION].startswith(f"What it is.\n\nTest accuracy {accuracy:.2f} %")
    warned = capsys.readouterr().err.splitlines()
    assert [line.startswith("warning: resnet20: test accuracy ") for line in warned] == [True] * (
        outcome in ("differs", "near chance")
    )


@pytest.mark.parametrize(
    ("published", "outcome"), [(RESNETS["resnet20"].published, row.DIFFERS), (None, row.NOT_COMPARED)]
)
def test_an_accuracy_far_below_the_rows_published_one_differs_and_one_may_not_be_published(
    monkeypatch, published, outcome
):
    monkeypatch.setattr(row, "RESNETS", {"own": replace(RESNETS["resnet20"], row="own", published=published)})
    weights = Weights({}, "", "somebody", "plain", "A", (0.5,) * 3, (0.5,) * 3, None, "")
    dataset = replace(digits.load(), name="cifar10")
    assert row.checked(60.0, weights, dataset, "own")[0] == outcome
