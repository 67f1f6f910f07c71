"""The console script: each of its commands is that of its half, with the same errors, records and signals."""

import os
import re
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.launches import ENDLESS, complaint, require_nothing_left, statuses, until
from support.place import ROOT

from analysis.__main__ import cli as analysis
from nnreg.program import cli
from pipelines.__main__ import cli as pipelines
from pipelines.experiments.ablation.rows import ABLATION
from pipelines.experiments.recurrent.rows import RECURRENT

LSTMS = [row for row in RECURRENT if row.startswith("lstm")]

# As pip writes it.
SCRIPT = """\
#!{python}
import sys
from {module} import {function}
if __name__ == "__main__":
    sys.exit({function}())
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory) -> Path:
    """The installed script."""
    entry = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]["nnreg"]
    module, function = entry.split(":")
    path = tmp_path_factory.mktemp("bin") / "nnreg"
    path.write_text(SCRIPT.format(python=sys.executable, module=module, function=function))
    path.chmod(0o755)
    return path


def python(code: str) -> str:
    """What Python prints, of this code alone."""
    command = [sys.executable, "-c", code]
    environment = {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


def test_it_has_the_commands_of_both_halves_and_a_server_in_one_help():
    assert sorted(cli.commands) == sorted([*pipelines.commands, *analysis.commands, "server"])
    shown = CliRunner().invoke(cli, []).stdout
    lines = shown.splitlines()
    for half in (pipelines, analysis):
        for title, names in half.sections.items():
            (at,) = (number for number, line in enumerate(lines) if line == f"{title}:")
            end = lines.index("", at)
            assert set(names) <= {line.split()[0] for line in lines[at + 1 : end]}


@pytest.mark.parametrize(
    ("half", "arguments"),
    [
        (pipelines, "recurrent --epochs x"),
        (pipelines, "recurrent --models gru-9"),
        (pipelines, "prepare --source nowhere"),
        (pipelines, "tune --modls"),
        (analysis, "compare --limit x"),
        (analysis, "compare --since yesterday"),
        (analysis, "claims --entry resnet"),
        (analysis, "diff"),
        (analysis, "export --format parquet"),
    ],
)
def test_an_error_is_that_of_the_half(tmp_path, at, half, arguments):
    at(tmp_path, f"sqlite:///{tmp_path}/mlflow.db")
    ended = [CliRunner().invoke(group, arguments.split(), prog_name="nnreg") for group in (cli, half)]
    assert ended[0].exit_code == ended[1].exit_code == 2
    assert ended[0].stderr == ended[1].stderr != ""


def test_a_misspelt_command_is_one_line_that_names_those_of_both():
    ended = CliRunner().invoke(cli, ["comapre"])
    assert ended.exit_code == 2
    (line,) = ended.stderr.splitlines()
    assert line.startswith("error: no such command 'comapre'; did you mean compare? Known are recurrent, ")


def test_help_waits_for_no_large_library():
    heavy = "{'matplotlib', 'mlflow', 'optuna', 'pandas', 'scipy', 'torch'} & set(sys.modules)"
    code = f"import sys, nnreg.__main__ as it; sys.argv = ['nnreg', '--help']\ntry: it.main()\nfinally: print({heavy})"
    assert python(code).splitlines()[-1] == "set()"


@pytest.mark.parametrize(
    "line",
    [
        "recurrent --models gru-9",
        "ablation --variants mlp-9",
        "pretrain --models ,",
        "resnet --models resnet9",
        "tune --space lr,dept",
    ],
)
def test_a_misspelt_name_is_refused_before_a_large_library_is_imported(line):
    code = f"""
import sys, nnreg.__main__ as it
sys.argv = ["nnreg", *{line.split()}]
try: it.main()
except SystemExit as end: print(end.code, {{*sys.modules}} & {{"mlflow", "optuna", "pandas", "scipy", "torch"}})
"""
    assert python(code) == "2 set()\n"


@pytest.mark.parametrize("words", [["recurrent"], [], ["--help"], ["recurent"]])
def test_signals_are_handled_before_anything_is_imported(words):
    code = f"""
import sys
from pipelines.processes import signals
signals.begin = lambda: sys.exit(print("handled", "click" in sys.modules))
sys.argv = ["nnreg", *{words}]
from nnreg.__main__ import main
main()
"""
    assert python(code) == "handled False\n"


def test_those_of_the_analysis_are_left_as_python_has_them():
    code = """
import signal, sys
sys.argv = ["nnreg", "compare", "--help"]
from nnreg.__main__ import main
try: main()
finally: print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)
"""
    assert python(code).splitlines()[-1] == "True"


def test_hints_are_of_the_script_too():
    code = """
import sys
sys.argv = ["nnreg", "--version"]
from nnreg.__main__ import main
from pipelines.common.command import hint
try: main()
finally: print(hint("python -m analysis runs"))
"""
    assert python(code).splitlines()[-1] == "nnreg runs"


def completed(script: Path, line: str) -> list[str]:
    """What bash offers for the last word of a line."""
    words = line.split(" ")
    code = f"""
eval "$(_NNREG_COMPLETE=bash_source nnreg)"
COMP_WORDS=({" ".join(f"'{word}'" for word in words)}) COMP_CWORD={len(words) - 1}
_nnreg_completion nnreg
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    environment = os.environ | {"PATH": f"{script.parent}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(["bash", "-c", code], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.medium
@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("nnreg rec", ["recurrent"]),
        ("nnreg comp", ["compare"]),
        ("nnreg recurrent --mod", ["--models"]),
        ("nnreg recurrent --models ls", LSTMS),
        ("nnreg recurrent --models gru-2,ls", [f"gru-2,{row}" for row in LSTMS]),
        ("nnreg recurrent --models lstm-2,ls", [f"lstm-2,{row}" for row in LSTMS if row != "lstm-2"]),
        ("nnreg ablation --variants ", ["all", *ABLATION]),
        ("nnreg ablation --dataset ", ["auto", "cifar10", "sample"]),
        ("nnreg tune --space lr,d", ["lr,default", "lr,depth", "lr,dropout"]),
        ("nnreg compare --entry re", ["recurrent", "resnet"]),
        ("nnreg compare --metrics test_accuracy,sm", ["test_accuracy,smape", "test_accuracy,smape_report"]),
        ("nnreg compare --columns lr,hid", ["lr,hidden"]),
        ("nnreg compare --baseline gru", [row for row in RECURRENT if row.startswith("gru")]),
        ("nnreg claims --dataset p", ["pjm"]),
    ],
)
def test_bash_completes_commands_options_and_names(script, line, offered):
    assert completed(script, line) == offered


def test_fish_splits_the_kind_from_what_it_offers_at_the_first_comma_only(monkeypatch):
    """So that it takes ``plain,gru-2,lstm-2`` for the list gru-2,lstm-2."""
    monkeypatch.setenv("_NNREG_COMPLETE", "fish_source")
    shown = CliRunner().invoke(cli, [], prog_name="nnreg").stdout
    assert re.findall(r"string split .*;", shown) == ['string split --max 1 "," $completion);']
    monkeypatch.setenv("_NNREG_COMPLETE", "fish_complete")
    monkeypatch.setenv("COMP_WORDS", "nnreg recurrent --models gru-2,ls")
    monkeypatch.setenv("COMP_CWORD", "gru-2,ls")
    offered = CliRunner().invoke(cli, [], prog_name="nnreg").stdout.splitlines()
    assert offered == [f"plain,gru-2,{row}" for row in LSTMS]


@pytest.mark.slow
def test_a_launch_by_the_script_and_its_comparison(script, place):
    """Rows are trained in processes that import the script, which must not launch them again."""
    options = ["--dataset", "sample", "--models", "gru-2,persistence", "--hidden", "8", "--epochs", "1"]
    assert place.command(str(script), "recurrent", *options, "--jobs", "2") == 0, place.stderr
    assert statuses(place) == dict.fromkeys(["recurrent sample", "gru-2-seed0", "persistence"], "FINISHED")
    assert "\nnext      nnreg compare --entry recurrent\n" in place.stdout
    typed = "python -m pipelines recurrent --dataset sample --models gru-2,persistence --epochs 1 --hidden 8 --jobs 2"
    assert {run.data.tags["command"] for run in place.runs().values()} == {typed}
    assert place.command(str(script), "compare", "--entry", "recurrent", "--format", "csv") == 0, place.stderr
    assert "persistence" in place.stdout


@pytest.mark.slow
def test_a_launch_by_the_script_is_stopped_in_one_line(script, place):
    process = place.begin(
        str(script), "recurrent", "--dataset", "sample", "--models", "gru-2", "--epochs", str(ENDLESS)
    )
    until(lambda: "gru-2-seed0" in place.runs(), process)
    time.sleep(1)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(120) == 128 + signal.SIGINT
    require_nothing_left(place)
    assert complaint(place).startswith("error: stopped by signal 2")
    assert set(statuses(place).values()) == {"KILLED"}
