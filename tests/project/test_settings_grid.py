"""The grid over settings in benchmarks/, on the embedded data: its table, and what it refuses before any training."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from benchmarks import settings_grid
from pipelines.data.energy import taylor
from pipelines.data.energy.series import split
from pipelines.data.images import digits
from pipelines.data.images.batches import logits
from pipelines.experiments.ablation import rows
from pipelines.experiments.ablation.classifier import classifier
from pipelines.experiments.ablation.rows import ABLATION, Classifier, resolve_classifier
from pipelines.experiments.recurrent.forecaster import forecaster
from pipelines.experiments.recurrent.rows import resolve

MACHINE = ("device=cpu", "precision=fp32")
SAMPLE = ("--dataset", "sample")


@pytest.fixture(autouse=True)
def _threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@dataclass(frozen=True)
class Table:
    columns: list[str]
    lines: list[dict[str, str]]


@pytest.fixture
def table(capsys):
    """Prints the table of a command line and reads it."""

    def run(*words: str) -> Table:
        settings_grid.main([*words, *SAMPLE])
        cells = [line.strip("|").split("|") for line in capsys.readouterr().out.splitlines()]
        columns, dashes, *lines = [[cell.strip() for cell in line] for line in cells]
        assert set(dashes) == {"---"}
        return Table(columns, [dict(zip(columns, line, strict=False)) for line in lines])

    return run


@pytest.fixture
def refused(capsys):
    """The one line with which a command line is refused."""

    def run(*words: str) -> str:
        with pytest.raises(SystemExit) as end:
            settings_grid.main([*words, *SAMPLE])
        assert capsys.readouterr().out == ""
        assert "\n" not in str(end.value)
        return str(end.value)

    return run


def test_forecasters_are_judged_on_every_third_validation_window(table):
    found = table("recurrent", "rnn-2", "epochs=1", "hidden=4", "lr=0.01,0.001", *MACHINE)
    figures = ["validation smape_report", "training_time_s"]
    assert found.columns == ["row", "epochs", "hidden", "lr", "device", "precision", "epoch", *figures]
    assert [(line["lr"], line["epoch"]) for line in found.lines] == [("0.01", "1"), ("0.001", "1")]
    dataset = taylor.load()
    windows = len(dataset.values) - 90
    held_out = round((windows - windows // 10) / 10)
    first = len(dataset.values) - windows // 10 - held_out
    (validation,) = split(dataset, 0.1)["validation"]
    assert validation.tolist() == list(range(first, first + held_out))
    for line in found.lines:
        settings = resolve("rnn-2", "sample", "dense", 0, 1.0, epochs=1, hidden=4, lr=float(line["lr"]))
        network = forecaster(settings, dataset, (np.arange(90, first),))
        with network.training as training:
            training.fit()
            (forecast,) = network.forecast((range(first, first + held_out, 3),))
        actual = dataset.values[first : first + held_out : 3, 0]
        error = 100 * np.mean(np.abs(forecast - actual) / (np.abs(forecast) + np.abs(actual))) / 2
        assert float(line["validation smape_report"]) == pytest.approx(error, abs=1e-4)


def test_classifiers_are_shown_with_their_distance_to_the_published_figures(table):
    words = ("fraction=0.02", "epochs=2", "hidden=8+4,5", "device=cpu", "--last", "2")
    found = table("ablation", "mlp-2,cnn", *words)
    assert [(line["row"], line["hidden"], line["epoch"]) for line in found.lines] == [
        (row, hidden, epoch)
        for row in ("mlp-2", "cnn")
        for hidden, epoch in (("", "published"), ("8+4", "1"), ("8+4", "2"), ("5", "1"), ("5", "2"))
    ]
    figures = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")
    published, first = found.lines[:2]
    assert [float(published[name]) for name in figures] == list(ABLATION["mlp-2"].published.figures.values())
    gaps = [abs(float(first[name]) - float(published[name])) for name in figures]
    assert float(first["distance"]) == pytest.approx((100 * gaps[0] + gaps[1] + 100 * gaps[2] + gaps[3]) / 4, abs=0.01)
    trained = classifier(
        resolve_classifier("mlp-2", "sample", "autograd", 0, 0.02, epochs=2, hidden=[8, 4], device="cpu"),
        digits.load(),
    )
    with trained.training as training:
        training.fit()
    for part, images in (("train", trained.train), ("test", trained.test)):
        output = logits(training.model, images, 1000)
        accuracy = 100 * np.mean(output.argmax(1).numpy() == images.labels.numpy())
        assert float(found.lines[2][f"{part}_accuracy"]) == pytest.approx(accuracy, abs=1e-4)
        loss = torch.nn.functional.cross_entropy(output, images.labels).item()
        assert float(found.lines[2][f"{part}_loss"]) == pytest.approx(loss, abs=1e-4)


def test_a_row_without_published_figures_has_no_line_of_them(table, monkeypatch):
    own = Classifier("own", channels=(), hidden=(8,))
    monkeypatch.setitem(settings_grid.GRIDS, "ablation", replace(settings_grid.GRIDS["ablation"], rows=["own"]))
    for module in (settings_grid, rows):
        monkeypatch.setattr(module, "ABLATION", {"own": own})
    found = table("ablation", "own", "fraction=0.02", "epochs=1", "device=cpu")
    assert [(line["epoch"], line["distance"]) for line in found.lines] == [("1", "nan")]


@pytest.mark.medium
def test_resnets_are_judged_on_the_images_held_out(table):
    found = table("pretrain", "resnet20", "fraction=0.01", "epochs=2", "sides=8,8+16", "validation=20", *MACHINE)
    assert [(line["sides"], line["epoch"]) for line in found.lines] == [("8", "2"), ("8+16", "2")]
    for line in found.lines:
        # Of twenty images.
        assert float(line["val_accuracy"]) in [5 * right for right in range(21)]
        assert float(line["val_loss"]) > 0
    assert found.lines[0]["train_loss"] != found.lines[1]["train_loss"]


def test_a_training_that_diverges_is_a_line_and_the_others_are_trained(table):
    found = table("ablation", "mlp-2", "fraction=0.02", "epochs=1", "lr=1e30,0.001", "device=cpu")
    assert [line["epoch"] for line in found.lines] == ["published", "the loss is nan at update 2 (epoch 1)", "1"]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("recurrent gru-4", "error: unknown row 'gru-4'; did you mean gru-3?"),
        ("recurrent gru-2 los=mse", "error: unknown setting 'los'; did you mean loss?"),
        ("recurrent gru-2 loss=huber", "error: setting loss: input should be 'mse' or 'mae', not 'huber'"),
        ("recurrent gru-2 cell=gru", "error: setting cell: input should be 'RNN', 'LSTM' or 'GRU', not 'gru'"),
        ("recurrent gru-2 training=full", "error: unknown training 'full'; known are dense, window"),
        ("pretrain resnet18 sides=16+x", "error: setting sides.1: input should be a valid integer, "),
        ("pretrain resnet18 batch_size=64.5", "error: setting batch_size: input should be a valid integer, "),
        ("ablation cnn momentum", "error: 'momentum' is not of the form name=value"),
        ("ablation cnn lr=1 lr=2", "error: setting lr is given twice; give its values as lr=value,value"),
        ("ablation cnn row=mlp-2", "error: setting row cannot be tried: it says what is trained"),
        ("ablation mlp-2 lr=-1", "error: setting lr: input should be greater than or equal to 0, "),
        ("ablation cnn normalisation=none", "error: setting normalisation: input should be 'half' or 'channel', "),
    ],
)
def test_what_is_wrong_is_one_line_before_any_training(refused, words, line):
    assert refused(*words.split()).startswith(line)


def test_values_that_a_network_refuses_are_one_line(capsys):
    with pytest.raises(SystemExit, match=r"^error: cnn 40 cpu: a kernel of 40 does not fit into an input of 32"):
        settings_grid.main(["ablation", "cnn", "kernel=40", "device=cpu", *SAMPLE])
