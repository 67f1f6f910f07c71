"""Which of the runs on a server a report covers."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

import pandas as pd

from analysis.errors import InputError, NothingFoundError
from analysis.report.contents import Contents
from analysis.tables.columns import DATASET, ENTRY
from analysis.tables.order import distinct
from pipelines.errors import meant


@dataclass(frozen=True)
class Choice:
    """Runs of these entries, on this data set, started since a time; what is empty, or None, chooses nothing."""

    entries: tuple[str, ...] = ()
    dataset: str = ""
    since: datetime | None = None

    def require_known(self, runs: pd.DataFrame, entries: Collection[str]) -> None:
        """Refuses names that are unknown, and a choice that none of the `runs` meets.

        Args:
            runs: all finished runs of rows.
            entries: that a report can have.

        Raises:
            InputError: an unknown entry or data set.
            NothingFoundError: there are no such runs.
        """
        for entry in self.entries:
            if entry not in entries:
                raise InputError(f"entries: unknown {entry!r:.60}; {meant(entry, entries)}")
        there = [str(each) for each in distinct(runs[DATASET]) if each]
        if self.dataset and self.dataset not in there:
            raise InputError(f"dataset: no finished run is on {self.dataset!r:.60}; {meant(self.dataset, there)}")
        if self.covered(runs).empty:
            raise NothingFoundError("no finished run meets entries, dataset and since together: widen these")

    def covered(self, runs: pd.DataFrame) -> pd.DataFrame:
        """Those of `runs` that are chosen."""
        for _, left_out in self._steps(runs):
            runs = runs.drop(left_out.index)
        return runs

    def narrowed(self, contents: Contents) -> Contents:
        """`contents` without what is about other entries."""
        if not self.entries:
            return contents
        views = {entry: view for entry, view in contents.views.items() if entry in self.entries}
        statements = {entry: each for entry, each in contents.statements.items() if entry in views}
        of_others = {
            report for report, entries in contents.reports.items() if not any(entry in views for entry in entries)
        }
        return replace(
            contents,
            views=views,
            statements=statements,
            chapters=tuple(each for each in contents.chapters if any(entry in views for entry in each.entries)),
            costs=tuple(each for each in contents.costs if any(entry in views for entry in each.entries)),
            flaws=tuple(flaw for flaw in contents.flaws if flaw.report not in of_others),
        )

    def sentences(self, runs: pd.DataFrame) -> Iterator[str]:
        """What is left out of `runs`, each run counted once, and by which option."""
        for why, left_out in self._steps(runs):
            if len(left_out):
                yield f"{len(left_out)} run{'s' * (len(left_out) != 1)} {why}."

    @property
    def narrows(self) -> bool:
        """Whether runs of a chosen entry may be left out."""
        return bool(self.dataset or self.since)

    def _steps(self, runs: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
        """What each option leaves out of what the ones before have not, in words and as runs."""
        if self.entries:
            others = runs[~runs[ENTRY].isin(self.entries)]
            yield f"of other entries, {_called(others, ENTRY)}: --entries {','.join(self.entries)}", others
            runs = runs.drop(others.index)
        if self.dataset:
            others = runs[runs[DATASET] != self.dataset]
            yield f"on other data, {_called(others, DATASET)}: --dataset {self.dataset}", others
            runs = runs.drop(others.index)
        if self.since:
            began = pd.to_datetime(runs["start_time"], utc=True)
            earlier = runs[began < pd.Timestamp(self.since)]
            yield f"that began earlier: --since {self.since.isoformat(timespec='seconds')}", earlier


def _called(runs: pd.DataFrame, column: str) -> str:
    return ", ".join(str(each) for each in distinct(runs[column]))


EVERYTHING = Choice()
