"""The command line that every run records: pasted, it gives the entry point the options that made the run."""

import shlex

import click
import pytest
from click.testing import CliRunner

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
