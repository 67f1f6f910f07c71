"""Runs inserted into an MLflow database by SQL: many at once, and also those that its client refuses."""

import itertools
import math
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

START = 1_780_000_000_000  # 2026-05-28 20:26:40 UTC

# A value, or (step, value) of every point.
History = float | Sequence[tuple[int, float]]


@dataclass(frozen=True)
class Logged:
    """A run as the tables of a tracking database have it; times in milliseconds, those of the points are `start`'s."""

    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, History] = field(default_factory=dict)
    tags: Mapping[str, str | bytes | None] = field(default_factory=dict)
    name: str | None = "run"
    status: str | None = "FINISHED"
    start: int | None = START
    end: int | None = START + 60_000
    deleted: bool = False


def insert(database: Path, runs: Iterable[Logged], experiment: str = "theirs", deleted: bool = False) -> list[str]:
    """Inserts `runs` into an experiment of that name, made where it is absent, and returns their ids."""
    ids = []
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("PRAGMA synchronous = OFF")
        number = _experiment(connection, experiment, database.parent, deleted)
        (count,) = connection.execute("SELECT COUNT(*) FROM runs").fetchone()
        for index, run in zip(itertools.count(count), runs, strict=False):
            ids.append(f"{index:032x}")
            _insert(connection, number, ids[-1], run, database.parent)
    return ids


def _experiment(connection: sqlite3.Connection, name: str, folder: Path, deleted: bool) -> int:
    found = connection.execute("SELECT experiment_id FROM experiments WHERE name = ?", (name,)).fetchone()
    if found:
        return found[0]
    (number,) = connection.execute("SELECT MAX(experiment_id) + 1 FROM experiments").fetchone()
    stage = "deleted" if deleted else "active"
    connection.execute(
        "INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage, workspace) "
        "VALUES (?, ?, ?, ?, 'default')",
        (number, name, str(folder / "artifacts" / str(number)), stage),
    )
    return number


def _insert(connection: sqlite3.Connection, experiment: int, run_id: str, run: Logged, folder: Path) -> None:
    place = str(folder / "artifacts" / str(experiment) / run_id / "artifacts")
    stage = "deleted" if run.deleted else "active"
    connection.execute(
        "INSERT INTO runs (run_uuid, name, experiment_id, status, start_time, end_time, lifecycle_stage, artifact_uri, "
        "source_type, user_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'LOCAL', 'ann')",
        (run_id, run.name, experiment, run.status, run.start, run.end, stage, place),
    )
    for table, values in (("params", run.params), ("tags", run.tags)):
        connection.executemany(
            f"INSERT INTO {table} (run_uuid, key, value) VALUES (?, ?, ?)",
            [(run_id, key, value) for key, value in values.items()],
        )
    for key, history in run.metrics.items():
        points = [(0, history)] if isinstance(history, int | float) else history
        lines = [
            (run_id, key, 0.0 if math.isnan(value) else value, step, run.start or 0, math.isnan(value))
            for step, value in points
        ]
        for table, own in (("metrics", lines), ("latest_metrics", lines[-1:])):
            connection.executemany(
                f"INSERT INTO {table} (run_uuid, key, value, step, timestamp, is_nan) VALUES (?, ?, ?, ?, ?, ?)", own
            )
