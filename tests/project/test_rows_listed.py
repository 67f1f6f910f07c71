"""The command `rows`: every row with its settings and published figure, and the user's own."""

import json
import re
import subprocess
import sys

import pytest
from click.testing import CliRunner
from support.place import ROOT

from nnreg.program import cli
from pipelines.common.screen import Screen
from pipelines.experiments.ablation.rows import ABLATION
from pipelines.experiments.index import ENTRIES, catalogue_of
from pipelines.experiments.recurrent.rows import GROUPS, RECURRENT

FILE = '[ablation.mine]\nlike = "cnn"\nchannels = [32, 64]\n[recurrent.g]\nlike = "gru-2"\nhidden = [8, 16]\n'


@pytest.fixture
def file(tmp_path) -> str:
    path = tmp_path / "mine.toml"
    path.write_text(FILE)
    return str(path)


def shown(*arguments: str) -> str:
    result = CliRunner().invoke(cli, ["rows", *arguments], prog_name="nnreg")
    assert result.exit_code == 0, result.output
    return result.stdout


def test_every_row_of_every_experiment_is_listed(file):
    listed = json.loads(shown("--format", "json", "--rows", file))
    names = {entry: [each["row"] for each in listed if each["entry"] == entry] for entry in ENTRIES}
    own = {"ablation": ["mine"], "recurrent": ["g-hidden8", "g-hidden16"]}
    assert names == {entry: [*catalogue_of(entry).rows, *own.get(entry, [])] for entry in ENTRIES}


def test_programs_get_all_settings_groups_and_published_figures(file):
    listed = {each["row"]: each for each in json.loads(shown("--format", "json", "--entry", "ablation"))}
    assert listed.keys() == ABLATION.keys()
    assert (listed["cnn"]["metric"], listed["cnn"]["published"]) == ("test_accuracy", 58.58)
    assert listed["cnn"]["settings"]["channels"] == [6, 16]
    found = {each["row"]: each for each in json.loads(shown("--format", "json", "--rows", file))}
    assert (found["g-hidden16"]["like"], found["g-hidden16"]["groups"]) == ("gru-2", ["g"])
    assert (found["g-hidden16"]["settings"]["hidden"], found["g-hidden16"]["published"]) == (16, None)
    assert found["gru-2"]["groups"] == [group for group, members in GROUPS.items() if "gru-2" in members]


def test_readers_get_a_table_for_each_experiment(file):
    text = shown("--rows", file)
    assert [line for line in text.splitlines() if line.startswith("**")] == [
        f"**{entry}: {len(catalogue_of(entry).rows) + more} rows**"
        for entry, more in zip(ENTRIES, (2, 1, 0, 0), strict=True)
    ]
    assert "| mine | cnn | 32,64 | 120,84 | ReLU | 0.001 | 5 | 10 | – |" in text
    assert "| mlp-2 | – | none | 120 | ReLU | 0.001 | 0 | 10 | 51.95 |" in text
    assert "- persistence: the last hour's load" in text
    assert "- g stands for g-hidden8, g-hidden16" in text
    assert f"- To run some: python -m pipelines ablation --rows {file} --variants NAME,NAME" in text
    assert "- To run some: python -m pipelines resnet --models NAME,NAME" in text


def test_a_table_fits_a_terminal_of_80_columns(monkeypatch):
    monkeypatch.setattr("pipelines.common.screen.screen", lambda: Screen(80))

    lines = shown("--format", "terminal").splitlines()
    assert max(map(len, lines)) <= 80
    assert all(any(line.startswith(f"{row} ") for line in lines) for row in RECURRENT)


def test_the_average_of_the_page_on_forecasting_is_as_it_says(tmp_path):
    page = (ROOT / "docs" / "forecasting.md").read_text("utf-8")
    (text,) = re.findall(r"^```toml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    (tmp_path / "average-deep.toml").write_text(text)
    listed = json.loads(shown("--format", "json", "--rows", str(tmp_path / "average-deep.toml")))
    (own,) = (each["settings"] for each in listed if each["row"] == "average-deep")
    assert (own["members"], own["layers"], own["hidden"], own["lookback"]) == (["GRU"] * 3, 2, 256, 336)


def test_a_fault_of_the_file_is_one_line(tmp_path):
    path = tmp_path / "x.toml"
    path.write_text('[ablation.x]\nlike = "cn"')
    command = [sys.executable, "-m", "pipelines", "rows", "--rows", str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {path}: [ablation.x] like: unknown 'cn'; did you mean cnn?")
    assert done.stderr.count("\n") == 1


def test_an_experiment_without_a_catalogue_says_so(monkeypatch):
    monkeypatch.setattr("pipelines.commands.rows.catalogue_of", lambda entry: None)
    result = CliRunner().invoke(cli, ["rows", "--entry", "resnet"], prog_name="nnreg")
    assert result.exit_code == 2
    assert "entry=resnet: its module rows has no CATALOGUE, by which rows are listed" in result.output


def test_it_starts_without_torch_and_mlflow():
    code = (
        "import sys\nfrom pipelines.__main__ import cli\ntry:\n    cli(['rows'])\nfinally:\n"
        "    print(sorted({'torch', 'mlflow', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
