"""The launcher of this machine: how many rows it runs side by side."""

import os

import pytest

from pipelines.experiments.ablation.experiment import plan as ablation
from pipelines.experiments.ablation.options import AblationOptions
from pipelines.experiments.base import changed
from pipelines.experiments.pretrain.experiment import plan as pretrain
from pipelines.experiments.pretrain.options import PretrainOptions
from pipelines.launching.jobs import Job
from pipelines.launching.local import LOCAL


def jobs(plan, options, folder, **changes):
    return [Job(each.name, changed(each.settings, **changes)) for each in plan(options, folder).jobs]


@pytest.fixture(autouse=True)
def _sixteen_cores(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 16)


@pytest.mark.parametrize(
    ("plan", "options", "fitting"),
    [
        (ablation, AblationOptions(dataset="sample", device="cpu"), 16),  # a thread each
        (pretrain, PretrainOptions(dataset="sample", device="cpu"), 8),  # two replicas, or two threads
    ],
)
def test_rows_run_side_by_side_as_far_as_their_own_cores_go(tmp_path, plan, options, fitting):
    assert LOCAL.room(jobs(plan, options, tmp_path)) == fitting


@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_a_gpu_trains_one_row_at_a_time(tmp_path, device):
    """As the help says: all rows of a launch are on the same one, whose memory they would share."""
    rows = jobs(pretrain, PretrainOptions(dataset="sample", device="cpu"), tmp_path)
    on_gpu = jobs(pretrain, PretrainOptions(dataset="sample", device="cpu"), tmp_path, device=device)
    assert LOCAL.room(on_gpu) == 1
    assert LOCAL.room([*rows, *on_gpu]) == 1
