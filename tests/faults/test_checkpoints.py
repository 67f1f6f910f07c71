"""Checkpoints that are damaged, missing, exchanged or cut off in their writing: the one before is taken, or none."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from support.place import ROOT

from pipelines import names
from pipelines.errors import UserError
from pipelines.experiments import tracked
from pipelines.experiments.base import Context
from pipelines.experiments.recurrent import row
from pipelines.experiments.recurrent.rows import resolve
from pipelines.tracking.checkpoints import load_checkpoint, save_checkpoint
from pipelines.tracking.run import Run

SETTINGS = resolve("gru-2", "sample", "dense", 0, 1.0, epochs=4, hidden=8)


@pytest.fixture
def run(place, at):
    at(place.folder, place.uri)
    return Run.launch("row", {})


def saved(run, *epochs):
    for epoch in epochs:
        save_checkpoint(run, {"epoch": epoch, "weight": torch.full((100,), float(epoch))}, epoch)


def file_of(place, run, name) -> Path:
    return Path(place.client.get_run(run.id).info.artifact_uri.removeprefix("file://")) / "checkpoint" / name


DAMAGES = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-100]),
    "empty": lambda path: path.write_bytes(b""),
    "flipped": lambda path: path.write_bytes(bytes([path.read_bytes()[0] ^ 4]) + path.read_bytes()[1:]),
    "exchanged": lambda path: torch.save({"epoch": 9}, path),
    "missing": lambda path: path.unlink(),
}


@pytest.mark.fault(18)
@pytest.mark.parametrize("damage", DAMAGES)
def test_the_one_before_takes_the_place_of_a_damaged_one(place, run, capsys, damage):
    saved(run, 1, 2, 3)
    DAMAGES[damage](file_of(place, run, "odd.pt"))
    again = Run(run.id)
    assert load_checkpoint(again)["epoch"] == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "odd.pt" in line
    assert line.endswith("it goes on from the one before, of epoch 2")
    # What goes on writes over the damaged one.
    saved(again, 3)
    assert load_checkpoint(Run(run.id))["epoch"] == 3
    DAMAGES[damage](file_of(place, run, "odd.pt"))
    assert load_checkpoint(Run(run.id))["epoch"] == 2


@pytest.mark.fault(18)
@pytest.mark.parametrize("damage", DAMAGES)
def test_where_both_are_damaged_one_line_says_so(place, run, damage):
    saved(run, 1, 2)
    for name in ("odd.pt", "even.pt"):
        DAMAGES[damage](file_of(place, run, name))
    with pytest.raises(UserError, match=rf"^run {run.id} cannot go on: .*even\.pt .*; .*odd\.pt .*; start anew$"):
        load_checkpoint(Run(run.id))


def test_a_tag_of_an_earlier_version_is_read(run):
    saved(run, 1, 2)
    newest = json.loads(run.tags[names.CHECKPOINT])
    run.set_tags({names.CHECKPOINT: json.dumps({key: newest[key] for key in ("path", "sha256", "epoch")})})
    assert load_checkpoint(Run(run.id))["epoch"] == 2


@pytest.mark.fault(18)
@pytest.mark.parametrize(
    "tag",
    [
        "",
        "nonsense",
        "[]",
        "3",
        "null",
        "{}",
        '{"path": "checkpoint/even.pt"}',
        json.dumps({"path": "../../etc/passwd", "sha256": "0" * 64, "epoch": 1}),
        json.dumps({"path": "checkpoint/even.pt", "sha256": "0", "epoch": 1}),
        json.dumps({"path": "checkpoint/even.pt", "sha256": "0" * 64, "epoch": "x"}),
        json.dumps({"path": "checkpoint/even.pt", "sha256": "0" * 64, "epoch": 1, "before": 7}),
    ],
)
def test_a_tag_that_is_not_what_was_written_is_one_line(run, tag):
    saved(run, 1)
    run.set_tags({names.CHECKPOINT: tag})
    with pytest.raises(UserError) as refusal:
        load_checkpoint(run)
    assert str(refusal.value).startswith(f"run {run.id} cannot go on: its tag 'checkpoint' is not what was written (")
    assert "Error" not in str(refusal.value)


@pytest.mark.fault(18)
@pytest.mark.parametrize("plan", ["nonsense", "{}", "[1]", '[{"name": "a"}]', '[{"name": "a", "settings": {}}]'])
def test_a_plan_that_is_not_what_was_written_is_one_line(place, run, refused, plan):
    run.set_tags({names.ENTRY: "recurrent"})
    place.client.log_text(run.id, plan, names.PLAN)
    line = refused(place.folder, place.uri, "recurrent", "--resume", run.id)
    assert run.id in line
    assert "plan.json" in line
    assert "Error" not in line


@pytest.mark.fault(12)
@pytest.mark.fault(18)
@pytest.mark.medium
def test_what_was_logged_after_the_checkpoint_before_is_not_logged_twice(place, at, monkeypatch):
    """Of the two epochs that a damaged checkpoint costs, the first time's points stay."""
    at(place.folder, place.uri)
    run = Run.launch("gru-2-seed0", {"row": "gru-2"})
    with pytest.raises(Stopped):
        trained(run, SETTINGS, monkeypatch, until=3)
    DAMAGES["truncated"](file_of(place, run, "odd.pt"))
    again = Run(run.id)
    assert trained(again, SETTINGS, monkeypatch) == [3, 4]
    for metric in ("train_loss", "smape_curve"):
        points = place.client.get_metric_history(run.id, metric)
        steps = [point.step for point in points]
        assert len(steps) == len(set(steps))
    assert [step for step, _ in again.history("train_loss")] == [1, 2, 3, 4]


@pytest.mark.fault(33)
@pytest.mark.medium
@pytest.mark.usefixtures("torch_threads")
@pytest.mark.filterwarnings("ignore:Operation with range:pandas.errors.Pandas4Warning")  # of MLflow's example of input
def test_a_training_for_validation_that_was_stopped_goes_on_to_the_same_error(place, at, monkeypatch):
    """A forecaster's second training has its epochs after those of the first, and is not begun again."""
    at(place.folder, place.uri)
    settings = resolve("gru-relative", "sample", "dense", 0, 1.0, epochs=2, hidden=4)
    whole, run = (Run.launch("gru-relative-seed0", {"row": "gru-relative"}) for _ in range(2))
    assert trained(whole, settings, monkeypatch) == [1, 2, 3, 4]
    with pytest.raises(Stopped):
        trained(run, settings, monkeypatch, until=3)
    again = Run(run.id)
    assert trained(again, settings, monkeypatch) == [4]
    for metric in (names.SMAPE, names.VAL_SMAPE):
        assert again.metrics[metric] == whole.metrics[metric]


class Stopped(Exception):  # noqa: N818 - no error
    """Stops a training of these tests."""


def trained(run, settings, monkeypatch, until: int = 0) -> list[int]:
    """The epochs that a row trains and saves a checkpoint after; it is Stopped after that with the number `until`."""
    epochs = []

    def noted(run, state, epoch):
        save_checkpoint(run, state, epoch)
        epochs.append(epoch)
        if epoch == until:
            raise Stopped

    monkeypatch.setattr(tracked, "save_checkpoint", noted)
    with run.active():
        row.run_row(run, settings, Context(data_dir="data"))
    return epochs


@pytest.mark.fault(17)
@pytest.mark.medium
def test_twenty_kills_in_the_middle_of_a_save_leave_the_newest_whole(tmp_path):
    tests = ROOT / "tests"
    done = subprocess.run(
        [sys.executable, "-m", "support.saving", tmp_path, "20"],
        cwd=tests,
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    lines = [line.split() for line in done.stdout.splitlines()]
    assert len(lines) == 20
    for before, (newest, loaded, weight) in zip([0, *(int(line[0]) for line in lines)], lines, strict=False):
        assert int(newest) == int(loaded) == float(weight) > before
