"""Which precision the times of an evaluation are of: the fastest whose accuracy agrees with that of fp32."""

import numpy as np
import pytest
import torch

from pipelines import names, resnet_row
from pipelines.images import Images

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
        pytest.param({"int8": (9000, 5.0)}, "fp32", 4.0, {"int8": 90.0}, id="slower"),
        pytest.param({}, "fp32", 4.0, {}, id="fp32 alone"),
    ],
)
def test_the_fastest_precision_that_agrees_is_used(monkeypatch, measured, used, seconds, tried):
    measured = measured | {"fp32": (9000, 4.0)}
    labels = torch.zeros(ITEMS, dtype=torch.int64)
    test = Images(torch.zeros(ITEMS, 3, 1, 1, dtype=torch.uint8), labels)

    def timed(model, test, batch_size, precision):
        right, seconds = measured[precision]
        return torch.nn.functional.one_hot((torch.arange(ITEMS) >= right).long(), 10).float(), seconds

    monkeypatch.setattr(resnet_row, "fast", lambda model, precision, device, examples: precision)
    monkeypatch.setattr(resnet_row, "logits", lambda *arguments: None)
    monkeypatch.setattr(resnet_row, "_timed", timed)
    run = Notes()
    settings = {"batch_size": 128, "device": "cpu", "precision": ",".join(measured)}
    output, truth = resnet_row._evaluate(run, None, test, torch.zeros(0), settings)
    assert run.tags == {names.PRECISION: used}
    assert run.metrics.pop("evaluation_time_s") == seconds
    assert run.metrics.pop("images_per_s") == ITEMS / seconds
    assert run.metrics == pytest.approx({f"test_accuracy_{precision}": value for precision, value in tried.items()})
    # The figures are those of fp32 whatever is used.
    assert np.mean((output.argmax(1) == truth).numpy()) == 0.9
