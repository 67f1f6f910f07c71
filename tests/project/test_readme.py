"""No page promises what does not work: the parsers that will run its commands parse them here, and its links hold."""

import argparse
import ast
import re
import shlex
import tomllib
from pathlib import Path

import click
import pytest
import yaml
from support.place import ROOT

import analysis.__main__
import nnreg.program
import pipelines.__main__
from nnreg import reference
from pipelines.commands.options import ServeOptions
from pipelines.experiments.index import options_of

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
# Its commands are about what it adds; test_extending.py runs them.
EXTENDING = ROOT / "docs" / "extending.md"
GROUPS = {"pipelines": pipelines.__main__.cli, "analysis": analysis.__main__.cli, "nnreg": nnreg.program.cli}


def ids(page: Path) -> str:
    return page.stem


def commands(page: Path) -> list[str]:
    text = page.read_text("utf-8")
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    inline = re.findall(r"`((?:python -m|make|mlflow run|nnreg) [^`]+)`", text)
    lines = [line.split("  #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in [*lines, *inline] if line and not line.startswith("#")]


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


def torchrun_options() -> argparse.ArgumentParser:
    from torch.distributed.run import get_args_parser

    return get_args_parser()


def check(command: str) -> None:
    words = shlex.split(command)
    match words:
        case ["python", "-m", "pytest", folder, option]:
            assert (ROOT / folder).is_dir()
            assert f'"{option}"' in (ROOT / "tests" / "conftest.py").read_text("utf-8")
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
        # A shared server's, of which tests/server has the ports, and runs the rest.
        case ["set", "-a;", ".", "server/client.env;" | "./client.env;", "set", "+a"]:
            pass
        case ["ssh", "-f", "-N", *_] | ["scp", "first:nn/server/client.env", "."]:
            pass
        case [".", ".venv/bin/activate"] | ["pip", "install", "uv"]:
            pass
        # tests/launching/test_ray.py starts such nodes.
        case ["ray", "start", *_] | ["export", _]:
            pass
        # tests/training/test_distributed.py runs such a line; that torchrun takes its options is parsed here.
        case ["torchrun", *rest]:
            options = torchrun_options().parse_args(rest)
            assert (options.module, options.training_script) == (True, "pipelines")
            parse(["pipelines", *options.training_script_args])
        case ["curl", address, *_]:
            assert address == f"http://{ServeOptions().host}:{ServeOptions().port}/invocations"
        case _:
            pytest.fail(f"no check for this kind of command: {command}")


def test_the_readme_has_the_commands_that_matter():
    found = " ; ".join(commands(ROOT / "README.md"))
    for expected in (
        "make demo",
        "make ui",
        "nnreg main --preset report",
        "nnreg compare",
        "nnreg tune",
        "nnreg claims",
    ):
        assert expected in found


def test_ci_calls_what_the_pages_call():
    asked = re.findall(r"^make .+$", (ROOT / ".ci" / "run").read_text("utf-8"), re.MULTILINE)
    found = {command for page in PAGES for command in commands(page)}
    assert asked
    assert {*asked} - {"make lint"} <= found
    for each in asked:
        check(each)


def test_the_readme_is_read_in_five_minutes():
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 150


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=ids)
def test_the_readme_leads_to_every_page(page):
    assert f"](docs/{page.name})" in (ROOT / "README.md").read_text("utf-8")


def links(page: Path) -> list[str]:
    """Targets of the links and pictures of a page, but not of its code."""
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    return re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", text))


def anchors(page: Path) -> set[str]:
    """What GitHub calls the headings of a page."""
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    }


def broken_links(page: Path) -> list[str]:
    """Links of a page to files that are not there, and to headings that no page has."""
    broken = []
    for link in links(page):
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        if not link.startswith("https://") and (not target.exists() or (anchor and anchor not in anchors(target))):
            broken.append(link)
    return broken


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_the_links_of_a_page_hold(page):
    assert broken_links(page) == []


def test_broken_links_are_seen(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# Of `a`, b\n[1](#of-a-b) [2](#of-b) [3](other.md) ![4](page.md#of-a-b)\n```text\n[5](x)\n```\n")
    assert broken_links(page) == ["#of-b", "other.md"]


def test_the_reference_is_what_help_prints():
    assert (ROOT / "docs" / "reference.md").read_text("utf-8") == reference.page()


def test_the_citation_names_both_course_reports_and_the_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert (citation["title"], citation["version"]) == ("nn experiment registry", project["version"])
    assert citation.keys() >= {"cff-version", "message", "authors"}
    assert len([each for each in citation["references"] if each["type"] == "report"]) == 2


@pytest.mark.parametrize(
    "call",
    [found for page in PAGES for found in re.findall(r"^    run\((.*)\)$", page.read_text("utf-8"), re.MULTILINE)],
)
def test_a_call_from_python_has_the_options_of_an_experiment(call):
    given = {each.arg: ast.literal_eval(each.value) for each in ast.parse(f"run({call})").body[0].value.keywords}
    entry = "ablation" if "variants" in given else "recurrent"
    options_of(entry).of(given)


@pytest.mark.parametrize(
    "command", dict.fromkeys(command for page in PAGES if page != EXTENDING for command in commands(page))
)
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
