"""Data of a user's own, from files to a table, by the commands that a user types."""

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

OWN_RUN = {"verified": "own", "dataset": "town"}


@pytest.fixture
def town(tmp_path):
    """Half-hours in kW, as a German spreadsheet writes them, with a day missing; the name of the file."""
    times = pd.date_range("2021-01-04", periods=1600, freq="30min")
    load = 500 + 200 * np.sin(np.arange(1600) * 2 * np.pi / 48) + np.random.default_rng(0).normal(0, 10, 1600)
    frame = pd.DataFrame({"Zeit": times.strftime("%d.%m.%Y %H:%M"), "Last [kW]": load}).drop(range(960, 1008))
    frame.to_csv(tmp_path / "town.csv", sep=";", decimal=",", index=False)
    return "town.csv"


@pytest.fixture
def leaves(tmp_path):
    """A folder of images, of two classes whose names MLflow would not have in the name of a metric."""
    rng = np.random.default_rng(0)
    for shade, label in enumerate(("oak & co.", "elm/ash".replace("/", "%"))):
        (tmp_path / "leaves" / label).mkdir(parents=True)
        for number in range(30):
            pixels = rng.integers(0, 128, (20, 20), dtype=np.uint8) + np.uint8(127 * shade)
            Image.fromarray(pixels).save(tmp_path / "leaves" / label / f"{number}.png")
    return "leaves"


def rows(place) -> dict:
    return {name: run for name, run in place.runs().items() if "row" in run.data.tags}


@pytest.mark.medium
def test_loads_become_a_table(place, town):
    assert place.invoke("prepare", "--dataset", "town", "--source", town, "--country", "DE") == 0, place.stderr
    said = place.stderr
    assert "1,552 half-hours averaged to 776 hours" in said
    assert "gaps of missing hours: 1, no window crosses one" in said
    assert "--dataset town --models linear-ar-hourly,gru-relative" in place.stdout
    given = ("--dataset", "town", "--models", "persistence,gru-relative", "--epochs", "1", "--hidden", "4")
    assert place.invoke("recurrent", *given) == 0, place.stderr
    assert set(rows(place)) == {"persistence", "gru-relative-seed0"}
    for run in rows(place).values():
        assert OWN_RUN.items() <= run.data.tags.items()
        assert "left out" not in "".join(json.loads(place.artifact(run, "tables/data_found.json").read_text()))
        # 800 hours but the 24 of a day, from 20 days before it and 13 after: 390 + 206 windows, of which 59 are tested.
        assert "59" in pd.read_csv(place.artifact(run, "tables/per_series.csv"), dtype=str)["windows"].tolist()
    assert place.invoke("compare", "--where", "tags.dataset = 'town'", module="analysis") == 0, place.stderr
    assert "gru-relative" in place.stdout
    (header,) = [line for line in place.stdout.splitlines() if line.startswith("| row |")]
    assert "published" not in header


@pytest.mark.medium
def test_images_become_a_table(place, leaves):
    assert place.invoke("prepare", "--dataset", "leaves", "--source", leaves) == 0, place.stderr
    assert "leaves: 54 training and 6 test images of 2 classes" in place.stderr
    given = ("--dataset", "leaves", "--variants", "cnn,mlp-2", "--epochs", "1")
    assert place.invoke("ablation", *given) == 0, place.stderr
    run = rows(place)["mlp-2-seed0"]
    of_classes = sorted(name for name in run.data.metrics if name.startswith("class/"))
    assert [name.rpartition("-")[0] for name in of_classes] == [
        "class/test_accuracy.elm_ash",
        "class/test_accuracy.oak _ co",
    ]
    assert pd.read_csv(place.artifact(run, "tables/per_class.csv"))["class"].tolist() == ["elm%ash", "oak & co."]
    assert place.invoke("compare", "--entry", "ablation", "--baseline", "cnn", module="analysis") == 0, place.stderr


@pytest.mark.medium
@pytest.mark.parametrize(
    ("study", "data", "name"),
    [("recurrent", "town", "recurrent-gru-relative-town"), ("ablation", "leaves", "ablation-mlp-2-leaves")],
)
def test_a_study_searches_on_it(place, request, study, data, name):
    assert place.invoke("prepare", "--dataset", data, "--source", request.getfixturevalue(data)) == 0, place.stderr
    row = name.removeprefix(f"{study}-").removesuffix(f"-{data}")
    given = ("--study", study, "--dataset", data, "--row", row, "--space", "lr", "--n-trials", "1", "--finalists", "0")
    assert place.invoke("tune", *given) == 0, place.stderr
    assert f"study {name}: " in place.stdout
    assert set(rows(place)) == {"tuned-seed0", "tuned-seed1", "tuned-seed2"}
    for run in rows(place).values():
        assert {"verified": "own", "dataset": data, "study": name}.items() <= run.data.tags.items()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--dataset", "town"), "unknown dataset 'town'"),
        (("--dataset", "cifar", "--source", "nowhere"), "source nowhere does not exist"),
        (("--dataset", "Town", "--source", "town.csv"), "'Town' is no name of a data set"),
        (("--dataset", "a/b", "--source", "town.csv"), "'a/b' is no name of a data set"),
        (("--dataset", "auto", "--source", "town.csv"), "'auto' is no name of a data set"),
        (("--dataset", "pjm", "--unit", "kW"), "unit=kW: only for files of your own"),
        (("--dataset", "town", "--source", "town.csv", "--unit", "kw"), "did you mean kW"),
        (("--dataset", "town", "--source", "town.csv", "--gaps", "fil"), "did you mean fill"),
        (("--dataset", "town", "--source", "town.csv", "--country", "Germany"), "unknown country 'Germany'"),
        (("--dataset", "town", "--source", "town.csv", "--timezone", "Berlin"), "did you mean Europe/Berlin"),
        (("--dataset", "town", "--source", "town.csv", "--skip-broken", "true"), "skip_broken=True: not for load"),
        (("--dataset", "town", "--source", "town.csv", "--kind", "images"), "town.csv is no readable folder"),
        (("--dataset", "town", "--source", "town.csv", "--time-column", "Zeti"), "Zeti"),
    ],
)
def test_bad_input_is_one_line(tmp_path, refused, town, arguments, said):
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    assert said in refused(tmp_path, uri, "prepare", *arguments)
    assert not (tmp_path / "mlflow.db").exists()
    assert not (tmp_path / "data" / "town" / "meta.json").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("recurrent", "--dataset", "twon"), "did you mean town"),
        (("recurrent", "--dataset", "pmj"), "did you mean pjm"),
        (("ablation", "--dataset", "town"), "dataset town holds hourly load, not images"),
        (
            ("recurrent", "--dataset", "town", "--models", "gru-relative-336"),
            "has 237 hours before it without a gap, not 336",
        ),
        (("tune", "--dataset", "twon"), "did you mean town"),
        (("tune", "--study", "ablation", "--dataset", "town"), "dataset town holds hourly load, not images"),
        (
            # Of the training part alone, whose last tenth a study needs for validation.
            ("tune", "--dataset", "town", "--row", "gru-relative-336"),
            "has 184 hours before it without a gap, not 336",
        ),
    ],
)
def test_a_data_set_that_does_not_suit_is_refused_before_any_run(place, refused, town, arguments, said):
    assert place.invoke("prepare", "--dataset", "town", "--source", town) == 0, place.stderr
    assert said in refused(place.folder, place.uri, *arguments)
    assert place.runs() == {}


@pytest.mark.medium
def test_of_groups_the_rows_that_data_do_not_suit_are_left_out(place, tmp_path):
    times = pd.date_range("2021-06-01", periods=500, freq="h")
    # Twelve hours of the day 1 MW, the others nothing but what the plant itself takes.
    solar = np.where(np.arange(500) % 24 < 12, 1.0, -0.01)
    pd.DataFrame({"time": times, "load": solar}).to_csv(tmp_path / "solar.csv", index=False)
    assert place.invoke("prepare", "--dataset", "solar", "--source", "solar.csv") == 0, place.stderr
    assert "negative" in place.stderr
    assert place.invoke("recurrent", "--dataset", "solar", "--models", "baselines") == 0, place.stderr
    assert "left out: gradient-boosting: 50 % of the loads of series solar" in place.stderr
    assert set(rows(place)) == {"persistence", "same-hour-yesterday", "linear-ar", "linear-ar-hourly"}
    assert place.invoke("recurrent", "--dataset", "solar", "--models", "gradient-boosting") == 2
    assert "take rows that forecast the load itself" in place.stderr


@pytest.mark.medium
def test_two_weeks_give_baselines_and_a_word_on_networks(place, tmp_path):
    times = pd.date_range("2021-06-01", periods=336, freq="h")
    load = 1000 + 100 * np.sin(np.arange(336) * np.pi / 12)
    pd.DataFrame({"time": times, "load": load}).to_csv(tmp_path / "short.csv", index=False)
    assert place.invoke("prepare", "--dataset", "short", "--source", "short.csv") == 0, place.stderr
    given = ("--models", "persistence,linear-ar,gru-2", "--hidden", "4", "--epochs", "1")
    assert place.invoke("recurrent", "--dataset", "short", *given) == 0, place.stderr
    assert "222 training windows are few for a network: judge it by the baselines" in place.stderr
    assert set(rows(place)) == {"persistence", "linear-ar", "gru-2-seed0"}
    assert place.invoke("recurrent", "--dataset", "short", "--models", "persistence") == 0, place.stderr
    assert "few for a network" not in place.stderr
