"""Comparison tables as text that hostile names must not break."""

import html.parser
import json
import re
import shutil
import subprocess

import pandas as pd
import pytest

from analysis import formats
from analysis.entries.index import VIEWS
from analysis.escapes import tex
from analysis.tables.cells import brief
from analysis.tables.compare import compare
from analysis.tables.table import Options, Table
from analysis.tables.terminal import drawn
from pipelines.common.screen import Screen, draw

NAMES = (r"a_b & 50% #1 ${x} ~^\ <script>|", "Größe ≤ 5 … 模型")


@pytest.fixture(scope="module")
def compared() -> list[Table]:
    common = {"tags.entry": "other", "tags.seed": "0", "tags.training": "none", "tags.dataset": "d"}
    lines = [
        common | {"run_id": str(index), "tags.row": row, "params.note": "x_y", "metrics.loss": value}
        for index, (row, value) in enumerate(zip(NAMES, (0.25, float("nan")), strict=True))
    ]
    return compare(pd.DataFrame(lines), VIEWS, Options())


class Cells(html.parser.HTMLParser):
    """Text of the cells of a page's tables, and the tags that it has."""

    def __init__(self, page: str):
        super().__init__()
        self.text, self.tags = [], set()
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        if tag in ("td", "th"):
            self.text.append("")

    def handle_data(self, data):
        if self.text:
            self.text[-1] += data


def test_html_shows_names_as_they_are(compared):
    page = Cells(formats.to_html(compared))
    cells = [text.strip() for text in page.text]
    assert cells[:2] == ["row", "n"]
    assert [name for name in NAMES if name in cells] == list(NAMES)
    assert "script" not in page.tags


def test_html_fetches_nothing(compared):
    assert not re.search(r"https?:|src=|@import|<link", formats.to_html(compared))


def test_latex_escapes_what_tex_would_read():
    assert tex(r"a_b & 50% #1 ${x}") == r"a\_b \& 50\% \#1 \$\{x\}"
    assert tex("\\ ~ ^") == r"\textbackslash{} \textasciitilde{} \textasciicircum{}"
    assert tex("0.1 ± 0.2 … é 模") == r"0.1 $\pm$ 0.2 … é ?"
    assert tex("a --seeds 3") == "a -{}-seeds 3"


def test_latex_has_a_line_for_each_of_the_table(compared):
    text = formats.to_latex(compared)
    body = text.split(r"\midrule")[1].split(r"\bottomrule")[0].strip().splitlines()
    assert len(body) == 2
    columns = re.search(r"\\begin\{tabular\}\{(\w+)\}", text)[1]
    assert all(len(re.split(r"(?<!\\)&", line)) == len(columns) for line in body)


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="no pdflatex here: apt-get install texlive-latex-recommended")
def test_latex_compiles(compared, tmp_path):
    preamble = r"\documentclass{article}\usepackage{booktabs,graphicx}\begin{document}"
    (tmp_path / "page.tex").write_text(f"{preamble}\n{formats.to_latex(compared)}\n\\end{{document}}\n")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "page.pdf").stat().st_size > 1000


def test_terminal_shows_every_cell_and_note_whole(compared):
    text = draw(map(drawn, compared), Screen())
    for name in NAMES:
        assert name in text
    for note in compared[0].notes:
        assert note in text
    assert "\x1b" not in text


def test_json_has_null_for_what_is_missing(compared):
    lines = json.loads(formats.to_json(compared))
    assert {line["row"]: line["loss.mean"] for line in lines} == dict(zip(NAMES, (0.25, None), strict=True))


def test_long_numbers_and_digests_are_short_for_readers():
    assert brief("0.00291969321987348") == "0.00292"
    assert brief("0.0001") == "0.0001"
    assert brief("2181434aae0070fe1bd26ffa7615e385662d96f213ba7957f2cb8e525ea781f1") == "2181434aae00"
    assert brief("100000000") == "100000000"
