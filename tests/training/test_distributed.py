"""Training over the ranks of torchrun, beside replicas of one process and beside one process alone."""

import os
import subprocess
import sys
import textwrap
import time

import psutil
import pytest
from support.place import ROOT, Place

from pipelines.processes.ranks import rank, ranks

ENDS_S = 60  # within which a training ends whose rank has died
STARTS_S = 120

TRAINED = textwrap.dedent(
    """
    import copy, sys, time
    import numpy as np, torch
    from torch import nn
    from pipelines.processes.ranks import rank
    from pipelines.processes.usage import processor_time
    from pipelines.training.distributed import Distributed, follow, leading
    from pipelines.training.replicas import Replicas
    from training.test_distributed import Busy, Sums

    if __name__ == "__main__":
        if rank():
            follow()
            sys.exit()
        torch.manual_seed(0)
        whole = nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Dropout(0.3), nn.Linear(4, 1))
        other = copy.deepcopy(whole)
        with leading():
            for seed in (3, 4):  # two trainings, one after the other
                engines = [Distributed(whole, Sums(), seed), Replicas(other, Sums(), seed, count=2)]
                for update, size in enumerate([20, 8, 7, 4]):
                    items = np.arange(20)[-size:]
                    losses = [engine.gradients(items, update) for engine in engines]
                    assert abs(losses[0] - losses[1]) < 1e-6, losses
                    for one, two in zip(whole.parameters(), other.parameters(), strict=True):
                        torch.testing.assert_close(one.grad, two.grad)
                        with torch.no_grad():
                            one -= 0.1 * one.grad
                            two -= 0.1 * two.grad
                    for one, two in zip(whole.buffers(), other.buffers(), strict=True):
                        torch.testing.assert_close(one, two)
                outputs = [engine.outputs(np.arange(9), 4, "fp32") for engine in engines]
                np.testing.assert_allclose(*outputs, rtol=1e-5)
                assert engines[0].peak_memory() > 100
                for engine in engines:
                    try:
                        engine.gradients(np.array([0, 1, 2, 97, 98, 99]), 9)
                    except IndexError:
                        print("the error of a rank is raised")
                    engine.close()
            before = processor_time() - time.process_time()
            engine = Distributed(whole, Busy(), 5)
            engine.gradients(np.arange(20), 0)
            engine.close()
            helped = processor_time() - time.process_time() - before
            assert 0.5 <= helped < 5, helped
        print("alike")
    """
)


class Sums:
    """Squared errors of sums, with random inputs."""

    items = 20
    targets_per_item = 1

    def __init__(self):
        import torch

        self.x = torch.randn(self.items, 5, generator=torch.Generator().manual_seed(1))

    def loss(self, model, items):
        return (model(self.x[items]).squeeze(1) - self.x[items].sum(1)).square().mean()

    def outputs(self, model, items):
        return model(self.x[items])


class Busy(Sums):
    """Keeps all ranks but the first busy for half a second, of the processor's time."""

    def loss(self, model, items):
        until = time.process_time() + 0.5
        while rank() and time.process_time() < until:
            pass
        return super().loss(model, items)


def torchrun(*arguments: str) -> list[str]:
    """The command line of two ranks on this machine."""
    return [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *arguments]


def test_without_torchrun_there_is_one_rank(monkeypatch):
    """Other programs set WORLD_SIZE and RANK too."""
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("RANK", "2")
    assert (ranks(), rank()) == (1, 0)
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    assert (ranks(), rank()) == (4, 2)


@pytest.mark.slow
def test_two_ranks_have_the_gradients_statistics_and_outputs_of_two_replicas(tmp_path):
    script = tmp_path / "trained.py"
    script.write_text(TRAINED)
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    done = subprocess.run(
        torchrun(str(script)), capture_output=True, text=True, timeout=STARTS_S, env={**os.environ, "PYTHONPATH": path}
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[-2] == "alike"
    assert done.stdout.count("the error of a rank is raised") == 4


def losses(place: Place, run) -> list[float]:
    return [value for _, value in place.history(run, "train_loss")]


def rows_of(place: Place) -> list:
    found = place.client.search_runs([each.experiment_id for each in place.client.search_experiments()])
    return sorted((run for run in found if "row" in run.data.tags), key=lambda run: run.info.start_time)


COMMAND = ("recurrent", "--dataset", "sample", "--models", "gru-2", "--hidden", "16", "--dropout", "0")


@pytest.mark.slow
def test_two_ranks_train_as_one_process_does_and_one_of_them_tracks(place):
    line = torchrun("-m", "pipelines", *COMMAND, "--epochs", "2")
    assert place.begin(*line).wait(STARTS_S) == 0, place.stderr
    assert place.invoke(*COMMAND, "--epochs", "2") == 0, place.stderr
    two, one = rows_of(place)
    assert two.data.tags["ranks"] == "2"
    assert "ranks" not in one.data.tags
    assert losses(place, two) == pytest.approx(losses(place, one), rel=1e-4)
    assert len(losses(place, two)) == 2
    assert two.data.params == one.data.params
    assert two.data.metrics["smape_report"] == pytest.approx(one.data.metrics["smape_report"], rel=1e-3)


@pytest.mark.slow
def test_a_rank_that_dies_ends_the_run_which_another_number_of_ranks_continues(place):
    line = torchrun("-m", "pipelines", *COMMAND, "--epochs", "100000", "--fraction", "0.1")
    launched = place.begin(*line)
    until = time.monotonic() + STARTS_S
    while not ((rows := rows_of(place)) and len(losses(place, rows[0])) > 2):
        assert time.monotonic() < until
        time.sleep(1)
    (second,) = [
        each for each in psutil.Process(launched.pid).children(recursive=True) if each.environ().get("RANK") == "1"
    ]
    second.kill()
    launched.wait(ENDS_S)
    (row,) = rows_of(place)
    # torchrun terminates the others too, which may come first.
    assert row.info.status in ("FAILED", "KILLED")
    reached = len(losses(place, row))
    assert reached > 2
    place.end()
    parent = row.data.tags["mlflow.parentRunId"]
    continued = place.start("recurrent", "--resume", parent)
    until = time.monotonic() + STARTS_S
    while len(losses(place, place.client.get_run(row.info.run_id))) <= reached:
        assert continued.poll() is None
        assert time.monotonic() < until
        time.sleep(1)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("ablation",), "ablation does not run over the processes of torchrun: only recurrent and pretrain do"),
        (("recurrent", "--launcher", "ray"), "torchrun has started the processes already"),
    ],
)
def test_what_torchrun_cannot_run_is_refused_by_every_rank(arguments, said, monkeypatch, tmp_path):
    from click.testing import CliRunner

    from pipelines.__main__ import cli

    monkeypatch.chdir(tmp_path)
    for name, value in {"TORCHELASTIC_RUN_ID": "1", "WORLD_SIZE": "2", "RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    result = CliRunner().invoke(cli, [*arguments])
    assert result.exit_code == 2
    assert said in result.output
    assert not list(tmp_path.iterdir())
