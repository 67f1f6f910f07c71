"""Runs in a list, with the data that they read, and those of them that read a file, a data set or a digest."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from analysis.errors import InputError
from pipelines.common import archives, launcher
from pipelines.common.run_ids import SHORTEST


@dataclass(frozen=True)
class Part:
    """A part of a data set that a run read.

    Attributes:
        name, digest: of the data set in MLflow.
        context: such as ``training``, "" if it has none.
        files: SHA-256 of each file that the data were prepared from, by name; empty if they are not recorded.
    """

    name: str
    digest: str
    context: str
    files: Mapping[str, str]


@dataclass(frozen=True)
class Listed:
    """A run in a list.

    Attributes:
        run_id, name, status: as in MLflow.
        entry, dataset: of its tags; "" without them.
        started, ended: None while running, and outside the years 1 to 9999.
        data_digest: SHA-256 of all of its data, "" where it is not recorded.
        parts: what it read.
        metric, value: the entry's main metric; "" and None where it has none.
    """

    run_id: str
    name: str
    status: str
    entry: str
    dataset: str
    started: datetime | None
    ended: datetime | None
    data_digest: str
    parts: Sequence[Part]
    metric: str
    value: float | None

    @property
    def duration_s(self) -> float | None:
        """Seconds from start to end; None while running, or where it ends before it starts."""
        if self.started is None or self.ended is None or self.ended < self.started:
            return None
        return (self.ended - self.started).total_seconds()

    @property
    def datasets(self) -> Sequence[str]:
        """Names of what it read, or of what its tag says, each once."""
        return tuple(dict.fromkeys(part.name for part in self.parts)) or ((self.dataset,) if self.dataset else ())

    @property
    def contexts(self) -> Sequence[str]:
        """The contexts of its parts, each once."""
        return tuple(dict.fromkeys(part.context for part in self.parts if part.context))


@dataclass(frozen=True)
class Sought:
    """What `--data` means: files, by their digests, or without any a text: a name of a file or a data set, or the
    beginning of a digest.

    Attributes:
        text: as given.
        digests: SHA-256 of each file, by its path.
    """

    text: str
    digests: Mapping[str, str]

    @classmethod
    def of(cls, given: str) -> "Sought":
        """Reads the files at a path, of a folder or an archive all; any other text may be the name of a file that is
        not here, or of a data set, or a digest.

        Raises:
            InputError: the files cannot be read, or the text is a path with folders, where nothing is.
        """
        path = launcher.given_input(given).expanduser()
        if not path.exists():
            if "/" in given:
                raise InputError(
                    f"data: no file {path.absolute()} is there; give one, its name, a data set's name or a digest"
                )
            return cls(given, {})
        try:
            digests = archives.digests(path.resolve())
        except OSError as error:
            raise InputError(f"data: cannot read {error.filename or path}: {error.strerror or error}") from error
        if not digests:
            raise InputError(f"data: no file is in {path.absolute()}; give the folder that the data were prepared from")
        return cls(given, digests)

    def of_run(self, run: Listed) -> Listed | None:
        """The run with those of its parts that are sought, None if there are none."""
        parts = [part for part in run.parts if self._is_of(part, run.data_digest)]
        return replace(run, parts=parts) if parts else None

    def _is_of(self, part: Part, data_digest: str) -> bool:
        if self.digests:
            return not set(self.digests.values()).isdisjoint(part.files.values())
        if self.text in (part.name, *part.files):
            return True
        digests = (part.digest, data_digest, *part.files.values())
        return len(self.text) >= SHORTEST and any(each.startswith(self.text) for each in digests)

    def __str__(self) -> str:
        if len(self.digests) == 1:
            ((_, digest),) = self.digests.items()
            return f"the file {self.text} (SHA-256 {digest})"
        if self.digests:
            return f"any of the {len(self.digests)} files of {self.text}"
        if re.fullmatch(f"[0-9a-f-]{{{SHORTEST},}}", self.text):
            return f"data of the name or digest {self.text}"
        if self.is_name_of_file:
            return f"a file called {self.text} (there is none here, so its name alone was sought)"
        return f"data of the name {self.text}"

    @property
    def is_name_of_file(self) -> bool:
        """Whether it looks like the name of a file, which was not found."""
        return not self.digests and bool(Path(self.text).suffix)


@dataclass(frozen=True)
class Listing:
    """Runs to show, newest first, with notes.

    Attributes:
        runs: in their order.
        parts: whether to show which parts of the data they read.
        notes: for readers.
    """

    runs: Sequence[Listed]
    parts: bool
    notes: Sequence[str] = ()


def which_read(sought: Sought, runs: Iterable[Listed], limit: int, server: str) -> tuple[Listing, str]:
    """Those of `runs` that read what is sought, at most `limit` (0: all); or an empty list and a message that says so.

    Args:
        sought: the data.
        runs: to search, newest first.
        limit: how many to list.
        server: that has the runs, for the message.
    """
    searched = named = 0
    there: set[str] = set()
    found = []
    for run in runs:
        searched += bool(run.parts)
        named += any(part.files for part in run.parts)
        there.update(run.datasets)
        if reader := sought.of_run(run):
            found.append(reader)
    known = f"{named} of the {searched} runs that read data have digests of their files"
    if not found:
        others = f"; there are runs on {', '.join(sorted(there))}" if there else ""
        return Listing((), True), f"no run on {server} has read {sought}; {known}{others}"
    notes = [f"{len(found)} runs have read {sought}." if len(found) > 1 else f"1 run has read {sought}."]
    if limit and len(found) > limit:
        notes.append(f"{len(found) - limit} older ones are not listed; --limit 0 lists all.")
    if (sought.digests or sought.is_name_of_file) and named < searched:
        notes.append(f"{known}; whether the others have read it cannot be told.")
    return Listing(found[:limit] if limit else found, True, notes), ""
