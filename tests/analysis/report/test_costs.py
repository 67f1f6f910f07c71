"""Error against cost: what may be compared with what."""

import pandas as pd
import pytest
from support.place import ROOT

from analysis import docs
from analysis.entries.index import REPORT, VIEWS
from analysis.report import costs
from analysis.report.parts import Part
from pipelines import names

DATASET = "cifar10"


def part(machines: dict[tuple[str, ...], float]) -> Part:
    """Runs of two rows on each machine, whose training takes the given share of the time on the first one.

    A machine is its device and, where these are recorded, the name and the instructions of its CPU, and its GPU.
    """
    stored = docs.load(ROOT / "docs" / "results").runs
    own = stored[(stored["tags.entry"] == "ablation") & stored["tags.row"].isin(["mlp-2", "cnn"])]
    own = own[own["tags.study"].isna()].drop(columns=["tags.cpu", "tags.isa", "tags.gpu"], errors="ignore")
    time, recorded = f"metrics.{names.TRAINING_TIME}", ("params.device", "tags.cpu", "tags.isa", "tags.gpu")
    runs = [
        own.assign(**dict(zip(recorded, machine, strict=False)), **{time: own[time] * share})
        for machine, share in machines.items()
    ]
    return Part("ablation", DATASET, pd.concat(runs, ignore_index=True), VIEWS["ablation"])


def drawn(machines: dict[tuple[str, ...], float]) -> dict[str, str]:
    """The captions of the figures of classifiers, by name."""
    return {figure.name: figure.caption for figure in costs.section([part(machines)], REPORT.costs).figures}


def test_times_on_different_devices_are_not_compared():
    """A GPU beats all that a CPU trains, so that one plot of both would say that each CPU row is beaten."""
    found = drawn({("cpu",): 1.0, ("cuda:0",): 0.001})
    assert set(found) == {f"cost-images-{DATASET}-cpu", f"cost-images-{DATASET}-cuda"}
    for device, called in (("cpu", "a CPU that was not recorded"), ("cuda", "a GPU that was not recorded")):
        caption = found[f"cost-images-{DATASET}-{device}"]
        assert f"trained on {called}." in caption
        assert "None is beaten" in caption


@pytest.mark.parametrize("other", [("cpu", "AMD EPYC", "AVX512"), ("cpu", "Intel Xeon", "AVX2"), ("cpu",)])
def test_times_on_different_cpus_are_not_compared(other):
    """Hypervisors give CPUs of several generations one name, which their instructions tell apart."""
    found = drawn({("cpu", "AMD EPYC", "AVX2"): 1.0, other: 0.5})
    where = {caption.partition("trained on ")[2].partition(".")[0] for caption in found.values()}
    assert where == {"AMD EPYC (AVX2)", f"{other[1]} ({other[2]})" if other[1:] else "a CPU that was not recorded"}
    assert all("None is beaten" in caption for caption in found.values())


def test_times_on_different_gpus_are_not_compared():
    """Whichever of several GPUs of a kind it was, beside whatever CPU."""
    cpu = ("AMD EPYC", "AVX2")
    found = drawn({("cuda:0", *cpu, "NVIDIA H200"): 1.0, ("cuda", *cpu, "NVIDIA L4"): 5.0, ("cuda", *cpu): 2.0})
    where = {caption.partition("trained on ")[2].partition(".")[0] for caption in found.values()}
    assert where == {"NVIDIA H200", "NVIDIA L4", "a GPU that was not recorded"}
    alike = drawn({("cuda:0", *cpu, "NVIDIA H200"): 1.0, ("cuda:1", "Intel Xeon", "AVX512", "NVIDIA H200"): 1.1})
    assert list(alike) == [f"cost-images-{DATASET}"]


@pytest.mark.parametrize("machine", [("cpu",), ("cpu", "AMD EPYC", "AVX2"), ("cuda:1", "AMD EPYC", "AVX2")])
def test_one_device_needs_no_telling(machine):
    (name,) = found = drawn({machine: 1.0})
    assert name == f"cost-images-{DATASET}"
    assert "trained on" not in found[name]
