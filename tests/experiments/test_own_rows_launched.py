"""Launches with rows of a user's own: what they leave behind, and how they go on without the file."""

import signal

import pytest
from support.launches import statuses

from pipelines.__main__ import cli
from pipelines.errors import Interrupted

FILE = """\
[ablation.mine]
like = "mlp-2"
hidden = [16]

[ablation.steps]
like = "mlp-2"
lr = [0.002, 0.01]
"""
QUICK = ("ablation", "--dataset", "sample", "--epochs", "1", "--fraction", "0.1")

pytestmark = pytest.mark.medium


def test_a_launch_that_was_stopped_goes_on_without_its_file(place, at, settled, monkeypatch):
    rows = place.folder / "mine.toml"
    rows.write_text(FILE)

    def stopped(*jobs, **options):
        raise Interrupted(signal.SIGTERM)

    at(place.folder, place.uri)
    with monkeypatch.context() as context:
        context.setattr("pipelines.launching.launch.fan_out", stopped)
        with pytest.raises(SystemExit):
            cli([*QUICK, "--rows", "mine.toml", "--variants", "mine,steps,mlp-2"])
    rows.unlink()
    assert statuses(place) == {"ablation sample": "KILLED"}
    launched = place.runs()["ablation sample"]
    assert launched.data.params["rows"] == "mine.toml"
    assert place.artifact(launched, "rows.toml").read_text() == FILE

    assert place.invoke("ablation", "--resume", launched.info.run_id) == 0, place.stderr
    runs = place.runs()
    own = {"mine-seed0", "steps-lr0.002-seed0", "steps-lr0.01-seed0"}
    assert statuses(place) == dict.fromkeys({"ablation sample", "mlp-2-seed0", *own}, "FINISHED")
    tags = runs["mine-seed0"].data.tags
    assert (tags["row"], tags["like"], tags["changes"]) == ("mine", "mlp-2", "hidden=16")
    assert "A row of the user's own, like `mlp-2`, but hidden=16." in tags["mlflow.note.content"]
    assert {"like", "changes"}.isdisjoint(runs["mlp-2-seed0"].data.params)
    # The catalogue's row first, then the user's own: in the table, and in the figures of all rows together.
    table = place.artifact(runs["ablation sample"], "tables/comparison.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in table[1:]] == ["mlp-2", "mine", "steps-lr0.002", "steps-lr0.01"]
    flips = place.artifact(runs["ablation sample"], "tables/flips.csv").read_text()
    assert all(row in flips for row in ("mine", "steps-lr0.002", "steps-lr0.01"))

    assert place.invoke("compare", "--entry", "ablation", "--baseline", "mlp-2", module="analysis") == 0
    lines = [line.split("|")[1].strip() for line in place.stdout.splitlines() if line.startswith("| ")]
    assert lines[2:] == ["mlp-2", "mine", "steps-lr0.002", "steps-lr0.01"]


def test_the_model_of_a_pretraining_has_the_name_of_its_row(place):
    (place.folder / "mine.toml").write_text('[pretrain.mine]\nlike = "resnet20"\nlr = 0.01\n')
    given = ("--dataset", "sample", "--rows", "mine.toml", "--epochs", "1", "--fraction", "0.05")
    assert place.invoke("pretrain", *given) == 0, place.stderr
    assert [model.name for model in place.client.search_registered_models()] == ["sample-mine"]
    assert "next      python -m analysis compare --entry pretrain" in place.stderr + place.stdout
