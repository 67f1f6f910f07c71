"""Items that a run could not send yet: in the spool on the disk, or in memory if that cannot be written."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from pipelines.common.streams import announce
from pipelines.tracking import spool
from pipelines.tracking.spool import BusyError, Owner, Spool, Waiting

# Kinds of items.
START, METRICS, PARAMS, TAGS, UNTAG, DATASET = "start", "metrics", "params", "tags", "untag", "dataset"
ARTIFACT, CHECKPOINT, MODEL, REGISTER = "artifact", "checkpoint", "model", "register"
SUMMARY, STATUS = "summary", "status"  # sent after all others

Point = tuple[str, float, int, int]  # of a metric: name, value, time (ms), step


class MetricsContent(TypedDict):
    """Content of METRICS; a JSON array in a journal is a list."""

    metrics: Sequence[Point | list[Any]]


class UntagContent(TypedDict):
    """Content of UNTAG: the name of a tag."""

    tag: str


class DatasetContent(TypedDict):
    """Content of DATASET, as MLflow takes it: source and profile are JSON. Spools of old have no type of the source."""

    name: str
    digest: str
    source: str
    source_type: NotRequired[str]
    profile: str
    context: str


class ArtifactContent(TypedDict):
    """Content of ARTIFACT: the folder among the artifacts."""

    folder: str


class CheckpointContent(TypedDict):
    """Content of CHECKPOINT: the text of the tag."""

    tag: str


class ModelContent(TypedDict):
    """Content of MODEL: its name, its tags, and the time in ms after which it was logged."""

    name: NotRequired[str]  # earlier versions kept none
    tags: dict[str, str]
    time: int


class RegisterContent(TypedDict):
    """Content of REGISTER: the arguments of `models.register`, and the model's id, "" if it is not known yet.

    Spools of old have no card.
    """

    name: str
    metric: str
    value: float
    data: str
    sha256: str
    model: str
    card: NotRequired[str]


class StatusContent(TypedDict):
    """Content of STATUS: the final status, and the time in ms when it was reached."""

    status: str
    time: int


class Outbox:
    """Items that one run has not sent yet.

    Args:
        run_id: of the run.
        owner: returns the owner of the spool, called when a spool is needed.
        opened: an open spool of the run, if there is one.

    Attributes:
        waiting: the items, in the order of sending.
    """

    def __init__(self, run_id: str, owner: Callable[[], Owner], opened: Spool | None = None):
        self._run_id, self._owner, self._spool = run_id, owner, opened
        self.waiting: list[Waiting] = list(opened.waiting) if opened else []
        self._lost: list[str] = []

    @property
    def name(self) -> str:
        """Name of the run, for messages."""
        return self._owner().name or f"run {self._run_id}"

    @property
    def lost(self) -> str:
        """List of the items that could neither be sent nor kept, or ""."""
        return "; ".join(self._lost)

    @property
    def where(self) -> str:
        """Place where the items wait, for messages."""
        return str(self._spool.folder) if self._spool else "the memory of this process alone"

    def path(self, waiting: Waiting) -> Path | None:
        """Returns the file or folder of an item, if it has one."""
        return self._spool.path(waiting) if self._spool and waiting.file else None

    def keep(self, kind: str, content: Mapping[str, Any], file: Path | None = None, place: str = "") -> None:
        """Keep an item, to be sent after those that wait already.

        Args:
            kind, content, place: see `spool.Waiting`.
            file: file of the item, which is copied. If there is no room for it, it is lost, which is announced.
        """
        try:
            if self._spool is None:
                self._spool = Spool(spool.folder_of(self._run_id), self._owner())
                self.waiting = [*self._spool.waiting, *self.waiting]
            kept = self._spool.add(kind, content, file, place)
        except (OSError, ValueError, BusyError) as error:
            why = error.strerror or error if isinstance(error, OSError) else error
            if file:
                self._lost.append(f"{place or file.name} ({why})")
                announce(f"{self.name}: {place or file.name} cannot be kept here either, and is lost: {why}")
                return
            # This process can still send it.
            kept = Waiting(-1, kind, content)
        on_disk = self._spool.waiting if self._spool else []
        self.waiting = [each for each in self.waiting if each.number < 0 or each in on_disk]
        self.waiting.append(kept)

    def drop(self, waiting: Waiting) -> None:
        """Remove an item that has been sent, or need not be sent any more."""
        self.waiting.remove(waiting)
        if self._spool and waiting in self._spool.waiting:
            self._spool.sent(waiting)

    def adopt(self) -> bool:
        """Take over what an earlier process of the run left, except its final status; returns whether there was any."""
        folder = spool.folder_of(self._run_id)
        if self._spool is not None or not folder.exists():
            return False
        try:
            self._spool = Spool(folder)
        except (OSError, ValueError, BusyError) as error:
            announce(f"{self.name}: {folder} is left alone: {error}")
            return False
        self.waiting = list(self._spool.waiting)
        for waiting in self._spool.waiting[:]:
            if waiting.kind in (SUMMARY, STATUS):
                self.drop(waiting)
        return True

    def give_up_memory(self) -> None:
        """Count the items in memory as lost, as this process ends."""
        if memory := [waiting.kind for waiting in self.waiting if waiting.number < 0]:
            self._lost.append(f"{len(memory)} entries ({', '.join(dict.fromkeys(memory))})")

    def close(self) -> None:
        """Close the spool, so that other processes can send its items."""
        if self._spool is not None:
            self._spool.close()
        self._spool, self.waiting = None, []


def final_status(run_id: str) -> str:
    """Returns the final status of a run that waits in its spool here, or ""."""
    try:
        _, waiting = spool.read(spool.folder_of(run_id))
    except (OSError, ValueError):
        return ""
    return next((each.content["status"] for each in waiting if each.kind == STATUS), "")
