"""Training under tracking, on a run that only notes what it is given."""

import copy

import pytest
import torch
from torch import nn

from pipelines.experiments import tracked
from pipelines.experiments.base import Context, Settings
from pipelines.training.loop import Callback, Progress
from pipelines.training.replicas import Replicas
from pipelines.training.session import Training

CONTEXT = Context(data_dir="")
SETTINGS = Settings(row="line", dataset="none", training="plain", seed=0)


class Line:
    """Six points of a line, whose slope is to be learnt, with five targets each."""

    items, targets_per_item = 6, 5

    def epoch(self, rng):
        return rng.permutation(6)

    def loss(self, model, items):
        x = items.float().view(-1, 1)
        return (model(x) - 2 * x).square().mean()


class Notes:
    """What a run is told, in order."""

    def __init__(self, checkpoint=None):
        self.told, self.saved, self._checkpoint = [], [], checkpoint

    def load(self):
        return self._checkpoint

    def save(self, state, epoch):
        self.told.append(f"checkpoint {epoch}")
        self.saved.append(copy.deepcopy(state))

    def recall(self):
        self.told.append("recall")

    def flush(self):
        self.told.append("flush")

    def log_metrics(self, metrics, step=0):
        self.told.append((dict(metrics), step))

    def set_tags(self, tags):
        self.told.append(tags)


class Marks(Callback):
    def __init__(self, run: Notes):
        self.run = run

    def on_epoch(self, progress):
        self.run.told.append(f"marked {progress.epoch}")


@pytest.fixture(autouse=True)
def _noted(monkeypatch):
    monkeypatch.setattr(tracked, "load_checkpoint", Notes.load)
    monkeypatch.setattr(tracked, "save_checkpoint", Notes.save)


@pytest.fixture
def training():
    def make() -> Training:
        torch.manual_seed(0)
        model, task = nn.Linear(1, 1), Line()
        return Training(
            model=model,
            task=task,
            engine=Replicas(model, task, 0),
            optimizer=torch.optim.SGD(model.parameters(), 1e-3),
            batch_size=6,
            seed=0,
            progress=Progress.planned(6, 6, 2),
        )

    threads = torch.get_num_threads()
    yield make
    torch.set_num_threads(threads)


def test_a_run_is_described_and_each_epoch_logged_before_its_checkpoint(training):
    run = Notes()
    tracked.train(run, training(), CONTEXT, "A line.", [Marks(run)])
    assert run.told == [
        "recall",
        {"mlflow.note.content": "A line."},
        "marked 1",
        "checkpoint 1",
        "marked 2",
        "checkpoint 2",
    ]


def test_a_run_tells_which_gpu_trains_it(training, monkeypatch):
    monkeypatch.setattr(tracked, "gpu_of", lambda model: "NVIDIA H200")
    run = Notes()
    tracked.train(run, training(), CONTEXT, "A line.", [])
    assert run.told[0] == {"gpu": "NVIDIA H200"}


def test_a_run_with_a_checkpoint_goes_on_and_says_so(training):
    whole = Notes()
    tracked.train(whole, training(), CONTEXT, "A line.", [])
    run = Notes(whole.saved[0])
    tracked.train(run, training(), CONTEXT, "A line.", [Marks(run)])
    assert {"mlflow.note.content": "A line.\n\nContinued from a checkpoint."} in run.told
    assert run.told[-2:] == ["marked 2", "checkpoint 2"]
    assert "marked 1" not in run.told
    assert torch.equal(run.saved[-1]["model"]["weight"], whole.saved[-1]["model"]["weight"])


def test_a_second_training_is_saved_beside_the_end_of_the_first_and_goes_on(training):
    own, done = Notes(), training()
    tracked.train(own, done, CONTEXT, "A line.", [])
    end = own.saved[-1]
    whole = Notes()
    tracked.train_after(whole, done, training(), CONTEXT, "again")
    assert whole.told == ["checkpoint 3", "checkpoint 4"]
    for number, state in enumerate(whole.saved, 1):
        assert state["progress"] == end["progress"]
        assert torch.equal(state["model"]["weight"], end["model"]["weight"])
        assert state["again"]["progress"]["epoch"] == number
    run, done = Notes(whole.saved[0]), training()
    saved = tracked.train(run, done, CONTEXT, "A line.", [])
    run.told.clear()
    tracked.train_after(run, done, training(), CONTEXT, "again", saved)
    assert run.told == ["checkpoint 4"]
    assert torch.equal(run.saved[-1]["again"]["model"]["weight"], whole.saved[-1]["again"]["model"]["weight"])
    # The first one goes on from there as from its own last checkpoint.
    first = Notes(run.saved[-1])
    tracked.train(first, training(), CONTEXT, "A line.", [])
    assert not first.saved


@pytest.mark.fault(28)
def test_the_micro_batch_is_logged_at_the_update_that_ran_out_of_memory(training):
    run, short = Notes(), training()
    loss = short.task.loss

    def limited(model, items):
        if short.progress.update == 1 and len(items) > 2:
            raise RuntimeError("out of memory")
        return loss(model, items)

    short.task.loss = limited
    tracked.train(run, short, CONTEXT, "A line.", [])
    assert [each for each in run.told if isinstance(each, tuple) and "cost/micro_batch" in each[0]] == [
        ({"cost/micro_batch": 3}, 1),
        ({"cost/micro_batch": 1}, 1),
    ]


def test_metrics_after_each_epoch_have_it_as_their_step(training):
    run, trained = Notes(), training()
    trained.fit([tracked.EpochLog(run, lambda progress: {"loss": 10.0 * progress.epoch})])
    assert run.told == [({"loss": 10.0}, 1), "flush", ({"loss": 20.0}, 2), "flush"]


def test_the_costs_of_a_training(training):
    run, trained = Notes(), training()
    trained.progress.items, trained.progress.seconds, trained.evaluation_seconds = 12, 4.0, 3.0
    tracked.log_costs(run, trained, "cost/targets_per_s")
    costs = {"cost/weights": 2, "training_time_s": 4.0, "evaluation_time_s": 3.0, "cost/targets_per_s": 15.0}
    assert run.told == [(costs, 0)]
