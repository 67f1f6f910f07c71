"""Imports what rows of every experiment need: for the server that the rows of all tests of a worker are forked from."""

from importlib import import_module

import sklearn.datasets  # noqa: F401

from pipelines.experiments.index import ENTRIES

for entry in ENTRIES:
    import_module(f"pipelines.experiments.{entry}.experiment")
