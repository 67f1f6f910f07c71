"""Every command of the analysis on a server that holds whatever one can hold: no traceback, and nothing but text."""

import csv
import hashlib
import html.parser
import io
import json
import math
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from click.testing import CliRunner
from markdown_it import MarkdownIt
from support import zoo
from support.place import ROOT
from support.stores import START, Logged, insert

from analysis import diff, export, formats, shown
from analysis.__main__ import cli
from analysis.claims import text as claims
from analysis.runs import records, search


@pytest.fixture(scope="module")
def place(tmp_path_factory, blank_database):
    """A folder with the database ``zoo.db``, which is the tracking server."""
    folder = tmp_path_factory.mktemp("zoo")
    shutil.copy(blank_database, folder / "zoo.db")
    zoo.fill(folder / "zoo.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'zoo.db'}")
        mlflow.set_tracking_uri(f"sqlite:///{folder / 'zoo.db'}")
        yield folder
        mlflow.set_tracking_uri(None)


def invoke(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(cli, list(arguments))
    assert result.exit_code == code, result.output
    assert not result.exception or isinstance(result.exception, SystemExit), result.exception
    assert "not foreseen" not in result.stderr
    assert all(line.isprintable() for line in result.stderr.splitlines())
    return result.stdout


TWO = (f"{0:032x}", f"{1:032x}")
OURS, THEIRS = ("compare",), ("compare", "--experiment", "zoo")
FORMATS = (*formats.FORMATS, shown.TERMINAL)
COMPARED = [(*command, "--format", form) for command in (OURS, THEIRS) for form in FORMATS]
READERS = [
    *COMPARED,
    (*THEIRS, "--sort", "-auc", "--limit", "3"),
    (*THEIRS, "--group-by", "p", "--columns", "t"),
    (*OURS, "--baseline", "gru-2"),
    ("compare", "--experiment", zoo.MARKUP),
    ("claims",),
    *(("claims", "--format", form) for form in (*claims.FORMATS, shown.TERMINAL)),
    ("claims", "--entry", "ablation"),
    ("claims", "--entry", "ablation", "--dataset", zoo.MARKUP),
    ("export",),
    ("export", "--history"),
    *(("export", "--output", f"out.{form}") for form in export.FORMATS),
    *(("export", "--history", "--output", f"out.{form}") for form in export.FORMATS),
    ("sweep", "--dry-run"),
    ("report", "--log", "false"),
]


@pytest.mark.parametrize("arguments", READERS, ids=" ".join)
@pytest.mark.medium
def test_every_reader_reads_it_and_changes_nothing(place, arguments):
    before = hashlib.sha256((place / "zoo.db").read_bytes()).hexdigest()
    invoke(*arguments)
    assert hashlib.sha256((place / "zoo.db").read_bytes()).hexdigest() == before


@pytest.mark.parametrize("form", [*diff.FORMATS, shown.TERMINAL])
def test_any_two_runs_are_compared(place, form):
    readable = {line["run_id"] for line in csv.DictReader(io.StringIO(invoke("export"), newline=""))}
    ids = sorted(readable)
    for left, right in zip(ids[::5], ids[3::5], strict=False):
        written = invoke("diff", left, right, "--format", form)
        assert json.loads(written) if form == "json" else left[:8] in written.splitlines()[0]


# What stands in it.


@pytest.fixture(scope="module")
def exported(place) -> dict[str, list[dict[str, str]]]:
    """Lines of the export by the name of the run."""
    found: dict[str, list[dict[str, str]]] = {}
    for line in csv.DictReader(io.StringIO(invoke("export", "--experiment", "zoo"), newline="")):
        found.setdefault(line["params.time"], []).append(line)
    return found


def test_times_that_make_no_sense_are_left_empty(exported):
    told = [(line["start_time"][:4], line["duration_s"]) for index in range(1, 9) for line in exported[str(index)]]
    year, hour = "2026", 3600.0
    assert told == [
        ("", ""),
        ("1913", str(2 * zoo.START / 1000)),
        (year, ""),
        (year, ""),  # an hour before it starts
        ("2286", str((10**14 - 10**13) / 1000)),
        ("", str((10**16 - 10**15) / 1000)),
        ("", "0.0"),
        ("", "0.0"),
    ]
    assert hour == zoo.HOUR / 1000


def test_what_is_left_empty_or_out_is_counted(place):
    result = CliRunner().invoke(cli, ["export", "--experiment", "zoo"])
    assert result.stderr.splitlines() == [
        "left out: runs without a start time, which MLflow does not read",
        "left empty: 6 times outside the years 1 to 9999",
        "left empty: 1 durations of runs that end before they start",
    ]


def test_the_runs_without_a_start_are_all_that_is_left_out(place):
    read = invoke("export", "--experiment", "zoo")
    written = [run for run in zoo.runs() if run.start is not None and not run.deleted]
    assert len(list(csv.DictReader(io.StringIO(read, newline="")))) == len(written)


def test_pages_before_a_run_without_a_start_are_read_once(place, monkeypatch):
    monkeypatch.setattr(search, "PAGE", 7)
    ids = [record["run_id"] for record in records.every(experiment="zoo", sort="-start_time")]
    assert len(ids) == len(set(ids))
    written = [run for run in zoo.runs() if run.start is not None and not run.deleted]
    assert len(ids) == len(written)


def test_values_at_the_ends_of_their_range(exported):
    values = {line["params.value"]: line["metrics.auc"] for line in exported[""] if line["params.value"]}
    infinite = {"1": "inf", "2": "-inf"}
    for index, value in enumerate(zoo.VALUES):
        told = values[str(index)]
        assert told == infinite.get(str(index)) or float(told) == value or math.isnan(float(told)) == math.isnan(value)
    assert (values["0"], values["1"], values["2"]) == ("nan", "inf", "-inf")


def test_bytes_and_nothing_in_a_tag(exported):
    assert {line["tags.t"] for line in exported[""]} >= {"", "\\xff\x00bytes"}


def test_every_point_of_a_history_is_there(place):
    read = pd.read_csv(
        io.StringIO(invoke("export", "--history", "--experiment", "zoo", "--where", "params.a = 'steps'"))
    )
    points = read[read["metric"] == "auc"]
    assert sorted(zip(points["step"], points["value"], strict=True)) == sorted(zoo.STEPS)


# Spreadsheets.


@pytest.mark.parametrize("arguments", [("export",), ("export", "--history"), OURS, THEIRS])
def test_nothing_in_a_csv_is_computed(place, arguments):
    if arguments[0] == "compare":
        arguments = (*arguments, "--format", "csv")
    cells = {cell for line in csv.reader(io.StringIO(invoke(*arguments), newline="")) for cell in line}
    formulas = [
        cell
        for cell in cells
        if cell[:1] in set("=+-@\t\r") and not re.fullmatch(r"[+-]?[\d.]+(e[+-]?\d+)?|-inf", cell)
    ]
    assert formulas == []
    if arguments == ("export",):
        assert {f"'{formula}" for formula in zoo.FORMULAS} <= cells  # and what they were is still there


def test_programs_get_what_was_logged(place):
    invoke("export", "--experiment", "zoo", "--output", "zoo.parquet")
    assert set(zoo.FORMULAS) <= set(pd.read_parquet("zoo.parquet")["params.p"])
    lines = json.loads(invoke(*THEIRS, "--format", "json"))
    assert set(zoo.FORMULAS) <= {line["p"] for line in lines}


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        *(
            ("=1", "'=1"),
            ("+a", "'+a"),
            ("-a", "'-a"),
            ("@a", "'@a"),
            ("\t1", "'\t1"),
            ("\r1", "'\r1"),
            ("＝1", "'＝1"),
        ),
        *(
            ("-1", "-1"),
            ("+1.5e-3", "+1.5e-3"),
            ("-inf", "-inf"),
            ("-1+1", "'-1+1"),
            ("a=1", "a=1"),
            ("", ""),
            (-1, -1),
        ),
    ],
)
def test_a_number_is_no_formula(value, cell):
    from analysis import escapes

    assert escapes.cell(value) == cell


# Pages.

# Fixed parts of our pages.
HTML_TAGS = {
    *("html", "head", "meta", "title", "style", "body", "h1", "h2", "div", "table", "caption", "thead", "tbody", "tr"),
    *(
        "th",
        "td",
        "wbr",
        "details",
        "summary",
        "ul",
        "li",
        "p",
        "code",
        "header",
        "nav",
        "main",
        "section",
        "a",
        "figure",
    ),
    *("img", "figcaption", "br"),
}


class Page(html.parser.HTMLParser):
    """Tags and attributes of a page, and the text of its cells."""

    def __init__(self, text: str):
        super().__init__()
        self.tags, self.attributes, self.cells = set(), set(), []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attributes}
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_data(self, data):
        if self.cells:
            self.cells[-1] += data


def seen(name: str) -> str:
    """A name as readers are shown it: on one line."""
    return " ".join(name.split())


@pytest.fixture(scope="module")
def report(place) -> Path:
    invoke("report", "--log", "false", "--output", "report")
    return place / "report"


@pytest.mark.parametrize("command", [OURS, THEIRS])
def test_no_name_is_html(place, command):
    page = Page(invoke(*command, "--format", "html"))
    assert page.tags <= HTML_TAGS
    assert not {name for name in page.attributes if name.startswith("on")}
    shown = {cell.strip() for cell in page.cells}
    assert {seen(name) for name in zoo.HOSTILE} <= shown


def test_no_name_is_html_in_the_report(report):
    page = Page((report / "report.html").read_text())
    assert page.tags <= HTML_TAGS
    assert {seen(name) for name in (zoo.MARKUP, zoo.LINK, zoo.TEX)} <= {cell.strip() for cell in page.cells}


def rendered(text: str) -> tuple[set[str], set[str]]:
    """Kinds of the tokens of a markdown text that make more than text, and the texts of its cells."""
    tokens = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).parse(text)
    inline = [token for token in tokens if token.type == "inline"]
    kinds = {token.type for token in tokens} | {child.type for token in inline for child in token.children}
    told = {"".join(child.content for child in token.children if child.type == "text") for token in inline}
    return kinds, told


ACTIVE = {"html_inline", "html_block", "link_open", "image", "code_inline", "strong_open", "em_open", "s_open", "fence"}


@pytest.mark.parametrize(
    "arguments",
    [OURS, THEIRS, ("diff", *TWO), ("claims", "--entry", "ablation", "--dataset", zoo.MARKUP)],
)
def test_no_name_is_markdown(place, arguments):
    kinds, told = rendered(invoke(*arguments))
    assert not kinds & ACTIVE
    if arguments in (OURS, THEIRS):
        assert {seen(name) for name in zoo.HOSTILE} <= told


def test_of_two_runs_hostile_values_are_text(place):
    for left, right in zip(range(0, len(zoo.HOSTILE), 2), range(1, len(zoo.HOSTILE), 2), strict=False):
        kinds, told = rendered(invoke("diff", f"{left:032x}", f"{right:032x}"))
        assert not kinds & ACTIVE
        assert {seen(zoo.HOSTILE[left]), seen(zoo.HOSTILE[right])} <= told


def test_no_name_is_markdown_in_the_report(report):
    kinds, told = rendered((report / "report.md").read_text())
    assert not kinds & {"html_inline", "html_block", "link_open"}
    tokens = MarkdownIt().enable("table").parse((report / "report.md").read_text())
    images = [child for token in tokens for child in token.children or () if child.type == "image"]
    assert all(re.fullmatch(r"figures/[\w.-]+\.png", image.attrs["src"]) for image in images)
    assert {seen(name) for name in (zoo.MARKUP, zoo.LINK, zoo.TEX)} <= told


# Control sequences that our templates write, and those that stand for letters.
TEX_COMMANDS = {
    *(
        "begin",
        "end",
        "caption",
        "centering",
        "toprule",
        "midrule",
        "addtocounter",
        "bottomrule",
        "medskip",
        "resizebox",
        "ifdim",
        "width",
        "else",
    ),
    *("linewidth", "fi", "footnotesize", "noindent", "par", "usepackage", "textbackslash", "textasciitilde"),
    *(
        "textasciicircum",
        "textbar",
        "textless",
        "textgreater",
        "Sigma",
        "sigma",
        "beta",
        "gamma",
        "pm",
        "times",
        "leq",
        "geq",
        "infty",
    ),
    *("rightarrow", "documentclass", "title", "author", "date", "maketitle", "section", "texttt", "scriptsize"),
    *("label", "textbf", "smallskip", "endfirsthead", "endfoot", "endlastfoot", "dimexpr", "multicolumn"),
    *("setlength", "tabcolsep", "raggedright", "arraybackslash", "endhead", "includegraphics", "textheight", "item"),
}


def commands_of(text: str) -> set[str]:
    return set(re.findall(r"\\([a-zA-Z]+)", text.replace(r"\\", " ")))


@pytest.mark.parametrize("command", [OURS, THEIRS])
def test_no_name_is_tex(place, command):
    text = invoke(*command, "--format", "latex")
    assert commands_of(text) <= TEX_COMMANDS
    body = [
        line for block in re.findall(r"\\midrule\n(.*?)\\bottomrule", text, re.DOTALL) for line in block.splitlines()
    ]
    assert all(line.endswith(r"\\") for line in body)
    assert not any(line.lstrip().startswith(("[", "*")) for line in body)  # which a line's end would take
    columns = re.search(r"\\begin\{tabular\}\{([lr]+)\}", text)[1]
    first = re.findall(r"\\midrule\n(.*?)\\bottomrule", text, re.DOTALL)[0].splitlines()
    assert {len(re.split(r"(?<!\\)&", line)) for line in first} == {len(columns)}


def test_no_name_is_tex_in_the_report(report):
    assert commands_of((report / "report.tex").read_text()) <= TEX_COMMANDS


def test_what_cannot_be_seen_is_written_out(place):
    narrow = (*THEIRS, "--group-by", "p", "--metrics", "auc")
    for arguments in (*((*narrow, "--format", form) for form in ("terminal", "markdown")), ("diff", *TWO)):
        text = invoke(*arguments)
        assert not {letter for letter in text if not letter.isprintable()} - {"\n", "\u200d"}
    table = invoke(*narrow, "--format", "terminal")
    for name in (r"\x00nul", r"\x1b[31mred", r"\u202eright to left", "\u05e2\u05d1\u05e8\u05d9\u05ea", "\U0001f600"):
        assert name in table


# Pipes.


def piped(*arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("LC_", "LANG", "PYTHONIO"))}
    return subprocess.run(
        [sys.executable, "-m", "analysis", *arguments],
        env=clean | {"PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        check=False,
    )


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
@pytest.mark.medium
def test_a_pipe_of_another_encoding_gets_all_of_it(place, form, encoding):
    result = CliRunner(charset=encoding).invoke(cli, [*THEIRS, "--format", form])
    assert result.exit_code == 0, result.exception
    text = result.stdout_bytes.decode(encoding)
    if form != "latex":  # which has its own
        assert r"\ud83d\ude00" in text
    if form == "json":
        assert json.loads(text) == json.loads(invoke(*THEIRS, "--format", "json"))
    if form == shown.TERMINAL:
        assert "\n----" in text


@pytest.mark.medium
def test_an_export_to_such_a_pipe_is_whole(place):
    done = piped("export", "--experiment", "zoo", LC_ALL="C", PYTHONCOERCECLOCALE="0", PYTHONUTF8="0")
    assert done.returncode == 0, done.stderr
    assert r"\ud83d\ude00" in done.stdout.decode("ascii")
    assert count(done.stdout.decode("ascii")) == count(invoke("export", "--experiment", "zoo"))


def count(table: str) -> int:
    return len(list(csv.reader(io.StringIO(table, newline=""))))


@pytest.mark.medium
def test_a_pipe_that_closes_ends_it_quietly(place):
    command = f"'{sys.executable}' -m analysis export --history | head -c 10"
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert len(done.stdout) == 10
    assert not [line for line in done.stderr.splitlines() if not line.startswith("left ")], done.stderr


@pytest.mark.medium
def test_arguments_that_are_no_text_are_named(place):
    done = subprocess.run(
        [sys.executable, "-m", "analysis", "compare", "--experiment", b"\xff\xfe"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 2
    (line,) = done.stderr.decode().splitlines()
    assert "udcff" in line


# What nobody has foreseen.


def test_what_was_not_foreseen_is_one_line(place, monkeypatch):
    monkeypatch.setattr("analysis.tables.compare.compare", lambda *arguments: 1 / 0)
    result = CliRunner().invoke(cli, ["compare"])
    assert result.exit_code == 1
    line = result.stderr.strip().splitlines()[-1]
    assert line.startswith("error: ZeroDivisionError: division by zero (test_zoo.py, line ")
    assert "Traceback" not in result.output


def test_a_name_cannot_add_a_line_to_a_message(blank_database, tmp_path, at):
    shutil.copy(blank_database, tmp_path / "names.db")
    insert(tmp_path / "names.db", [Logged(start=START)], "two\nlines \x1b[2J")
    at(tmp_path, f"sqlite:///{tmp_path / 'names.db'}")
    result = CliRunner().invoke(cli, ["compare", "--experiment", "absent"])
    assert result.exit_code == 2
    (line,) = result.stderr.strip().splitlines()
    assert r"two lines \x1b[2J" in line
