"""The README and docs/ promise nothing that does not work: the parsers that will run their commands parse them here."""

import re
import shlex
from pathlib import Path

import click
import pytest
import yaml
from support.place import ROOT

import analysis.__main__
import nnreg.program
import pipelines.__main__
from pipelines.commands.options import ServeOptions

# The commands of docs/extending.md are about what it adds; test_extending.py runs them.
PAGES = [ROOT / "README.md", *sorted({*(ROOT / "docs").glob("*.md")} - {ROOT / "docs" / "extending.md"})]
GROUPS = {"pipelines": pipelines.__main__.cli, "analysis": analysis.__main__.cli, "nnreg": nnreg.program.cli}


def commands(page: Path) -> list[str]:
    text = page.read_text("utf-8")
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    inline = re.findall(r"`((?:python -m|make|mlflow run|nnreg) [^`]+)`", text)
    lines = [line.split("  #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in [*lines, *inline] if line]


def parse(words: list[str]) -> None:
    """Give a program and its words to click, which raises where they are not what it takes."""
    if words[1:] in ([], ["--version"]):
        return
    command = GROUPS[words[0]].commands[words[1]]
    if not {"-h", "--help"} & {*words}:
        command.make_context(words[1], words[2:])


def check_script(script: str, words: list[str]) -> None:
    """Require that a script knows the options among `words`."""
    options = set(re.findall(r"\"(--[a-z-]+)\"", (ROOT / script).read_text("utf-8")))
    assert {word for word in words if word.startswith("--")} <= options


def check(command: str) -> None:
    words = shlex.split(command)
    match words:
        case ["python", "-m", module, *rest] if module.startswith("benchmarks."):
            check_script(f"{module.replace('.', '/')}.py", rest)
        case ["python", "-m", *rest]:
            parse(rest)
        case ["nnreg", *_]:
            parse(words)
        case ["python", script, *rest] if script.startswith("benchmarks/"):
            check_script(script, rest)
        case ["make", target, *_]:
            assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
        case ["mlflow", "run", ".", "-e", entry, "--env-manager", "local" | "uv", *rest]:
            parameters = yaml.safe_load((ROOT / "MLproject").read_text("utf-8"))["entry_points"][entry]["parameters"]
            given = dict(word.split("=", 1) for word in rest if word != "-P")
            assert given.keys() <= parameters.keys()
            parse(["pipelines", entry, *(f"--{key.replace('_', '-')}={value}" for key, value in given.items())])
        # tests/project/test_nnreg.py has bash run the first one.
        case ["eval", "$(_NNREG_COMPLETE=bash_source nnreg)" | "$(_NNREG_COMPLETE=zsh_source nnreg)"]:
            pass
        case [".", ".venv/bin/activate"] | ["pip", "install", "uv"]:
            pass
        case ["curl", address, *_]:
            assert address == f"http://{ServeOptions().host}:{ServeOptions().port}/invocations"
        case _:
            pytest.fail(f"no check for this kind of command: {command}")


def test_the_readme_has_the_commands_that_matter():
    found = " ; ".join(commands(ROOT / "README.md"))
    for expected in ("make demo", "make ui", "make test", "mlflow run . -e recurrent", "python -m analysis compare"):
        assert expected in found


@pytest.mark.parametrize("command", dict.fromkeys(command for page in PAGES for command in commands(page)))
def test_every_command_on_a_page_is_one(command):
    check(command)


@pytest.mark.parametrize(
    "command",
    [
        "python -m pipelines recurrent --epoch-count 3",
        "python -m pipelines recurrent --epochs many",
        "make nothing",
        "python benchmarks/soak.py --hours 3",
        "python -m benchmarks.soak --hours 3",
        "mlflow run . -e recurrent --env-manager local -P x=1",
    ],
)
def test_the_check_sees_a_command_that_is_none(command):
    with pytest.raises((click.ClickException, AssertionError)):
        check(command)
