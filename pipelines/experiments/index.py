"""The experiments: the one place where each is registered, by the name of its folder; torch-free.

Each folder has a module `options` with one subclass of Options, and a module `experiment` with the name EXPERIMENT.
One that can be tuned also has `search` and `study`, see study.py; one whose rows are listed, and which takes rows of a
user's own, has a CATALOGUE in its module `rows`.
"""

from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from pipelines.cli.declare import Options
from pipelines.experiments.catalogue import Catalogue
from pipelines.experiments.spaces import Search

ENTRIES = ("recurrent", "ablation", "resnet", "pretrain")

STUDIED = tuple(entry for entry in ENTRIES if find_spec(f"pipelines.experiments.{entry}.search"))


def options_of(entry: str) -> type[Options]:
    """The class of an experiment's options."""
    module = import_module(f"pipelines.experiments.{entry}.options")
    (found,) = (
        each
        for each in vars(module).values()
        if isinstance(each, type) and issubclass(each, Options) and each.__module__ == module.__name__
    )
    return found


def catalogue_of(entry: str) -> Catalogue | None:
    """The rows of an experiment, whose module `rows` has them as CATALOGUE; None of one that has none."""
    return getattr(import_module(f"pipelines.experiments.{entry}.rows"), "CATALOGUE", None)


def experiment_of(entry: str) -> Any:
    """The launching.experiment.Experiment of an entry. Its import takes seconds, since it imports torch."""
    return import_module(f"pipelines.experiments.{entry}.experiment").EXPERIMENT


def modules_of(entry: str) -> Sequence[str]:
    """Names of the modules that the processes of an entry's rows need, for the server that these are forked from."""
    return f"pipelines.experiments.{entry}.experiment", "pipelines.tracking.preload"


def search_of(entry: str) -> Search:
    """The search for better hyperparameters of an entry of STUDIED."""
    return import_module(f"pipelines.experiments.{entry}.search").SEARCH
