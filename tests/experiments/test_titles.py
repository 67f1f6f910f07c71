"""What the figures and descriptions of a launch say of their data: its name, and nothing published of other data."""

import math
from dataclasses import replace

import pandas as pd
import pytest

from pipelines import figures, names
from pipelines.data.images import digits
from pipelines.experiments.ablation import row as ablation_row
from pipelines.experiments.recurrent import row as recurrent_row
from pipelines.experiments.recurrent.rows import PANELS
from pipelines.experiments.resnet import experiment as resnet
from pipelines.experiments.resnet import row as resnet_row
from pipelines.experiments.resnet.rows import OPTION_A, PLAIN
from pipelines.experiments.resnet.weights import Weights
from pipelines.launching import summary
from pipelines.tracking.run import Run


class Drawing:
    """Takes the place of a run, and keeps what it is given."""

    def __init__(self):
        self.titles, self.tables = [], {}

    def log_figure(self, figure, path):
        titles = [axes.get_title(loc="left") for axes in figure.axes] + [figure.get_suptitle()]
        self.titles.append(" ".join(title for title in titles if title))

    def log_table(self, table, path):
        self.tables[path] = table


@pytest.fixture
def run(monkeypatch):
    drawing = Drawing()
    for module in (ablation_row, recurrent_row, resnet):
        monkeypatch.setattr(module, "log_figure", Drawing.log_figure)
    monkeypatch.setattr(resnet, "log_table", Drawing.log_table)
    return drawing


class Row:
    """A finished run of a row."""

    def __init__(self, row, seed="0", dataset="sample", **metrics):
        self.tags = {names.ROW: row, names.SEED: seed, names.DATASET: dataset}
        self.metrics = metrics


@pytest.mark.parametrize(
    ("dataset", "title", "bars"),
    [
        ("sample", "accuracy on the test set, sample", ["measured"]),
        ("cifar10", "accuracy on the test set, cifar10, cf. Fig 6", ["measured", "published"]),
    ],
)
def test_published_accuracies_stand_beside_those_of_the_same_data_alone(run, dataset, title, bars, monkeypatch):
    drawn = []
    monkeypatch.setattr(figures, "bars", lambda models, series, title, unit: drawn.append((series, title)))
    monkeypatch.setattr(resnet, "log_figure", lambda run, figure, path: None)
    resnet.draw_accuracies(run, [Row("resnet20", dataset=dataset, test_accuracy=61.0)])
    ((series, told),) = drawn
    assert (list(series), told) == (bars, title)
    published = run.tables[names.CHART_DATA]["published"]
    assert published.tolist() == [91.73] if dataset == "cifar10" else published.isna().all()


def test_a_model_without_a_published_accuracy_has_its_measured_bar_alone(run, monkeypatch):
    own = replace(resnet.RESNETS["resnet20"], row="own", published=None)
    monkeypatch.setattr(resnet, "RESNETS", {**resnet.RESNETS, "own": own})
    rows = [Row(row, dataset="cifar10", test_accuracy=61.0) for row in ("own", "resnet20")]
    resnet.draw_accuracies(run, rows)
    own, other = run.tables[names.CHART_DATA]["published"]
    assert math.isnan(own)
    assert other == 91.73


@pytest.mark.parametrize(("dataset", "cited"), [("sample", False), ("cifar10", True)])
def test_curves_name_their_data_and_the_reports_figure_on_the_same_data_alone(run, dataset, cited):
    table = pd.DataFrame({"epoch": [1, 2], **{metric: [1.0, 2.0] for metric in names_of_epochs()}})
    ablation_row.draw_curves(run, dataset, {"cnn": table, "mlp-2": table}, "seed 0 of 5")
    assert len(run.titles) == 2
    for title, figure in zip(run.titles, ("cf. Fig 5", "cf. Fig 6"), strict=True):
        assert f", {dataset}, seed 0 of 5" in title
        assert (figure in title) == cited


def names_of_epochs() -> tuple[str, ...]:
    return (*ablation_row.LOSSES, *ablation_row.ACCURACIES)


@pytest.mark.parametrize(("dataset", "cited"), [("sample", False), ("pjm", True)])
def test_forecasts_and_their_error_do_so_too(run, dataset, cited):
    hours = pd.date_range("2001-12-27", periods=3, freq="h")
    table = pd.DataFrame({"panel": PANELS[0].name, "series": "DOM", "time": hours})
    recurrent_row.draw_forecasts(run, dataset, {"gru-2": table.assign(actual_mw=1.0, forecast_mw=2.0)})
    assert run.titles[0].startswith("last 3 test hours of the first series, DOM")
    curve = pd.DataFrame({"update": [0, 1], names.SMAPE: [80.0, 2.0]})
    recurrent_row.draw_curves(run, dataset, {"gru-2": curve})
    for title, figure in zip(run.titles, ("cf. Fig 7", "cf. Fig 10"), strict=True):
        assert f", {dataset}" in title
        assert (figure in title) == cited


@pytest.mark.parametrize(
    ("seeds", "drawn", "note"),
    [
        ({"cnn": "0", "mlp-2": "0"}, {"cnn": "0", "mlp-2": "0"}, ""),
        ({"cnn": "01234", "mlp-2": "01234"}, {"cnn": "0", "mlp-2": "0"}, "seed 0 of 5"),
        # A baseline has no more than one.
        ({"gru-2": "012", "persistence": "0"}, {"gru-2": "0", "persistence": "0"}, "seed 0 of 3"),
        ({"cnn": "12", "mlp-2": "012"}, {"cnn": "1", "mlp-2": "0"}, "one seed of each row"),
    ],
)
def test_one_seed_of_several_is_said_to_be_so(seeds, drawn, note):
    finished = [Row(row, seed) for row, own in seeds.items() for seed in own]
    shown, told = summary.drawn_of(finished)
    assert {row: run.tags[names.SEED] for row, run in shown.items()} == drawn
    assert told == note


def test_the_claim_of_a_publisher_names_the_data_that_it_is_of(place, at):
    at(place.folder, place.uri)
    run = Run.launch("resnet20", {names.ROW: "resnet20"})
    network = resnet_row.network("resnet20", PLAIN, OPTION_A, 10)
    told = {"origin": "o", "sha256": "s", "dialect": "", "stem": PLAIN, "shortcut": OPTION_A, "published": 91.73}
    weights = Weights(network.state_dict(), **told, mean=(0.5,) * 3, deviation=(0.5,) * 3)
    model = resnet_row.classifier("resnet20", weights, 10)
    resnet_row._log_model_and_data(run, digits.load(), model, weights)
    assert "whose publisher gives 91.73 % for them on CIFAR-10." in run.tags[names.DESCRIPTION]
