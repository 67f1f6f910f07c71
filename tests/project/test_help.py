"""What every command line has in common: help at 80 columns, examples, versions, and what a misspelt name was."""

import re
import shlex
import subprocess
from importlib import metadata

import click
import pytest
from click.testing import CliRunner
from support.place import ROOT

from analysis.__main__ import cli as analysis
from nnreg.program import cli as nnreg
from pipelines.__main__ import cli as pipelines
from pipelines.common.program import Option
from pipelines.experiments.ablation.rows import ABLATION
from pipelines.experiments.index import options_of
from pipelines.experiments.recurrent.rows import GROUPS as ROW_GROUPS
from pipelines.experiments.recurrent.rows import RECURRENT
from pipelines.experiments.resnet.rows import RESNETS
from pipelines.studies.options import TuneOptions

GROUPS = {"pipelines": pipelines, "analysis": analysis}
COMMANDS = [(program, name) for program, group in GROUPS.items() for name in sorted(group.commands)]
COMMANDS += [("nnreg", "server")]
PROGRAMS = {**GROUPS, "nnreg": nnreg}
OPTIONS_OF = {"tune": TuneOptions, **{entry: options_of(entry) for entry in ("recurrent", "ablation", "resnet")}}
OWN = {
    "recurrent": {"epochs", "batch_size", "lr", "hidden", "dropout"},
    "ablation": {"epochs", "batch_size", "lr"},
    "resnet": {"batch_size"},
    "pretrain": {"epochs", "lr", "muon_lr", "batch_size", "sides", "validation"},
}


def said(program: str, *arguments: str) -> str:
    """What a command line prints on standard output at 80 columns; it ends well."""
    prog_name = f"python -m {program}"
    result = CliRunner().invoke(PROGRAMS[program], arguments, prog_name=prog_name, terminal_width=78)
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout


def complaint(program: str, *arguments: str) -> str:
    result = CliRunner().invoke(PROGRAMS[program], arguments, prog_name=f"python -m {program}")
    assert (result.exit_code, result.stdout) == (2, "")
    *announced, last = result.stderr.splitlines()
    assert last.startswith("error: ")
    assert not any("error" in line.lower() or line.startswith("Usage") for line in announced)
    return last


def options(program: str, name: str) -> dict[str, str]:
    """What the help of a command says of each of its options, in one line."""
    text = said(program, name, "--help").split("\nOptions:\n")[1].split("\n\n")[0]
    parts = re.split(r"^  (?:-h, )?--([a-z-]+)", text, flags=re.MULTILINE)[1:]
    return {flag: " ".join(rest.split()) for flag, rest in zip(parts[::2], parts[1::2], strict=True)}


@pytest.mark.parametrize(("program", "name"), [(program, "") for program in GROUPS] + COMMANDS)
def test_help_is_asked_for_in_a_letter_too_and_fits_80_columns(program, name):
    text = said(program, *name.split(), "-h")
    assert text == said(program, *name.split(), "--help")
    before, _, examples = text.partition("\nExamples:\n")
    assert max(map(len, before.splitlines())) <= 80
    assert examples


@pytest.mark.parametrize("program", GROUPS)
def test_a_group_alone_prints_its_help(program):
    text = said(program)
    assert text == said(program, "--help")
    for name in GROUPS[program].commands:
        assert len(re.findall(rf"^  {name}  ", text, re.MULTILINE)) == 1, name
    assert "Others:" not in text


@pytest.mark.parametrize(("program", "name"), COMMANDS)
def test_every_example_is_a_command_line_that_the_command_takes(program, name):
    command = PROGRAMS[program].commands[name]
    shown = said(program, name, "--help").partition("\nExamples:\n")[2].splitlines()[1::2]
    assert 1 <= len(shown) == len(command.examples) <= 4
    for example, line in zip(command.examples, shown, strict=True):
        words = shlex.split(line)
        assert words == ["python", "-m", program, name, *shlex.split(example.arguments)]
        assert len(line.strip().replace(f"python -m {program}", "nnreg")) < 80
        parsed = command.make_context(name, words[4:]).params
        for option in {"models": {*RECURRENT, *ROW_GROUPS, *RESNETS}, "variants": ABLATION}.items():
            given = parsed.get(option[0], "all")
            assert given == "all" or set(given.split(",")) <= set(option[1])


def test_the_examples_of_the_groups_are_command_lines():
    for group in GROUPS.values():
        for example in group.examples:
            name, *words = shlex.split(example.arguments)
            if words != ["--help"]:
                group.commands[name].make_context(name, words)


@pytest.mark.parametrize(
    ("name", "option", "rows"),
    [
        ("recurrent", "models", RECURRENT),
        ("ablation", "variants", ABLATION),
        ("resnet", "models", RESNETS),
        ("pretrain", "models", RESNETS),
    ],
)
def test_the_help_of_rows_names_every_row_unbroken(name, option, rows):
    text = options("pipelines", name)[option]
    assert ", ".join(rows) in text


@pytest.mark.parametrize("name", OWN)
def test_the_default_of_what_a_row_decides_is_said_in_words(name):
    shown = {flag.replace("-", "_"): text for flag, text in options("pipelines", name).items()}
    assert {flag for flag, text in shown.items() if text.endswith("[default: the row's own value]")} == OWN[name]


@pytest.mark.parametrize(("program", "name"), COMMANDS)
def test_every_option_says_what_it_is_and_no_default_has_to_be_looked_up(program, name):
    shown = options(program, name)
    for option in PROGRAMS[program].commands[name].params:
        if isinstance(option, click.Option):
            assert isinstance(option, Option)
            assert option.help
            assert option.help[0].isupper() or ":" in option.help.split()[0] or option.help[0] == "."
            assert not re.search(r'default: (0|-1|"")\]', shown[option.opts[0][2:]]) or option.name == "seed"


@pytest.mark.parametrize("program", GROUPS)
def test_the_version_names_the_project_its_commit_and_its_libraries(program):
    first, second = said(program, "--version").splitlines()
    assert first.startswith("nn-experiment-registry 0.1.0, commit ")
    commit = first.rpartition(" ")[2].rstrip("+")
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert head.startswith(commit)
    for name in ("torch", "mlflow"):
        assert f"{name} {metadata.version(name)}" in second


@pytest.mark.parametrize(
    ("program", "arguments", "what"),
    [
        ("pipelines", "recurent", "no such command 'recurent'; did you mean recurrent? Known are recurrent, "),
        ("pipelines", "recurrent --modls gru-2", "no such option --modls; did you mean --models? "),
        ("pipelines", "recurrent --dataset sample --models GRU2", "did you mean gru-2? Known are all, report, "),
        ("pipelines", "ablation --dataset cifar", "'cifar' of images; did you mean cifar10? Known are cifar10, sample"),
        ("pipelines", "tune --study ablatoin", "unknown 'ablatoin'; did you mean ablation? Known are recurrent, "),
        ("pipelines", "tune --space lr,dept", "unknown 'dept'; did you mean depth? Known are default, wide, lr, "),
        ("pipelines", "recurrent --xyzzy 1", "no such option --xyzzy; python -m pipelines recurrent --help lists them"),
        (
            "pipelines",
            "resnet --dataset sample --normalisation cifar",
            "did you mean cifar10? Known are auto, ",
        ),
        ("pipelines", "resnet --dataset sample --weights akmaster", "did you mean akamaster? Known are auto, "),
        ("pipelines", "--hlep", "no such option --hlep; did you mean --help? "),
        ("analysis", "--hlep", "no such option --hlep; did you mean --help? "),
        ("analysis", "compair", "no such command 'compair'; did you mean compare? Known are "),
        ("analysis", "compare --metric smape", "no such option --metric; did you mean --metrics? "),
        ("analysis", "compare --format markdwon", "unknown 'markdwon'; did you mean markdown? Known are "),
        ("analysis", "claims --entry ablations", "unknown 'ablations'; did you mean ablation? Known are recurrent, "),
    ],
)
def test_what_was_meant_is_said_and_what_there_is(program, arguments, what):
    assert what in complaint(program, *arguments.split())


def test_a_name_like_none_gets_no_guess():
    assert "no such command 'zzz'; known are recurrent, " in complaint("pipelines", "zzz")
