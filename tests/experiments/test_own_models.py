"""Models of a user's own: what is refused before any run, and what a launch leaves of them."""

import hashlib
import re
from pathlib import Path

import pytest
import torch
from support.launches import statuses
from support.own_nets import NETS

from pipelines.errors import UserError
from pipelines.experiments.ablation.classifier import classifier
from pipelines.experiments.ablation.experiment import plan as plan_ablation
from pipelines.experiments.ablation.options import AblationOptions
from pipelines.experiments.ablation.rows import OwnClassifierSettings, read_settings
from pipelines.experiments.recurrent.experiment import plan as plan_recurrent
from pipelines.experiments.recurrent.options import RecurrentOptions

pytestmark = pytest.mark.usefixtures("forgotten")


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """The working folder, with a file ``nets.py``."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nets.py").write_text(NETS)
    return tmp_path


def planned(folder: Path, entry: str, text: str, **options):
    (folder / "mine.toml").write_text(f"[{entry}.mine]\n{text}\n")
    options |= {"rows": "mine.toml", "dataset": "sample", "device": "cpu"}
    if entry == "ablation":
        return plan_ablation(AblationOptions(**options), folder).jobs
    return plan_recurrent(RecurrentOptions(**options), folder).jobs


def test_a_model_has_the_protocol_of_the_default_row_and_its_arguments(folder):
    (job,) = planned(folder, "ablation", 'model = "nets:Small"\narguments = { width = 8 }\nlr = 0.5')
    s = job.settings
    assert isinstance(s, OwnClassifierSettings)
    assert (s.like, s.model, s.arguments, s.lr) == ("cnn", "nets:Small", {"width": 8}, 0.5)
    assert (s.epochs, s.batch_size, s.changes) == (10, 8, "model=nets:Small width=8 lr=0.5")
    assert s.model_sha256 == hashlib.sha256(NETS.encode()).hexdigest()
    assert {"channels", "kernel", "hidden", "activation"}.isdisjoint(s.params())
    assert read_settings(s.params()) == s


def test_lists_of_arguments_make_a_grid(folder):
    jobs = planned(folder, "ablation", 'model = "nets:Small"\narguments = [{ width = 2 }, { width = 4, classes = 10 }]')
    assert [job.name for job in jobs] == ["mine-width2-seed0", "mine-width4-classes10-seed0"]


def test_a_seed_gives_the_same_weights_also_of_a_lazy_module(folder):
    from pipelines.data.datasets import load_images

    (job,) = planned(folder, "ablation", 'model = "nets:Lazy"')
    first, second = (
        [weights.clone() for weights in classifier(job.settings, load_images("sample")).training.model.parameters()]
        for _ in range(2)
    )
    assert [each.shape for each in first] == [(10, 3072), (10,)]
    assert all(map(torch.equal, first, second))


def test_a_forecaster_takes_the_place_of_the_reports(folder):
    (job,) = planned(folder, "recurrent", 'model = "nets:Causal"\nlike = "lstm-3"')
    assert (job.settings.like, job.settings.lr, job.settings.lookback) == ("lstm-3", 0.005, 90)
    assert {"cell", "layers", "hidden", "dropout", "standardise"}.isdisjoint(job.settings.params())


# Each is an experiment, the row's table, and what is said of it.
FAULTS = [
    ("ablation", 'model = "nets"', "model: write it as module:factory, such as my_package.nets:Wide, not 'nets'"),
    ("ablation", 'model = "netz:Small"', "model: there is no module netz in FOLDER or among those installed"),
    ("ablation", 'model = "nets:Smal"', "model: FOLDER/nets.py has no 'Smal'; did you mean Small? Name a class"),
    ("ablation", 'model = "nets:LABEL"', "model: nets:LABEL is a str and cannot be called; name a class or a function"),
    ("ablation", 'model = "nets:number"', "model: nets:number() gives a int, not a torch.nn.Module"),
    (
        "ablation",
        'model = "broken:X"',
        "model: importing broken fails: ZeroDivisionError: division by zero (broken",
    ),
    ("ablation", 'model = "leaving:X"', "model: importing leaving fails: SystemExit: 3"),
    (
        "ablation",
        'model = "needing:X"',
        "model: importing needing fails: ModuleNotFoundError: No module named 'no",
    ),
    (
        "ablation",
        'model = "nets:Small"\narguments = { depth = 3 }',
        "model: nets:Small(depth=3) fails: TypeError: Small.__init__() got an unexpected keyword argument 'depth'; its "
        "row gives it arguments = { … }",
    ),
    (
        "ablation",
        'model = "nets:Small"\narguments = { classes = 7 }',
        "model: nets:Small gives torch.float32 of shape (2, 7) for inputs of shape (2, 3, 32, 32); it has to give "
        "logits (images, classes), floating point of shape (2, 10)",
    ),
    ("ablation", 'model = "nets:Causal"', "model: nets:Causal fails for inputs of shape (2, 3, 32, 32): RuntimeError"),
    ("ablation", 'model = "nets:Fixed"', "model: nets:Fixed() has no weights to train"),
    ("ablation", 'model = "nets:Detached"', "model: nets:Detached: its outputs have no gradients; do not detach them"),
    ("ablation", 'model = "nets:Pair"', "model: nets:Pair gives a tuple, not one tensor"),
    ("ablation", 'model = "math:sqrt"', "model: math:sqrt() fails: TypeError"),
    ("ablation", 'model = "nets:Small"\nchannels = [3]', "channels: no setting of a model of your own; has lr, epochs"),
    ("ablation", 'model = "nets:Small"\narguments = { a = 1979-05-27 }', "arguments: a has to be a number, a text"),
    ("ablation", 'model = "nets:Small"\nmodel_sha256 = "1"', "model_sha256: no setting of a model of your own"),
    ("ablation", 'like = "cnn"\narguments = { a = 1 }', "arguments: no setting of cnn"),
    ("recurrent", 'model = "nets:Causal"\nlike = "gru-relative"', "model: no setting of gru-relative"),
    ("recurrent", 'model = "nets:Ahead"', "model: nets:Ahead looks ahead: what it forecasts after an hour depends on"),
    ("recurrent", 'model = "nets:Small"', "model: nets:Small fails for inputs of shape (90, 2, 5)"),
    (
        "recurrent",
        'model = "nets:Normed"\nreplicas = 2',
        "model: nets:Normed has buffers, such as those of a",
    ),
    ("pretrain", 'model = "nets:Small"\nlike = "resnet20"', "model: no setting of resnet20"),
]


def test_a_file_that_is_no_python_is_named_with_its_line_once(folder):
    (folder / "half.py").write_text("def half(:\n")
    with pytest.raises(UserError, match=r": importing half fails: SyntaxError: invalid syntax \(half\.py, line 1\)$"):
        planned(folder, "ablation", 'model = "half:X"')


@pytest.mark.parametrize(("entry", "text", "said"), FAULTS)
def test_what_cannot_be_trained_is_refused_before_any_run(folder, entry, text, said):
    (folder / "broken.py").write_text("x = 1 / 0\n")
    (folder / "leaving.py").write_text("raise SystemExit(3)\n")
    (folder / "needing.py").write_text("import nowhere\n")
    said = re.escape(said.replace("FOLDER", str(folder)))
    with pytest.raises(UserError, match=rf"^mine\.toml: \[{entry}\.mine\] {said}"):
        planned(folder, entry, text)


def test_a_network_that_looks_ahead_can_be_trained_on_windows(folder):
    (job,) = planned(folder, "recurrent", 'model = "nets:Ahead"', training="window")
    assert job.settings.training == "window"


def test_gradients_by_hand_are_refused(folder):
    with pytest.raises(UserError, match=r"^backprop=manual: .*mine has a model of its own; give variants=mlp-2,"):
        planned(folder, "ablation", 'model = "nets:Small"', backprop="manual")


def test_options_for_networks_of_this_project_are_refused(folder):
    with pytest.raises(UserError, match=r"^hidden=8: mine has a model of its own; give it arguments in its file$"):
        planned(folder, "recurrent", 'model = "nets:Causal"', hidden=8)


# Launches.

QUICK = ("--dataset", "sample", "--epochs", "1", "--fraction", "0.1", "--rows", "mine.toml")


@pytest.mark.medium
def test_a_launch_logs_the_source_and_the_model_or_else_its_weights(place):
    (place.folder / "nets.py").write_text(NETS)
    tables = [
        '[ablation.small]\nmodel = "nets:Small"\narguments = { width = 2 }',
        '[ablation.branching]\nmodel = "nets:Branching"',
        '[recurrent.causal]\nmodel = "nets:Causal"',
    ]
    (place.folder / "mine.toml").write_text("\n".join(tables))
    assert place.invoke("ablation", *QUICK) == 0, place.stderr
    assert "branching fraction=0.1 epochs=1 seed0: The model could not be exported (" in place.stderr
    assert "def forward" not in place.stderr
    assert place.invoke("recurrent", *QUICK) == 0, place.stderr
    runs = place.runs()
    digest = hashlib.sha256(NETS.encode()).hexdigest()
    for name in ("small-seed0", "branching-seed0", "causal-seed0"):
        assert place.artifact(runs[name], "source/nets.py").read_text() == NETS
        assert runs[name].data.params["model_sha256"] == digest
        assert bool(runs[name].outputs.model_outputs) == (name != "branching-seed0")
    assert place.invoke("reproduce", runs["small-seed0"].info.run_id) == 0, place.stderr
    weights = place.artifact(runs["branching-seed0"], "weights/weights.safetensors")
    from safetensors.torch import load_file

    assert {"network.head.weight", "network.same.weight"} <= load_file(weights).keys()
    assert "so its state dict alone is logged" in runs["branching-seed0"].data.tags["mlflow.note.content"]
    assert "**nets:Causal()**" in runs["causal-seed0"].data.tags["mlflow.note.content"]


@pytest.mark.medium
def test_versions_of_a_file_are_lines_of_their_own_and_another_one_is_not_continued(place):
    nets = place.folder / "nets.py"
    (place.folder / "mine.toml").write_text('[ablation.small]\nmodel = "nets:Small"\n')
    for version in (NETS, NETS + "# changed\n"):
        nets.write_text(version)
        assert place.invoke("ablation", *QUICK) == 0, place.stderr
    assert place.invoke("compare", "--entry", "ablation", module="analysis") == 0
    lines = [line for line in place.stdout.splitlines() if line.startswith("| ")]
    assert "model_sha256" in lines[0]
    assert [line.split("|")[1].strip() for line in lines[2:]] == ["small", "small"]

    (launched,) = (run for run in place.client.search_runs(["1"], "tags.row = 'small'", max_results=1))
    place.client.update_run(launched.info.run_id, "FAILED")
    parent = launched.data.tags["mlflow.parentRunId"]
    place.client.update_run(parent, "FAILED")
    nets.write_text(NETS + "# changed again\n")
    assert place.invoke("ablation", "--resume", parent) == 2
    assert "nets.py is not what it was when the launch began (SHA-256" in place.stderr
    assert sorted(statuses(place).values())[-1] == "FINISHED"
