"""What a report is made of: the runs of each entry, each data set by itself, and what those runs have logged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from analysis import claims, tables
from analysis.views import VIEWS, View
from pipelines import names
from pipelines.experiments.ablation.rows import AUTOGRAD, MANUAL
from pipelines.experiments.base import NO_TRAINING
from pipelines.experiments.recurrent.rows import DENSE, WINDOW

_STUDY = f"tags.{names.STUDY}"


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

    @property
    def view(self) -> View:
        """The entry's."""
        return VIEWS[self.entry]

    @property
    def data(self) -> str:
        """What the data are called."""
        return self.view.called(self.dataset)

    @property
    def is_published(self) -> bool:
        """Whether the report's figures are of these data."""
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
    def drawn(self) -> tuple[Drawn, ...]:
        """Of each row and way of training the run that figures show, in the order of the catalogue.

        It is the lowest seed's, in the setting that claims.choose takes.
        """
        if self.rows.empty:
            return ()
        chosen = claims.choose(self.rows, self.dataset)
        order = {row: place for place, row in enumerate(self.view.rows)}
        ways = chosen.groupby(tables.ROW)[tables.TRAINING].nunique()
        shown = []
        for (row, training), runs in chosen.groupby([tables.ROW, tables.TRAINING]):
            seeds = pd.to_numeric(runs[tables.SEED], errors="coerce")
            first = runs.loc[seeds.fillna(np.inf).idxmin()]
            label = f"{row}, {training}" if ways[row] > 1 else row
            shown.append((order.get(row, len(order)), Drawn(label, first["run_id"], first[tables.SEED], len(runs))))
        return tuple(drawn for _, drawn in sorted(shown, key=lambda each: (each[0], each[1].label)))

    @cached_property
    def not_drawn(self) -> int:
        """Settings of rows that no figure shows."""
        (table,) = tables.compare(self.rows, tables.Options())
        return len(table.lines) - len(self.drawn)

    @property
    def _tuned(self) -> pd.Series:
        return self.runs[_STUDY].notna() if _STUDY in self.runs else pd.Series(False, self.runs.index)


def apart(runs: pd.DataFrame) -> tuple[Part, ...]:
    """The parts of `runs` (as of runs.find): by entry, the report's own data set first."""
    parts = [
        Part(entry, dataset, tables.newest(own).dropna(axis="columns", how="all"))
        for (entry, dataset), own in runs[runs[tables.ENTRY].isin(VIEWS)].groupby([tables.ENTRY, tables.DATASET])
    ]
    order = list(VIEWS)
    return tuple(sorted(parts, key=lambda part: (order.index(part.entry), not part.is_published, part.dataset)))


class Seeds(NamedTuple):
    """Which of several runs a figure shows: a note for its title, and a sentence to go after others in its caption."""

    note: str = ""
    sentence: str = ""


ALL_SEEDS = Seeds()


def seeds_told(drawn: Sequence[Drawn], not_drawn: int = 0) -> Seeds:
    """What to say of a figure of `drawn` that leaves out other seeds, and `not_drawn` other settings, of their rows."""
    several = [each for each in drawn if each.of > 1]
    told = list(dict.fromkeys(f"seed {each.seed or '?'} of {each.of}" for each in several))
    note = "one seed of each row" if len(told) > 1 else "".join(told)
    if len(told) > 1:
        told = [f"{each.label} seed {each.seed or '?'} of {each.of}" for each in several]
    which = f" Shown: {', '.join(told)}{'' if len(several) == len(drawn) else ', of the others the only run'}."
    settings = f" Not shown: {not_drawn} other settings of these rows." if not_drawn else ""
    return Seeds(note, (which if told else "") + settings)


@dataclass
class Artifacts:
    """Reads what runs have logged. What cannot be read spoils nothing else: it is left out and listed in `unread`."""

    unread: list[str] = field(default_factory=list)

    def tables(self, drawn: Sequence[Drawn], path: str, figures: Sequence[str], words: Sequence[str] = ()) -> dict:
        """Label to the table logged under `path`, of those runs that have it.

        Args:
            drawn: the runs.
            path: of the artifact.
            figures: columns that it must have, of numbers.
            words: other columns that it must have.
        """
        found = {each.label: self.table(each.run_id, each.label, path, figures, words) for each in drawn}
        return {label: table for label, table in found.items() if table is not None}

    def table(
        self, run_id: str, label: str, path: str, figures: Sequence[str], words: Sequence[str] = ()
    ) -> pd.DataFrame | None:
        """One table, None where the run has none or it cannot be read."""
        file = self._file(run_id, path)
        if file is None:
            return None
        try:
            table = pd.read_csv(file)
            table = table.assign(**table[list(figures)].apply(pd.to_numeric))
            table[list(words)]
        except (OSError, ValueError, KeyError, TypeError) as error:
            return self._left_out(run_id, label, path, error)
        if table.empty or not np.isfinite(table[list(figures)]).to_numpy().all():
            return self._left_out(run_id, label, path, "it has no lines, or values that are not finite")
        return table

    def array(self, run_id: str, label: str, path: str) -> np.ndarray | None:
        """One array, None where the run has none or it cannot be read."""
        file = self._file(run_id, path)
        try:
            return file and np.load(file, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            return self._left_out(run_id, label, path, error)

    def _file(self, run_id: str, path: str) -> Path | None:
        from analysis.runs import artifact  # here, since importing mlflow takes seconds

        return artifact(run_id, path)

    def _left_out(self, run_id: str, label: str, path: str, why: object) -> None:
        reason = " ".join(str(why).split())[:100]
        self.unread.append(f"{path} of {label} (run {run_id}: {reason})")


def own_rows(parts: Sequence[Part]) -> Mapping[str, pd.DataFrame]:
    """Entry to the runs that stand for the report's rows: on its own data, one setting a row, one way of training."""
    found = {}
    for part in parts:
        if part.is_published and len(part.rows):
            chosen = claims.choose(part.rows, part.dataset)
            ways = [way for way in _WAYS if way in set(chosen[tables.TRAINING])]
            kept = {*ways[:1], NO_TRAINING} if ways else set(chosen[tables.TRAINING])
            found[part.entry] = chosen[chosen[tables.TRAINING].isin(kept)]
    return found


# Of networks trained in several ways those that stand for a row.
_WAYS = (DENSE, WINDOW, AUTOGRAD, MANUAL)
