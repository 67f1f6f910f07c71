"""Who may import whom: the rules of the design, held by reading the imports of every file."""

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OURS = ("analysis", "benchmarks", "nnmodels", "pipelines")
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
            "pipelines.addresses",
            "pipelines.catalogue",
            "pipelines.command",
            "pipelines.figures",
            "pipelines.files",
            "pipelines.launcher",
            "pipelines.names",
            "pipelines.processes",
            "pipelines.schema",
            "pipelines.streams",
            "pipelines.server",
        ),
    ),
    Rule("nothing imports analysis", OURS, ("analysis",), exempt=("analysis",)),
    Rule(
        "one writer to mlflow",
        ("pipelines",),
        ("mlflow",),
        exempt=("pipelines.tracking", "pipelines.delivery", "pipelines.server"),
    ),
    Rule("one reader of mlflow", ("analysis",), ("mlflow",), exempt=("analysis.runs",)),
    Rule("one user of optuna", OURS, ("optuna",), exempt=("pipelines.tune",)),
    Rule("the catalogue is plain data", ("pipelines.catalogue",), ("torch", "torchvision", "mlflow"), through=True),
    Rule("names are plain data", ("pipelines.names",), ("torch", "torchvision", "mlflow"), through=True),
    Rule("figures take plain data", ("pipelines.figures",), ("torch", "torchvision", "mlflow"), through=True),
    Rule("files are bytes", ("pipelines.files",), ("torch", "torchvision", "mlflow"), through=True),
    Rule("addresses are text", ("pipelines.addresses",), ("torch", "torchvision", "mlflow"), through=True),
    Rule("the launcher is a process", ("pipelines.launcher",), ("torch", "torchvision", "mlflow"), through=True),
    Rule("streams are text", ("pipelines.streams",), ("torch", "torchvision", "mlflow"), through=True),
    Rule("stores are looked at from outside", ("pipelines.schema",), ("torch", "torchvision", "mlflow"), through=True),
    Rule("processes are plain", ("pipelines.processes",), ("torch", "torchvision", "mlflow"), through=True),
    Rule("a spool is files", ("pipelines.spool",), ("torch", "torchvision", "mlflow"), through=True),
    Rule("the loop knows no mlflow", ("pipelines.training",), ("mlflow",), through=True),
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
    """Except those still to be written, which the design names."""
    present = modules(ROOT)
    packages = {name for module in present for name in (module, module.partition(".")[0])}
    named = {name for rule in RULES for name in (*rule.who, *rule.exempt)}
    assert named - packages <= {"benchmarks", "pipelines.tune"}


# The checker, on made-up trees.

# The rule's reason, the file that breaks it, its text, and the import to be found.
BREAKS = [
    ("pipelines builds on nnmodels", "pipelines/a.py", "import benchmarks.speed", "benchmarks.speed"),
    ("nnmodels is torch only", "nnmodels/a.py", "import numpy as np", "numpy"),
    ("nnmodels is torch only", "nnmodels/a.py", "from pipelines.names import SMAPE", "pipelines.names.SMAPE"),
    ("analysis shares the vocabulary only", "analysis/a.py", "from pipelines import tracking", "pipelines.tracking"),
    ("analysis shares the vocabulary only", "analysis/a.py", "import pipelines", "pipelines"),
    ("analysis shares the vocabulary only", "analysis/a.py", "from nnmodels import cells", "nnmodels.cells"),
    ("nothing imports analysis", "pipelines/main.py", "def run():\n    from analysis import runs", "analysis.runs"),
    ("nothing imports analysis", "benchmarks/a.py", "import analysis", "analysis"),
    ("one writer to mlflow", "pipelines/data/a.py", "import mlflow.pytorch", "mlflow.pytorch"),
    ("one writer to mlflow", "pipelines/runner.py", "if 1:\n    from mlflow import log_metric", "mlflow.log_metric"),
    ("one reader of mlflow", "analysis/tables.py", "from mlflow import MlflowClient", "mlflow.MlflowClient"),
    ("one user of optuna", "pipelines/recurrent.py", "import optuna", "optuna"),
    ("one user of optuna", "benchmarks/a.py", "import optuna", "optuna"),
    ("the catalogue is plain data", "pipelines/catalogue.py", "import torch", "torch"),
    ("names are plain data", "pipelines/names.py", "from mlflow import entities", "mlflow.entities"),
    ("figures take plain data", "pipelines/figures.py", "from torch.nn import functional", "torch.nn.functional"),
    ("processes are plain", "pipelines/processes.py", "import torch", "torch"),
    ("files are bytes", "pipelines/files.py", "import mlflow", "mlflow"),
    ("addresses are text", "pipelines/addresses.py", "from mlflow.utils import uri", "mlflow.utils.uri"),
    ("the launcher is a process", "pipelines/launcher.py", "import mlflow.projects", "mlflow.projects"),
    ("streams are text", "pipelines/streams.py", "import mlflow", "mlflow"),
    ("stores are looked at from outside", "pipelines/schema.py", "from mlflow import db", "mlflow.db"),
    ("a spool is files", "pipelines/spool.py", "from mlflow import entities", "mlflow.entities"),
    ("the loop knows no mlflow", "pipelines/training.py", "from pipelines.tracking import Run", "mlflow"),
    ("the loop knows no mlflow", "pipelines/training.py", "from . import tracking", "mlflow"),
    ("analysis starts without torch", "analysis/a.py", "import torch", "torch"),
]

CLEAN = {
    "pipelines/__init__.py": "",
    "pipelines/names.py": "SMAPE = 'smape'",
    "pipelines/catalogue.py": "from pipelines import names",
    "pipelines/figures.py": "from matplotlib.figure import Figure",
    "pipelines/files.py": "import os",
    "pipelines/tracking.py": "import mlflow\nfrom pipelines import names",
    "pipelines/addresses.py": "from pathlib import Path",
    "pipelines/launcher.py": "from pipelines.addresses import sqlite_uri",
    "pipelines/streams.py": "import sys",
    "pipelines/schema.py": "import sqlite3\nfrom pipelines import addresses",
    "pipelines/spool.py": "from pipelines import names",
    "pipelines/training.py": "import torch\nimport mlflowers",
    "pipelines/tune.py": "import optuna\nfrom pipelines import tracking",
    "pipelines/runner.py": "from nnmodels.cells import unroll\nfrom . import training",
    "pipelines/data/__init__.py": "",
    "pipelines/data/energy.py": "from ..names import SMAPE",
    "nnmodels/__init__.py": "",
    "nnmodels/cells.py": "import math\nfrom collections.abc import Callable\nfrom torch import nn\nimport torchvision",
    "analysis/__init__.py": "",
    "analysis/runs.py": "import mlflow",
    "analysis/tables.py": "from pipelines import catalogue, names\nfrom pipelines.figures import curves",
    "analysis/__main__.py": "from analysis import runs\nimport analysis.tables",
    "benchmarks/speed.py": "import torch\nfrom pipelines.training import fit",
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


@pytest.mark.parametrize("package", ["pipelines", "pipelines/data", "nnmodels", "analysis"])
def test_a_full_init_is_found(tmp_path, package):
    write_tree(tmp_path, CLEAN | {f"{package}/__init__.py": "from pipelines import names"})
    assert full_inits(tmp_path) == [f"{package}/__init__.py"]
