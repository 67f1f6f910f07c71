"""Parts of a report: the runs of each entry, each data set by itself, and which of them its figures show."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pandas as pd

from analysis.tables.columns import DATASET, ENTRY, ROW, SEED, STUDY, TRAINING
from analysis.tables.compare import table
from analysis.tables.select import choose, newest
from analysis.tables.table import Options, Table
from analysis.view import View
from pipelines.experiments.base import NO_TRAINING


class Drawn(NamedTuple):
    """A run that a figure shows: its label there, and of how many runs of the same row and settings it is one."""

    label: str
    run_id: str
    seed: str
    of: int


@dataclass(frozen=True)
class Part:
    """The finished runs of one entry on one data set, without those that a later one repeats."""

    entry: str
    dataset: str
    runs: pd.DataFrame
    view: View

    @property
    def data(self) -> str:
        """Name of the data in titles."""
        return self.view.called(self.dataset)

    @property
    def is_published(self) -> bool:
        """Tells whether the report's figures are of these data."""
        return self.dataset == self.view.dataset

    @cached_property
    def rows(self) -> pd.DataFrame:
        """Runs of the catalogue's rows and the user's."""
        return self.runs[~self._tuned]

    @cached_property
    def winners(self) -> pd.DataFrame:
        """Runs of the winners of studies."""
        return self.runs[self._tuned]

    @cached_property
    def chosen(self) -> pd.DataFrame:
        """Runs of one setting for each row and way of training, see select.choose."""
        return choose(self.rows, self.view, self.dataset)

    @cached_property
    def drawn(self) -> tuple[Drawn, ...]:
        """The run of each row and way of training that figures show, in the order of the catalogue.

        It is the one with the lowest seed among those `chosen`.
        """
        if self.rows.empty:
            return ()
        order = {row: place for place, row in enumerate(self.view.rows)}
        ways = self.chosen.groupby(ROW)[TRAINING].nunique()
        shown = []
        for (row, training), runs in self.chosen.groupby([ROW, TRAINING]):
            row = str(row)
            seeds = pd.to_numeric(runs[SEED], errors="coerce")
            first = runs.iloc[int(seeds.fillna(np.inf).to_numpy().argmin())]
            label = f"{row}, {training}" if ways[row] > 1 else row
            shown.append((order.get(row, len(order)), Drawn(label, first["run_id"], first[SEED], len(runs))))
        return tuple(drawn for _, drawn in sorted(shown, key=lambda each: (each[0], each[1].label)))

    @cached_property
    def not_drawn(self) -> int:
        """Settings of rows that no figure shows."""
        return len(self.compared(self.rows, Options()).lines) - len(self.drawn)

    def compared(self, runs: pd.DataFrame, options: Options) -> Table:
        """The comparison of `runs`, some of this part's."""
        from analysis.runs.predictions import outcomes  # here, since importing mlflow takes seconds

        known = runs.dropna(axis="columns", how="all")
        return table(self.entry, self.dataset, known, self.view, options, outcomes if options.baseline else None)

    @property
    def _tuned(self) -> pd.Series:
        return self.runs[STUDY].notna() if STUDY in self.runs else pd.Series(False, self.runs.index)


def apart(runs: pd.DataFrame, views: Mapping[str, View]) -> tuple[Part, ...]:
    """The parts of `runs` (of frames.find): by entry, those of `views` in that order, the report's data set first."""
    parts = [
        Part(str(entry), str(dataset), newest(own).dropna(axis="columns", how="all"), views[str(entry)])
        for (entry, dataset), own in runs[runs[ENTRY].isin(views)].groupby([ENTRY, DATASET])
    ]
    order = list(views)
    return tuple(sorted(parts, key=lambda part: (order.index(part.entry), not part.is_published, part.dataset)))


def own_rows(parts: Sequence[Part]) -> Mapping[str, pd.DataFrame]:
    """Entry to the runs that stand for the report's rows: on its own data, one setting a row, one way of training."""
    found = {}
    for part in parts:
        if part.is_published and len(part.rows):
            ways = [way for way in part.view.trainings if way in set(part.chosen[TRAINING])]
            kept = {*ways[:1], NO_TRAINING} if ways else set(part.chosen[TRAINING])
            found[part.entry] = part.chosen[part.chosen[TRAINING].isin(kept)]
    return found


class Seeds(NamedTuple):
    """The seeds that a figure shows: a note for its title, and a sentence that ends its caption."""

    note: str = ""
    sentence: str = ""


ALL_SEEDS = Seeds()


def shown_seeds(drawn: Sequence[Drawn], not_drawn: int = 0) -> Seeds:
    """Describes the runs that a figure shows, where it leaves out other seeds or `not_drawn` other settings."""
    several = [each for each in drawn if each.of > 1]
    seeds = list(dict.fromkeys(f"seed {each.seed or '?'} of {each.of}" for each in several))
    note = "one seed of each row" if len(seeds) > 1 else "".join(seeds)
    if len(seeds) > 1:
        seeds = [f"{each.label} seed {each.seed or '?'} of {each.of}" for each in several]
    which = f" Shown: {', '.join(seeds)}{'' if len(several) == len(drawn) else ', of the others the only run'}."
    other = "other setting" if not_drawn == 1 else "other settings"
    settings = f" Not shown: {not_drawn} {other} of these rows." if not_drawn else ""
    return Seeds(note, (which if seeds else "") + settings)
