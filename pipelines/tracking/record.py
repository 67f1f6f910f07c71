"""State of a run: as the tracking server has it or, if that is unreachable, as this process knows it."""

from collections.abc import Mapping
from dataclasses import dataclass

import mlflow.entities
from mlflow import MlflowClient

from pipelines import names
from pipelines.common import server
from pipelines.errors import AwayError
from pipelines.processes import identity
from pipelines.tracking import spool
from pipelines.tracking.delivery import Delivery


@dataclass
class Snapshot:
    """State of a run: as last read from the server, and updated by what this process has logged since."""

    status: str
    experiment: str
    tags: dict[str, str]
    params: dict[str, str]
    metrics: dict[str, float]

    @classmethod
    def of(cls, run: mlflow.entities.Run) -> "Snapshot":
        """Returns the state of a run that was read from the server."""
        info, data = run.info, run.data
        return cls(info.status, info.experiment_id, dict(data.tags), dict(data.params), dict(data.metrics))


class Record:
    """The snapshot of one run, kept up to date.

    Attributes:
        delivery: sends what the run logs.
        snapshot: the state; None until it is known.
    """

    def __init__(self, run_id: str):
        self._id = run_id
        self._client = MlflowClient()
        self.delivery = Delivery(run_id, self._owner)
        self.snapshot: Snapshot | None = None

    @property
    def label(self) -> str:
        """Name of the run in messages."""
        return (self.snapshot and self.snapshot.tags.get(names.RUN_NAME)) or f"run {self._id}"

    def read(self) -> Snapshot:
        """Read the state from the server or, if that is unreachable, return the one that this process knows.

        Raises:
            AwayError: the server is unreachable, and no state is known.
        """
        self.snapshot = self.delivery.query(self._fetched, self.known)
        return self.snapshot

    def await_read(self) -> Snapshot:
        """Read the state from the server, and wait while that is unreachable.

        Raises:
            AwayError: the server stays unreachable.
        """
        self.snapshot = self.delivery.retry(lambda again: self._fetched(), self.label)
        return self.snapshot

    def known(self) -> Snapshot:
        """Return the state that this process knows.

        Raises:
            AwayError: no state is known.
        """
        if self.snapshot is None:
            raise AwayError(f"run {self._id}: the tracking server is away")
        return self.snapshot

    def note_status(self, status: str) -> None:
        """Update the known state by a status that was sent."""
        if self.snapshot:
            self.snapshot.status = status

    def note_tags(self, tags: Mapping[str, str]) -> None:
        """Update the known state by tags that were sent."""
        if self.snapshot:
            self.snapshot.tags.update(tags)

    def note_metrics(self, metrics: Mapping[str, float]) -> None:
        """Update the known state by metrics that were sent."""
        if self.snapshot:
            self.snapshot.metrics.update(metrics)

    def _fetched(self) -> Snapshot:
        return Snapshot.of(self._client.get_run(self._id))

    def _owner(self) -> spool.Owner:
        tags = self.snapshot.tags if self.snapshot else {}
        processes = {spool.fingerprint(tags), spool.fingerprint(identity.own().tags)}
        return spool.Owner(
            run=self._id,
            name=tags.get(names.RUN_NAME, ""),
            parent=tags.get(names.PARENT_RUN, ""),
            server=server.address(),
            processes=tuple(sorted(processes)),
        )
