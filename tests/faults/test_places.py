"""Where a launch is: folders with odd names, and databases that others use at the same moment."""

import shutil
import socket
import sqlite3
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import unquote, urlsplit

import pytest
from support.launches import checkpoint_of, until
from support.place import ROOT, Place

TINY = ("recurrent", "--dataset", "sample", "--models", "persistence")
FOLDERS = ("-a b#ü", "a%41b?c", "it's \"two\nlines")


def rows_of(database: Path, query: str) -> list[tuple]:
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(query).fetchall()


@pytest.fixture
def launched_in(blank_database):
    """A function that gives a place in a folder, whose address MLflow chooses itself."""
    places = []

    def go(folder: Path, **variables: str) -> Place:
        folder.mkdir(parents=True, exist_ok=True)
        # An empty address is none.
        place = Place(folder, MLFLOW_TRACKING_URI="", **variables)
        places.append(place)
        return place

    yield go
    for place in places:
        place.end()


@pytest.mark.slow
@pytest.mark.fault(36)
@pytest.mark.parametrize("name", FOLDERS, ids=repr)
def test_a_launch_and_its_table_in_a_folder_with_an_odd_name(name, tmp_path, launched_in, blank_database):
    place = launched_in(tmp_path / name)
    shutil.copy(blank_database, place.database)
    assert place.fork(*TINY).wait(300) == 0, place.stderr
    runs = dict(rows_of(place.database, "SELECT name, status FROM runs"))
    assert runs == {"persistence (recurrent on sample)": "FINISHED", "persistence": "FINISHED"}
    for (uri,) in rows_of(place.database, "SELECT artifact_uri FROM runs WHERE name LIKE '%(recurrent on sample)'"):
        folder = Path(unquote(urlsplit(uri).path)) if uri.startswith("file:") else Path(uri)
        assert folder.is_relative_to(place.folder / "mlruns")
        assert any(folder.iterdir())
    assert place.fork("compare", module="analysis").wait(300) == 0, place.stderr
    assert "persistence" in (place.folder / "stdout").read_text()
    assert [each.name for each in tmp_path.iterdir()] == [name]


@pytest.mark.slow
@pytest.mark.fault(36)
def test_a_study_and_a_report_in_a_folder_with_an_odd_name(tmp_path, launched_in, blank_database):
    place = launched_in(tmp_path / "a?b %41")
    shutil.copy(blank_database, place.database)
    study = ("tune", "--study", "ablation", "--dataset", "sample", "--n-trials", "1", "--fraction", "0.05")
    study += ("--finalists", "0")
    place.alter({"pipelines.studies.command.WINNER_SEEDS": 1})
    assert place.fork(*study, module="support.altered").wait(300) == 0, place.stderr
    assert rows_of(place.folder / "optuna.db", "SELECT study_name FROM studies") == [("ablation-sample",)]
    assert place.fork("report", module="analysis").wait(300) == 0, place.stderr
    assert (place.folder / "report" / "report.html").is_file()
    assert [each.name for each in tmp_path.iterdir()] == ["a?b %41"]


@pytest.mark.slow
@pytest.mark.fault(36)
@pytest.mark.parametrize("name", ["a b", "a#b"])
def test_mlflow_run_in_a_folder_with_an_odd_name(name, tmp_path, launched_in, blank_database):
    place = launched_in(tmp_path / name)
    shutil.copy(blank_database, place.database)
    given = ("-e", "recurrent", "--env-manager", "local", "-P", "dataset=sample", "-P", "models=persistence")
    assert place.fork("run", str(ROOT), *given, module="mlflow").wait(300) == 0, place.stderr
    runs = dict(rows_of(place.database, "SELECT name, status FROM runs"))
    assert runs == {"persistence (recurrent on sample)": "FINISHED", "persistence": "FINISHED"}


@pytest.fixture
def temporary_folders() -> Iterator[list[str]]:
    """Four. Sockets are made there, whose paths may not have the length that a worker's pytest folders have."""
    with ExitStack() as stack:
        yield [stack.enter_context(TemporaryDirectory()) for _ in range(4)]


@pytest.mark.slow
@pytest.mark.fault(13)
def test_four_starts_at_once_on_a_fresh_database_with_temporary_folders_of_their_own(
    tmp_path, temporary_folders, launched_in
):
    places = [launched_in(tmp_path / "here", TMPDIR=folder) for folder in temporary_folders]
    processes = [place.fork(*TINY) for place in places]
    assert [process.wait(timeout=500) for process in processes] == [0, 0, 0, 0], places[0].stderr
    runs = rows_of(places[0].database, "SELECT name, status FROM runs ORDER BY name")
    assert runs == [("persistence", "FINISHED")] * 4 + [("persistence (recurrent on sample)", "FINISHED")] * 4
    assert rows_of(places[0].database, "SELECT COUNT(*) FROM experiments") == [(2,)]


# The writers are forked after the imports, which take seconds.
WRITERS = """
    import multiprocessing, os, sys
    os.environ["MLFLOW_TRACKING_URI"] = sys.argv[1]
    from pipelines.tracking.run import FINISHED, Run
    from pipelines.tracking.server import connect


    def write(name):
        connect()
        run = Run.launch(name, {})
        for step in range(300):
            run.log_metrics({"first": step, "second": -step}, step)
            run.flush()
        run.end(FINISHED)

    writers = [multiprocessing.get_context("fork").Process(target=write, args=(name,)) for name in sys.argv[2:]]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    sys.exit(any(writer.exitcode for writer in writers))
"""


@pytest.mark.slow
@pytest.mark.fault(14)
def test_eight_writers_of_300_batches_each(place):
    names = [f"writer-{number}" for number in range(8)]
    command = [sys.executable, "-c", textwrap.dedent(WRITERS), place.uri, *names]
    written = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=500)
    assert written.returncode == 0, written.stderr
    # On a busy machine a writer may wait for the others longer than SQLite does. It says so, and loses nothing.
    waited = [line for line in written.stderr.splitlines() if "database is locked" in line]
    caught_up = [line for line in written.stderr.splitlines() if "all that waited is on the tracking server" in line]
    assert len(waited) == len(caught_up) == written.stderr.count("\n") / 2, written.stderr
    found = rows_of(
        place.database,
        "SELECT r.name, m.key, COUNT(DISTINCT m.step), COUNT(*), SUM(m.value) FROM metrics m "
        "JOIN runs r USING (run_uuid) GROUP BY 1, 2 ORDER BY 1, 2",
    )
    total = sum(range(300))
    expected = [(name, key, 300, 300, sign * total) for name in names for key, sign in (("first", 1), ("second", -1))]
    assert found == expected
    assert rows_of(place.database, "SELECT DISTINCT status FROM runs") == [("FINISHED",)]


@pytest.mark.slow
@pytest.mark.fault(15)
@pytest.mark.parametrize("seconds", [3, 25])
def test_a_launch_goes_on_after_its_database_was_locked(seconds, place, small):
    process = place.fork(*small, "--models", "gru-2", "--jobs", "1", module="support.held")
    until(checkpoint_of(place, "gru-2-seed0"), process)
    with closing(sqlite3.connect(place.database, timeout=60, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        (place.folder / "go").touch()
        time.sleep(seconds)
        other.execute("ROLLBACK")
    assert process.wait(timeout=300) == 0, place.stderr
    run = place.runs()["gru-2-seed0"]
    assert run.info.status == "FINISHED"
    assert [step for step, _ in place.history(run, "train_loss")] == [1, 2, 3, 4, 5, 6]


@pytest.mark.fault(15)
def test_a_database_that_is_locked_at_the_start_is_named_in_one_line(place, refused, monkeypatch):
    from pipelines.common import schema

    monkeypatch.setattr(schema, "BUSY", 0.2)
    with closing(sqlite3.connect(place.database, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        line = refused(place.folder, place.uri, "recurrent", *TINY[1:])
    assert str(place.database) in line
    assert "locked" in line


def launched_by_mlflow(begin: Callable, entry: str, *parameters: str) -> int:
    """Exit code of `mlflow run` of this project from another folder, which `begin` starts or forks."""
    given = [part for parameter in parameters for part in ("-P", parameter)]
    return begin("run", str(ROOT), "-e", entry, "--env-manager", "local", *given, module="mlflow").wait(300)


@pytest.mark.slow
@pytest.mark.fault(5)
@pytest.mark.parametrize(
    ("entry", "parameter", "reason"),
    [
        ("recurrent", "models=gru-9", "models='gru-9': unknown 'gru-9'; did you mean gru-3?"),
        ("recurrent", "epochs=-1", "Invalid value for '--epochs'"),
        ("compare", "limit=-1", "Invalid value for '--limit'"),
    ],
)
def test_a_refused_launch_of_mlflow_run_is_named_and_tagged_with_the_reason(place, entry, parameter, reason):
    assert launched_by_mlflow(place.fork, entry, parameter) != 0
    (run,) = place.runs().values()
    assert run.info.status == "FAILED"
    assert run.info.run_name == f"{entry} refused"
    assert reason in run.data.tags["failure"]
    assert run.data.tags["failure"] in " ".join(place.stderr.split())
    assert f"-m {'analysis' if entry == 'compare' else 'pipelines'} {entry}" in run.data.tags["command"]


@pytest.mark.slow
def test_mlflow_run_from_elsewhere_reads_and_writes_where_its_user_is(place):
    (place.folder / "raw").mkdir()
    assert launched_by_mlflow(place.start, "prepare", "dataset=pjm", "source=raw", f"data_dir={place.folder}/data") != 0
    assert f"{place.folder}/raw: no " in place.stderr
    assert launched_by_mlflow(place.start, "recurrent", "dataset=sample", "models=persistence") == 0
    assert f"\nnext      mlflow run {ROOT} --env-manager local -e compare -P entry=recurrent\n" in place.stdout
    assert launched_by_mlflow(place.start, "compare", "output=table.md") == 0
    assert "persistence" in (place.folder / "table.md").read_text()
    assert f"{place.folder}/table.md" in (place.folder / "stdout").read_text()
    assert not (ROOT / "table.md").exists()


@pytest.fixture
def served(tmp_path) -> Iterator[str]:
    """Address of a repository of this project as it stands; skipped where git serves none."""
    if subprocess.run(["git", "daemon", "-h"], capture_output=True).returncode != 129:
        pytest.skip("git daemon is not installed")
    project = tmp_path / "served" / "project"
    shutil.copytree(ROOT / "pipelines", project / "pipelines")
    for file in ("MLproject", "conda.yaml"):
        shutil.copy(ROOT / file, project)
    author = ("-c", "user.name=me", "-c", "user.email=me@example.org")
    for command in (("init", "-q", "-b", "main"), ("add", "."), (*author, "commit", "-qm", "As it stands")):
        subprocess.run(["git", "-C", project, *command], check=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    where = ("--listen=127.0.0.1", f"--port={port}", f"--base-path={project.parent}")
    daemon = subprocess.Popen(["git", "daemon", "--export-all", *where], stderr=subprocess.DEVNULL)
    yield f"git://127.0.0.1:{port}/project"
    daemon.terminate()
    daemon.wait()


@pytest.mark.slow
def test_mlflow_run_of_a_repository_keeps_data_outside_its_temporary_clone(served, tmp_path, blank_database):
    place = Place(tmp_path / "here", PYTHONPATH="", XDG_CACHE_HOME=str(tmp_path / "cache"), TMPDIR=str(tmp_path))
    place.folder.mkdir()
    shutil.copy(blank_database, place.database)
    (place.folder / "raw").mkdir()
    given = ("-e", "prepare", "--env-manager", "local", "-P", "dataset=pjm", "-P", "source=raw")
    assert place.fork("run", served, *given, module="mlflow").wait(300) != 0
    kept = tmp_path / "cache" / "nn-experiment-registry" / "data"
    assert f"prepared data in {kept}: the checkout is a temporary clone" in place.stderr.splitlines()
    assert f"error: {place.folder}/raw: no PJM_Load_hourly.csv" in place.stderr
    assert (kept / "pjm" / "prepare.lock").exists()
