"""Comparisons as LaTeX: what stands in each float, read back, against the runs by numpy."""

import re
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from support.frames import classifier, frame
from support.place import ROOT

from analysis import docs, formats, latex, titles
from analysis.entries.index import VIEWS
from analysis.report.sections import Table
from analysis.tables.cells import Cells
from analysis.tables.compare import compare
from analysis.tables.table import Options


class Float(NamedTuple):
    """A table: its caption, label, titles, and cells by row, as TeX has them, and the columns of each of its strips."""

    caption: str
    label: str
    titles: list[str]
    lines: dict[str, list[str]]
    notes: str
    strips: list[int]


def floats(text: str) -> list[Float]:
    found: list[Float] = []
    for inside in re.findall(r"\\begin\{table\}(.*?)\\end\{table\}", text, re.DOTALL):
        caption = re.search(r"\\caption\{(.*)\}", inside)[1]
        if not caption.endswith("(continued)"):
            found.append(Float(caption, re.search(r"\\label\{(.*)\}", inside)[1], [], {}, "", []))
        table = found[-1]
        for sides, head, body in re.findall(
            r"\\begin\{tabular\}\{([lr]+)\}\n\\toprule\n(.*?)\\midrule\n(.*?)\\bottomrule", inside, re.DOTALL
        ):
            head = re.sub(r"\\begin\{tabular\}\[b\]\{@\{\}.@\{\}\}(.*?)\\end\{tabular\}", lambda stack: stack[1], head)
            titles = [each.replace(r"\\", " ").strip() for each in re.split(r"(?<!\\)&", head)]
            own = sides.count("l") if table.titles else 0
            table.strips.append(len(titles))
            table.titles.extend(titles[own:])
            cells = [line.removesuffix(r" \\").split(" & ") for line in body.strip().splitlines()]
            for row, line in {line[0]: line for line in cells}.items():
                table.lines.setdefault(row, []).extend(line[own:])
        if notes := re.search(r"\\begin\{minipage\}\{\\linewidth\}(.*?)\\end\{minipage\}", inside, re.DOTALL):
            found[-1] = table._replace(notes=notes[1])
    return found


def bold(table: Float, title: str) -> set[str]:
    """Rows whose figure in the column of a title is bold."""
    at = table.titles.index(title)
    return {row for row, line in table.lines.items() if line[at].startswith(r"\textbf{")}


def compared(runs: pd.DataFrame, **options: object) -> list[Float]:
    return floats(formats.to_latex(compare(runs, VIEWS, Options(**options))))


@pytest.fixture(scope="module")
def runs() -> pd.DataFrame:
    """The stored runs of rows."""
    stored = docs.load(ROOT / "docs" / "results").runs
    return stored[stored["tags.study"].isna()]


@pytest.mark.parametrize(
    ("entry", "metric", "title", "extreme"),
    [
        ("recurrent", "smape_report", r"sMAPE, published convention (\%)", np.argmin),
        ("recurrent", "smape", r"sMAPE (\%)", np.argmin),
        ("ablation", "test_accuracy", r"test accuracy (\%)", np.argmax),
        ("ablation", "test_loss", "test loss", np.argmin),
    ],
)
def test_the_best_of_a_column_is_bold(runs, entry, metric, title, extreme):
    own = runs[runs["tags.entry"] == entry].dropna(axis="columns", how="all")
    (table,) = compared(own, group_by=("row",), metrics=tuple(dict.fromkeys([VIEWS[entry].main, metric])))
    means = own.groupby("tags.row")[f"metrics.{metric}"].mean().dropna()
    assert bold(table, title) == {means.index[extreme(means.to_numpy())]}


def test_of_equal_figures_all_are_bold_and_a_time_is_not():
    found = frame(
        *(classifier(row, **{"metrics.test_accuracy": 70.0}) for row in ("cnn", "mlp-2")), classifier("mlp-3")
    )
    found["metrics.test_accuracy"] = [70.0, 70.0, 60.0]
    found["metrics.training_time_s"] = [3.0, 2.0, 1.0]
    (table,) = compared(found, metrics=("test_accuracy", "training_time_s"))
    assert bold(table, r"test accuracy (\%)") == {"cnn", "mlp-2"}
    assert bold(table, "training time (s)") == set()
    assert "In bold: the best of a column." in table.notes


def test_lines_on_other_data_are_not_compared():
    found = frame(*map(classifier, ("cnn", "cnn", "mlp-2", "mlp-2")))
    found["tags.dataset"] = "mine"
    found["tags.data_digest"] = ["a", "b", "a", "b"]
    found["metrics.test_accuracy"] = [50.0, 90.0, 40.0, 80.0]
    text = formats.to_latex(compare(found, VIEWS, Options(metrics=("test_accuracy",))))
    assert re.findall(r"\\textbf\{([\d.]+)\}", text) == ["50.00", "90.00"]


def test_nothing_is_bold_where_it_is_not_known_what_is_best():
    found = frame(*({"tags.entry": "other", "tags.row": row, "metrics.sum": 1.0} for row in "ab"))
    assert r"\textbf" not in formats.to_latex(compare(found, VIEWS, Options()))


def test_a_float_has_all_that_a_paper_needs(runs):
    tables = compared(runs)
    assert len(tables) == 4
    assert {table.label for table in tables} == {
        *("tab:ablation-cifar10", "tab:pretrain-cifar10", "tab:recurrent-pjm", "tab:resnet-cifar10")
    }
    for table in tables:
        assert table.caption.startswith("Runs of ")
        assert not re.search(r"[/_]|\.minus\.", " ".join(table.titles))
        assert "Alike in all lines that have them: " in table.notes
        assert all(len(line) == len(table.titles) for line in table.lines.values())


def test_figures_have_a_minus_and_names_their_hyphens(runs):
    own = runs[runs["tags.entry"] == "recurrent"].dropna(axis="columns", how="all")
    (table,) = compared(own, group_by=("row",), metrics=("smape_report",))
    gap = table.lines["gru-2"][table.titles.index("ours minus published")]
    mean = own[own["tags.row"] == "gru-2"]["metrics.smape_report"].mean()
    assert gap == f"$-${0.239 - mean:.4f}"
    assert latex.words("mlp-2 -0.5 to -1e-05, 2026-11-25, `--lr -1`") == (
        r"mlp-2 $-$0.5 to $-$1e-05, 2026-11-25, \texttt{-{}-lr -1}"
    )


def test_columns_that_follow_from_the_row_are_named_but_not_shown():
    found = frame(*({"tags.row": row, "params.lr": lr} for row, lr in (("gru-2", "0.1"), ("rnn-2", "0.2"))))
    (table,) = compared(found)
    assert "learning rate" not in table.titles
    assert "Not shown, since they follow from the row: learning rate." in table.notes
    found.loc[1, "tags.row"] = "gru-2"
    (table,) = compared(found)
    assert "learning rate" in table.titles


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ("smape_report.minus.gru-2", "sMAPE, published convention (%), minus gru-2"),
        ("test_loss published", "test loss, published"),
        ("best/test_accuracy", "best test accuracy (%)"),
        ("series/smape.AEP", "sMAPE (%), AEP"),
        ("cost/cpu_s", "processor time (s)"),
        ("95 %", "95 % interval"),
        ("their_own", "their own"),
    ],
)
def test_titles_in_words(column, words):
    assert titles.title(column) == words


def test_notes_name_metrics_as_the_titles_do():
    told = titles.in_words("smape_report: a quarter of smape; see smape_curve.csv, cost/weights and test_accuracy.")
    assert told == (
        "sMAPE, published convention: a quarter of sMAPE; see sMAPE on a subset.csv, weights and test accuracy."
    )
    assert titles.in_words("test_loss.minus.cnn: ours minus that of cnn") == (
        "test loss minus cnn: ours minus that of cnn"
    )


def test_a_label_is_given_once():
    label = latex.Labels()
    assert [label("tab", each) for each in ("PJM: a", "PJM, a", "模")] == ["tab:pjm-a", "tab:pjm-a-2", "tab:"]


def test_long_titles_of_figures_are_in_short_lines():
    cells = Cells(("row", "n", "smape_report"), [], 2)
    stack = r"\begin{tabular}[b]{@{}r@{}}sMAPE,\\published\\convention\\(\%)\end{tabular}"
    assert latex.heading(cells, [0, 1, 2]) == f"row & runs & {stack}"


@pytest.mark.parametrize("entry", ["ablation", "recurrent"])
def test_a_wide_table_is_parted_into_strips_that_can_be_read(runs, entry):
    """A page of the class article has 345 points, of which a digit takes five, and the space between two columns 8."""
    own = runs[runs["tags.entry"] == entry].dropna(axis="columns", how="all")
    (table,) = compared(own)
    assert len(table.strips) > 1
    widths = [
        max(5 * max(len(re.findall(r"[\d.±…-]|pm", line[at])) for line in table.lines.values()), 25) + 8
        for at in range(1, len(table.titles))
    ]
    assert sum(widths) > 345
    start = 0
    for strip in table.strips:
        assert sum(widths[start : start + strip - 1]) < 345
        start += strip - 1
    assert start == len(widths)


def test_strips_have_all_columns_once_and_a_metric_s_together():
    header = ("row", "n", "loss", "published", "loss.difference", "accuracy", "95 %", "published", "time")
    cells = Cells(header, [("cnn", *("0.123456789 ± 0.001",) * 8)], 8)
    strips = latex.strips(cells)
    assert len(strips) > 1
    assert {strip[0] for strip in strips} == {0}
    assert sorted(at for strip in strips for at in strip[1:]) == [*range(1, len(header))]
    assert not [strip for strip in strips if (5 in strip) != (7 in strip)]
    assert not [strip for strip in strips if (2 in strip) != (4 in strip)]
    assert latex.heading(cells, [0, 2, 4]).endswith(r"minus\\published\end{tabular}")
    narrow = Cells(header, [("cnn", *("0.1",) * 8)], 8)
    assert latex.strips(narrow) == [[*range(len(header))]]


def test_a_table_of_more_than_a_page_goes_on_under_the_same_number():
    header = ("row", "n", *(f"metric_{letter}" for letter in "abcdefgh"))
    tall = Cells(header, [(f"row-{number}", "3", *("0.123456789",) * 8) for number in range(40)], 9)
    block = Table("Many rows", tall, ("a note",))
    text = formats.template("comparison.tex").render(blocks=[block])
    count = len(latex.strips(tall))
    assert count > 1
    assert text.count(r"\begin{table}") == text.count(r"\end{table}") == count
    assert text.count(r"\addtocounter{table}{-1}") == text.count("(continued)") == count - 1
    assert text.count(r"\label{") == text.count("a note") == 1
