"""A comparison table, and the options that it is made with."""

from dataclasses import dataclass

import pandas as pd

from analysis.view import View


@dataclass(frozen=True)
class Options:
    """Options of a comparison; an empty one means the entry's own, see View.

    Attributes:
        metrics: metrics to show.
        columns: further parameters or tags to show; several values in one line are joined by commas.
        group_by: parameters or tags whose values make a line, besides the dataset, which always does. Default: row,
            training and every parameter but the seed.
        baseline: a row, to whose main metric each line's difference is given and tested.
        sort: a column of Table.lines, or a metric for its mean; a leading ``-`` for descending; missing values last.
            Default: the order of the catalogue.
        ranked: whether without `sort` lines are sorted by the main metric, the best first, where it is known which is.
        limit: how many lines of each table to keep; 0 for all.
    """

    metrics: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    group_by: tuple[str, ...] = ()
    baseline: str = ""
    sort: str = ""
    ranked: bool = False
    limit: int = 0


@dataclass(frozen=True)
class Table:
    """The comparison of one entry's runs on one data set.

    `lines` has full precision and these columns: entry, row, dataset, training (or what is grouped by; of other
    projects' runs nothing), the parameters that differ, the columns asked for, each called as another column is under
    its full name (``params.n``), ``n`` (runs), then for each metric ``.mean``, ``.std``, ``.n``, ``.low`` and
    ``.high`` (the 95 % interval of the mean) and, where the entry has published figures, ``.published``; the main
    metric's ``.difference`` is ours minus published. Last comes the column named by `against`, the main metric's
    difference to the baseline row, if one was asked for, with its ``.p`` and ``.test``. `shown` are the leading columns
    that a reader needs to tell the lines apart; `needed` are those of them that tell lines of one row apart, or were
    asked for.
    """

    entry: str
    dataset: str
    lines: pd.DataFrame
    shown: tuple[str, ...]
    needed: tuple[str, ...]
    view: View
    against: str
    notes: tuple[str, ...]

    @property
    def title(self) -> str:
        """The entry, and the data set where there is one."""
        return f"{self.entry}, {self.dataset}" if self.dataset else self.entry
