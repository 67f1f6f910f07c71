"""Replicas of a row, which are forked from the server that the row was forked from."""

import multiprocessing
import os
import subprocess
import sys
import textwrap
import time

import numpy as np
import psutil
import pytest
import torch
from support.place import ROOT
from torch import nn
from torch.nn import functional as F  # noqa: N812 - torch's own convention

from pipelines.processes import usage
from pipelines.training.replicas import Replicas

ENDS_S = 30
SEED, ITEMS = 3, np.arange(7)

# A launch with a row, which says how many seconds of processors it has used itself, and with its replica.
BUSY = """
    import time
    from pipelines.processes import forked, usage
    from training.test_forked_replicas import Busy, replicas

    def row():
        trained, model = replicas(Busy())
        trained.gradients(range(7), 0)
        trained.close()
        print(time.process_time(), usage.processor_time(), flush=True)

    if __name__ == "__main__":
        process = forked.forkserver("training.test_forked_replicas").Process(target=row)
        process.start()
        process.join()
"""
BUSY_S = 0.5

# A launch with a row, which says what its gradients are and which process its replica is, and trains on for ever.
LAUNCH = """
    import multiprocessing, time
    from pipelines.processes import forked
    from training.test_forked_replicas import gradients, replicas

    def row():
        trained, model = replicas()
        print(gradients(trained, model), flush=True)
        (replica,) = multiprocessing.active_children()
        print(multiprocessing.current_process().pid, replica.pid, trained.peak_memory(), flush=True)
        time.sleep(3600)

    if __name__ == "__main__":
        process = forked.forkserver("training.test_forked_replicas").Process(target=row)
        process.start()
        process.join()
"""


class Regression:
    """Squared errors of sums, with random inputs."""

    items = len(ITEMS)
    targets_per_item = 1

    def __init__(self):
        self.x = torch.randn(len(ITEMS), 5, generator=torch.Generator().manual_seed(SEED))

    def loss(self, model, items):
        return F.mse_loss(model(self.x[items]).squeeze(1), self.x[items].sum(1))


class Busy(Regression):
    """The same at a cost of BUSY_S of a processor for each replica."""

    def loss(self, model, items):
        began = time.process_time()
        while time.process_time() < began + BUSY_S:
            pass
        return super().loss(model, items)


def replicas(task=None):
    torch.manual_seed(SEED)
    model = nn.Sequential(nn.Linear(5, 4), nn.Dropout(0.5), nn.Linear(4, 1))
    return Replicas(model, task or Regression(), SEED, count=2), model


def gradients(engine, model):
    """A text of loss and gradients to the last bit."""
    loss = engine.gradients(ITEMS, 0)
    return [loss, *(value.hex() for each in model.parameters() for value in each.grad.flatten().tolist())]


@pytest.fixture
def launched(tmp_path, request):
    (tmp_path / "launch.py").write_text(textwrap.dedent(getattr(request, "param", LAUNCH)))
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"}
    process = subprocess.Popen(
        [sys.executable, "launch.py"], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
    )
    yield process
    process.kill()
    process.communicate()


@pytest.mark.medium
@pytest.mark.skipif(sys.platform != "linux", reason="a fork server ends with its parent on Linux only")
def test_they_compute_the_same_bits_import_nothing_and_end_with_their_row(launched):
    first, second = launched.stdout.readline(), launched.stdout.readline()
    spawned, model = replicas()
    try:
        assert first.strip() == str(gradients(spawned, model))
    finally:
        spawned.close()
    row, replica, memory = second.split()
    row, replica = psutil.Process(int(row)), psutil.Process(int(replica))
    server = replica.parent()
    assert row.parent() == server
    assert server.parent().pid == launched.pid
    assert float(memory) >= sum(each.memory_info().rss for each in (row, replica)) / 2**20 * 0.9
    row.kill()
    deadline = time.monotonic() + ENDS_S
    while replica.is_running() and replica.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.medium
@pytest.mark.parametrize("launched", [BUSY], indirect=True, ids=["busy"])
def test_their_processor_time_is_counted_though_they_are_no_children_of_the_row(launched):
    own, whole = map(float, launched.stdout.readline().split())
    assert own >= BUSY_S
    assert whole >= own + BUSY_S
    assert whole < 2 * (own + BUSY_S)


@pytest.mark.medium
def test_their_processor_time_is_counted_once_where_they_are_children():
    before = usage.processor_time(), time.process_time()
    trained, _ = replicas(Busy())
    (replica,) = multiprocessing.active_children()
    trained.gradients(ITEMS, 0)
    used = psutil.Process(replica.pid).cpu_times()
    trained.close()
    others = (usage.processor_time() - before[0]) - (time.process_time() - before[1])
    assert BUSY_S <= used.user + used.system <= others + 0.05
    assert others < 2 * (used.user + used.system)
