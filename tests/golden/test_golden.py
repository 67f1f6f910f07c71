"""What the project logs, offers and leaves behind is what was recorded, whatever its code has come to look like.

`pytest tests/golden --rewrite-golden` records it anew.
"""

import json
import shutil
from pathlib import Path

import pytest
import yaml
from support import golden
from support.place import ROOT, Place

from analysis.__main__ import cli as analysis
from pipelines.__main__ import cli as pipelines
from pipelines.experiments.ablation.rows import ABLATION, resolve_classifier
from pipelines.experiments.base import changed
from pipelines.experiments.index import search_of
from pipelines.experiments.pretrain.rows import resolve_pretraining
from pipelines.experiments.recurrent.rows import RECURRENT, resolve
from pipelines.experiments.resnet import experiment as resnet
from pipelines.experiments.resnet.options import ResnetOptions
from pipelines.experiments.resnet.rows import RESNETS
from pipelines.experiments.resnet.weights import Weights

HERE = Path(__file__).parent
ROWS, COMMANDS, LAUNCHES = (HERE / f"{name}.json" for name in ("rows", "commands", "launches"))


@pytest.fixture(scope="module")
def rewrite(request) -> bool:
    return request.config.getoption("--rewrite-golden")


# Where the code is that gives what a run logs as parameters: each a mapping.


def recurrent(row, dataset, training, seed=0, fraction=1.0, **overrides):
    return resolve(row, dataset, training, seed, fraction, **overrides).protocol()


def ablation(row, dataset, backprop, seed=0, fraction=1.0, **overrides):
    return resolve_classifier(row, dataset, backprop, seed, fraction, **overrides).protocol()


def pretraining(row, dataset, seed=0, fraction=1.0, **overrides):
    return resolve_pretraining(row, dataset, seed, fraction, **overrides).protocol()


def tuned(study, dataset, chosen, seed=0, fraction=1.0, row=""):
    search = search_of(study)
    return changed(
        search.resolve(search.own(row or search.row, dataset, ""), chosen), seed=seed, fraction=fraction
    ).protocol()


def evaluation(row, dataset, **options):
    weights = Weights(
        {}, "0f" * 32, "somebody, a.pt", "plain", "A", (0.1, 0.2, 0.3), (0.4, 0.5, 0.6), 91.7, "akamaster"
    )
    precision = options.get("precision", "bf16,fp32")
    given = {name: value for name, value in options.items() if name not in ("device", "precision")}
    return resnet.settings_of(row, weights, dataset, ResnetOptions(**given), "cpu", precision).params()


PERCEPTRONS = [row for row, found in ABLATION.items() if not found.channels]
CHOSEN = {
    "recurrent": {"cell": "LSTM", "depth": 3, "hidden": 64, "dropout": 0.1, "lr": 0.001},
    "ablation": {"family": "mlp", "depth": 3, "width": 2, "activation": "Tanh", "lr": 0.01},
}
DATASETS = {"recurrent": ("pjm", "sample"), "ablation": ("cifar10", "sample")}


def rows():
    """Parameters of every row on every data set, by what was asked for."""
    found = {}
    for dataset in DATASETS["recurrent"]:
        for row in RECURRENT:
            for training in ("dense", "window"):
                found[f"recurrent {row} {dataset} {training}"] = recurrent(row, dataset, training)
        chosen = {"epochs": 7, "batch_size": 9, "lr": 0.25, "hidden": 11, "dropout": 0.5}
        given = recurrent("lstm-3", dataset, "dense", 3, 0.5, **chosen)
        found[f"recurrent lstm-3 {dataset} dense, all given"] = given
        some = recurrent("gru-2", dataset, "window", 1, 0.1, epochs=None, lr=0.5, hidden=None, dropout=None)
        found[f"recurrent gru-2 {dataset} window, some given"] = some
    for dataset in DATASETS["ablation"]:
        for row in ABLATION:
            found[f"ablation {row} {dataset} autograd"] = ablation(row, dataset, "autograd")
        for row in PERCEPTRONS:
            found[f"ablation {row} {dataset} manual"] = ablation(row, dataset, "manual")
        given = ablation("mlp-4", dataset, "manual", 2, 0.25, epochs=7, batch_size=9, lr=0.3)
        found[f"ablation mlp-4 {dataset} manual, all given"] = given
        for row in RESNETS:
            found[f"pretrain {row} {dataset}"] = pretraining(row, dataset)
            found[f"resnet {row} {dataset}"] = evaluation(row, dataset)
        given = pretraining("resnet20", dataset, 4, 0.75, epochs=7, batch_size=9, lr=0.3, sides=[16, 32])
        found[f"pretrain resnet20 {dataset}, all given"] = given
        options = {"weights": "akamaster", "batch_size": 9, "precision": "fp32", "weights_key": "model"}
        found[f"resnet resnet56 {dataset}, all given"] = evaluation("resnet56", dataset, **options)
    for study, datasets in DATASETS.items():
        for dataset in datasets:
            found[f"tune {study} {dataset}"] = tuned(study, dataset, {})
            found[f"tune {study} {dataset}, all chosen"] = tuned(study, dataset, CHOSEN[study], 2, 0.5)
    for row in ("gru-relative", "mlp-lags"):
        found[f"tune recurrent {row} pjm"] = tuned(
            "recurrent", "pjm", {"lags": "24", "head": 32, "loss": "mae"}, row=row
        )
    return {asked: {key: str(value) for key, value in params.items()} for asked, params in found.items()}


def test_parameters_of_every_row(rewrite):
    golden.compare(ROWS, rows(), rewrite)


def test_commands_and_entry_points(rewrite, monkeypatch):
    # No folder is below a temporary clone here.
    monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)
    groups = {"pipelines": pipelines, "analysis": analysis}
    found = {
        f"{program} {name}": golden.command(program, command)
        for program, group in groups.items()
        for name, command in group.commands.items()
    }
    project = yaml.safe_load((ROOT / "MLproject").read_text())
    for entry in project["entry_points"].values():
        entry["command"] = " ".join(entry["command"].split())
    groups = {program: group.help for program, group in groups.items()}
    golden.compare(COMMANDS, {"commands": found, "groups": groups, "MLproject": project}, rewrite)


# Launches on tracking servers of their own; those in one line share theirs.
CHAINS = (
    {"recurrent": "recurrent --dataset sample --models gru-2,persistence --hidden 8 --epochs 2 --precision fp32"},
    {"ablation": "ablation --dataset sample --variants cnn,mlp-2 --epochs 1 --seeds 2"},
    {"manual": "ablation --dataset sample --variants mlp-2 --backprop manual --epochs 1"},
    {
        "pretrain": "pretrain --dataset sample --models resnet20 --epochs 1 --precision fp32",
        "resnet": "resnet --dataset sample --models resnet20 --precision fp32",
    },
    {"tune": "tune --study ablation --dataset sample --n-trials 2 --fraction 0.5 --finalists 2"},
)
NAMES = [name for chain in CHAINS for name in chain]


@pytest.fixture(scope="module")
def places(tmp_path_factory, blank_database) -> dict[str, Place]:
    """Where each launch is."""
    found = {}
    for chain in CHAINS:
        place = Place(tmp_path_factory.mktemp("golden"))
        shutil.copy(blank_database, place.database)
        found |= dict.fromkeys(chain, place)
    return found


@pytest.fixture(scope="module")
def printed(tmp_path_factory, places) -> dict[str, str]:
    """Of every launch what it and its rows printed. They share one process, apart from those of the rows."""
    lines = {name: line for chain in CHAINS for name, line in chain.items()}
    together = Place(tmp_path_factory.mktemp("together"))
    try:
        texts = together.launch_in_turn(
            [(places[name], "pipelines", [*line.split(), "--device", "cpu"]) for name, line in lines.items()]
        )
    finally:
        together.end()
    return {name: out + err for name, (out, err) in zip(lines, texts, strict=True)}


@pytest.fixture(scope="module")
def launches(places, printed, rewrite):
    """Of every launch its runs and their figures, and for which machine the figures are."""
    found = {}
    for name, place in places.items():
        others = {other for other in NAMES if places[other] is place} - {name}
        of_others = {run.info.run_id for run in place.runs().values() if run.data.tags["entry"] in others}
        found[name] = golden.launch(place, of_others) | {"registry": golden.registry(place)}
        found[name]["output"] = golden.printed(printed[name])
    (machine,) = {golden.machine(place) for place in places.values()}
    values = {name: launch.pop("values") for name, launch in found.items()}
    found = json.loads(json.dumps({"launches": found, "values": {machine: values}}))
    if rewrite:
        golden.write(LAUNCHES, found)
    return found


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", NAMES)
def test_what_a_launch_leaves_behind(launches, name):
    recorded = json.loads(LAUNCHES.read_text())["launches"][name]
    lines = golden.differences(recorded, launches["launches"][name], name)
    assert not lines, "\n".join(lines)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", NAMES)
def test_figures_to_the_last_bit(launches, name):
    recorded = json.loads(LAUNCHES.read_text())["values"]
    ((machine, found),) = launches["values"].items()
    if machine not in recorded:
        pytest.skip(f"figures were recorded with {', '.join(recorded)}; this is {machine}")
    lines = golden.differences(recorded[machine][name], found[name], name)
    assert not lines, "\n".join(lines)
