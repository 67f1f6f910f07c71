"""Who may import whom: the rules of the design, held by reading the imports of every file."""

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipelines.experiments.index import ENTRIES, STUDIED

ROOT = Path(__file__).parents[1]
OURS = ("analysis", "benchmarks", "nnmodels", "nnreg", "pipelines")
ANYTHING = ""


@dataclass(frozen=True)
class Rule:
    """What the modules in `who`, but those in `exempt`, import of `what` lies in `allowed`.

    Names stand for themselves and what is below them. With `through`, imports of imported modules of ours count too.
    """

    reason: str
    who: tuple[str, ...]
    what: tuple[str, ...]
    allowed: tuple[str, ...] = ()
    exempt: tuple[str, ...] = ()
    through: bool = False


HEAVY = ("torch", "torchvision", "mlflow")
PLAIN = ("pipelines.common", "pipelines.errors", "pipelines.names", "pipelines.processes", "pipelines.terminal")
ROWS = tuple(f"pipelines.experiments.{entry}.rows" for entry in ENTRIES)
SEARCHES = tuple(f"pipelines.experiments.{entry}.search" for entry in STUDIED)
WEIGHTS = tuple(
    f"pipelines.experiments.resnet.{module}" for module in ("digests", "files", "pickles", "published", "untrusted")
)
DECLARED = (
    "pipelines.data.datasets",
    "pipelines.data.protocol",
    "pipelines.experiments.base",
    "pipelines.experiments.index",
    "pipelines.experiments.spaces",
    "pipelines.experiments.resnet.sources",
    *ROWS,
    *SEARCHES,
)

RULES = (
    Rule("pipelines builds on nnmodels", ("pipelines",), OURS, ("pipelines", "nnmodels")),
    Rule(
        "nnmodels is torch only",
        ("nnmodels",),
        (ANYTHING,),
        ("nnmodels", "torch", "torchvision", *sys.stdlib_module_names),
    ),
    Rule(
        "analysis shares the vocabulary only",
        ("analysis",),
        OURS,
        (
            "analysis",
            "pipelines.common",
            "pipelines.errors",
            "pipelines.figures",
            "pipelines.names",
            "pipelines.processes.identity",
            "pipelines.processes.liveness",
            "pipelines.processes.parents",
            *DECLARED,
        ),
    ),
    Rule("nothing imports analysis", OURS, ("analysis",), exempt=("analysis", "nnreg")),
    Rule("nothing imports nnreg", OURS, ("nnreg",), exempt=("nnreg",)),
    Rule(
        "nnreg is the commands of both halves",
        ("nnreg",),
        OURS,
        (
            "nnreg",
            "analysis.__main__",
            "analysis.sections",
            "pipelines.__main__",
            "pipelines.cli",
            "pipelines.common",
            "pipelines.processes.signals",
            "pipelines.server",
        ),
    ),
    Rule(
        "a shared server knows no experiment",
        ("pipelines.server",),
        OURS,
        (*PLAIN, "pipelines.cli", "pipelines.server"),
    ),
    Rule("a shared server is programs", ("pipelines.server",), HEAVY, through=True),
    Rule("data know no experiment", ("pipelines.data",), OURS, (*PLAIN, "pipelines.data", "pipelines.training.memory")),
    Rule("training knows no experiment", ("pipelines.training",), OURS, (*PLAIN, "pipelines.training", "nnmodels")),
    Rule(
        "tracking knows no experiment",
        ("pipelines.tracking",),
        OURS,
        (*PLAIN, "pipelines.tracking", "pipelines.training"),
    ),
    Rule(
        "launching knows no experiment",
        ("pipelines.launching",),
        ("pipelines.experiments", "pipelines.studies", "pipelines.commands"),
        ("pipelines.experiments.base",),
    ),
    Rule("one writer to mlflow", ("pipelines",), ("mlflow",), exempt=("pipelines.tracking", "pipelines.common.server")),
    # The store of a live page reads typed runs with the times of their metrics, not the records of analysis.runs.
    Rule(
        "readers of mlflow",
        ("analysis",),
        ("mlflow",),
        exempt=("analysis.runs", "analysis.server", "analysis.watch.store"),
    ),
    Rule(
        "tables, claims and the report know no entry",
        ("analysis.tables", "analysis.claims", "analysis.report"),
        ("analysis.entries",),
    ),
    Rule("tables build on neither claims nor the report", ("analysis.tables",), ("analysis.claims", "analysis.report")),
    Rule("claims build on no report", ("analysis.claims",), ("analysis.report",)),
    Rule("views are plain data", ("analysis.view",), ("analysis",)),
    Rule(
        "one user of optuna",
        OURS,
        ("optuna",),
        exempt=("pipelines.studies", "benchmarks.importances", "benchmarks.pruning"),
    ),
    Rule("one user of ray", OURS, ("ray",), exempt=("pipelines.launching.ray",)),
    Rule("one user of submitit", OURS, ("submitit",), exempt=("pipelines.launching.slurm",)),
    Rule("rows are plain data", DECLARED, HEAVY, through=True),
    Rule("rows are listed without torch", ("pipelines.commands.rows",), HEAVY, through=True),
    Rule("files of weights are found without torch", WEIGHTS, HEAVY, through=True),
    Rule("tables of load are read without torch", ("pipelines.data.energy.reader",), HEAVY, through=True),
    Rule("images are read without torch", ("pipelines.data.images.own",), HEAVY, through=True),
    Rule("names are plain data", ("pipelines.names",), HEAVY, through=True),
    Rule("figures take plain data", ("pipelines.figures",), HEAVY, through=True),
    Rule(
        "both halves share plain modules",
        ("pipelines.common",),
        (*HEAVY, "pandas"),
        exempt=("pipelines.common.server",),
        through=True,
    ),
    Rule("processes are plain", ("pipelines.processes",), HEAVY, through=True),
    Rule("the terminal shows plain data", ("pipelines.terminal",), HEAVY, through=True),
    Rule("a spool is files", ("pipelines.tracking.outbox", "pipelines.tracking.spool"), HEAVY, through=True),
    Rule("training knows no mlflow", ("pipelines.training",), ("mlflow",), through=True),
    Rule("analysis starts without torch", ("analysis",), ("torch", "torchvision"), through=True),
)


def within(name: str, tops: tuple[str, ...]) -> bool:
    return any(top in (ANYTHING, name) or name.startswith(f"{top}.") for top in tops)


def modules(root: Path) -> dict[str, ast.Module]:
    """Every module of ours under `root`, parsed, by its dotted name; a package has the name of its folder."""
    paths = sorted(path for top in OURS for path in (root / top).rglob("*.py"))
    return {
        ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): ast.parse(path.read_text())
        for path in paths
    }


def imports(name: str, tree: ast.Module) -> Iterator[str]:
    """Dotted names of what `tree` imports, anywhere in it; ``from a import b`` gives ``a.b``, module or not."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = name.split(".")[: -node.level] if node.level else []
            source = ".".join([*package, *([node.module] if node.module else [])])
            yield from (f"{source}.{alias.name}" for alias in node.names)


def reached(name: str, imported: dict[str, set[str]]) -> set[str]:
    """What `name` imports, and what the modules of ours among it import, and so on."""
    found, queue = set(), [name]
    while queue:
        for each in imported[queue.pop()] - found:
            found.add(each)
            queue.extend(module for module in imported if within(each, (module,)))
    return found


def broken(root: Path, rules: tuple[Rule, ...] = RULES) -> list[tuple[str, str, str]]:
    """The reason of each broken rule, the module that breaks it, and what it imports."""
    imported = {name: set(imports(name, tree)) for name, tree in modules(root).items()}
    return [
        (rule.reason, name, each)
        for rule in rules
        for name in imported
        if within(name, rule.who) and not within(name, rule.exempt)
        for each in sorted(reached(name, imported) if rule.through else imported[name])
        if within(each, rule.what) and not within(each, rule.allowed)
    ]


def full_inits(root: Path) -> list[str]:
    return [
        str(path.relative_to(root)) for top in OURS for path in (root / top).rglob("__init__.py") if path.read_text()
    ]


def test_the_project_keeps_the_rules():
    assert broken(ROOT) == []


def test_every_init_is_empty():
    assert full_inits(ROOT) == []


def test_every_rule_is_about_modules_that_exist():
    present = modules(ROOT)
    packages = {name for module in present for name in (module, module.partition(".")[0])}
    named = {name for rule in RULES for name in (*rule.who, *rule.exempt)}
    assert named - packages <= {"benchmarks"}


# The checker, on made-up trees.

# The rule's reason, the file that breaks it, its text, and the import to be found.
BREAKS = [
    ("pipelines builds on nnmodels", "pipelines/a.py", "import benchmarks.speed", "benchmarks.speed"),
    ("nnmodels is torch only", "nnmodels/a.py", "import numpy as np", "numpy"),
    ("nnmodels is torch only", "nnmodels/a.py", "from pipelines.names import SMAPE", "pipelines.names.SMAPE"),
    ("analysis shares the vocabulary only", "analysis/a.py", "from pipelines import tracking", "pipelines.tracking"),
    ("analysis shares the vocabulary only", "analysis/a.py", "import pipelines", "pipelines"),
    ("analysis shares the vocabulary only", "analysis/a.py", "from nnmodels import cells", "nnmodels.cells"),
    (
        "nothing imports analysis",
        "pipelines/commands/a.py",
        "def run():\n    from analysis.runs import search",
        "analysis.runs.search",
    ),
    ("nothing imports analysis", "benchmarks/a.py", "import analysis", "analysis"),
    ("nothing imports nnreg", "pipelines/common/a.py", "from nnreg.program import cli", "nnreg.program.cli"),
    (
        "a shared server knows no experiment",
        "pipelines/server/command.py",
        "import pipelines.studies",
        "pipelines.studies",
    ),
    ("a shared server is programs", "pipelines/server/command.py", "import mlflow", "mlflow"),
    ("nnreg is the commands of both halves", "nnreg/a.py", "from analysis import stats", "analysis.stats"),
    (
        "data know no experiment",
        "pipelines/data/a.py",
        "from pipelines.tracking.run import Run",
        "pipelines.tracking.run.Run",
    ),
    (
        "training knows no experiment",
        "pipelines/training/a.py",
        "from pipelines.data import protocol",
        "pipelines.data.protocol",
    ),
    ("tracking knows no experiment", "pipelines/tracking/a.py", "import pipelines.launching", "pipelines.launching"),
    ("launching knows no experiment", "pipelines/launching/a.py", "import pipelines.studies", "pipelines.studies"),
    ("one writer to mlflow", "pipelines/data/a.py", "import mlflow.pytorch", "mlflow.pytorch"),
    ("one writer to mlflow", "pipelines/common/a.py", "if 1:\n    from mlflow import log_metric", "mlflow.log_metric"),
    ("readers of mlflow", "analysis/export.py", "from mlflow import MlflowClient", "mlflow.MlflowClient"),
    (
        "tables, claims and the report know no entry",
        "analysis/report/page.py",
        "def gather():\n    from analysis.entries import index",
        "analysis.entries.index",
    ),
    (
        "tables build on neither claims nor the report",
        "analysis/tables/compare.py",
        "from analysis.claims import judge",
        "analysis.claims.judge",
    ),
    (
        "claims build on no report",
        "analysis/claims/judge.py",
        "from analysis.report import parts",
        "analysis.report.parts",
    ),
    ("views are plain data", "analysis/view.py", "from analysis import stats", "analysis.stats"),
    ("one user of optuna", "pipelines/experiments/a.py", "import optuna", "optuna"),
    ("one user of optuna", "benchmarks/a.py", "import optuna", "optuna"),
    ("one user of ray", "pipelines/launching/launch.py", "from ray import init", "ray.init"),
    ("one user of submitit", "pipelines/launching/launch.py", "import submitit", "submitit"),
    ("rows are plain data", "pipelines/experiments/resnet/rows.py", "import torch", "torch"),
    ("rows are plain data", "pipelines/data/protocol.py", "import pipelines.tracking.run", "mlflow"),
    ("rows are listed without torch", "pipelines/commands/rows.py", "import mlflow", "mlflow"),
    (
        "files of weights are found without torch",
        "pipelines/experiments/resnet/files.py",
        "from pipelines.training.loop import fit",
        "torch",
    ),
    (
        "tables of load are read without torch",
        "pipelines/data/energy/reader/read.py",
        "from pipelines.training.loop import fit",
        "torch",
    ),
    ("names are plain data", "pipelines/names.py", "from mlflow import entities", "mlflow.entities"),
    ("figures take plain data", "pipelines/figures.py", "from torch.nn import functional", "torch.nn.functional"),
    ("both halves share plain modules", "pipelines/common/files.py", "import mlflow", "mlflow"),
    ("processes are plain", "pipelines/processes/identity.py", "import torch", "torch"),
    ("the terminal shows plain data", "pipelines/terminal/display.py", "import mlflow", "mlflow"),
    ("a spool is files", "pipelines/tracking/spool.py", "from mlflow import entities", "mlflow.entities"),
    ("training knows no mlflow", "pipelines/training/loop.py", "from pipelines.tracking.run import Run", "mlflow"),
    ("training knows no mlflow", "pipelines/training/loop.py", "from ..tracking import run", "mlflow"),
    ("analysis starts without torch", "analysis/a.py", "import torch", "torch"),
    ("images are read without torch", "pipelines/data/images/own.py", "import torch", "torch"),
]

CLEAN = {
    "pipelines/__init__.py": "",
    "pipelines/names.py": "SMAPE = 'smape'",
    "pipelines/figures.py": "from matplotlib.figure import Figure",
    "pipelines/common/files.py": "import os",
    "pipelines/common/addresses.py": "from pathlib import Path",
    "pipelines/common/server.py": "import mlflow\nfrom pipelines.common.addresses import sqlite_uri",
    "pipelines/processes/identity.py": "import os",
    "pipelines/server/command.py": "import subprocess\nfrom pipelines.common import addresses",
    "pipelines/tracking/run.py": "import mlflow\nfrom pipelines import names",
    "pipelines/tracking/spool.py": "from pipelines import names",
    "pipelines/training/loop.py": "import torch\nimport mlflowers",
    "pipelines/studies/command.py": "import optuna\nfrom pipelines.tracking.run import Run",
    "pipelines/launching/local.py": "from nnmodels.cells import unroll\nfrom pipelines.tracking.run import Run",
    "pipelines/data/__init__.py": "",
    "pipelines/data/protocol.py": "",
    "pipelines/data/energy/series.py": "from ...names import SMAPE",
    "pipelines/experiments/resnet/rows.py": "from pipelines import names",
    "nnmodels/__init__.py": "",
    "nnmodels/cells.py": "import math\nfrom collections.abc import Callable\nfrom torch import nn\nimport torchvision",
    "analysis/__init__.py": "",
    "analysis/runs/search.py": "import mlflow",
    "analysis/server.py": "import mlflow",
    "analysis/view.py": "import math",
    "analysis/tables/__init__.py": "",
    "analysis/tables/compare.py": "from analysis.view import View\nfrom pipelines import names",
    "analysis/claims/judge.py": "from analysis.tables import compare",
    "analysis/report/page.py": "from analysis.claims import judge\nfrom pipelines.figures import curves",
    "analysis/entries/index.py": "from analysis.report import page",
    "analysis/__main__.py": "from analysis.runs import search\nimport analysis.entries.index",
    "nnreg/program.py": "from analysis.__main__ import cli\nfrom pipelines.processes import signals",
    "benchmarks/speed.py": "import torch\nfrom pipelines.training.loop import fit",
}


def write_tree(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def test_a_clean_tree_breaks_nothing(tmp_path):
    write_tree(tmp_path, CLEAN)
    assert broken(tmp_path) == []
    assert full_inits(tmp_path) == []


@pytest.mark.parametrize(("reason", "path", "text", "found"), BREAKS)
def test_each_rule_is_found_broken(tmp_path, reason, path, text, found):
    write_tree(tmp_path, CLEAN | {path: text})
    module = path.removesuffix(".py").replace("/", ".")
    assert (reason, module, found) in broken(tmp_path)


def test_there_is_a_break_for_every_rule():
    assert {reason for reason, *_ in BREAKS} == {rule.reason for rule in RULES}


@pytest.mark.parametrize("package", ["pipelines", "pipelines/data", "nnmodels", "analysis", "analysis/tables"])
def test_a_full_init_is_found(tmp_path, package):
    write_tree(tmp_path, CLEAN | {f"{package}/__init__.py": "from pipelines import names"})
    assert full_inits(tmp_path) == [f"{package}/__init__.py"]
