"""The command line that every run records: pasted, it gives the entry point the options that made the run."""

import ast
import os
import re
import shlex
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner
from support.place import ROOT

from pipelines import names
from pipelines.__main__ import cli
from pipelines.commands import prepare
from pipelines.commands.main import PRESETS
from pipelines.commands.options import MainOptions, PrepareOptions
from pipelines.common import command
from pipelines.experiments.ablation.options import AblationOptions
from pipelines.experiments.ablation.rows import resolve_classifier
from pipelines.experiments.recurrent import experiment as recurrent
from pipelines.launching.jobs import Job, nested
from pipelines.launching.launch import launch
from pipelines.tracking.run import Run


def parsed(entry: str, *arguments: str) -> dict:
    return cli.commands[entry].make_context(entry, list(arguments)).params


def read(line: str) -> tuple[str, dict]:
    """Entry and options that a pasted line leads to."""
    python, flag, module, entry, *arguments = shlex.split(line)
    assert (python, flag, module) == ("python", "-m", "pipelines")
    return entry, parsed(entry, *arguments)


def written(entry: str, options: dict) -> str:
    return command.line("pipelines", cli.commands[entry], options)


@pytest.mark.parametrize(
    ("entry", "arguments", "line"),
    [
        ("recurrent", (), "python -m pipelines recurrent"),
        (
            "recurrent",
            ("--lr", "1e-05", "--seeds", "3", "--jobs", "2", "--dropout", "0", "--models", "gru-2, rnn-2"),
            "python -m pipelines recurrent --models 'gru-2, rnn-2' --lr 1e-05 --dropout 0.0 --seeds 3 --jobs 2",
        ),
        ("ablation", ("--data-dir", "it's; $HOME"), "python -m pipelines ablation --data-dir 'it'\"'\"'s; $HOME'"),
        ("pretrain", ("--sides", "16,24,32"), "python -m pipelines pretrain --sides 16,24,32"),
        ("prepare", ("--allow-unverified", "true"), "python -m pipelines prepare --allow-unverified true"),
        ("resnet", ("--weights", "models:/a@champion"), "python -m pipelines resnet --weights models:/a@champion"),
    ],
)
def test_a_line_has_what_departs_from_the_defaults_and_gives_the_same_options(entry, arguments, line):
    options = parsed(entry, *arguments)
    assert written(entry, options) == line
    assert read(line) == (entry, options)


@pytest.mark.parametrize("preset", PRESETS)
def test_the_entries_under_main_have_the_line_that_does_the_same(preset):
    for entry, wanted in PRESETS[preset].items():
        options = parsed(entry) | wanted
        assert read(written(entry, options)) == (entry, options)
    assert written("ablation", parsed("ablation") | PRESETS["demo"]["ablation"]) == (
        "python -m pipelines ablation --dataset sample"
    )


def test_a_password_is_left_out():
    options = parsed("tune", "--storage", "postgresql://me:secret@host/db")
    assert written("tune", options) == "python -m pipelines tune --storage postgresql://host/db"


@pytest.fixture
def group():
    """A group with a command that prints the line which made it."""

    @click.group()
    def group():
        pass

    @group.command()
    @click.option("--lr", type=float, default=0.0)
    @click.option("--models", default="all")
    def train(**options):
        click.echo(command.line("pipelines", train, options))

    return group


def test_an_option_that_was_typed_is_kept_also_at_its_default(group):
    typed = CliRunner().invoke(group, ["train", "--models", "all"]).stdout.strip()
    assert typed == "python -m pipelines train --models all"


def test_of_mlflow_run_which_types_every_option_those_at_their_defaults_are_left_out(group, monkeypatch):
    monkeypatch.setenv("MLFLOW_RUN_ID", "0")
    typed = CliRunner().invoke(group, ["train", "--lr", "0.1", "--models", "all"]).stdout.strip()
    assert typed == "python -m pipelines train --lr 0.1"


def test_a_launch_its_rows_and_a_launch_within_it_have_their_lines(place, at):
    at(place.folder, place.uri)
    options = AblationOptions(dataset="sample", variants="cnn")
    with (
        launch("main", "main demo", {names.ENTRY: "main"}, MainOptions(), "") as whole,
        launch("ablation", "inner", {names.ENTRY: "ablation"}, options, "", whole) as inner,
    ):
        row = nested(inner, "ablation", Job("cnn-seed0", resolve_classifier("cnn", "sample", "autograd", 0, 1.0)))
        trial = Run(inner.id).child("trial-0", {names.TRIAL: "0"})
    assert whole.tags[names.COMMAND] == "python -m pipelines main"
    line = "python -m pipelines ablation --dataset sample --variants cnn"
    assert [run.tags[names.COMMAND] for run in (inner, row, trial)] == [line] * 3


def test_a_run_from_before_the_tag_gives_its_nested_runs_none(place, at):
    at(place.folder, place.uri)
    assert names.COMMAND not in Run.launch("old", {}).child("row", {}).tags


def test_the_entry_point_called_from_python_records_the_equivalent_line(place, at, monkeypatch):
    at(place.folder, place.uri)
    monkeypatch.setattr("pipelines.launching.launch.fan_out", lambda *given, **named: None)
    recurrent.run(dataset="sample", models="persistence", seeds=2)
    line = "python -m pipelines recurrent --dataset sample --models persistence --seeds 2"
    assert place.runs()["recurrent sample"].data.tags[names.COMMAND] == line


def test_a_run_that_mlflow_made_for_a_preparation_has_its_line(place, at, monkeypatch):
    at(place.folder, place.uri)
    made = place.client.create_run("0", tags={"mlflow.project.entryPoint": "prepare"})
    monkeypatch.setenv("MLFLOW_RUN_ID", made.info.run_id)
    prepare.run(PrepareOptions(dataset="sample", data_dir="kept here"))
    line = place.client.get_run(made.info.run_id).data.tags[names.COMMAND]
    assert line == "python -m pipelines prepare --dataset sample --data-dir 'kept here'"


def test_a_run_left_in_the_environment_is_not_taken_for_that_of_a_preparation(place, at, monkeypatch):
    at(place.folder, place.uri)
    other = Run.launch("other", {names.ENTRY: "recurrent"})
    monkeypatch.setenv("MLFLOW_RUN_ID", other.id)
    prepare.run(PrepareOptions(dataset="sample"))
    assert names.COMMAND not in other.tags


# What `mlflow run` is to the command that it starts: a Python, of which a shell is started.
LAUNCHER = """
import os, subprocess, sys
subprocess.run(
    ["sh", "-c", '"$0" -c "$1"; true', sys.executable, os.environ["CODE"]],
    env={**os.environ, "MLFLOW_RUN_ID": "0" * 32}, check=True,
)
"""


def hinted_by_mlflow(typed: str, line: str) -> str:
    """The hint of a command that was started by `typed`, a line with `mlflow run`."""
    code = f"from pipelines.common.command import hint; print(hint({line!r}))"
    done = subprocess.run(
        [sys.executable, "-c", LAUNCHER, *shlex.split(typed)[1:]],
        env={**os.environ, "PYTHONPATH": str(ROOT), "CODE": code},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.rstrip("\n")


def test_a_hint_is_as_the_user_types_commands(monkeypatch):
    lines = ["python -m pipelines prepare --dataset pjm", "python -m analysis diff 1 2"]
    assert list(map(command.hint, lines)) == lines
    monkeypatch.setenv(command.NNREG, "true")
    assert list(map(command.hint, lines)) == ["nnreg prepare --dataset pjm", "nnreg diff 1 2"]
    assert command.hint("./mine --lr 1") == "./mine --lr 1"


@pytest.mark.parametrize(
    ("typed", "line", "hint"),
    [
        (
            "mlflow run . -e recurrent --env-manager local -P models=gru-2 -P seeds=3",
            "python -m pipelines prepare --dataset pjm --data-dir 'my data'",
            "mlflow run . --env-manager local -e prepare -P dataset=pjm -P 'data_dir=my data'",
        ),
        (
            "mlflow run 'a clone' --entry-point=tune --run-name it --experiment-name nets --param-list study=ablation",
            "python -m analysis compare --entry tune",
            "mlflow run 'a clone' --experiment-name nets -e compare -P entry=tune",
        ),
        (
            "mlflow run https://me:hidden@host.example/nets -e main",
            "python -m pipelines replay",
            "mlflow run https://host.example/nets -e replay",
        ),
        # No entry points of the project, or not with options alone.
        ("mlflow run . -e recurrent", "python -m analysis claims --entry x", "python -m analysis claims --entry x"),
        ("mlflow run . -e recurrent", "python -m analysis compare a", "python -m analysis compare a"),
        # By mlflow.projects.run, which a script calls.
        ("mlflow script.py", "python -m pipelines replay", "python -m pipelines replay"),
    ],
)
def test_a_hint_under_mlflow_run_is_the_line_that_was_typed_for_another_entry_point(typed, line, hint):
    assert hinted_by_mlflow(typed, line) == hint


# Pages, which others read too than who made them.
DOCUMENTS = ("pipelines/tracking/page.py", "analysis/report/", "analysis/entries/")


def unadapted(source: str) -> list[str]:
    """The texts with a command of the project in them, docstrings aside, that are no arguments of `hint`."""
    tree = ast.parse(source)
    aside: set[ast.AST] = set()
    for node in ast.walk(tree):
        is_hint = isinstance(node, ast.Call) and ast.unparse(node.func) in ("hint", "command.hint")
        if is_hint or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
            aside |= set(ast.walk(node))
    texts = (node for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str))
    return [
        each.value for each in texts if each not in aside and re.search(r"python -m (pipelines|analysis) ", each.value)
    ]


@pytest.mark.parametrize("package", ["pipelines", "analysis", "nnmodels", "nnreg"])
def test_no_message_has_a_command_that_is_no_hint(package):
    assert unadapted("print(f'try: {hint(f\"python -m pipelines {entry}\")}')") == []
    assert unadapted("print(f'try: python -m pipelines {entry}')") == ["try: python -m pipelines "]
    assert unadapted("print('try: python -m analysis runs')") == ["try: python -m analysis runs"]
    paths = [path for path in (ROOT / package).rglob("*.py") if not f"{path.relative_to(ROOT)}".startswith(DOCUMENTS)]
    found = {f"{path.relative_to(ROOT)}": unadapted(path.read_text(encoding="utf-8")) for path in paths}
    assert {path: texts for path, texts in found.items() if texts} == {}


@pytest.mark.parametrize(
    ("line", "option"),
    [
        ("python -m pipelines recurrent --data-dir mine --jobs 2", " --data-dir mine"),
        ("python -m pipelines recurrent --data-dir 'our data'", " --data-dir 'our data'"),
        ("python -m pipelines recurrent --jobs 2", ""),
        ("python -m pipelines recurrent --data-dir", ""),
        ("it's no command line --data-dir mine", ""),
        ("", ""),
    ],
)
def test_an_option_of_a_recorded_line_is_kept_as_it_is_typed(line, option):
    assert command.kept(line, "--data-dir") == option
