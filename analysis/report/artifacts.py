"""Reading what runs have logged as tables and arrays; a file that cannot be read spoils nothing else."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.report.parts import Drawn

Source = Callable[[str, str], Path | None]


def _downloaded(run_id: str, path: str) -> Path | None:
    from analysis.runs.artifacts import artifact  # here, since importing mlflow takes seconds

    return artifact(run_id, path)


@dataclass
class Artifacts:
    """Reads what runs have logged. What cannot be read is left out and listed in `unread`.

    `source` gives the file that a run, by its id, has logged under a path, None where there is none.
    """

    source: Source = _downloaded
    unread: list[str] = field(default_factory=list)

    def tables(
        self, drawn: Sequence[Drawn], path: str, figures: Sequence[str], words: Sequence[str] = ()
    ) -> dict[str, pd.DataFrame]:
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
        file = self.source(run_id, path)
        if file is None:
            return None
        try:
            table = pd.read_csv(file, dtype=dict.fromkeys(words, str))
            table = table.assign(**table[list(figures)].apply(pd.to_numeric))
            table[list(words)]
        except (OSError, ValueError, KeyError, TypeError) as error:
            self._leave_out(run_id, label, path, error)
            return None
        if table.empty or not np.isfinite(table[list(figures)].to_numpy(dtype=float)).all():
            self._leave_out(run_id, label, path, "it has no lines, or values that are not finite")
            return None
        return table

    def array(self, run_id: str, label: str, path: str) -> np.ndarray | None:
        """One array, None where the run has none or it cannot be read."""
        file = self.source(run_id, path)
        try:
            return None if file is None else np.load(file, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            self._leave_out(run_id, label, path, error)
            return None

    def _leave_out(self, run_id: str, label: str, path: str, why: object) -> None:
        reason = " ".join(str(why).split())[:100]
        self.unread.append(f"{path} of {label} (run {run_id}: {reason})")
