"""Error against cost of all rows, by the kind of task and the data."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from analysis.report import figures
from analysis.report.contents import Cost
from analysis.report.parts import Part
from analysis.report.sections import Figure, Section, labelled, present
from analysis.tables.columns import CPU, GPU, ISA
from pipelines import names
from pipelines.common.files import file_name

_NAMELESS = {"cpu": "a CPU that was not recorded", "cuda": "a GPU that was not recorded"}


def section(parts: Sequence[Part], costs: Sequence[Cost]) -> Section:
    """The section with every plot that has two points at least."""
    drawn = present(figure for cost in costs for figure in _drawn(parts, cost))
    text = ("Times are of the machine that ran, with whatever ran beside; bars are the standard deviation over seeds.",)
    if not drawn:
        text = ("It takes two rows, with an error and a cost, on the same data.",)
    return Section("cost", "Error against cost", text, figures=drawn)


def _drawn(parts: Sequence[Part], cost: Cost) -> Iterator[Figure | None]:
    """A plot for each data set and, where the cost is a time, for each kind of device."""
    own = [part for part in parts if part.entry in cost.entries]
    for dataset in dict.fromkeys(part.dataset for part in own):
        alike = [part for part in own if part.dataset == dataset]
        name, title = f"{cost.name}-{dataset}", cost.title.format(data=alike[0].data)
        devices = sorted({kind for part in alike for kind in _devices(part)}) if _is_time(cost) else []
        for device in devices if len(devices) > 1 else [""]:
            there = [replace(part, runs=part.runs[_devices(part) == device]) for part in alike] if device else alike
            of = f"{name}-{device}" if device else name
            where = f"{title}, trained on {_NAMELESS.get(device, device)}" if device else title
            yield figures.frontier(_points(there, cost), file_name(of), cost.cost_label, cost.error_label, where)


def _is_time(cost: Cost) -> bool:
    """Whether a cost depends on what machine a run had."""
    return cost.cost in (names.TRAINING_TIME, names.EVALUATION_TIME)


def _devices(part: Part) -> pd.Series:
    """The name of the GPU or the CPU of each run; "cuda" or "cpu" where none was recorded."""
    runs = part.runs.reindex(columns=["params.device", CPU, ISA, GPU]).astype(object)  # text, or nothing at all
    kind = runs["params.device"].fillna("cpu").str.partition(":")[0]
    cpu = runs[CPU].astype(str) + " (" + runs[ISA].astype(str) + ")"
    return kind.where((kind != "cpu") | runs[CPU].isna(), cpu).where((kind == "cpu") | runs[GPU].isna(), runs[GPU])


def _points(parts: Sequence[Part], cost: Cost) -> pd.DataFrame:
    """The lines of `parts`, all on the same data, as figures.frontier draws them."""
    points = []
    for part in parts:
        for _, line in labelled(part, part.runs).iterrows():
            mean, spent = (line.get(f"{name}.mean", np.nan) for name in (cost.metric, cost.cost))
            error = 100 - mean if cost.is_accuracy else mean
            points.append((line["label"], spent / cost.unit, error, line.get(f"{cost.metric}.std", np.nan)))
    frame = pd.DataFrame(points, columns=["label", "cost", "error", "spread"])
    return frame.astype(dict.fromkeys(("cost", "error", "spread"), float))
