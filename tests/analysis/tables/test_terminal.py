"""Comparison tables on a screen: which line is best, what is better or worse, and which columns give way."""

import re

import pandas as pd
import pytest
from support.frames import ablation_table, classifier, frame, seeded
from support.place import ROOT

from analysis import docs
from analysis.entries.index import VIEWS
from analysis.tables.compare import compare
from analysis.tables.table import Options, Table
from analysis.tables.terminal import drawn
from pipelines.common import screen
from pipelines.common.screen import Emphasis, Screen, draw


def accuracies(**values: float) -> list[dict]:
    return [classifier(row.replace("_", "-"), **{"metrics.test_accuracy": value}) for row, value in values.items()]


def column(table: Table, title: str) -> list[tuple[str, Emphasis]]:
    """Texts and emphases of the column of a title."""
    on_screen = drawn(table)
    (at,) = (number for number, each in enumerate(on_screen.columns) if each.title == title)
    return [(line[at].text, line[at].emphasis) for line in on_screen.lines]


def rows(table: Table) -> list[str]:
    return [text for text, _ in column(table, "row")]


def best(table: Table) -> list[str]:
    return [text for text, emphasis in column(table, "row") if emphasis is Emphasis.BEST]


def titles(table: Table, width: int) -> set[str]:
    """Titles of the columns that are shown on `width`, by what is said of the others."""
    # All of them: the list that a reader gets ends with how many more there are.
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(screen, "NAMED", 1000)
        told = " ".join(line.strip() for line in draw([drawn(table)], Screen(width)).splitlines())
    hidden = re.search(r"Not shown at this width: (.*?)\. To see them", told)
    alike = re.search(r"All lines: (.*?)\. -", told)
    all_titles = {each.title for each in drawn(table).columns}
    gone = set(hidden[1].split(", ")) if hidden else set()
    same = {title for title in all_titles if alike and re.search(rf"(^|, ){re.escape(title)} ", alike[1])}
    assert gone <= all_titles
    return all_titles - gone - same


@pytest.fixture(scope="module")
def stored() -> dict[str, Table]:
    """The tables of the stored results, by entry."""
    runs = docs.load(ROOT / "docs" / "results").runs
    runs = runs[runs["tags.study"].isna()]
    found = {}
    for entry, own in runs.groupby("tags.entry"):
        (found[str(entry)],) = compare(own.dropna(axis="columns", how="all"), VIEWS, Options(ranked=True))
    return found


def test_lines_are_ranked_by_the_main_metric_and_the_best_is_marked():
    lines = accuracies(cnn=60.0, mlp_2=70.0, mlp_3=float("nan"), cnn_tanh=65.0)
    table = ablation_table(*lines, ranked=True)
    assert rows(table) == ["mlp-2", "cnn-tanh", "cnn", "mlp-3"]
    assert best(table) == ["mlp-2"]
    assert "*: the highest test_accuracy." in drawn(table).notes


def test_an_error_is_best_where_it_is_lowest():
    runs = frame(*({"tags.row": row, "metrics.smape_report": value} for row, value in (("gru-2", 0.3), ("rnn-2", 0.2))))
    (table,) = compare(runs, VIEWS, Options(ranked=True))
    assert rows(table) == ["rnn-2", "gru-2"]
    assert best(table) == ["rnn-2"]
    assert "*: the lowest smape_report." in drawn(table).notes


def test_equal_lines_are_all_best_and_one_alone_is_none():
    assert best(ablation_table(*accuracies(cnn=60.0, mlp_2=60.0, mlp_3=50.0))) == ["cnn", "mlp-2"]
    assert best(ablation_table(*accuracies(cnn=60.0, mlp_2=float("nan")))) == []


def test_the_limit_keeps_the_best_and_sort_goes_before_the_rank():
    lines = accuracies(cnn=60.0, mlp_2=70.0, cnn_tanh=65.0)
    assert rows(ablation_table(*lines, ranked=True, limit=2)) == ["mlp-2", "cnn-tanh"]
    by_row = ablation_table(*lines, ranked=True, sort="row")
    assert rows(by_row) == ["cnn", "cnn-tanh", "mlp-2"]
    assert best(by_row) == ["mlp-2"]


def test_a_requested_metric_leads_by_what_is_best_of_it():
    lines = [
        run | {"metrics.train_loss": loss}
        for run, loss in zip(accuracies(cnn=60.0, mlp_2=70.0), (1.0, 2.0), strict=True)
    ]
    table = ablation_table(*lines, ranked=True, metrics=("train_loss",))
    assert best(table) == ["cnn"]
    assert drawn(table).columns[1].title == "train_loss"


def test_runs_of_others_have_no_best():
    common = {
        "tags.entry": "",
        "tags.row": "",
        "tags.seed": "",
        "tags.training": "",
        "tags.dataset": "",
        "foreign": True,
    }
    runs = [common | {"run_id": lr, "params.lr": lr, "metrics.test_accuracy": float(lr)} for lr in ("0.1", "0.9")]
    (table,) = compare(pd.DataFrame(runs), VIEWS, Options(ranked=True))
    assert [text for text, _ in column(table, "lr")] == ["0.1", "0.9"]
    assert not any(cell.emphasis is Emphasis.BEST for line in drawn(table).lines for cell in line)


def test_differences_are_better_or_worse_by_what_is_best():
    # Published: 58.58, 51.95 and 52.6.
    table = ablation_table(*accuracies(cnn=60.58, mlp_2=50.95, mlp_3=52.6), baseline="mlp-2")
    assert column(table, "difference") == [
        ("+2.00", Emphasis.BETTER),
        ("-1.00", Emphasis.WORSE),
        ("+0.00", Emphasis.NONE),
    ]
    assert column(table, "minus mlp-2") == [
        ("+9.63", Emphasis.BETTER),
        ("+0.00", Emphasis.NONE),
        ("+1.65", Emphasis.BETTER),
    ]
    lower = frame(
        {"tags.row": "gru-2", "metrics.smape_report": 0.2}, {"tags.row": "rnn-2", "metrics.smape_report": 0.4}
    )
    (table,) = compare(lower, VIEWS, Options())
    assert [emphasis for _, emphasis in column(table, "difference")] == [Emphasis.BETTER, Emphasis.WORSE]


@pytest.mark.parametrize(
    ("entry", "essential"),
    [
        ("recurrent", {"row", "smape_report", "n", "published", "difference"}),
        ("ablation", {"row", "lr", "test_accuracy", "published", "difference", "training_time_s"}),
        ("resnet", {"row", "test_accuracy", "published", "difference"}),
    ],
)
def test_what_matters_fits_eighty_columns(stored, entry, essential):
    assert essential <= titles(stored[entry], 80)
    text = draw([drawn(stored[entry])], Screen(80))
    assert max(map(len, text.splitlines())) <= 80
    body = text.split("─\n")[1].split("\n- ")[0].splitlines()
    assert len(body) == len(stored[entry].lines), "a line for each, none wrapped"


def test_the_time_of_training_is_the_next_to_be_shown(stored):
    # A spread of 0.000078 leaves no room for it within eighty columns.
    assert titles(stored["recurrent"], 84) - titles(stored["recurrent"], 80) == {"training_time_s"}


def test_all_columns_are_shown_where_there_is_room(stored):
    for table in stored.values():
        assert titles(table, 400) == {each.title for each in drawn(table).columns}


def test_settings_that_tell_lines_of_a_row_apart_give_way_last():
    alike = [classifier("cnn", seed, **{"params.lr": lr}) for lr in ("0.001", "0.002") for seed in (0, 1)]
    assert "lr" in titles(ablation_table(*alike), 45)
    # A row each: the rate follows from the row.
    apart = [*seeded("cnn", 60, 61), classifier("cnn-lr-low")]
    assert "lr" not in titles(ablation_table(*apart), 45)
    assert "lr" in titles(ablation_table(*apart, columns=("lr",)), 45)


def test_an_entry_without_a_view_is_ranked_by_its_outcome_or_not_at_all():
    lines = [run | {"tags.entry": "mine", "metrics.evaluation_time_s": 1.0} for run in accuracies(cnn=60.0, mlp_2=70.0)]
    (table,) = compare(frame(*lines), VIEWS, Options(ranked=True))
    assert best(table) == ["mlp-2"]
    others = [{"tags.entry": "mine", "tags.row": row, "metrics.evaluation_time_s": 1.0} for row in ("b", "a")]
    (table,) = compare(frame(*others), VIEWS, Options(ranked=True))
    assert (rows(table), best(table)) == (["a", "b"], [])
