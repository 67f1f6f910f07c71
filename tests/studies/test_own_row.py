"""Studies that begin with a row of the user's own: what they search, what they keep of it, and how they go on."""

from dataclasses import replace

import optuna
import pytest

from pipelines.errors import UserError
from pipelines.studies.options import TuneOptions
from pipelines.studies.plan import plan_of
from pipelines.studies.storage import open_study
from pipelines.studies.worker import run_trials
from pipelines.tracking.run import Run

FILE = """\
[ablation.narrow]
like = "mlp-2"
hidden = [16]
momentum = 0.8

[ablation.small]
model = "nets:Small"
arguments = { width = 4 }
lr = 0.02
epochs = 2

[recurrent.brief]
like = "gru-relative"
hidden = 16
epochs = 2
"""
NETS = """\
import torch
from torch import nn


class Small(nn.Module):
    def __init__(self, width, classes=10):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, width, 8, 8), nn.ReLU(), nn.Flatten(), nn.Linear(16 * width, classes))

    def forward(self, images):
        return self.layers(images)
"""

pytestmark = pytest.mark.usefixtures("forgotten")


@pytest.fixture
def folder(place, at):
    """A folder with the user's files."""
    at(place.folder, place.uri)
    (place.folder / "mine.toml").write_text(FILE)
    (place.folder / "nets.py").write_text(NETS)
    return place.folder


def planned(**given):
    return plan_of(TuneOptions(**{"dataset": "sample", "rows": "mine.toml", "device": "cpu"} | given))


def test_the_one_row_of_a_file_needs_no_name_and_gives_the_study_its_own(folder):
    plan = planned(space="lr,hidden")
    assert (plan.name, plan.row) == ("recurrent-brief-sample", "brief")
    assert plan.usual["hidden"] == 16
    assert 16 in plan.dimensions["hidden"].options
    trial = plan.trial_settings({"lr": 0.01, "hidden": 64})
    assert (trial.row, trial.hidden, trial.epochs, trial.lr) == ("tuned", 64, 2, 0.01)
    # No longer what the row has of its own.
    assert (trial.like, trial.changes) == ("", "")
    # What it is like otherwise.
    assert (trial.cell, trial.layers, trial.weight_decay, trial.average) == ("GRU", 1, 0.05, 0.998)


def test_a_row_of_the_project_can_be_named_beside_a_file(folder):
    plan = planned(row="gru-2")
    assert (plan.name, plan.row, plan.own_row) == ("recurrent-gru-2-sample", "gru-2", None)


def test_what_the_search_has_no_name_for_is_kept(folder):
    plan = planned(study="ablation", row="narrow", space="wide")
    assert list(plan.dimensions) == ["lr", "activation"]  # no row of the CNN report has such a shape
    settings = plan.settings({"lr": 0.003, "activation": "Tanh"}, 1, 1.0)
    assert (settings.hidden, settings.momentum, settings.activation, settings.seed) == ((16,), 0.8, "Tanh", 1)
    assert plan.changes == {"hidden": [16], "momentum": 0.8}


def test_of_a_network_of_the_users_own_the_learning_rate_is_searched(folder):
    plan = planned(study="ablation", row="small", space="wide")
    assert list(plan.dimensions) == ["lr"]
    assert plan.own.model_sha256
    with pytest.raises(UserError, match=r"^space=lr,depth, row=small: unknown 'depth'; known are default, wide, lr"):
        planned(study="ablation", row="small", space="lr,depth")


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"study": "ablation"}, "^rows=mine.toml: a study begins with one row; give --row one of narrow, small$"),
        ({"row": "gru-2,brief"}, "^row=gru-2,brief: a study begins with one row; give --row one of gru-2, brief$"),
        ({"row": "breif"}, "^row='breif': unknown 'breif'; did you mean brief?"),
        ({"row": "persistence"}, "^row=persistence: not a trained row of study=recurrent"),
        ({"rows": "nowhere.toml"}, "^rows=nowhere.toml: No such file"),
    ],
)
def test_what_is_no_row_to_begin_with_is_refused(folder, given, named):
    with pytest.raises(UserError, match=named):
        planned(**given)


def test_a_network_that_takes_no_image_is_refused_before_any_run(folder, place):
    (folder / "nets.py").write_text(NETS.replace("16 * width", "17 * width"))
    with pytest.raises(UserError, match=r"^mine.toml: \[ablation.small\] model: nets:Small fails for inputs of shape"):
        planned(study="ablation", row="small")
    assert not place.runs()
    assert not (folder / "optuna.db").exists()


def test_a_trial_fails_whose_network_has_changed_since_the_launch(folder, place):
    plan = replace(planned(study="ablation", row="small", n_trials=1), parent=Run.launch("tune", {}).id)
    open_study(plan, "d" * 64)
    (folder / "nets.py").write_text(NETS + "# changed\n")
    run_trials(plan, 0, 0)
    run = place.runs()["trial-0"]
    assert run.info.status == "FAILED"
    assert "nets.py is not what it was when the launch began" in run.data.tags["failure"]


@pytest.mark.medium
def test_a_network_of_the_users_own_is_tuned_and_the_study_goes_on_with_no_other(place):
    (place.folder / "mine.toml").write_text(FILE)
    (place.folder / "nets.py").write_text(NETS)
    given = ("tune", "--study", "ablation", "--dataset", "sample", "--fraction", "0.2", "--finalists", "1")
    study = (*given, "--rows", "mine.toml", "--row", "small")
    assert place.invoke(*study, "--n-trials", "2") == 0, place.stderr
    runs = place.runs()
    assert place.artifact(runs["tune ablation-small-sample"], "rows.toml").read_text() == FILE
    trials = optuna.load_study(study_name="ablation-small-sample", storage=f"sqlite:///{place.folder}/optuna.db").trials
    assert trials[0].params == {"lr": 0.02}  # the row's own
    params = runs["trial-0"].data.params
    assert (params["model"], params["arguments"], params["lr"]) == ("nets:Small", "{'width': 4}", "0.02")
    winner = runs["tuned-seed0"]
    assert (winner.info.status, winner.data.params["model"]) == ("FINISHED", "nets:Small")
    assert winner.data.params["epochs"] == "2"
    assert place.artifact(winner, "source/nets.py").read_text() == NETS
    assert {"like", "changes"}.isdisjoint(winner.data.params)

    (place.folder / "mine.toml").write_text(FILE.replace("width = 4", "width = 5"))
    assert place.invoke(*study, "--n-trials", "3") == 2
    assert (
        "not the study that is in sqlite:///optuna.db, whose own_settings was {'arguments': {'width': 4}}; "
        in place.stderr
    )
