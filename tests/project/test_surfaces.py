"""The same thing written in two places is the same: MLproject and command line, conda.yaml and pyproject.toml."""

import re
import shlex
import tomllib

import click
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from support.place import ROOT

from analysis.__main__ import cli as analysis
from pipelines.__main__ import cli as pipelines
from pipelines.cli import mlproject
from pipelines.server import command as server

GROUPS = {"pipelines": pipelines, "analysis": analysis}
ENTRIES = yaml.safe_load((ROOT / "MLproject").read_text())["entry_points"]
# Views of what compare lists and care of the tracking server, which no `mlflow run` needs.
COMMAND_LINE_ONLY = {"claims", "diff", "export", "readme", "runs", "sweep", "ui", "watch"}


def command_of(entry: str) -> click.Command:
    (group,) = (group for group in GROUPS.values() if entry in group.commands)
    return group.commands[entry]


BARE = {("reproduce", "run")}  # arguments, which are typed without a name


def typed(entry: str, parameter: str) -> list[str]:
    """The words that a parameter of an entry point is on the command line, without its value."""
    return [] if (entry, parameter) in BARE else ["--" + parameter.replace("_", "-")]


def test_every_command_is_an_entry_point():
    commands = [name for group in GROUPS.values() for name in group.commands]
    assert sorted(commands) == sorted({*ENTRIES, *COMMAND_LINE_ONLY})


@pytest.mark.parametrize("entry", ENTRIES)
def test_parameters_are_the_options_of_the_command(entry):
    options = [parameter.opts for parameter in command_of(entry).params]
    assert options == [typed(entry, parameter) or [parameter] for parameter in ENTRIES[entry]["parameters"]]


@pytest.mark.parametrize("entry", ENTRIES)
def test_the_defaults_are_the_same_after_clicks_conversion(entry):
    """MLflow puts its defaults in the command, quoted for the shell; click's own hold where an option is not given."""
    defaults = {name: shlex.quote(given["default"]) for name, given in ENTRIES[entry]["parameters"].items()}
    python, flag, package, name, *arguments = shlex.split(ENTRIES[entry]["command"].format(**defaults))
    assert (python, flag, name) == ("python", "-m", entry)
    command = GROUPS[package].commands[name]
    with command.make_context(name, arguments) as launched, command.make_context(name, []) as typed:
        assert launched.params == typed.params


@pytest.mark.parametrize("entry", ENTRIES)
def test_every_parameter_is_passed_on(entry):
    _, _, _, _, *arguments = ENTRIES[entry]["command"].split()
    expected = [[*typed(entry, parameter), f"{{{parameter}}}"] for parameter in ENTRIES[entry]["parameters"]]
    assert arguments == [word for words in expected for word in words]


@pytest.mark.parametrize("entry", ENTRIES)
def test_parameters_are_texts_that_the_command_validates(entry):
    """MLflow lets any text pass as a float, refuses a path that is still to be made, and prints false as False."""
    for name, given in ENTRIES[entry]["parameters"].items():
        assert given["type"] == "string", name
        assert isinstance(given["default"], str), name


# Dependencies.

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
REQUIREMENTS = [Requirement(text) for text in PROJECT["dependencies"]]
DEVELOPMENT = [Requirement(text) for text in PROJECT["optional-dependencies"]["dev"]]


def test_conda_has_the_dependencies_of_the_project():
    conda = yaml.safe_load((ROOT / "conda.yaml").read_text())["dependencies"]
    (pip,) = (each["pip"] for each in conda if isinstance(each, dict))
    assert pip == PROJECT["dependencies"]
    assert [each for each in conda if isinstance(each, str)] == [f"python{PROJECT['requires-python']}", "pip"]


def test_the_packages_of_a_server_are_those_that_it_asks_for():
    extra = [Requirement(text) for text in PROJECT["optional-dependencies"]["server"]]
    assert {each.name for each in extra} == {Requirement(text).name.lower() for text in server.NEEDED.values()}
    assert set(PROJECT["optional-dependencies"]["server"]) <= set(PROJECT["optional-dependencies"]["dev"])


def constraints() -> dict[str, str]:
    """Version by name; a constraint is one exact version."""
    lines = [line.partition("#")[0].strip() for line in (ROOT / "constraints.txt").read_text().splitlines()]
    pins = [re.fullmatch(r"([A-Za-z0-9._-]+)==([0-9][A-Za-z0-9.+]*)", line) for line in lines if line]
    assert None not in pins
    return {canonicalize_name(pin[1]): pin[2] for pin in pins}


@pytest.mark.parametrize("requirement", [*REQUIREMENTS, *DEVELOPMENT], ids=str)
def test_the_constraints_are_within_the_ranges(requirement):
    version = constraints()[canonicalize_name(requirement.name)]
    assert requirement.specifier.contains(version)


def test_mlproject_is_as_make_mlproject_writes_it():
    makefile = (ROOT / "Makefile").read_text()
    (groups,) = re.findall(r"-m pipelines.cli.mlproject (.*) > MLproject", makefile)
    assert (ROOT / "MLproject").read_text() == mlproject.written(groups.split()), "stale: run make mlproject"
