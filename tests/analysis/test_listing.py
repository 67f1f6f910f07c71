"""Lists of runs, and of those that read a file: any copy of it, in a folder or an archive too, under whatever name."""

import csv
import hashlib
import io
import json
import shutil
import zipfile
from importlib import resources

import pytest
from click.testing import CliRunner
from mlflow.entities import Dataset, DatasetInput
from support import zoo
from support.commands import invoke, refused
from support.tracked import tracking

from analysis.__main__ import cli
from pipelines.common.origins import Origin
from pipelines.data.energy import taylor
from pipelines.data.images import digits
from pipelines.tracking.artifacts import log_dataset
from pipelines.tracking.run import Run

CSV = resources.files("pipelines.data.energy") / "taylor.csv"
OTHER = {"a.csv": b"Datetime,A_MW\n", "b.csv": b"Datetime,B_MW\n"}


def log_runs() -> dict[str, str]:
    """Runs that read the two samples, other files, and data of an earlier version or of others; their ids by name."""
    electricity, images = taylor.load(), digits.load()
    other = Origin("/somewhere", {name: hashlib.sha256(content).hexdigest() for name, content in OTHER.items()})
    runs = {name: Run.launch(name, {"entry": "recurrent"}) for name in ("load", "load 2", "other", "images", "old")}
    for name in ("load", "load 2"):
        log_dataset(runs[name], "sample", electricity.digest, electricity.origin, (1734, 90, 5), "training")
        log_dataset(runs[name], "sample", electricity.digest, electricity.origin, (192, 90, 5), "evaluation")
        runs[name].set_tags({"data_digest": electricity.digest})
    log_dataset(runs["other"], "mine", "ab" * 32, other, (10, 3), "training")
    log_dataset(runs["images"], "sample", images.digest, images.origin, (10, 3), "evaluation")
    old = Dataset("pjm", "0123456789abcdef-training-10", "local", '{"uri": "AEP, DOM"}', profile='{"shape": [10]}')
    runs["old"].client.log_inputs(runs["old"].id, [DatasetInput(old, [])])
    runs["load"].log_metrics({"smape_report": 0.25})
    for run in runs.values():
        run.end("FINISHED")
    return {name: run.id for name, run in runs.items()}


@pytest.fixture
def made(place, at) -> dict[str, str]:
    at(place.folder, place.uri)
    return log_runs()


def read(*arguments: object) -> list[str]:
    """Ids of the runs that are listed."""
    return [line["run_id"] for line in json.loads(invoke("runs", "--format", "json", *arguments))]


def require_readers_found(made, folder):
    """The runs that read the sample of electricity are found by its file, wherever a copy of it is."""
    readers = [made["load 2"], made["load"]]
    copy = folder / "renamed.txt"
    shutil.copy(CSV, copy)
    with zipfile.ZipFile(folder / "all.zip", "w") as archive:
        archive.write(copy, "deep/inside.csv")
    (folder / "below" / "again").mkdir(parents=True)
    shutil.copy(CSV, folder / "below" / "again" / "x")
    for given in (CSV, copy, folder / "all.zip", folder / "below"):
        assert read("--data", given) == readers, given
    # Of a set of several files one is enough.
    (folder / "other").write_bytes(OTHER["b.csv"])
    assert read("--data", folder / "other") == [made["other"]]


def test_a_file_is_found_whatever_it_is_called_and_packed_in(made, tmp_path):
    require_readers_found(made, tmp_path)


@pytest.mark.medium
def test_it_is_found_through_a_server(place, at, mlflow_server, tmp_path):
    at(place.folder, f"http://127.0.0.1:{mlflow_server}")
    require_readers_found(log_runs(), tmp_path)


def test_data_are_found_by_name_or_the_first_digits_of_a_digest(made):
    electricity = [made["load 2"], made["load"]]
    assert read("--data", "sample") == [made["images"], *electricity]
    assert read("--data", "pjm") == [made["old"]]
    assert read("--data", "012345") == [made["old"]]
    for given in (taylor.load().digest, taylor.load().digest[:6], hashlib.sha256(CSV.read_bytes()).hexdigest()[:6]):
        assert read("--data", given) == electricity
    assert read("--data", "sample", "--limit", "1") == [made["images"]]
    assert read("--data", "sample", "--where", "attributes.run_name = 'load'") == [made["load"]]


def test_a_reader_is_told_what_was_searched(made, tmp_path):
    shown = invoke("runs", "--data", CSV, "--limit", "1")
    assert f"| load 2 | {made['load 2'][:8]} | FINISHED | recurrent | sample | training, evaluation |" in shown
    assert "- 2 runs have read the file " in shown
    assert "1 older ones are not listed" in shown
    assert "4 of the 5 runs that read data have digests of their files" in shown
    (tmp_path / "new.csv").write_text("nobody has read it")
    result = CliRunner().invoke(cli, ["runs", "--data", str(tmp_path / "new.csv")])
    (line,) = result.stderr.splitlines()
    assert result.exit_code == 1
    assert f"SHA-256 {hashlib.sha256(b'nobody has read it').hexdigest()}" in line
    assert "4 of the 5 runs that read data have digests of their files" in line


def test_a_file_that_is_not_here_is_found_by_its_name(made, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert read("--data", CSV.name) == [made["load 2"], made["load"]]
    assert f"a file called {CSV.name} (there is none here" in invoke("runs", "--data", CSV.name)
    result = CliRunner().invoke(cli, ["runs", "--data", "AEP_hourly.csv"])
    assert result.exit_code == 1
    assert "has read a file called AEP_hourly.csv" in result.stderr


def test_what_is_no_file_name_or_digest_is_one_line(made, tmp_path):
    assert "no file" in refused("runs", "--data", tmp_path / "absent.csv")
    (tmp_path / "empty").mkdir()
    assert "no file is in" in refused("runs", "--data", tmp_path / "empty")
    result = CliRunner().invoke(cli, ["runs", "--data", "abcde"])
    assert (result.exit_code, len(result.stderr.splitlines())) == (1, 1)
    assert "there are runs on mine, pjm, sample" in result.stderr


def test_recent_runs_come_newest_first(made):
    assert read() == [made[name] for name in ("old", "images", "other", "load 2", "load")]
    assert read("--limit", "2") == [made["old"], made["images"]]
    assert read("--entry", "recurrent", "--since", "2020-01-01", "--limit", "1") == [made["old"]]
    shown = invoke("runs")
    assert f"| load | {made['load'][:8]} | FINISHED | recurrent | sample | " in shown
    assert "| smape_report 0.25 |" in shown
    (*_, last) = csv.DictReader(io.StringIO(invoke("runs", "--format", "csv")))
    assert (last["run_id"], last["metric"], last["value"]) == (made["load"], "smape_report", "0.25")
    assert "tuna" in refused("runs", "--entry", "tuna")
    assert CliRunner().invoke(cli, ["runs", "--since", "2999-01-01"]).exit_code == 1


@pytest.mark.parametrize("form", ["terminal", "markdown", "csv", "json"])
def test_whatever_runs_hold_they_can_be_listed(tmp_path, blank_database, form):
    database = tmp_path / "runs.db"
    shutil.copy(blank_database, database)
    ids = zoo.fill(database)
    with tracking(f"sqlite:///{database}"):
        shown = invoke("runs", "--format", form, "--limit", "0")
    assert "\x1b" not in shown
    assert shown.count("\n") > len(ids) / 2
