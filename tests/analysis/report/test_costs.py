"""Error against cost: what may be compared with what."""

import pandas as pd
from support.place import ROOT

from analysis import docs
from analysis.entries.index import REPORT, VIEWS
from analysis.report import costs
from analysis.report.parts import Part
from pipelines import names

DATASET = "cifar10"


def part(devices: dict[str, float]) -> Part:
    """Runs of two rows on each device, whose training takes the given share of the time on the first one."""
    stored = docs.load(ROOT / "docs" / "results").runs
    own = stored[(stored["tags.entry"] == "ablation") & stored["tags.row"].isin(["mlp-2", "cnn"])]
    own = own[own["tags.study"].isna()]
    time = f"metrics.{names.TRAINING_TIME}"
    runs = [own.assign(**{"params.device": device, time: own[time] * share}) for device, share in devices.items()]
    return Part("ablation", DATASET, pd.concat(runs, ignore_index=True), VIEWS["ablation"])


def drawn(devices: dict[str, float]) -> dict[str, str]:
    """The captions of the figures of classifiers, by name."""
    return {figure.name: figure.caption for figure in costs.section([part(devices)], REPORT.costs).figures}


def test_times_on_different_devices_are_not_compared():
    """A GPU beats all that a CPU trains, so that one plot of both would say that each CPU row is beaten."""
    found = drawn({"cpu": 1.0, "cuda:0": 0.001})
    assert set(found) == {f"cost-images-{DATASET}-cpu", f"cost-images-{DATASET}-cuda"}
    for device in ("cpu", "cuda"):
        caption = found[f"cost-images-{DATASET}-{device}"]
        assert f"trained on {device}" in caption
        assert "None is beaten" in caption


def test_one_device_needs_no_telling():
    (name,) = found = drawn({"cpu": 1.0})
    assert name == f"cost-images-{DATASET}"
    assert "trained on" not in found[name]
